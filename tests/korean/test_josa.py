"""Particles follow the sound that a word ends in: letters, digits by their reading, quotes passed over."""

from __future__ import annotations

from pathlib import Path

import pytest

from seodang.korean.josa import PAIRS, fill, josa

TABLE = [
    # (word, pair, form)
    ("사과", "을/를", "를"),
    ("책", "을/를", "을"),
    ("물", "을/를", "을"),
    ("바다", "이/가", "가"),
    ("산", "이/가", "이"),
    ("나", "은/는", "는"),
    ("동생", "은/는", "은"),
    ("친구", "과/와", "와"),
    ("선생님", "과/와", "과"),
    ("값", "을/를", "을"),
    ("닭", "이/가", "이"),
    # ㄹ takes 로, other finals 으로
    ("학교", "으로/로", "로"),
    ("집", "으로/로", "으로"),
    ("길", "으로/로", "로"),
    ("서울", "으로/로", "로"),
    ("여덟", "으로/로", "으로"),
    ("부엌", "으로/로", "으로"),
    ("고양이", "이라고/라고", "라고"),
    ("곰", "이라고/라고", "이라고"),
    ("길", "이라고/라고", "이라고"),
    ("의사", "이에요/예요", "예요"),
    ("학생", "이에요/예요", "이에요"),
    ("나무", "이야/야", "야"),
    ("꽃", "이야/야", "이야"),
    ("포도", "이다/다", "다"),
    ("귤", "이다/다", "이다"),
    ("가수", "이라/라", "라"),
    ("군인", "이라/라", "이라"),
    ("오이", "이고/고", "고"),
    ("당근", "이고/고", "이고"),
    ("배추", "이지/지", "지"),
    ("마늘", "이지/지", "이지"),
    ("새", "이며/며", "며"),
    ("말", "이며/며", "이며"),
    ("커피", "이나/나", "나"),
    ("빵", "이나/나", "이나"),
    ("지우", "아/야", "야"),
    ("수빈", "아/야", "아"),
    ("자유", "이란/란", "란"),
    ("행복", "이란/란", "이란"),
    ("봄", "이었다/였다", "이었다"),
    ("겨울비", "이었다/였다", "였다"),
    ("내일", "이니까/니까", "이니까"),
    ("어제", "이니까/니까", "니까"),
    ("정답", "이거든/거든", "이거든"),
    ("거짓", "이거든/거든", "이거든"),
    ("가짜", "이거든/거든", "거든"),
    # digits by their Sino-Korean reading: 영 일 이 삼 사 오 육 칠 팔 구, 십 백 천 만 억 조
    ("0", "을/를", "을"),
    ("1", "을/를", "을"),
    ("2", "을/를", "를"),
    ("3", "을/를", "을"),
    ("4", "은/는", "는"),
    ("5", "이/가", "가"),
    ("6", "과/와", "과"),
    ("9", "이다/다", "다"),
    ("1", "으로/로", "로"),
    ("3", "으로/로", "으로"),
    ("6", "으로/로", "으로"),
    ("7", "으로/로", "로"),
    ("8", "으로/로", "로"),
    ("0", "으로/로", "으로"),
    ("10", "은/는", "은"),
    ("12", "은/는", "는"),
    ("100", "이에요/예요", "이에요"),
    ("102", "이에요/예요", "예요"),
    ("1000", "으로/로", "으로"),
    ("10000", "이/가", "이"),
    ("2,000", "을/를", "을"),
    ("100000000", "이야/야", "이야"),
    ("1000000000000", "이야/야", "야"),
    ("27, 3, 94", "은/는", "는"),
    ("3월 6일", "으로/로", "로"),
    # quotes and brackets after the last letter
    ("'사과'", "을/를", "를"),
    ("“책”", "을/를", "을"),
    ("'38'", "이라고/라고", "이라고"),
    ("서울(", "으로/로", "로"),
    ("나는 간다.", "이라고/라고", "라고"),
    # letters by their names: 기역, 리을, 아
    ("ㄱ", "을/를", "을"),
    ("'ㄷ'", "으로/로", "으로"),
    ("ㄹ", "으로/로", "로"),
    ("ㅏ", "을/를", "를"),
    ("ㅣ", "이야/야", "야"),
    ("ㄱ, ㅏ, ㅇ", "이/가", "이"),
]


