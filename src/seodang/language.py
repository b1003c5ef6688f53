"""The user's language: English texts travel with their values apart, and are said in Korean where Korean is spoken.

    Phrase("{count} rows", count=3)     English as a text, said in the user's language once it is shown
    say("wrote {path}", path=path)      the text to show now
    label("eval_loss")                  the heading of a key in a report

`SEODANG_LANG` decides (`ko`, also `kr`; `en`), else the locale (LC_ALL, LC_MESSAGES, LANG). What is written into a
run stays English whoever runs it: only what is shown is said. The words lie in data_words/ko.yaml; what it lacks stays
English.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Self

WORDS = "data_words"
VARIABLES = ("SEODANG_LANG", "LC_ALL", "LC_MESSAGES", "LANG")


class Phrase(str):
    """An English text that remembers its format and its values, so that it can be said in another language.

    As a `str` it is English: it compares, sorts and is written into files as such.
    """

    text: str
    values: dict[str, object]

    def __new__(cls, text: str, /, **values: object) -> Self:
        if isinstance(text, cls) and not values:
            return text
        made = super().__new__(cls, text.format(**values) if values else text)
        made.text, made.values = text, values
        return made


def language() -> str:
    """`ko` or `en`: what SEODANG_LANG says, else the locale."""
    wanted = next((os.environ[name] for name in VARIABLES if os.environ.get(name)), "")
    return "ko" if re.match(r"(?:ko|kr|korean|한국어)(?![a-z])", wanted.lower()) else "en"


def say(text: str, /, **values: object) -> str:
    """A text, or a phrase, in the user's language. Values that are phrases are said too; all others are data."""
    if isinstance(text, Phrase) and text.values:
        return say(text.text, **text.values)
    known = _words()["texts"].get(text, text)
    said = {name: say(value) if isinstance(value, Phrase) else value for name, value in values.items()}
    return known.format(**said) if said else known


def label(key: str) -> str:
    """A key of a report (`eval_loss`), a reason or a role as a heading in the user's language: `eval loss`."""
    if isinstance(key, Phrase):
        return say(key)
    words = key.replace("_", " ")
    return _words()["labels"].get(words, words)


def joined(separator: str, parts: Iterable[str]) -> Phrase:
    """`separator.join(parts)` as a phrase, in which both the parts and the separator are said."""
    between = Phrase(separator)
    pieces: dict[str, object] = {}
    for number, part in enumerate(parts):
        pieces |= ({f"s{number}": between} if number else {}) | {f"p{number}": part}
    return Phrase("".join(f"{{{name}}}" for name in pieces), **pieces)


def padded(text: str, width: int) -> str:
    """The text filled up with spaces to a width in columns of a terminal; a syllable takes two."""
    return text + " " * (width - columns(text))


def columns(text: str) -> int:
    """How many columns of a terminal a text takes."""
    from rich.cells import cell_len

    return cell_len(text)


def _words() -> dict[str, dict[str, str]]:
    return read_words(language())


@lru_cache
def read_words(name: str) -> dict[str, dict[str, str]]:
    """The words of a language: `texts` (English format → its own) and `labels`; both empty where it has no file."""
    path = words_path(name)
    if path is None:
        return {"texts": {}, "labels": {}}
    import yaml

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    found = yaml.load(path.read_text(encoding="utf-8"), Loader=loader)
    return {"texts": {entry["en"]: entry[name] for entry in found["texts"]}, "labels": found["labels"]}


def words_path(name: str) -> Path | None:
    """Where the file of words `name` lies, or None: in the package, as the wheel has it, or in a source tree's root."""
    package = Path(str(files("seodang")))
    roots = [package, *([package.parent.parent] if package.parent.name == "src" else [])]
    return next((path for root in roots if (path := root / WORDS / f"{name}.yaml").is_file()), None)
