"""Items about sentences: spaces, copies, other endings, dictionary forms, registers, against answers by hand."""

from __future__ import annotations

import pytest

from seodang.tasks.items import FUNCTIONS
from seodang.tasks.sentence_items import MARK

TABLE = [
    # (function, sentence, right forms; none: it makes no sense)
    ("spacing", "나는학교에갔다", ["나는∨학교에∨갔다"]),
    ("spacing", "어제친구가밥을먹었다", ["어제∨친구가∨밥을∨먹었다"]),
    ("spacing", "학교에", []),
    ("spacing", "모르는말이다", []),
    ("copy", "나는 밥을 먹어", ["나는 밥을 먹어"]),
    ("copy", "∨ 3!", ["∨ 3!"]),
    ("copy", "", []),
    ("to_polite", "나는 밥을 먹어", ["나는 밥을 먹어요", "나는 밥을 먹습니다"]),
    ("to_polite", "어제 비가 많이 내렸어", ["어제 비가 많이 내렸어요", "어제 비가 많이 내렸습니다"]),
    ("to_polite", "나는 밥을 먹어요", []),
    ("to_polite", "나는 밥을 사양해", []),
    ("to_casual", "동생이 길을 물었습니다", ["동생이 길을 물었어", "동생이 길을 물었다"]),
    ("to_casual", "언니가 음악을 들어요", ["언니가 음악을 들어", "언니가 음악을 듣는다", "언니가 음악을 든다"]),
    ("to_casual", "나는 밥을 먹어", []),
    ("past_tense", "나는 밥을 먹는다", ["나는 밥을 먹었다"]),
    ("past_tense", "누나가 바쁘다", ["누나가 바빴다"]),
    ("past_tense", "형이 과일을 판다", ["형이 과일을 팔았다", "형이 과일을 팠다"]),
    ("past_tense", "나는 밥을 먹었다", []),
    ("past_tense", "나는 밥을 먹어요", []),
    ("dictionary_form", "먹었어요", ["먹다"]),
    ("dictionary_form", "예뻐", ["예쁘다"]),
    ("dictionary_form", "들어", ["듣다", "들다"]),
    ("dictionary_form", "물었습니다", ["묻다", "물다"]),
    ("dictionary_form", "먹느라고", []),
    ("register", "나는 밥을 먹어요", ["존댓말"]),
    ("register", "나는 밥을 먹습니다", ["존댓말"]),
    ("register", "나는 밥을 먹어", ["반말"]),
    ("register", "나는 밥을 먹는다", ["반말"]),
    ("register", "먹어요", ["존댓말"]),
    ("register", "밥", []),
]


@pytest.mark.parametrize(("function", "sentence", "forms"), TABLE)
def test_the_right_forms(function: str, sentence: str, forms: list[str]) -> None:
    assert FUNCTIONS[function].solve({"s": sentence}) == tuple(forms)


def test_the_mark_is_that_of_proofreading() -> None:
    assert MARK == "\N{LOGICAL OR}" == "∨"
