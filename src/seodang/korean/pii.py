"""Personal data in Korean text, found by form and check digit: `find_pii(text)`, `mask_pii(text)`.

    resident_number   주민등록번호     900101-1234568         on
    foreigner_number  외국인등록번호   900101-5234561         on
    driver_licence    운전면허번호     11-01-123456-12        on
    passport          여권번호         M12345678, M123A4567   on
    phone             전화번호         010-…, 02-…, 050x-…    on
    card              카드번호         16 digits, Luhn        on
    account           계좌번호         beside 계좌 or a bank  on
    email             이메일           name@host.kr           on
    business_number   사업자등록번호   123-45-67891           off: public
    corporate_number  법인등록번호     110111-0000127         off: public

Names and addresses are not found: they have no form. Full-width digits and letters and every hyphen count as what they
look like, and a josa may follow directly. Sources: 주민등록법 시행규칙 제2조, 도로교통법 시행규칙, 여권법 시행규칙, and
전기통신번호관리세칙 for phones; the check digits are korean.check_digits.

To add a kind: an entry in `KINDS`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Literal, TypeAlias

from seodang.korean.check_digits import business_check, corporate_check, foreigner_check, luhn_check, resident_check

PiiKind: TypeAlias = Literal[
    "resident_number",
    "foreigner_number",
    "driver_licence",
    "passport",
    "phone",
    "card",
    "account",
    "email",
    "business_number",
    "corporate_number",
]

_WIDE = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_HYPHENS = dict.fromkeys(map(ord, "‐‑‒–—―−－ㅡーｰ"), "-")
_SPACES = dict.fromkeys(map(ord, "\u00a0\u2002\u2003\u2009\u3000"), " ")
_AS_TYPED = _WIDE | _HYPHENS | _SPACES
"""One character for one, so that a place in the text as it is typed is the place in the text as it is."""
_TYPED_OTHERWISE = re.compile("[" + "".join(map(chr, _AS_TYPED)) + "]")

_DIGIT, _GAP = "[0-9０-９]", r"[^0-9０-９A-Za-z가-힣\n]"
_SUSPECT = re.compile(
    rf"[0-9０-９@＠](?:(?<=[@＠])|(?:{_GAP}{{0,3}}{_DIGIT}){{7}}"
    rf"|(?<=[MSRODGmsrodgＭＳＲＯＤＧ]{_DIGIT}){_DIGIT}{{2}}[A-ZＡ-Ｚa-z]{_DIGIT}{{4}})"
)
"""A text without this holds nothing to look for: eight digits close together, an @, a passport's number."""

_START, _END = r"(?<![0-9A-Za-z_])(?<![0-9][-.,/:])", r"(?![0-9A-Za-z_])(?![-.,/:][0-9])"
_JOIN = r"(?: ?- ?| )"
"""What stands between the groups of a number."""


