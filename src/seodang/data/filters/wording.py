"""Filters by what an answer is worded like: a template's leftovers, a refusal, a program's own name, a bare list.

What they look for lies in data_filters/patterns.yaml.
"""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field

from seodang.data.filters.patterns import any_of, marks
from seodang.data.filters.sides import asked, map_answers, taught, texts
from seodang.records import Record
from seodang.schema import Schema

REFUSES_WITHIN = 160
"""A refusal begins an answer; what stands later is told about."""


_MAY_BE_MARKED = re.compile(r"[#<\[]")
"""What every mark begins with."""


class Leftover(Schema):
    """Takes a chat template's words (`### 답변:`, `<|im_end|>`) off both ends of an answer, and counts it; drops a
    record whose answer has some in its midst, because another turn follows there: `leftover`."""

    kind: Literal["leftover"] = "leftover"

    def mend(self, record: Record) -> tuple[Record, int]:
        """The record with clean ends, and how many answers were changed."""
        _, opening, ends = marks()
        if not any([_MAY_BE_MARKED.search(text) or opening.match(text) for text in texts(record, "answer")]):
            return record, 0
        times = 0

        def change(text: str) -> str:
            nonlocal times
            clean = ends.sub("", text)
            times += clean != text
            return clean

        mended = map_answers(record, change)
        return (mended, times) if times else (record, 0)

    def reason(self, record: Record) -> str | None:
        """`leftover`, or None."""
        anywhere = marks()[0]
        found = any([_MAY_BE_MARKED.search(text) and anywhere.search(text) for text in texts(record, "answer")])
        return "leftover" if found else None


class Refusal(Schema):
    """Drops a record that teaches to decline (죄송하지만 … 수 없습니다) and to leave it at that: `refusal`.

    Not where a refusal or an apology is asked for, nor one in quotation marks, nor one that names the harm in what was
    said (혐오, 불법): that one is meant.
    """

    kind: Literal["refusal"] = "refusal"
    max_rest: int = Field(80, ge=0)
    """An answer that goes on for more characters after it has declined helps all the same, and is kept."""

    def reason(self, record: Record) -> str | None:
        """`refusal`, or None."""
        if not any([self._declines(text) for text in taught(record)]):
            return None
        return None if any_of("asks_for_refusal").search(asked(record)) else "refusal"

    def _declines(self, text: str) -> bool:
        found = any_of("refusal").search(text, 0, REFUSES_WITHIN)
        if found is None or len(text) - found.end() > self.max_rest or text[0] in "\"“'‘":
            return False
        return not any_of("names_harm").search(text)


class AiIdentity(Schema):
    """Drops a record that teaches to speak as another's program (ChatGPT입니다, OpenAI가 개발한 …): `ai_identity`."""

    kind: Literal["ai_identity"] = "ai_identity"
    which: Literal["named", "any"] = "named"
    """Who names a maker, a program or a day on which its knowledge ends; or any that calls itself a program
    (AI 언어 모델로서), which is no more than the truth."""

    def reason(self, record: Record) -> str | None:
        """`ai_identity`, or None."""
        answers = taught(record)
        found = any(map(any_of("ai_named").search, answers))
        found = found or (self.which == "any" and any(map(any_of("ai_any").search, answers)))
        return "ai_identity" if found else None


_ITEM = r"(?:[-*•·▪◦]\s|\(?[0-9]{1,3}[.)]\s?|[①-⑳]|[가-하A-Za-z][.)]\s)"
_STARTS_AS_LIST = re.compile(rf"\s*{_ITEM}")
_ITEM_LINE = re.compile(rf"\s*{_ITEM}.*")
_ITEM_LINES = re.compile(rf"^\s*{_ITEM}", re.MULTILINE)


class ListOnly(Schema):
    """Drops a record whose answer is a bare list although no list was asked for: `list_only`."""

    kind: Literal["list_only"] = "list_only"
    min_items: int = Field(3, ge=2)
    """With fewer items it is no list."""
    max_words: int = Field(6, ge=1)
    """Words of an item, on average, up to which it is a keyword; longer items say something."""

    def reason(self, record: Record) -> str | None:
        """`list_only`, or None."""
        if not any([_STARTS_AS_LIST.match(text) and self._is_bare(text) for text in taught(record)]):
            return None
        question = asked(record)
        wanted = any_of("asks_for_list").search(question) or len(_ITEM_LINES.findall(question)) > 1
        return None if wanted else "list_only"

    def _is_bare(self, text: str) -> bool:
        lines = [line for line in text.split("\n") if line.strip()]
        if len(lines) < self.min_items or not all(map(_ITEM_LINE.fullmatch, lines)):
            return False
        return len(text.split()) <= len(lines) * (self.max_words + 1)
