"""Novelty on Hangul: the score is ROUGE-L F1, English-only rules drop nothing, slot variants live, repeats do not."""

from __future__ import annotations

import json
import random
import time
import unicodedata
from pathlib import Path

import pytest

from seodang.korean.morphemes import available
from seodang.schema import check_schema
from seodang.self_instruct.novelty import Novelty, NoveltyIndex, is_slot_variant, units


def rouge_l(one: list[str], other: list[str]) -> float:
    """ROUGE-L F1 by the textbook's table (Lin 2004, §3.1, beta = 1)."""
    row = [0] * (len(other) + 1)
    for a in one:
        last = row[:]
        for at, b in enumerate(other, 1):
            row[at] = last[at - 1] + 1 if a == b else max(last[at], row[at - 1])
    lcs = row[-1]
    if not lcs:
        return 0.0
    precision, recall = lcs / len(other), lcs / len(one)
    return 2 * precision * recall / (precision + recall)


@pytest.mark.parametrize("unit", ["syllable", "jamo", "eojeol", "word"])
def test_the_score_is_rouge_l_on_random_token_lists(unit: str) -> None:
    draw = random.Random(unit)
    words = ["나는", "학교에", "간다", "오늘", "날씨가", "맑다", "밥을", "먹었다", "책", "3", "10", "go", "school"]
    texts = [" ".join(draw.choices(words, k=draw.randint(1, 12))) for _ in range(120)]
    index = NoveltyIndex(Novelty(unit=unit), texts[:60])
    for text in texts[60:]:
        scores = [rouge_l(units(text, unit), units(other, unit)) for other in texts[:60]]
        score, nearest = index.nearest(text)
        assert score == pytest.approx(max(scores), abs=1e-12)
        assert scores[texts.index(nearest)] == pytest.approx(max(scores), abs=1e-12)


def test_decisions_are_those_of_plain_rouge_l() -> None:
    draw = random.Random(0)
    words = ["사과", "배", "감", "귤", "포도", "수박", "참외", "딸기", "살구", "자두"]
    texts = [" ".join(draw.choices(words, k=10)) for _ in range(200)]
    index = NoveltyIndex(Novelty(unit="eojeol", threshold=0.6))
    kept: list[str] = []
    for text in texts:
        close = [other for other in kept if rouge_l(text.split(), other.split()) >= 0.6]
        old = any(not is_slot_variant(text, other) for other in close)
        verdict = index.check(text)
        assert bool(verdict.reason) == old
        if not old:
            kept.append(text)
            index.add(text)
    assert 0 < len(kept) < len(texts)


@pytest.mark.parametrize("threshold", [0.7, 0.6, 0.8, 0.9])
def test_a_score_that_equals_the_threshold_is_a_repeat(threshold: float) -> None:
    words = ["사과", "배", "감", "귤", "포도", "수박", "참외", "딸기", "살구", "자두"]
    same = round(threshold * 10)
    other = [*words[:same], *(f"{word}를" for word in words[same:])]
    verdict = NoveltyIndex(Novelty(unit="eojeol", threshold=threshold), [" ".join(words)]).check(" ".join(other))
    assert (verdict.reason, verdict.score) == ("not_novel", pytest.approx(threshold))


def test_rouge_score_hangul_zero() -> None:
    """rouge_score keeps [a-z0-9] alone: identical Korean scores 0.0 there, and everything is new."""
    text = "다음 문장을 존댓말로 바꿔 주세요."
    verdict = NoveltyIndex(Novelty(), [text]).check(text)
    assert (verdict.reason, verdict.score, verdict.nearest) == ("not_novel", 1.0, text)


def test_rouge_score_shared_number_is_no_duplicate() -> None:
    """Two unrelated texts that share only "100" score 1.0 in rouge_score."""
    index = NoveltyIndex(Novelty(), ["여름 휴가에 대해 100자로 써 주세요."])
    assert index.check("로마 제국이 멸망한 까닭을 100자 안으로 설명하세요.").reason == ""


@pytest.mark.parametrize(
    "text",
    [
        "봄에 피는 꽃을 세 가지 말해 주세요.",
        "가을 하늘을 시로 써 줘",
        "김치찌개 끓이는 법",
        "“서당”이란?",
        "'효도'의 뜻은?",
        "이미지를 묘사하는 글을 써 주세요.",
        "지도를 보고 길을 설명하는 방법을 알려 주세요.",
    ],
)
def test_first_character_ascii_three_words_and_blacklist_particle_drop_nothing(text: str) -> None:
    """isascii() on the first character, at most three words, and \\b이미지\\b are rules of English."""
    assert NoveltyIndex(Novelty(), ["오늘의 날씨를 알려 주세요."]).check(text).reason == ""


