"""Morphemes (형태소) of Korean text by kiwipiepy, the extra `[ko]`: `morphemes(text)`, `content_words(text)`.

Nothing in Seodang needs them; they count what a text says apart from its particles and endings. Tags are the Sejong
ones as Kiwi has them: NNG a common noun, VV a verb, JKO the particle 을/를, EF a final ending …
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple

from seodang.errors import ModelError

if TYPE_CHECKING:
    from kiwipiepy import Kiwi

CONTENT = ("NN", "NR", "XR", "VV", "VA", "MAG", "SL", "SN", "SH")
"""How the tags of words with a meaning of their own begin: nouns, roots, verbs, adverbs, Latin, numbers, Hanja."""


class Morpheme(NamedTuple):
    """One morpheme as it is in the dictionary (갔 is 가 and 었), its tag, and where it stands in characters."""

    form: str
    tag: str
    start: int
    end: int


def available() -> bool:
    """Whether the extra is installed."""
    return find_spec("kiwipiepy") is not None


def morphemes(text: str) -> list[Morpheme]:
    """The morphemes of one text. Raises ModelError with the command that installs the analyser where it is missing."""
    return next(each([text]))


def each(texts: Iterable[str]) -> Iterator[list[Morpheme]]:
    """The morphemes of many texts, in their order, analysed in threads. Raises ModelError as `morphemes` does."""
    for tokens in _kiwi().tokenize(texts):
        yield [Morpheme(token.form, token.tag, token.start, token.end) for token in tokens]


def content_words(text: str) -> list[str]:
    """The morphemes with a meaning of their own, without particles, endings and signs: 학교에 갔어요 → 학교, 가."""
    return [one.form for one in morphemes(text) if one.tag.startswith(CONTENT)]


@lru_cache
def _kiwi() -> Kiwi:
    """The analyser, loaded once: some three seconds and 300 MB."""
    if not available():
        raise ModelError(
            "Morphemes need the analyser kiwipiepy, which is not installed. Install the extra with "
            "`pip install 'seodang[ko]'`, or leave morphemes out: nothing else needs them."
        )
    from kiwipiepy import Kiwi

    return Kiwi()