@pytest.mark.parametrize(("word", "pair", "form"), TABLE)
def test_josa(word: str, pair: str, form: str) -> None:
    assert josa(word, pair) == form


def test_every_pair_is_in_the_table_in_both_forms() -> None:
    seen = {(pair, form) for _, pair, form in TABLE}
    assert seen == {(pair, form) for pair in PAIRS for form in pair.split("/")}


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("'사과'(을/를) 먹었다.", "'사과'를 먹었다."),
        ("'길'(으로/로) 나가면 '산'(이/가) 보인다.", "'길'로 나가면 '산'이 보인다."),
        ("38(은/는) '삼십팔'(이라고/라고) 읽어.", "38은 '삼십팔'이라고 읽어."),
        ("3(과/와) 5의 합은 8(이야/야).", "3과 5의 합은 8이야."),
        # a form that was filled in is what the next marker follows
        ("'물'(을/를)(이라고/라고)", "'물'을이라고"),
        ("'xylograph'(을/를) 샀다.", "'xylograph'을(를) 샀다."),
        ("'LG'(은/는) 'Python'(을/를) 쓴다.", "'LG'는 'Python'을 쓴다."),
        ("조사 없는 문장 (을)", "조사 없는 문장 (을)"),
        ("", ""),
    ],
)
def test_fill(text: str, filled: str) -> None:
    assert fill(text) == filled


# word, pair, form, and for some how the word is read: written by hand, one line per case.
CASES = [
    line.split("\t") for line in (Path(__file__).parent / "josa_cases.tsv").read_text(encoding="utf-8").splitlines()
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: " ".join(case))
def test_the_table_of_cases(case: list[str]) -> None:
    word, pair, form, *reading = case
    assert josa(word, pair, reading[0] if reading else None) == form


def test_the_table_is_large_and_has_no_case_twice() -> None:
    assert len(CASES) >= 400
    assert len({tuple(case[:2]) + tuple(case[3:]) for case in CASES}) == len(CASES)


DUALS = [
    ("을/를", "을(를)"),
    ("이/가", "이(가)"),
    ("은/는", "은(는)"),
    ("과/와", "과(와)"),
    ("으로/로", "(으)로"),
    ("이라고/라고", "(이)라고"),
    ("이에요/예요", "이에요(예요)"),
    ("이야/야", "(이)야"),
    ("아/야", "아(야)"),
    ("이나/나", "(이)나"),
    ("이었다/였다", "이었다(였다)"),
]


@pytest.mark.parametrize(("pair", "dual"), DUALS)
@pytest.mark.parametrize("word", ["", "...", "∨", "xylograph", "漢字", "さくら"])
def test_a_word_that_nobody_can_read_takes_the_dual_form(word: str, pair: str, dual: str) -> None:
    assert josa(word, pair) == dual


@pytest.mark.parametrize(("pair", "dual"), DUALS)
def test_a_pair_may_be_written_as_the_dual_form(pair: str, dual: str) -> None:
    assert [josa(word, dual) for word in ("사과", "길", "책")] == [josa(word, pair) for word in ("사과", "길", "책")]


def test_a_reading_decides_over_the_letters() -> None:
    assert [josa("漢字", "을/를", reading=read) for read in ("한자", "한문")] == ["를", "을"]
    assert josa("38", "이/가") == "이"
    assert josa("9", "은/는", reading="아홉") == "은"


def test_two_readings_that_differ_give_the_dual_form_where_they_differ() -> None:
    """F1 is 에프원 or 에프일: both take 을, and only one 으로."""
    assert (josa("F1", "을/를"), josa("F1", "으로/로")) == ("을", "(으)로")


def test_an_unknown_pair_is_refused() -> None:
    with pytest.raises(ValueError, match="'를/을' is not one of 을/를, 이/가"):
        josa("사과", "를/을")