@pytest.mark.parametrize("text", ["", "   ", "...", "?!", "—"])
def test_what_has_no_letters_is_unscorable_and_never_zero(text: str) -> None:
    index = NoveltyIndex(Novelty(), ["안녕하세요"])
    assert index.check(text).reason == "unscorable"
    index.add(text)
    assert index.texts == ["안녕하세요"]


def test_decomposed_hangul_is_the_same_text() -> None:
    text = "다음 낱말의 뜻을 쓰세요"
    assert NoveltyIndex(Novelty(), [text]).check(unicodedata.normalize("NFD", text)).score == 1.0


SLOTS = [
    ("38을 한글로 읽어 주세요", "47을 한글로 읽어 주세요"),
    ("1.5 + 2는 얼마인가요?", "15 + 2는 얼마인가요?"),
    ("-5와 3을 더하세요", "5와 3을 더하세요"),
    ("2024년 3월 1일은 무슨 요일인가요?", "2025년 8월 15일은 무슨 요일인가요?"),
    ("'높다'의 반대말은 무엇인가요?", "'길다'의 반대말은 무엇인가요?"),
    ("“높다”의 반대말을 쓰시오", "“낮다”의 반대말을 쓰시오"),
    ("python의 장점을 설명해 주세요", "rust의 장점을 설명해 주세요"),
    ("서울의 인구는 얼마인가요?", "부산의 인구는 얼마인가요?"),
    ("김치에 대해 설명해줘", "한글에 대해 설명해줘"),
    ("빈칸에 알맞은 조사를 고르세요: 사과( ) 먹었다", "빈칸에 알맞은 조사를 고르세요: 수박( ) 먹었다"),
    ("다음 문장을 존댓말로 바꾸세요. 밥 먹었어", "다음 문장을 존댓말로 바꾸세요. 집에 갔어"),
    ("다음 문장을 존댓말로 바꾸세요.\n\n밥 먹었어", "다음 문장을 존댓말로 바꾸세요.\n\n집에 갔어"),
    ("카드 결제가 되나요?", "카드 결제가 안 되나요?"),
    ("회의에 갈 수 있어요", "회의에 갈 수 없어요"),
    ("반대말을 쓰세요.\n\n높다", "반대말을 쓰세요.\n\n깊다"),
    ("다음을 과거형으로 바꾸세요.\n\n날씨가 맑다", "다음을 과거형으로 바꾸세요.\n\n날씨가 춥다"),
    ("Spell 38 in letters.", "Spell 47 in letters."),
    ("What is the opposite of 'tall'?", "What is the opposite of 'long'?"),
    ("Translate the sentence.\n\nI go home.", "Translate the sentence.\n\nShe likes rain."),
    ("Why do cats purr?", "Why don't cats purr?"),
]
REPEATS = [
    ("화장실 어디에요?", "화장실은 어디에요?"),
    ("카드결제 되나요?", "카드 결제 되나요?"),
    ("한국의 수도를 알려줘", "한국의 수도를 말해줘"),
    ("한국의 수도를 알려 주세요.", "한국의 수도를 알려 줘!"),
    ("전 세계에서 가장 인구가 적은 나라는?", "전 세계에서 인구가 가장 적은 나라는?"),
    ("포인트카드 적립되나요?", "포인트 적립되나요?"),
    ("38을 한글로 읽어 주세요", "38을 한글로 읽어 주세요!!"),
    ("'높다'의 반대말은 무엇인가요?", '"높다"의 반대말은 무엇인가요?'),
    ("Write a short story about a lonely dog.", "Write a brief story about a lonely dog."),
    ("What's the dog's favourite food and why?", "What's a dog's favourite food and why?"),
]


@pytest.mark.parametrize(("one", "other"), SLOTS)
@pytest.mark.parametrize("unit", ["syllable", "jamo", "eojeol", "word"])
def test_fillings_of_one_template_are_all_new(one: str, other: str, unit: str) -> None:
    assert is_slot_variant(one, other)
    assert is_slot_variant(other, one)
    assert NoveltyIndex(Novelty(unit=unit, threshold=0.3), [one]).check(other).reason == ""


@pytest.mark.parametrize(("one", "other"), REPEATS)
def test_the_same_task_again_is_not_new(one: str, other: str) -> None:
    assert not is_slot_variant(one, other)
    verdict = NoveltyIndex(Novelty(), ["전혀 다른 이야기입니다", one]).check(other)
    assert (verdict.reason, verdict.nearest) == ("not_novel", one)


