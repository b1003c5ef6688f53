"""The five functions that can be used alone, by their names in `seodang.korean`."""

from __future__ import annotations

import importlib

import seodang.korean as korean


def test_public_names_are_sorted_documented_functions() -> None:
    assert korean.__all__ == ["hangul_share", "josa", "mask_pii", "normalize", "register_of"]
    assert all(callable(getattr(korean, name)) and getattr(korean, name).__doc__ for name in korean.__all__)


def test_the_functions_stay_when_their_modules_are_imported_too() -> None:
    """`seodang.korean.josa` is a module and a function of the same name; the attribute must stay the function."""
    for name in ("josa", "normalize", "register", "pii", "script"):
        importlib.import_module(f"seodang.korean.{name}")
    assert korean.josa("물", "을/를") == "을"
    assert korean.normalize("ﾻ") == ("ㅋ", {"half_width_hangul": 1})


def test_the_examples_of_the_docstring() -> None:
    assert korean.normalize("한글&nbsp;ＡＢＣ") == ("한글 ABC", {"html_entity": 1, "space": 1, "full_width": 1})
    assert korean.register_of("학교에 갔어요.") == "haeyo"
    assert korean.hangul_share("안녕 hi") == 0.5
    assert korean.josa("3km", "을/를") == "를"
    assert korean.josa("xylograph", "을/를") == "을(를)"
    masked, found = korean.mask_pii("010-1234-5678로")
    assert "1234" not in masked and masked.endswith("로") and len(found) == 1
