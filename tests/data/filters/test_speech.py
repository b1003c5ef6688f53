"""Answers that change between polite and familiar speech."""

from __future__ import annotations

import pytest

from seodang.data.filters import MixedRegister
from seodang.records import Conversation, Message, Preference

PLAIN = "어제 도서관에 갔어. "
MIXED = [
    "어제 도서관에 갔어. 책을 세 권 빌렸습니다.",
    "네, 맞습니다. 그건 내가 알려 줄게. 천천히 읽어 보세요.",
    "오늘은 날씨가 좋아요. 같이 걸을래?",
    "서울은 한국의 수도입니다. 사람이 많아. 강이 흐릅니다.",
]
NOT_MIXED = [
    "어제 도서관에 갔어요. 책을 세 권 빌렸습니다.",
    "어제 도서관에 갔어. 책을 세 권 빌렸지.",
    "서울은 한국의 수도이다. 한강이 흐른다. 자세한 내용은 아래에 있습니다.",
    "친구가 “나 먼저 갈게.”라고 말했습니다. 저는 알겠다고 했어요.",
    "이렇게 쓰시면 됩니다.\n- 나 먼저 갈게.\n- 내일 봐.",
    "## 같이 가\n함께 가는 길을 알려 드립니다.",
    "제목: 나 먼저 갈게.\n편지의 첫 줄은 이렇게 쓰는 것이 좋습니다.",
    "코드는 다음과 같습니다.\n```\n나 먼저 갈게.\n```",
    "그게 몇 년 됐지? 벌써 십 년이 지났네. 세월이 참 빠릅니다.",
    "",
]


def reason(answer: str) -> str | None:
    return MixedRegister().reason(Conversation((Message("user", "말해 줘"), Message("assistant", answer))))


@pytest.mark.parametrize("answer", MIXED)
def test_two_ways_of_speaking_in_one_answer_are_mixed(answer: str) -> None:
    assert reason(answer) == "mixed_register"


@pytest.mark.parametrize("answer", NOT_MIXED)
def test_quotations_lists_titles_and_written_language_are_no_mixture(answer: str) -> None:
    assert reason(answer) is None


def test_a_small_share_is_no_mixture_unless_it_is_asked_for() -> None:
    answer = "책을 읽었습니다. " * 6 + PLAIN
    assert reason(answer) is None
    record = Conversation((Message("user", "?"), Message("assistant", answer)))
    assert MixedRegister(min_share=0.1).reason(record) == "mixed_register"


def test_the_rejected_side_may_speak_as_it_likes() -> None:
    ask, good, bad = Message("user", "?"), Message("assistant", NOT_MIXED[0]), Message("assistant", MIXED[0])
    assert MixedRegister().reason(Preference((ask,), (good,), (bad,))) is None
    assert MixedRegister().reason(Preference((ask,), (bad,), (good,))) == "mixed_register"
