"""Each metric on answers in Korean, its limits, and the intervals against published values."""

from __future__ import annotations

import json
import random
import unicodedata
from pathlib import Path

import pytest

from seodang.evaluation.metrics import (
    LOOP_SHARE,
    METRICS,
    Answer,
    comparable,
    ratio_interval,
    repeated_share,
    summarise,
    summarise_values,
    wilson,
)

KOREAN = "오늘 저녁에 무엇을 먹으면 좋을까요?"


def score(metric: str, text: str, prompt: str = KOREAN, accept: tuple[str, ...] = (), stopped: bool = True) -> object:
    return METRICS[metric](Answer(text, stopped, prompt, accept))


@pytest.mark.parametrize(
    ("text", "accept", "expected"),
    [
        ("삼십팔", ("삼십팔", "서른여덟"), 1.0),
        ("서른여덟", ("삼십팔", "서른여덟"), 1.0),
        ("서른 여덟", ("삼십팔", "서른여덟"), 1.0),
        ("서른아홉", ("삼십팔", "서른여덟"), 0.0),
        ("  삼십 팔.\n", ("삼십팔",), 1.0),
        ("삼십팔!!", ("삼십팔.",), 1.0),
        ("삼십팔입니다.", ("삼십팔",), 0.0),
        (unicodedata.normalize("NFD", "학교에 갑니다"), ("학교에 갑니다.",), 1.0),
        ("나는 학교에 간다。", ("나는학교에간다",), 1.0),
        ("I go to school.", ("I go to school",), 1.0),
        ("I go to School.", ("I go to school",), 0.0),
        ("-3.5", ("3.5",), 0.0),
        ("-3.5", ("-3.5.",), 1.0),
        ("35", ("3.5",), 0.0),
        ("3.5", ("3,5",), 0.0),
        ("38.", ("38",), 1.0),
        ("50%", ("50",), 0.0),
        ("1 12", ("11 2",), 0.0),
        ("1  12", ("1 12",), 1.0),
        ("3 시 30 분", ("3시 30분",), 1.0),
        ("", ("네",), 0.0),
        ("?", ("!",), 0.0),
        ("?", ("?",), 1.0),
        ("삼십팔", (), None),
    ],
)
def test_exact_match(text: str, accept: tuple[str, ...], expected: float | None) -> None:
    assert score("exact_match", text, accept=accept) == expected


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        ("가 나\t다\n라", "가나다라"),
        ("네...", "네"),
        ("…", "…"),
        ("1 2 가", "1 2가"),
        ("", ""),
        (" . ", "."),
        ("2.0", "2.0"),
    ],
)
def test_what_exact_match_compares(text: str, bare: str) -> None:
    assert comparable(text) == bare
    assert comparable(bare) == bare


@pytest.mark.parametrize(("stopped", "expected"), [(True, 1.0), (False, 0.0)])
def test_stop(stopped: bool, expected: float) -> None:
    assert score("stop", "네", stopped=stopped) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("김치찌개를 드셔 보세요.", 1.0),
        ("날씨가 맑습니다.", 1.0),
        ("김치찌개 먹어 봐.", 0.0),
        ("그는 학교에 갔다.", 0.0),
        ("서울", None),
        ("42", None),
        ("I go to school.", None),
        ("", None),
    ],
)
def test_polite(text: str, expected: float | None) -> None:
    assert score("polite", text) == expected


