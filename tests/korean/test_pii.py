"""Resident numbers are found by their form and masked; dates, phones and prices are none."""

from __future__ import annotations

import pytest

from seodang.korean.pii import mask_pii

MASKED = [
    ("번호는 990231-1234567입니다.", "번호는 990231-*******입니다."),
    ("990231 - 2234567", "990231-*******"),
    ("990231–3234567와 000230-4123456", "990231-*******와 000230-*******"),
    ("(990231-8234567)", "(990231-*******)"),
]


@pytest.mark.parametrize(("text", "masked"), MASKED)
def test_resident_numbers_are_masked(text: str, masked: str) -> None:
    found, counts = mask_pii(text)
    assert found == masked
    assert counts == {"resident_number": masked.count("*******")}
    assert mask_pii(found) == (found, {})


CLEAN = [
    "",
    "오늘은 2026-11-20입니다.",
    "010-1234-5678로 전화하세요.",
    "991331-1234567은 달이 열셋이라 아니다.",
    "990200-1234567",
    "990231-9234567",
    "990231-12345678",
    "1990231-1234567",
    "계좌 990231-1234567-01",
    "9902311234567원",
]


@pytest.mark.parametrize("text", CLEAN)
def test_other_numbers_stay(text: str) -> None:
    assert mask_pii(text) == (text, {})
