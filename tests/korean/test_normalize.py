"""Repairs are made where they are safe, counted, and made only once."""

from __future__ import annotations

import re
import timeit
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seodang.korean.normalize import _MOJIBAKE, REPAIRS, normalize

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
    ("\u3000앞에 전각 빈칸", "앞에 전각 빈칸", {"space": 1, "outer_space": 1}),
    ("줄\u2028바꿈\x85둘", "줄\n바꿈\n둘", {"line_end": 2}),
    ("붙은\xa0빈칸\u2009셋\u202f넷", "붙은 빈칸 셋 넷", {"space": 3}),
    ("보이지\xad않는\u200e 글\u2060자", "보이지않는 글자", {"zero_width": 3}),
    ("가\u200d나", "가나", {"zero_width": 1}),
    ("벨\x07소리\x00 \ufffe끝", "벨소리 끝", {"control": 3}),
    ("짝 없는 \ud83d 반쪽", "짝 없는  반쪽", {"control": 1}),
    ("`짝 없는 \ud83d`", "`짝 없는 `", {"control": 1}),
    ("`줄\r\n`", "`줄\n`", {"line_end": 1}),
    ("\uf0b7 첫째\n\ue001검색", "• 첫째\n검색", {"private_use": 2}),
    ("ＡＢＣ１２３ 입니다！", "ABC123 입니다!", {"full_width": 2}),
    ("㈜서당 ２층", "㈜서당 2층", {"full_width": 1}),
    ("가격은 ￦５００", "가격은 ₩500", {"full_width": 1}),
    ("ﾻﾻﾻ ￇￇ", "ㅋㅋㅋ ㅔㅔ", {"half_width_hangul": 2}),
    ("\u3164ㄸㅗㅁ방각하 \u3164ㅂㅞㄺ", "똠방각하 뷁", {"hangul_filler": 2}),
    ("사과ㆍ배・귤‧감•밤", "사과·배·귤·감·밤", {"middle_dot": 4}),
    ("3ㆍ1 운동", "3·1 운동", {"middle_dot": 1}),
    ("A&amp;B &lt;끝&gt; &quot;예&quot; &#44032;&#xB098;", 'A&B <끝> "예" 가나', {"html_entity": 7}),
    ("두 번 &amp;amp;lt;b&amp;gt;", "두 번 <b>", {"html_entity": 2}),
    ("가&nbsp;나", "가 나", {"html_entity": 1, "space": 1}),
    ("＆ｌｔ；안쪽＆ｇｔ；", "<안쪽>", {"full_width": 2, "html_entity": 2}),
    ("`ＡＢ`는 ＡＢ", "`ＡＢ`는 AB", {"full_width": 1}),
    ("ë‹¤ì–‘í•œ ëª¨ìŠµ", "다양한 모습", {"mojibake": 1}),
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
    "㈜서당 ①번 ㎏ …",  # and these into (주), 1, kg, ...
    "①\u0301번 ﬁ\u0301n",  # a mark brings no compatibility form with it
    "ㆍ가 ㆍ 나",
    "2⋅3 = 6, 3•4",  # between numbers these multiply
    "你好，世界！ こんにちは。「はい」",  # full-width signs are Chinese and Japanese signs
    "```\nname = 'ＡＢ'\u00a0# &lt;\n```",
    "`&nbsp;`를 넣으세요.",
    "깨진 글의 예: `ë‹¤ì–‘`",
    "식 $\\text{ＡＢ}\u00a0= 1$",
    "HTML에서 <는 &lt;로 씁니다.",
    "R&D와 Q&A; AT&T",
    "&lt 와 &unknown; 과 &#0;",
    "می\u200cخواهم",  # a joiner that Persian needs
    "שלום\u200f!",
    "\u3164ㄱㄱㄱ",  # a filler with no syllable behind it
    "나랏\uf152말 \u1106\u119e",
    "café naïve Ünïcödé Ångström",
    "λόγος και μύθος",
    "ภาษาไทย",
    "漢字와 韓國",
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


WILD = list(
    "가각ㄱㅏ\u3164ㅋＡ１！＆；ｌｔ￦ﾻￂㆍ・•·가a1 \t\n\r`$\\()_=&#;ltgamp漢あ，ê°€ë\x82\x98λ‹¤๋ค°¡³ª´Ù\xa0\u200d\u200b😀\ue001\uf0b7\ud83d\x00\x85"
)


@given(st.text(alphabet=WILD, max_size=60))
def test_twice_is_once_whatever_is_wrong(text: str) -> None:
    once, counts = normalize(text)
    assert all(counts.values())
    assert normalize(once) == (once, {})


@given(st.text())
def test_twice_is_once_on_any_text(text: str) -> None:
    once, _ = normalize(text)
    assert normalize(once) == (once, {})
    once.encode("utf-8")


CLEAN = "가각힣ㅋㅠ漢樂abcXYZ0189 .,!?()'\"“”…·-+*/=%\n"


@given(st.text(alphabet=CLEAN))
def test_a_clean_text_keeps_every_character(text: str) -> None:
    assert normalize(text)[0] == text.strip()


def test_a_clean_text_costs_nearly_nothing() -> None:
    """100,000 rows of 300 characters in 2 s is 20 µs a row; the bound here is loose, for machines that are busy."""
    text = ("오늘은 날씨가 맑아서 공원에 다녀왔습니다. 나무가 많고 바람이 시원했어요. " * 8)[:300].strip()
    assert min(timeit.repeat(lambda: normalize(text), number=200, repeat=5)) / 200 < 1e-4


def test_each_repair_names_the_characters_it_needs() -> None:
    """A text without them is passed over unread, so a repair that needs others would never be made."""
    for repair in REPAIRS:
        examples = [text for text, _, counts in REPAIRED if set(counts) == {repair.name}]
        assert examples, repair.name
        needs = "|".join(f"[{one.needs}]" for one in REPAIRS if one.name == repair.name)
        assert all(re.search(needs, text) for text in examples)
    assert all(_MOJIBAKE.search(text) for text, _, counts in REPAIRED if "mojibake" in counts)


def test_reads_the_shared_files_twice_alike(shared_data: Path) -> None:
    for path in sorted(shared_data.glob("ko/*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            once, _ = normalize(line)
            assert normalize(once) == (once, {})
