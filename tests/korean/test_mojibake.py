"""Wrongly decoded Korean comes back in each of the five forms, and nothing that is text in its own right changes."""

from __future__ import annotations

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seodang.korean.mojibake import SUSPICIOUS, is_lost, mend

TEXTS = [
    "다양한 양상을 보입니다.",
    "오늘은 “날씨”가 좋네요… 그렇죠?",
    "서울특별시 종로구 1번지\n둘째 줄",
    "Python으로 한글을 다룹니다",
]


def read_as(text: str, encoding: str, was: str = "utf-8") -> str:
    """The text as a program shows it that decodes its bytes so, undefined bytes as control characters."""
    return "".join(bytes([n]).decode(encoding, "ignore") or chr(n) for n in text.encode(was))


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "iso8859_7", "cp1253", "cp874"])
def test_utf_8_read_as_a_single_byte_encoding(text: str, encoding: str) -> None:
    mended, times = mend(read_as(text, encoding))
    assert (mended, times > 0) == (text, True)


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("encoding", ["latin-1", "cp1252"])
def test_cp949_read_as_western(text: str, encoding: str) -> None:
    mended, times = mend(read_as(text, encoding, "cp949"))
    assert (mended, times > 0) == (text, True)


@pytest.mark.parametrize("text", ["모임", "바람 비누", "리본 모기, 벼락"])
def test_utf_8_read_as_cp949_is_mended_where_no_byte_was_lost(text: str) -> None:
    mended, times = mend(text.encode("utf-8").decode("cp949"))
    assert (mended, times) == (text, len(text.split()))


@pytest.mark.parametrize("text", TEXTS)
def test_utf_8_read_as_cp949_with_lost_bytes_is_told_and_left(text: str) -> None:
    broken = text.encode("utf-8").decode("cp949", "replace")
    assert is_lost(broken)
    assert mend(broken) == (broken, 0)


@pytest.mark.parametrize("text", [*TEXTS, "글자 하나가 \ufffd 깨졌다", "끝\ufffd 끝\ufffd", ""])
def test_a_text_is_not_lost_for_one_replacement_character(text: str) -> None:
    assert not is_lost(text)


@pytest.mark.parametrize(
    "text",
    [
        *TEXTS,
        "漢字와 韓國 大韓民國",
        "café naïve Ünïcödé Ångström Ærø",
        "Ç'est déjà l'été à Besançon",
        "λόγος και μύθος, μικρός",
        "ภาษาไทยง่ายนิดเดียว",
        "5 × 3 ± 2 ÷ ½ °C",
        "똠방각하 펲시 뷁",
        "日本語のテキスト",
        "",
    ],
)
def test_what_is_text_stays(text: str) -> None:
    assert mend(text) == (text, 0)


def test_only_the_broken_part_of_a_text_changes() -> None:
    broken = read_as("다양한", "iso8859_7")
    assert mend(f"원문: {broken} (읽을 수 없음)")[0] == "원문: 다양한 (읽을 수 없음)"


def test_quotes_of_english_texts_come_back_by_ftfy() -> None:
    assert mend("I donâ€™t know") == ("I don’t know", 1)


@given(st.text(alphabet="가나다라마바사아자차카타파하한글 .,!?"))
def test_korean_text_is_never_touched(text: str) -> None:
    assert mend(text) == (text, 0)


def test_each_form_shows_a_suspicious_character() -> None:
    import re

    suspicious = re.compile(f"[{SUSPICIOUS}]")
    for text in TEXTS:
        for encoding in ("latin-1", "cp1252", "iso8859_7", "cp1253", "cp874"):
            assert codecs.lookup(encoding)
            assert suspicious.search(read_as(text, encoding))
        assert suspicious.search(read_as(text, "cp1252", "cp949"))
