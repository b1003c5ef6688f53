"""Personal data is found by form and check digit, in every way of writing, and dates, prices and years are none."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from seodang.korean.pii import (
    DEFAULT,
    KINDS,
    TAGS,
    Found,
    find_pii,
    mask_pii,
)

PLANTED = Path(__file__).resolve().parents[2] / "benchmarks" / "planted_pii.py"

MASKED = [
    ("번호는 990231-1234567입니다.", "resident_number", "번호는 990231-*******입니다."),
    ("990231 - 2234567", "resident_number", "990231 - *******"),
    ("990231–3234567", "resident_number", "990231–*******"),
    ("900101-1234564", "resident_number", "900101-*******"),  # a corporation's check digit, by chance
    ("(990231-4234567)", "resident_number", "(990231-*******)"),
    ("９９０２３１－１２３４５６７로", "resident_number", "９９０２３１－*******로"),
    ("주민번호 9902311234567", "resident_number", "주민번호 990231*******"),
    ("9001011234568은", "resident_number", "900101*******은"),
    ("2101013234567", "resident_number", "210101*******"),
    ("990231-8234567", "foreigner_number", "990231-*******"),
    ("9001015234561로", "foreigner_number", "900101*******로"),
    ("면허는 11-05-123456-78이에요", "driver_licence", "면허는 **-**-******-**이에요"),
    ("운전면허 11 05 123456 78", "driver_licence", "운전면허 ** ** ****** **"),
    ("면허번호: 110512345678", "driver_licence", "면허번호: ************"),
    ("서울 05-123456-78", "driver_licence", "** **-******-**"),
    ("여권 M12345678을", "passport", "여권 M********을"),
    ("M123A4567", "passport", "M********"),
    ("Ｍ１２３Ａ４５６７은", "passport", "Ｍ********은"),
    ("여권번호 S 12345678", "passport", "여권번호 S ********"),
    ("010-1234-5678로 전화하세요.", "phone", "010-****-****로 전화하세요."),
    ("01012345678", "phone", "010********"),
    ("010.1234.5678", "phone", "010.****.****"),
    ("(02)123-4567", "phone", "(02)***-****"),
    ("☎041-836-3606", "phone", "☎041-***-****"),
    ("지점(043-420-6771∼3)", "phone", "지점(043-***-****∼3)"),
    ("0507-1234-5678", "phone", "050*-****-****"),
    ("080 123 4567", "phone", "080 *** ****"),
    ("+82 10-1234-5678", "phone", "+82 **-****-****"),
    ("1588-1234", "phone", "158*-****"),
    ("고객센터 1588 2050", "phone", "고객센터 158* ****"),
    ("4111-1111-1111-1111", "card", "****-****-****-****"),
    ("4111 1111 1111 1111로", "card", "**** **** **** ****로"),
    ("국민은행 123456-04-123456", "account", "국민은행 ******-**-******"),
    ("110-123-456789 (신한은행)", "account", "***-***-****** (신한은행)"),
    ("계좌번호: 12345678901234로", "account", "계좌번호: **************로"),
    ("hong.gd@seodang.co.kr로", "email", "*******@seodang.co.kr로"),
    ("hong＠seodang.kr", "email", "****＠seodang.kr"),
    ("hong @ seodang.kr", "email", "**** @ seodang.kr"),
]


@pytest.mark.parametrize(("text", "kind", "masked"), MASKED)
def test_what_tells_who_it_is_is_masked(text: str, kind: str, masked: str) -> None:
    found, places = mask_pii(text)
    assert (found, [one.kind for one in places]) == (masked, [kind])
    assert len(found) == len(text)
    assert mask_pii(found) == (found, [])


CLEAN = [
    "",
    "오늘은 2026-11-20입니다.",
    "2026.11.20 10:30:45",
    "991331-1234567은 달이 열셋이라 아니다.",
    "990200-1234567",
    "990231-9234567",
    "990231-12345678",
    "1990231-1234567",
    "계좌가 아닌 990231-1234567-01",
    "9902311234567원",
    "720691 + 1646615806005 = 1903242526696",
    "8801043014829",
    "1700000000000",
    "임진왜란 1592-1598년",
    "1588-1598년에 있었던 일",
    "0.0212345678",
    "3.14159265358979",
    "10-34-567890-12",
    "27-34-567890-12",
    "S12345678",
    "XM12345678",
    "4111-1111-1111-1112",
    "123456-04-123456",
    "입금 10000000000원",
    "홍길동@서당",
    "a@b",
    "hong@example.com",
    "git@github.com:seodang/seodang.git",
    "@app.route",
    "https://seodang.kr/article/01012345678",
    "1,234,567,890",
    "110111-0000127 법인",
]


@pytest.mark.parametrize("text", CLEAN)
def test_other_numbers_stay(text: str) -> None:
    assert mask_pii(text) == (text, [])


def test_places_are_those_of_the_text_as_it_is() -> None:
    text = "저는 ９９０２３１－１２３４５６７이고 hong@seodang.kr, 010 1234 5678입니다."
    assert find_pii(text) == [Found("resident_number", 3, 17), Found("email", 20, 35), Found("phone", 37, 50)]
    assert [text[one.start : one.end] for one in find_pii(text)][2] == "010 1234 5678"


def test_a_tag_says_what_stood_there() -> None:
    text, found = mask_pii("990231-1234567, 010-1234-5678로", put="tag")
    assert (text, len(found)) == ("[주민등록번호], [전화번호]로", 2)
    assert set(TAGS) == set(KINDS)


def test_only_what_is_asked_for_is_looked_for() -> None:
    text = "110111-0000127, 123-45-67891, 010-1234-5678"
    assert [one.kind for one in find_pii(text)] == ["phone"]
    public = find_pii(text, ("business_number", "corporate_number"))
    assert [one.kind for one in public] == ["corporate_number", "business_number"]
    assert find_pii("010-1234-5678", ("email",)) == []
    assert {"business_number", "corporate_number"} == set(KINDS) - set(DEFAULT)


def test_a_corporation_is_no_person() -> None:
    assert find_pii("법인 등록 110111-1129497") == find_pii("110111-1129497") == []
    assert [one.kind for one in find_pii("110111-1129496")] == ["resident_number"]


@pytest.fixture(scope="module")
def planting() -> ModuleType:
    spec = importlib.util.spec_from_file_location("planted_pii", PLANTED)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["planted_pii"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("seed", range(3))
def test_six_hundred_planted_in_twelve_formats_are_found(planting: ModuleType, seed: int) -> None:
    assert len(planting.FORMATS) == 12
    texts = list(planting.planted(600, seed))
    assert len({(one.format, one.writing) for one in texts}) == 12 * 6
    assert len(planting.missed(600, seed)) <= 6


def test_nothing_is_found_where_there_is_nothing(shared_data: Path) -> None:
    """Numbers of people, cards and accounts: none in 40,000 lines; the phones of the news are meant to be called."""
    found: list[str] = []
    lines = 0
    for path in sorted((shared_data / "ko").iterdir()):
        for line in path.read_text(encoding="utf-8-sig").splitlines():
            lines += 1
            found += [one.kind for one in find_pii(line)]
    assert lines > 40_000
    assert set(found) <= {"phone", "email"}


def test_a_text_without_digits_is_passed_over_quickly() -> None:
    """The first look is one pattern that begins with one class of characters."""
    from seodang.korean.pii import _SUSPECT

    assert re.match(r"\[[^\]]+\]", _SUSPECT.pattern)
    assert not _SUSPECT.search("가" * 1000 + "123-4567")