@pytest.mark.parametrize(
    ("text", "prompt", "accept", "expected"),
    [
        ("비빔밥이 좋겠어요.", KOREAN, (), 1.0),
        ("Bibimbap is nice.", KOREAN, (), 0.0),
        ("拌饭很好。", KOREAN, (), 0.0),
        ("비빔 rice", KOREAN, (), 2 / 6),
        (unicodedata.normalize("NFD", "비빔밥"), KOREAN, (), 1.0),
        ("42", KOREAN, (), None),
        ("", KOREAN, (), None),
        ("예시입니다.\n```python\nprint(1)\n```", KOREAN, (), 1.0),
        ("Bibimbap is nice.", "What should I eat tonight?", (), None),
        ("좋아요", "", (), None),
        ("I go to school.", "다음 문장을 영어로 번역하세요.\n\n나는 학교에 간다.", ("I go to school.",), None),
        ("I am 영희", "영희를 소개하세요.", ("영희입니다",), 2 / 5),
        ("삼십팔", "38을 한글로 읽어 주세요.", ("38",), 1.0),
        ("나는 간다", "다음 문장을 한국어로 번역하세요.\n\nI go to school.", (), 1.0),
    ],
)
def test_language(text: str, prompt: str, accept: tuple[str, ...], expected: float | None) -> None:
    assert score("language", text, prompt, accept) == (None if expected is None else pytest.approx(expected))


LIST = "추천 메뉴입니다.\n1. 김치찌개: 따뜻하고 든든해요.\n2. 된장찌개: 구수하고 든든해요.\n3. 비빔밥: 가볍고 든든해요."


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("비빔밥이 좋겠어요.", 0.0),
        (LIST, 0.0),
        ("", 0.0),
        ("네 네 네", 0.0),
        ("감사합니다. 감사합니다.", 0.0),
        ("감사합니다. " * 6, 1.0),
        ("가" * 24, 1.0),
        ("가" * 23, 0.0),
        ("비빔밥, 국수, 떡볶이, " * 5, 1.0),
        (LIST * 3, 1.0),
    ],
)
def test_repetition(text: str, expected: float) -> None:
    assert score("repetition", text) == expected


def test_a_loop_at_the_end_of_a_long_answer_is_found() -> None:
    letters = [chr(0xAC00 + n) for n in range(0, 11172, 11)]
    sense = "".join(random.Random(0).sample(letters, 1000))

    assert score("repetition", sense) == 0.0
    assert repeated_share(sense + "그리고 다시 말하면 " * 30) < LOOP_SHARE
    assert score("repetition", sense + "그리고 다시 말하면 " * 30) == 1.0
    assert score("repetition", sense + sense[-60:]) == 0.0


def test_real_answers_do_not_loop(shared_data: Path) -> None:
    names = {"kullm_style_conversation.jsonl": "output", "kullm_style_evol.jsonl": "output"}
    rows = [
        json.loads(line)[key]
        for name, key in names.items()
        for line in (shared_data / "ko" / name).read_text(encoding="utf-8").split("\n")
        if line.strip()
    ]
    texts = [text for text in rows if isinstance(text, str)]

    assert len(texts) > 1900
    assert [text[:80] for text in texts if METRICS["repetition"](Answer(text, True))] == []


@pytest.mark.parametrize(
    ("text", "n", "share"), [("", 2, 0.0), ("가", 2, 0.0), ("가나가나가", 2, 0.5), ("가 나 다", 2, 0.0)]
)
def test_repeated_share(text: str, n: int, share: float) -> None:
    assert repeated_share(text, n) == share


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        # Newcombe 1998, Statistics in Medicine 17, table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (20, 20, 0.8389, 1.0),
    ],
)
def test_wilson_gives_the_published_intervals(successes: int, n: int, low: float, high: float) -> None:
    assert wilson(successes, n) == pytest.approx((low, high), abs=6e-5)


@pytest.mark.parametrize("n", [1, 2, 7, 300, 10_000])
def test_wilson_stays_inside_and_holds_the_share(n: int) -> None:
    for successes in {0, 1, n // 2, n - 1, n}:
        low, high = wilson(successes, n)
        assert 0.0 <= low <= successes / n <= high <= 1.0
        assert high - low > 0
        assert (low, high) == pytest.approx(tuple(1 - x for x in reversed(wilson(n - successes, n))))


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (3, 2), (-1, 5)])
def test_wilson_refuses_what_is_no_share(successes: int, n: int) -> None:
    with pytest.raises(ValueError, match=f"got {successes} of {n}"):
        wilson(successes, n)


