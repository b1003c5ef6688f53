"""Personal data made up from a seed, in twelve formats and six ways of writing, inside Korean sentences.

    python benchmarks/planted_pii.py [--count 600] [--seed 0]

The numbers have the right form and check digits and belong to nobody that we know of. Prints how many are found with
their kind and exact place, by format and by way of writing, and the rows in which something is missed. Where
python-stdnum and Presidio are installed, their verdict on random numbers is compared with ours.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from seodang.korean.check_digits import luhn_check
from seodang.korean.pii import KINDS, Found, PiiKind, find_pii


@dataclass(frozen=True, slots=True)
class Planted:
    """A text, the one piece of personal data in it, its format and the way it is written."""

    text: str
    found: Found
    format: str
    writing: str


def _digits(draw: random.Random, count: int) -> str:
    return "".join(str(draw.randrange(10)) for _ in range(count))


def _checked(draw: random.Random, years: tuple[int, int], sexes: str, check: int | None) -> str:
    """A resident's or a foreigner's number; `check` is 11 or 13, or None for random digits since October 2020."""
    day = f"{draw.randint(*years) % 100:02}{draw.randint(1, 12):02}{draw.randint(1, 28):02}"
    twelve = day + draw.choice(sexes) + _digits(draw, 5)
    total = sum(int(digit) * weight for digit, weight in zip(twelve, (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5), strict=True))
    last = str((check - total % 11) % 10) if check else _digits(draw, 1)
    return f"{day}-{twelve[6:]}{last}"


def _card(draw: random.Random) -> str:
    fifteen = draw.choice("459") + _digits(draw, 14)
    number = next(fifteen + last for last in "0123456789" if luhn_check(fifteen + last))
    return "-".join(number[at : at + 4] for at in range(0, 16, 4))


def _passport(draw: random.Random) -> str:
    if draw.random() < 0.5:
        return f"M{_digits(draw, 8)}"
    return f"M{_digits(draw, 3)}{draw.choice('ABCDEFGHJKLMNPRSTUVWXYZ')}{_digits(draw, 4)}"


def _account(draw: random.Random) -> str:
    shape = draw.choice(((6, 2, 6), (3, 3, 6), (4, 2, 7), (3, 4, 4, 2), (3, 6, 2, 3)))
    return "-".join(_digits(draw, count) for count in shape)


def _landline(draw: random.Random) -> str:
    return f"{draw.choice(('02', '031', '042', '051', '064'))}-{draw.randint(200, 9999)}-{_digits(draw, 4)}"


def _representative(draw: random.Random) -> str:
    return f"{draw.choice(('1588', '1544', '1566', '1577', '1600', '1644', '1899'))}-{_digits(draw, 4)}"


def _email(draw: random.Random) -> str:
    name = "".join(draw.choices("abcdefghijklmnoprstuwy", k=draw.randint(3, 9)))
    host = draw.choice(("naver.com", "hanmail.net", "seodang.co.kr"))
    return f"{name}{draw.choice(('', '.', '_'))}{draw.randint(1, 99)}@{host}"


_OLD, _NEW = (1950, 1999), (2021, 2025)
"""Years of birth: with a check digit, and after October 2020."""
FORMATS: dict[str, tuple[PiiKind, Callable[[random.Random], str], str]] = {
    "resident": ("resident_number", lambda draw: _checked(draw, _OLD, "12", 11), "신청인은 {} 적었습니다."),
    "resident since 2020": (
        "resident_number",
        lambda draw: _checked(draw, _NEW, "34", None),
        "아이는 {} 등록했어요.",
    ),
    "foreigner": (
        "foreigner_number",
        lambda draw: _checked(draw, _OLD, "56", 13),
        "체류 카드에는 {} 있습니다.",
    ),
    "driver's licence": (
        "driver_licence",
        lambda d: f"{d.randint(11, 26)}-{_digits(d, 2)}-{_digits(d, 6)}-{_digits(d, 2)}",
        "운전면허 {} 확인했습니다.",
    ),
    "passport": ("passport", _passport, "여권은 {} 다시 받았습니다."),
    "mobile": ("phone", lambda draw: f"010-{draw.randint(2000, 9999)}-{_digits(draw, 4)}", "급하면 {} 알려 주세요."),
    "landline": ("phone", _landline, "사무실은 {} 바뀌었습니다."),
    "050x, 070, 080": (
        "phone",
        lambda d: f"{d.choice(('0502', '0505', '0507', '070', '080'))}-{d.randint(200, 9999)}-{_digits(d, 4)}",
        "예약은 {} 하시면 됩니다.",
    ),
    "representative": ("phone", _representative, "고객센터 {} 문의하세요."),
    "card": ("card", _card, "결제는 {} 했습니다."),
    "account": ("account", _account, "회비는 국민은행 {} 보내 주세요."),
    "e-mail": ("email", _email, "자료는 {} 보내 주세요."),
}
_WIDE = {code: code + 0xFEE0 for code in range(0x21, 0x7F)}
WRITINGS: dict[str, Callable[[str], str]] = {
    "as issued": lambda number: number,
    "spaced": lambda number: number.replace("-", " "),
    "spaced hyphen": lambda number: number.replace("-", " - "),
    "full-width": lambda number: number.translate(_WIDE),
    "no hyphen": lambda number: number.replace("-", ""),
    "en dash": lambda number: number.replace("-", "–"),
}
JOSA = ("로", "으로", "를", "은", "이라고", "에", "")


def planted(count: int, seed: int) -> Iterator[Planted]:
    """`count` texts, the formats in turn, the writings and what follows by chance."""
    draw = random.Random(seed)
    for number in range(count):
        name = list(FORMATS)[number % len(FORMATS)]
        kind, make, sentence = FORMATS[name]
        writing = draw.choice(list(WRITINGS))
        written = WRITINGS[writing](make(draw))
        before, after = sentence.split("{}")
        text = before + written + draw.choice(JOSA) + after
        yield Planted(text, Found(kind, len(before), len(before) + len(written)), name, writing)


def missed(count: int, seed: int) -> list[Planted]:
    """The texts in which not exactly what was planted is found."""
    return [one for one in planted(count, seed) if find_pii(one.text) != [one.found]]


FORMS: dict[str, tuple[PiiKind, Callable[[random.Random], str]]] = {
    "resident": ("resident_number", lambda draw: f"{_day(draw)}-{draw.choice('1234')}{_digits(draw, 6)}"),
    "foreigner": ("foreigner_number", lambda draw: f"{_day(draw)}-{draw.choice('5678')}{_digits(draw, 6)}"),
    "business": ("business_number", lambda draw: f"{_digits(draw, 3)}-{_digits(draw, 2)}-{_digits(draw, 5)}"),
    "licence": (
        "driver_licence",
        lambda d: f"{_digits(d, 2)}-{_digits(d, 2)}-{_digits(d, 6)}-{_digits(d, 2)}",
    ),
    "passport": ("passport", _passport),
}
"""Numbers of which only the form is right: what else they must be, each tool decides for itself."""


def _day(draw: random.Random) -> str:
    return f"{draw.randrange(100):02}{draw.randint(1, 12):02}{draw.randint(1, 31):02}"


def _others() -> dict[tuple[str, str], Callable[[str], bool]]:
    """(tool, form) → its verdict, for the tools that are installed."""
    found: dict[tuple[str, str], Callable[[str], bool]] = {}
    if find_spec("stdnum"):
        brn, rrn = import_module("stdnum.kr.brn"), import_module("stdnum.kr.rrn")
        found |= {("python-stdnum", "resident"): rrn.is_valid, ("python-stdnum", "foreigner"): rrn.is_valid}
        found["python-stdnum", "business"] = brn.is_valid
    if find_spec("presidio_analyzer"):
        known = import_module("presidio_analyzer.predefined_recognizers")
        classes = {
            "resident": ("KR_RRN", known.KrRrnRecognizer),
            "foreigner": ("KR_FRN", known.KrFrnRecognizer),
            "business": ("KR_BRN", known.KrBrnRecognizer),
            "licence": ("KR_DRIVER_LICENSE", known.KrDriverLicenseRecognizer),
            "passport": ("KR_PASSPORT", known.KrPassportRecognizer),
        }
        found |= {("Presidio", form): _presidio(entity, kind()) for form, (entity, kind) in classes.items()}
    return found


def _presidio(entity: str, one: Any) -> Callable[[str], bool]:
    return lambda number: bool(one.analyze(number, [entity]))


def compare(count: int, seed: int) -> Iterator[str]:
    """How python-stdnum and Presidio judge random numbers of each form, beside us; a line each."""
    draw, others = random.Random(seed), _others()
    for form, (kind, make) in FORMS.items():
        numbers = [make(draw) for _ in range(count)]
        ours = [any(one.kind == kind for one in find_pii(number, tuple(KINDS))) for number in numbers]
        yield f"{form}: ours {sum(ours):,} of {count:,}"
        for (tool, about), judge in others.items():
            if about == form:
                theirs = [judge(number) for number in numbers]
                pairs = Counter(zip(ours, theirs, strict=True))
                yield f"  {tool} {sum(theirs):,}: both {pairs[True, True]:,}, only it {pairs[False, True]:,}"


PRESIDIOS = {"resident": "resident", "resident since 2020": "resident", "foreigner": "foreigner"}
PRESIDIOS |= {"driver's licence": "licence", "passport": "passport"}
"""Format planted → the form that Presidio's Korean recognisers know."""


