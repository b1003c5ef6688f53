"""Reasons to drop a record: one class per filter, each with `reason(record) -> str | None`, None meaning keep.

    plain      empty · length · contains · ends_with_colon · prompt_equals_answer · chosen_equals_rejected
    wording    leftover · refusal · ai_identity · list_only
    language   hangul_share · untranslated
    damage     broken · repeated
    speech     mixed_register
    privacy    pii

A filter that can make a record good again has `mend(record) -> (record, times)` too, which is asked first. The reason
is the word that the ledger counts. Lengths are characters where nothing else is said, because a limit in words that is
right for English drops a quarter of real Korean prompts; phrases are looked for as they stand, because `\\b` does not
end at a josa.

To add one: a class with its knobs and `reason`, and its name in the union at the bottom.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from seodang.data.filters.damage import Broken, Repeated
from seodang.data.filters.language import HangulShare, Untranslated
from seodang.data.filters.plain import ChosenEqualsRejected, Contains, Empty, EndsWithColon, Length, PromptEqualsAnswer
from seodang.data.filters.privacy import Pii
from seodang.data.filters.speech import MixedRegister
from seodang.data.filters.wording import AiIdentity, Leftover, ListOnly, Refusal
from seodang.schema import by_name

__all__ = [
    "AiIdentity",
    "Broken",
    "ChosenEqualsRejected",
    "Contains",
    "Empty",
    "EndsWithColon",
    "Filter",
    "HangulShare",
    "Leftover",
    "Length",
    "ListOnly",
    "MixedRegister",
    "Pii",
    "PromptEqualsAnswer",
    "Refusal",
    "Repeated",
    "Untranslated",
]

Filter = Annotated[
    Empty
    | Length
    | HangulShare
    | Untranslated
    | PromptEqualsAnswer
    | EndsWithColon
    | Contains
    | Leftover
    | Refusal
    | AiIdentity
    | ListOnly
    | Broken
    | Repeated
    | MixedRegister
    | Pii
    | ChosenEqualsRejected,
    Field(discriminator="kind"),
    by_name,
]
