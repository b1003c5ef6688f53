"""The filter of answers that change between polite and familiar speech."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field

from seodang.data.filters.sides import taught
from seodang.korean.register import POLITE, register_of, running
from seodang.records import Record
from seodang.schema import Schema

_ENDS_FAMILIARLY = "아어여와워해돼봐줘져려겨켜쳐써커꺼때라래고든데야게걸지네군대삼파빠퍼뻐싸러놔셔춰내세째깨"
"""The last syllables of what `register_of` takes for hae: without one of them there is nothing to judge."""
_FAMILIAR = re.compile(rf"[.!?~…ㅋㅎ\n](?<=[{_ENDS_FAMILIARLY}].)", re.DOTALL)
_POLITE = re.compile(r"[.!?~…ㅎ\n](?<=[다요죠까오].)", re.DOTALL)
_TO_ONESELF = re.compile("(?:[가-힣]지|나|까|가)\\?|(?:네|군|구나|[는은인한]데)[.?!~…]*$")
"""Endings with which a polite speaker, too, wonders aloud or trails off: 몇 년 됐지? · 그랬나? · 좋네. · 했는데…"""


class MixedRegister(Schema):
    """Drops a record whose answer speaks politely (-습니다, -해요) and familiarly (-해, -야) in turn: `mixed_register`.

    Quotations, lists, titles and code are passed over. -다 of written language beside polite speech is no mixture.
    """

    kind: Literal["mixed_register"] = "mixed_register"
    min_share: float = Field(0.3, gt=0, le=0.5)
    """Smallest share of the sentences with an ending that each of the two has in a mixture."""

    def reason(self, record: Record) -> str | None:
        """`mixed_register`, or None."""
        found = any([_may_be_mixed(text) and self._is_mixed(text) for text in taught(record)])
        return "mixed_register" if found else None

    def _is_mixed(self, text: str) -> bool:
        levels = [register_of(sentence) for sentence in running(text) if not _TO_ONESELF.search(sentence)]
        polite, familiar = sum(POLITE.get(level) is True for level in levels), levels.count("hae")
        fewest = max(1, self.min_share * (polite + familiar))
        return polite >= fewest and familiar >= fewest


def _may_be_mixed(text: str) -> bool:
    """Cheap, and true where one sentence may end familiarly and another politely."""
    if not text:
        return False
    familiar = text[-1] in _ENDS_FAMILIARLY or _FAMILIAR.search(text)
    return bool(familiar and (_POLITE.search(text) or text[-1] in "다요죠까오"))
