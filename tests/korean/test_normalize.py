"""Repairs are made where they are safe, counted, and made only once."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seodang.korean.normalize import REPAIRS, normalize

NFD = unicodedata.normalize("NFD", "한글은 과학적입니다")

REPAIRED = [
    # (text, repaired, counts)
    ("안녕하세요.", "안녕하세요.", {}),
    ("", "", {}),
    ("한 줄\r\n두 줄", "한 줄\n두 줄", {"line_end": 1}),
    ("한 줄\r두 줄\r\n세 줄", "한 줄\n두 줄\n세 줄", {"line_end": 2}),
    ("\ufeff처음", "처음", {"zero_width": 1}),
    ("띄\u200b어\u200b쓰기", "띄어쓰기", {"zero_width": 2}),
    ("  앞뒤 \n", "앞뒤", {"outer_space": 1}),
    ("\u3000앞에 전각 빈칸", "앞에 전각 빈칸", {"outer_space": 1}),
    ("\u200b \n", "", {"zero_width": 1, "outer_space": 1}),
    (NFD, "한글은 과학적입니다", {"hangul_nfc": 9}),
    ("가\u11a8", "각", {"hangul_nfc": 1}),
    ("\u1112\u1161\u11ab글", "한글", {"hangul_nfc": 1}),
    ("cafe\u0301에서", "café에서", {"mark_nfc": 1}),
    ("か\u3099", "が", {"mark_nfc": 1}),
    ("e\u200b\u0301", "é", {"zero_width": 1, "mark_nfc": 1}),
]

UNTOUCHED = [
    "ㅋㅋㅋ ㅠㅠ",  # NFKC would turn these into conjoining jamo
    "㈜서당 ①번 ㎏ … ２",  # and these into (주), 1, kg, ...
    "ㆍ가ㆍ나",
    "\u1112\u119e\u11ab글",  # 옛한글: arae-a stands in no modern syllable
    "\u1100\u1161\u11f0",  # a modern beginning with an old final is one syllable, and is not split
    "\u1100\u1100\u1161",  # a cluster of leading consonants
    "각\u11a8",  # a syllable that has its final already
    "\u1100",  # a lone jamo
    "👨\u200d👩\u200d👧",  # the joiner makes one family out of three people
    "가운데  두 칸과\t탭",
    "    들여쓴 줄".strip() + "\n    둘째 줄",
    "Å Ω K",
]


@pytest.mark.parametrize(("text", "repaired", "counts"), REPAIRED)
def test_repairs(text: str, repaired: str, counts: dict[str, int]) -> None:
    assert normalize(text) == (repaired, counts)


@pytest.mark.parametrize("text", UNTOUCHED)
def test_leaves_alone(text: str) -> None:
    assert normalize(text) == (text, {})


def test_keeps_every_compatibility_hanja() -> None:
    """Plain NFC changes all 268 that KS X 1001 has; with a mark behind them they stay as well."""
    hanja = "".join(map(chr, range(0xF900, 0xFA0C)))
    assert len(hanja) == 268
    assert sum(unicodedata.normalize("NFC", one) != one for one in hanja) == 268
    assert normalize(hanja) == (hanja, {})
    assert normalize("\uf914\u0301") == ("\uf914\u0301", {})


def test_composes_every_modern_syllable() -> None:
    syllables = "".join(map(chr, range(0xAC00, 0xD7A4)))
    repaired, counts = normalize(unicodedata.normalize("NFD", syllables))
    assert repaired == syllables
    assert counts == {"hangul_nfc": 11172}


LETTERS = list("가각\u1100\u1101\u1161\u1162\u11a8\u11a9\u11f0\u115f\u1160\u11a2\ua960\ud7cb\u0301\u0327\u3099か")


@given(st.text(alphabet=[*LETTERS, "a", " ", "\u200b", "\ufeff", "\r", "\n", "\uf914", "樂"]))
def test_twice_is_once(text: str) -> None:
    once, _ = normalize(text)
    assert normalize(once) == (once, {})


@given(st.text())
def test_changes_no_more_than_nfc_would(text: str) -> None:
    """What is repaired is canonically the same text, apart from line ends, zero widths and outer space."""
    plain = text.replace("\r\n", "\n").replace("\r", "\n").replace("\u200b", "").replace("\ufeff", "")
    nfc = unicodedata.normalize("NFC", normalize(text)[0])
    assert nfc == unicodedata.normalize("NFC", unicodedata.normalize("NFC", plain).strip())


def test_each_repair_names_the_characters_it_needs() -> None:
    """A text without them is passed over unread, so a repair that needs others would never be made."""
    import re

    for repair in REPAIRS:
        examples = [text for text, _, counts in REPAIRED if repair.name in counts]
        assert examples, repair.name
        assert all(re.search(f"[{repair.needs}]", text) for text in examples)


def test_reads_the_shared_files_twice_alike(shared_data: Path) -> None:
    for path in sorted(shared_data.glob("ko/*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            once, _ = normalize(line)
            assert normalize(once) == (once, {})