def in_text(count: int, seed: int) -> Iterator[str]:
    """How many of the planted texts of its forms Presidio finds, by the way of writing."""
    others = _others()
    if ("Presidio", "resident") in others:
        known = [one for one in planted(count, seed) if one.format in PRESIDIOS]
        found = [one for one in known if others["Presidio", PRESIDIOS[one.format]](one.text)]
        of = Counter(one.writing for one in known)
        by = ", ".join(
            f"{writing} {n} of {of[writing]}" for writing, n in Counter(one.writing for one in found).items()
        )
        yield f"Presidio finds {len(found)} of the {len(known)} texts planted in its forms: {by}"


def main() -> int:
    """Print what is found and missed. Returns 1 below 99 %."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--count", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    lost = missed(given.count, given.seed)
    print(f"found {given.count - len(lost)} of {given.count} ({1 - len(lost) / given.count:.2%})")
    for part, key in (("format", lambda one: one.format), ("writing", lambda one: one.writing)):
        print(f"missed by {part}: {dict(Counter(map(key, lost)))}")
    for one in lost:
        print(f"  {one.format}, {one.writing}: {one.text} -> {find_pii(one.text)}")
    print("\n".join([*compare(20_000, given.seed), *in_text(given.count, given.seed)]))
    return int(len(lost) > given.count / 100)


if __name__ == "__main__":
    sys.exit(main())