def test_wilson_covers_the_truth_in_95_of_100() -> None:
    rng, truth, n = random.Random(7), 0.8, 60
    draws = [sum(rng.random() < truth for _ in range(n)) for _ in range(4000)]
    covered = sum(low <= truth <= high for low, high in (wilson(k, n) for k in draws))

    assert 0.935 <= covered / 4000 <= 0.97


def test_ratio_interval_is_the_normal_one_where_every_row_counts_one() -> None:
    values = [0.1, 0.4, 0.4, 0.9, 0.7]
    mean = sum(values) / 5
    spread = (sum((v - mean) ** 2 for v in values) / 4 / 5) ** 0.5

    assert ratio_interval(values, [1] * 5) == pytest.approx((mean - 1.96 * spread, mean + 1.96 * spread), abs=1e-4)


def test_ratio_interval_covers_a_loss_per_token() -> None:
    rng, covered = random.Random(3), 0
    for _ in range(1000):
        counts = [rng.randint(5, 60) for _ in range(80)]
        # rows differ in difficulty, tokens within a row do not
        sums = [count * rng.gauss(2.0, 0.5) for count in counts]
        low, high = ratio_interval(sums, counts)
        covered += low <= 2.0 <= high

    assert 920 <= covered <= 975


def test_ratio_interval_at_its_limits() -> None:
    assert ratio_interval([6.0], [3]) == (2.0, 2.0)
    assert ratio_interval([2.0, 4.0], [1, 2]) == (2.0, 2.0)
    with pytest.raises(ValueError, match="at least one counted item"):
        ratio_interval([], [])


def test_values_are_summarised_by_what_they_are() -> None:
    assert summarise_values([]) == {"mean": None, "low": None, "high": None, "n": 0}

    low, high = wilson(3, 4)
    assert summarise_values([1.0, 1.0, 0.0, 1.0]) == {"mean": 0.75, "low": low, "high": high, "n": 4}

    shares = summarise_values([0.9, 1.0, 1.0])
    assert shares["mean"] == pytest.approx(2.9 / 3)
    assert shares["low"] < shares["mean"] <= shares["high"] == 1.0


ANSWERS = [
    Answer("삼십팔입니다.", True, "38을 읽어 주세요.", ("삼십팔입니다",)),
    Answer("사십칠이야.", True, "47을 읽어 주세요.", ("사십칠입니다",)),
    Answer("비빔밥 " * 12, False, KOREAN),
]


def test_summarise_counts_only_what_applies() -> None:
    found = summarise(ANSWERS)

    assert list(found) == list(METRICS)
    assert {name: found[name]["n"] for name in found} == {
        "exact_match": 2, "stop": 3, "polite": 2, "language": 3, "repetition": 3,
    }  # fmt: skip
    assert {name: found[name]["mean"] for name in found} == {
        "exact_match": 0.5, "stop": pytest.approx(2 / 3), "polite": 0.5, "language": 1.0,
        "repetition": pytest.approx(1 / 3),
    }  # fmt: skip
    assert json.loads(json.dumps(found)) == found


def test_summarise_per_task() -> None:
    found = summarise(ANSWERS, ("exact_match", "stop"), ["숫자 읽기", "숫자 읽기", ""])

    assert set(found) == {"exact_match", "stop", "tasks"}
    assert set(found["tasks"]) == {"숫자 읽기"}
    assert found["tasks"]["숫자 읽기"]["exact_match"] == summarise(ANSWERS[:2], ["exact_match"])["exact_match"]
    assert found["tasks"]["숫자 읽기"]["stop"]["n"] == 2
    assert "tasks" not in summarise(ANSWERS, ("stop",), ["", "", ""])


def test_summarise_wants_one_task_per_answer() -> None:
    with pytest.raises(ValueError, match="zip"):
        summarise(ANSWERS, ("stop",), ["숫자 읽기"])


def test_nothing_answered_is_no_number() -> None:
    assert summarise([], ["stop"]) == {"stop": {"mean": None, "low": None, "high": None, "n": 0}}