@dataclass(frozen=True, slots=True)
class Found:
    """One piece of personal data: its kind and where it stands, `text[start:end]`."""

    kind: PiiKind
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Candidate:
    """What looks like a number: the text as typed, and the match in it."""

    text: str
    match: re.Match[str]

    @property
    def digits(self) -> str:
        """Its digits alone."""
        return "".join(filter(str.isdigit, self.match[0]))

    @property
    def bare(self) -> bool:
        """Whether nothing stands between its digits."""
        return self.match[0].isdigit()

    def before(self, words: re.Pattern[str], within: int = 20) -> bool:
        """Whether one of `words` stands in the same line, at most so many characters before it."""
        start = self.match.start()
        return bool(words.search(self.text[max(0, start - within) : start].rpartition("\n")[2]))

    def beside(self, words: re.Pattern[str], within: int = 20) -> bool:
        """Whether one of `words` stands before it or, in the same line, right after it."""
        end = self.match.end()
        return self.before(words, within) or bool(words.search(self.text[end : end + within // 2].partition("\n")[0]))


_RESIDENT_WORD = re.compile("주민|등록번호|외국인|RRN", re.IGNORECASE)
_RECKONED = re.compile(r"[-+*/×÷=%^] ?$")
_CORPORATION = re.compile("법인")
_CENTURY = {"1": 1900, "2": 1900, "5": 1900, "6": 1900}
_RANDOM_SINCE = date(2020, 10, 1)
_LAST_BIRTH = date(2049, 12, 31)
"""Who has 49 in a number with a 3 is born in 2049; later births are barcodes and times, not people."""


def _birth(digits: str) -> date | None:
    try:
        return date(_CENTURY.get(digits[6], 2000) + int(digits[:2]), int(digits[2:4]), int(digits[4:6]))
    except ValueError:
        return None


def _is_corporate(one: Candidate) -> bool:
    """Of a corporation: 법인 before it, or a district court's number (1101), 11 for a 주식회사 and the check digit."""
    digits, birth = one.digits, _birth(one.digits)
    if not corporate_check(digits) or one.before(_CORPORATION):
        return corporate_check(digits)
    if digits[6] in "09":
        return True
    recent = birth is not None and birth >= _RANDOM_SINCE
    return digits[2:6] == "0111" and not recent and not resident_check(digits)


def _is_person(one: Candidate, check: Callable[[str], bool]) -> bool:
    """With a hyphen the form is enough: who got a new number since October 2020 has no check digit at any age.

    Thirteen digits in a row are also times and barcodes: there the date must exist, and the check digit must be right,
    the birth must be later, or a word must say what it is.
    """
    if _is_corporate(one):
        return False
    digits, birth = one.digits, _birth(one.digits)
    if "-" in one.match[0] or one.before(_RESIDENT_WORD):
        return True
    if one.before(_RECKONED, 2):
        return False
    return bool(birth and birth <= _LAST_BIRTH and (check(digits) or birth >= _RANDOM_SINCE))


def _is_resident(one: Candidate) -> bool:
    return _is_person(one, resident_check)


def _is_foreigner(one: Candidate) -> bool:
    return _is_person(one, foreigner_check)


_LICENCE_WORD = re.compile("면허|licen[sc]e", re.IGNORECASE)


def _is_licence(one: Candidate) -> bool:
    return "-" in one.match[0] or one.before(_LICENCE_WORD)


_PASSPORT_WORD = re.compile("여권|passport", re.IGNORECASE)


def _is_passport(one: Candidate) -> bool:
    """M with its digits may stand alone; other letters and a space are also product numbers."""
    alone = re.fullmatch("M(?:[0-9]{8}|[0-9]{3}[A-Z][0-9]{4})", one.match[0])
    return bool(alone) or one.before(_PASSPORT_WORD)


_PHONE_WORD = re.compile(
    "전화|연락|번호|문의|상담|센터|핸드폰|휴대|팩스|콜|대표|예약|신고|call|tel|fax|phone|mobile|☎|☏|📞", re.IGNORECASE
)
_LAST_YEAR = 2100


def _is_phone(one: Candidate) -> bool:
    """1592-1598 are years: a representative number needs a word before it unless its end cannot be a year."""
    digits = one.digits
    if digits[0] != "1":
        return not one.bare or one.match.start() == 0 or one.text[one.match.start() - 1] not in "/=#&?"
    a_year = int(digits[:4]) < int(digits[4:]) <= _LAST_YEAR
    return one.beside(_PHONE_WORD) or ("-" in one.match[0] and not a_year)


def _is_card(one: Candidate) -> bool:
    return luhn_check(one.digits)


_ACCOUNT_WORD = re.compile("계좌|은행|뱅크|농협|수협|신협|새마을금고|우체국|예금|입금|송금|이체")
_MONEY = re.compile(r" ?(?:원|만|억|달러|명|건)")


def _is_account(one: Candidate) -> bool:
    money = _MONEY.match(one.text, one.match.end())
    return 10 <= len(one.digits) <= 14 and not money and one.beside(_ACCOUNT_WORD)


_RESERVED_HOST = re.compile(r"(?:^|@|\.)(?:example\.(?:com|net|org|kr|co\.kr)|(?:example|test|invalid|localhost))$")


def _is_email(one: Candidate) -> bool:
    """Not the hosts that RFC 2606 keeps for examples, nor `git@`, which is a program's."""
    address = one.match[0].lower().replace(" ", "")
    return not _RESERVED_HOST.search(address) and not address.startswith("git@")


def _is_business(one: Candidate) -> bool:
    return business_check(one.digits)


@dataclass(frozen=True, slots=True)
class Kind:
    """What a kind looks like, what must hold besides, how much of it a mask leaves, and whether it is looked for."""

    finds: re.Pattern[str]
    holds: Callable[[Candidate], bool]
    leaves: int = 0
    """How many letters and digits from the start may stay."""
    on: bool = True


def _number(pattern: str) -> re.Pattern[str]:
    return re.compile(_START + pattern + _END)


_BORN = r"[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])"
_REGION = "서울|부산|대구|인천|광주|대전|울산|경기|강원|충북|충남|전북|전남|경북|경남|제주"
_AREA = "01[016-9]|02|0(?:3[1-3]|4[1-4]|5[1-5]|6[1-4])|070|080|050[2-8]?"
_REPRESENTATIVE = "1(?:5(?:22|33|44|66|77|88|99)|6(?:00|44|60|61|66|68|70|88)|8(?:00|11|33|55|77|99))"

KINDS: dict[PiiKind, Kind] = {
    "email": Kind(
        re.compile(
            r"(?<![A-Za-z0-9._%+@/:-])[A-Za-z0-9](?:[A-Za-z0-9._%+-]{0,62}[A-Za-z0-9_+-])?"
            r"(?:@| @ )(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,4}[A-Za-z]{2,12}(?![A-Za-z0-9_@-])"
        ),
        _is_email,
    ),
    "resident_number": Kind(_number(rf"{_BORN}(?:{_JOIN})?[1-4][0-9]{{6}}"), _is_resident, 6),
    "foreigner_number": Kind(_number(rf"{_BORN}(?:{_JOIN})?[5-8][0-9]{{6}}"), _is_foreigner, 6),
    "corporate_number": Kind(_number(rf"[12][0-9]{{5}}(?:{_JOIN})?[0-9]{{7}}"), _is_corporate, on=False),
    "driver_licence": Kind(
        _number(rf"(?:1[1-9]|2[0-68]|{_REGION}){_JOIN}?[0-9]{{2}}{_JOIN}?[0-9]{{6}}{_JOIN}?[0-9]{{2}}"),
        _is_licence,
    ),
    "passport": Kind(
        re.compile(r"(?<![0-9A-Za-z])[MSRODGmsrodg] ?[0-9]{3}(?:[A-Za-z][0-9]{4}|[0-9]{5})(?![0-9A-Za-z])"),
        _is_passport,
        1,
    ),
    "card": Kind(
        _number(
            rf"(?:[3-69][0-9]{{3}}(?:{_JOIN}?[0-9]{{4}}){{3}}|2[2-7][0-9]{{2}}(?:{_JOIN}?[0-9]{{4}}){{3}}"
            rf"|3[47][0-9]{{2}}{_JOIN}?[0-9]{{6}}{_JOIN}?[0-9]{{5}})"
        ),
        _is_card,
    ),
    "phone": Kind(
        re.compile(
            r"(?<![0-9A-Za-z_+])(?<![0-9][-.,/:])(?:"
            r"\+?82 ?[-.)]? ?\(?0?\)?(?:1[016-9]|2|[3-6][1-4]|70)[-. )]{0,2}[0-9]{3,4}[-. ]?[0-9]{4}"
            rf"|(?:\((?:{_AREA})\) ?|(?:{_AREA})(?: ?[-.)] ?| )?)[0-9]{{3,4}}(?: ?[-.] ?| )?[0-9]{{4}}"
            rf"|{_REPRESENTATIVE}{_JOIN}?[0-9]{{4}}"
            r")(?![0-9A-Za-z_])(?![-.,/:][0-9])"
        ),
        _is_phone,
        3,
    ),
    "business_number": Kind(_number(rf"[0-9]{{3}}{_JOIN}?[0-9]{{2}}{_JOIN}?[0-9]{{5}}"), _is_business, on=False),
    "account": Kind(_number(rf"(?:[0-9]{{2,6}}(?:{_JOIN}[0-9]{{1,8}}){{1,4}}|[0-9]{{10,14}})"), _is_account),
}
"""In the order in which they are looked for; what one has found is not looked at again."""

DEFAULT: tuple[PiiKind, ...] = tuple(kind for kind, one in KINDS.items() if one.on)
TAGS: dict[PiiKind, str] = {
    "resident_number": "[주민등록번호]",
    "foreigner_number": "[외국인등록번호]",
    "driver_licence": "[운전면허번호]",
    "passport": "[여권번호]",
    "phone": "[전화번호]",
    "card": "[카드번호]",
    "account": "[계좌번호]",
    "email": "[이메일]",
    "business_number": "[사업자등록번호]",
    "corporate_number": "[법인등록번호]",
}
"""What stands in the place of what was found."""


def find_pii(text: str, kinds: Collection[PiiKind] = DEFAULT) -> list[Found]:
    """What personal data stands in a text, from left to right, without overlap; places are characters of `text`."""
    if not _SUSPECT.search(text):
        return []
    typed = text.translate(_AS_TYPED) if _TYPED_OTHERWISE.search(text) else text
    found: list[Found] = []
    for kind, one in KINDS.items():
        if kind not in kinds and one.on:
            continue
        free = (match for match in one.finds.finditer(typed) if _is_free(match, found))
        found += [Found(kind, m.start(), m.end()) for m in free if one.holds(Candidate(typed, m))]
    return sorted((one for one in found if one.kind in kinds), key=lambda one: one.start)


def _is_free(match: re.Match[str], found: list[Found]) -> bool:
    return all(match.end() <= one.start or one.end <= match.start() for one in found)


def mask_pii(
    text: str, kinds: Collection[PiiKind] = DEFAULT, put: Literal["mask", "tag"] = "mask"
) -> tuple[str, list[Found]]:
    """The text without its personal data, and what was found in it.

    `mask` puts `*` for the letters and digits that tell who it is and keeps the length (900101-*******); `tag` puts the
    kind in brackets ([주민등록번호]).
    """
    found = find_pii(text, kinds)
    for one in reversed(found):
        text = text[: one.start] + _put(text[one.start : one.end], one.kind, put) + text[one.end :]
    return text, found


def _put(text: str, kind: PiiKind, put: Literal["mask", "tag"]) -> str:
    if put == "tag":
        return TAGS[kind]
    if kind == "email":
        name, at, host = re.split("([@＠])", text, maxsplit=1)
        return "*" * len(name.rstrip()) + name[len(name.rstrip()) :] + at + host
    return "".join(_starred(text, KINDS[kind].leaves))


def _starred(text: str, leaves: int) -> Iterator[str]:
    seen = 0
    for character in text:
        if character.isalnum():
            seen += 1
        elif seen:
            leaves = min(leaves, seen)  # 02-123-4567 leaves 02
        yield "*" if character.isalnum() and seen > leaves else character
