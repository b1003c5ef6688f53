"""Inflections and slips of one word, and words that only look alike."""

from __future__ import annotations

import pytest

from seodang.korean.stems import bare, is_inflection, is_typo, readings, shortest

ONE_WORD = [
    ("설명해줘", "설명하세요"),
    ("설명해주세요", "설명하시오"),
    ("작성해보세요", "작성하시오"),
    ("알려줘", "알려주십시오"),
    ("가세요", "가십시오"),
    ("갔다", "갔습니다"),
    ("합니다", "한다"),
    ("해요", "합니다"),
    ("했어", "하였다"),
    ("봐요", "봅니다"),
    ("먹어요", "먹는다"),
    ("하십니다", "합니다"),
    ("학생입니다", "학생이에요"),
    ("무엇인가요", "무엇입니까"),
    ("좋은데", "좋은데요"),
    ("철수는", "철수가"),
    ("학교를", "학교"),
    ("깊이와", "깊이랑"),
    ("친구에게", "친구한테"),
]
TWO_WORDS = [
    ("갔다", "갔니"),
    ("했다", "한다"),
    ("뭐하냐", "뭐할까"),
    ("가겠다", "간다"),
    ("먹으면", "먹어서"),
    ("나이", "나가"),
    ("서울에서", "부산에서"),
    ("서울까지", "서울부터"),
    ("나도", "나만"),
    ("사과를", "사고를"),
]
SLIPS = [
    ("안녕하세요", "안녕하새요"),
    ("있습니다", "잇습니다"),
    ("설명하세요", "설명하요세"),
    ("컴퓨터를", "컴퓨처를"),
    ("대한민국", "대한믽국"),
    ("가지고", "가지거"),
]
NO_SLIPS = [
    ("민수가", "민주가"),
    ("김민수", "김민주"),
    ("이십삼", "이십사"),
    ("삼월", "사월"),
    ("세가지", "네가지"),
    ("하나는", "하마는"),
    ("서울", "부산"),
    ("물을", "불을"),
    ("가다", "사다"),
    ("먹는다", "막는다"),
    ("대한민국", "대한제국"),
    ("사회는", "회사는"),
    ("안전합니다", "불안전합니다"),
    ("발생했어", "발생안했어"),
]


@pytest.mark.parametrize(("left", "right"), ONE_WORD)
def test_particles_and_endings_do_not_count(left: str, right: str) -> None:
    assert is_inflection(left, right)
    assert is_inflection(right, left)


@pytest.mark.parametrize(("left", "right"), TWO_WORDS)
def test_use_tense_and_stem_count(left: str, right: str) -> None:
    assert not is_inflection(left, right)


@pytest.mark.parametrize(("left", "right"), SLIPS)
def test_slips(left: str, right: str) -> None:
    assert is_typo(left, right)
    assert is_typo(right, left)


@pytest.mark.parametrize(("left", "right"), NO_SLIPS)
def test_names_numbers_and_short_stems_are_no_slips(left: str, right: str) -> None:
    assert not is_typo(left, right)
    assert not is_typo(right, left)


def test_a_particle_after_one_syllable_must_fit_its_sound() -> None:
    assert [bare(word) for word in ("물이", "나이", "배가", "눈을", "너에게", "서울은")] == [
        "물",
        "나이",
        "배",
        "눈",
        "너",
        "서울",
    ]


def test_a_word_may_have_several_readings() -> None:
    assert len(readings("먹이")) > 1
    assert shortest("설명해줘") == shortest("설명하세요")
    assert readings("") == {"N"}