def test_a_slot_variant_does_not_hide_a_repeat_behind_it() -> None:
    index = NoveltyIndex(Novelty(), ["38을 한글로 읽어 주세요", "47을 한글로 읽어주십시오"])
    verdict = index.check("47을 한글로 읽어 주세요")
    assert (verdict.reason, verdict.nearest) == ("not_novel", "47을 한글로 읽어주십시오")


def test_a_neighbour_just_below_the_threshold_is_none() -> None:
    text = "38을 가 나 다 라 마 바 사"
    index = NoveltyIndex(
        Novelty(unit="eojeol", threshold=0.755), ["47을 가 나 다 라 마 바 사", "38을 가 나는 다는 라 마 바 사"]
    )
    assert index.nearest(text) == (0.875, "47을 가 나 다 라 마 바 사")
    assert index.check(text).reason == ""


def test_an_equal_text_is_no_variant_of_itself() -> None:
    for one, _ in SLOTS:
        assert not is_slot_variant(one, one)


def test_order_alone_decides_and_nothing_is_added_by_checking() -> None:
    index = NoveltyIndex(Novelty())
    assert index.check("첫 과제입니다").reason == ""
    assert index.check("첫 과제입니다").reason == ""
    index.add("첫 과제입니다")
    assert index.check("첫 과제입니다").reason == "not_novel"
    assert index.nearest("첫 과제입니다") == (1.0, "첫 과제입니다")


def test_an_empty_index_finds_everything_new() -> None:
    assert NoveltyIndex(Novelty()).nearest("과제") == (0.0, "")


def test_a_threshold_is_the_units_own_unless_given() -> None:
    assert [Novelty(unit=unit).limit for unit in ("syllable", "jamo", "eojeol", "word", "morpheme")] == [
        0.75, 0.8, 0.7, 0.7, 0.7,
    ]  # fmt: skip
    assert Novelty(threshold=0.9).limit == 0.9


@pytest.mark.skipif(not available(), reason="the extra [ko] is not installed")
def test_morphemes_see_past_particles_and_endings() -> None:
    index = NoveltyIndex(Novelty(unit="morpheme"), ["한국의 전통 음식을 소개해 주세요."])
    assert index.check("한국 전통 음식 소개해 줘").reason == "not_novel"
    assert index.check("우리 동네 도서관을 소개해 줘").reason == ""
    assert index.check("?!").reason == "unscorable"


def test_a_unit_that_does_not_exist_is_named() -> None:
    _, mistakes = check_schema(Novelty, {"unit": "phoneme", "treshold": 0.5})
    assert sorted(str(mistake) for mistake in mistakes) == [
        "treshold: unknown key, did you mean `threshold`?",
        "unit: must be one of 'syllable', 'jamo', 'eojeol', 'word', 'morpheme', got 'phoneme'",
    ]


def test_many_different_words_have_codes_of_their_own() -> None:
    index = NoveltyIndex(Novelty(unit="word"), (f"w{number}" for number in range(60_000)))
    assert index.nearest("w59999") == (1.0, "w59999")
    assert index.nearest("새말")[0] == 0.0


def test_different_sentences_pass_and_repeats_are_found_on_real_pairs(shared_data: Path) -> None:
    """The default threshold's argument: at most 1.5 % of unlike pairs are refused, and a third of the likest found."""
    lines = [line.split("\t") for line in (shared_data / "ko/korsts_test.tsv").read_text("utf-8").splitlines()[1:]]
    pairs = [(float(row[4]), row[5], row[6]) for row in lines if len(row) > 6]

    def refused(low: float, high: float) -> float:
        some = [(one, other) for score, one, other in pairs if low <= score <= high]
        return sum(bool(NoveltyIndex(Novelty(), [one]).check(other).reason) for one, other in some) / len(some)

    assert refused(0, 2) <= 0.015
    assert refused(4.5, 5) >= 0.35


def test_real_prompts_are_judged_quickly_and_few_are_refused(shared_data: Path) -> None:
    rows = json.loads((shared_data / "ko/kochatgpt_ppo.jsonl").read_text("utf-8"))
    prompts = list(dict.fromkeys(row["prompt"].strip() for row in rows if row["prompt"].strip()))[:2000]
    index, refused, started = NoveltyIndex(Novelty()), 0, time.monotonic()
    for prompt in prompts:
        refused += bool(index.check(prompt).reason)
        index.add(prompt)
    assert 0.001 < refused / len(prompts) < 0.03
    assert time.monotonic() - started < 10
