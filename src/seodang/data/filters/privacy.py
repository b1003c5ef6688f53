"""The filter of personal data: drops a record, masks what it holds, or puts the kind in its place."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from seodang.data.filters.sides import texts
from seodang.korean.pii import DEFAULT, PiiKind, find_pii, mask_pii
from seodang.records import Labelled, Record, Text, map_texts
from seodang.schema import Schema


class Pii(Schema):
    """Drops a record with personal data in any of its texts, or takes the data out: `pii`.

    Found by form and check digit: numbers of residents, foreigners, driver's licences, passports, phones, cards and
    bank accounts, and e-mail addresses. Names and postal addresses are not found.
    """

    kind: Literal["pii"] = "pii"
    action: Literal["drop", "mask", "tag"] = "drop"
    """Drop the record, put `*` for what tells who it is, or put the kind in its place ([주민등록번호])."""
    kinds: tuple[PiiKind, ...] = Field(DEFAULT, min_length=1)
    """What is looked for. The numbers of businesses and corporations are public, so they are not in the default."""

    def mend(self, record: Record) -> tuple[Record, int]:
        """The record without what was found, where the `action` is not to drop it, and in how many places."""
        if self.action == "drop" or not self.reason(record):
            return record, 0
        times, put = 0, self.action

        def change(text: str) -> str:
            nonlocal times
            masked, found = mask_pii(text, self.kinds, put)
            times += len(found)
            return masked

        return map_texts(record, change), times

    def reason(self, record: Record) -> str | None:
        """`pii`, or None."""
        said = texts(record, "answer")
        if not isinstance(record, (Text, Labelled)):
            said = [*texts(record, "prompt"), *said]
        return "pii" if any([find_pii(text, self.kinds) for text in said]) else None
