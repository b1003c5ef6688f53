"""Shares of scripts are taken among letters, and Han is not Hangul."""

from __future__ import annotations

import pytest

from seodang.korean.script import hangul_share, prose, shares

SHARES = [
    ("안녕하세요", 1.0),
    ("ㅋㅋㅋ ㅠㅠ", 1.0),
    ("안녕 hi", 0.5),
    ("漢字", 0.0),
    ("훈민正音", 0.5),
    ("2026년 3월 1일 09:00", 1.0),
    ("!?… 123 🙂", None),
    ("", None),
    ("_가_", 1.0),
]


@pytest.mark.parametrize(("text", "share"), SHARES)
def test_hangul_share(text: str, share: float | None) -> None:
    assert hangul_share(text) == share


def test_shares_of_four_scripts() -> None:
    found = shares("한글 漢字 かな ab é 12")
    assert (found.letters, found.hangul, found.han, found.kana, found.latin) == pytest.approx(
        (9, 2 / 9, 2 / 9, 2 / 9, 3 / 9)
    )


def test_the_range_that_others_use_would_count_han() -> None:
    """[ㄱ-힣] covers U+3131-D7A3; the share of a Chinese sentence must be 0."""
    assert shares("我们学习语言").hangul == 0
    assert shares("我们学习语言").han == 1


@pytest.mark.parametrize("script", ["hangul", "han", "kana", "latin"])
def test_no_share_exceeds_one(script: str) -> None:
    """Every character of a script's class is a letter, also marks beside the kana and full-width Latin."""
    text = "".join(map(chr, [*range(0x20, 0x2000), *range(0x3000, 0xD7A4), *range(0xF900, 0x10000)]))
    assert 0 < getattr(shares(text), script) < 1
    assert shares("ー゛゜ﾟ").kana <= 1


def test_no_letters_is_no_share() -> None:
    found = shares("123 !")
    assert (found.letters, found.hangul, found.latin) == (0, 0.0, 0.0)


PROSE = [
    ("앞 ```python\nprint('hi')\n``` 뒤", "앞   뒤"),
    ("앞 ```열린 채 끝난 코드", "앞  "),
    ("`x = 1`을 보세요", " 을 보세요"),
    ("식 $x^2 + y_1$ 은", "식   은"),
    ("식 $$a = b$$ 와 \\(c\\) 와 \\[d\\]", "식   와   와  "),
    ("값은 $3이고 저것은 $5다", "값은 $3이고 저것은 $5다"),
    ("https://example.com/a?b=1에서 보세요", " 에서 보세요"),
    ("www.example.com 참고", "  참고"),
]


@pytest.mark.parametrize(("text", "left"), PROSE)
def test_prose_leaves_out_what_is_not_language(text: str, left: str) -> None:
    assert prose(text) == left


def test_code_does_not_make_an_answer_foreign() -> None:
    answer = "이렇게 쓰면 됩니다.\n```python\nfor name in names:\n    print(name.upper(), flush=True)\n```"
    assert shares(answer).hangul < 0.3
    assert hangul_share(answer) == 1.0


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("`print` 함수", 1.0),
        ("식 $x^2 + y$ 은", 1.0),
        ("https://example.com/ko 참고", 1.0),
        ("```\nonly code\n```", None),
        ("A/B 시험", 0.5),
    ],
)
def test_the_share_of_hangul_is_that_of_the_prose(text: str, share: float | None) -> None:
    assert hangul_share(text) == share
