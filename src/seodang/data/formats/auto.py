"""The union of all formats, and `auto`, which decides from many rows which one a file has."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from seodang.data.formats.classification import Classification
from seodang.data.formats.corpora import NIKL, AIHub
from seodang.data.formats.delimited import Delimited
from seodang.data.formats.dialogues import Alternating, Messages, Numbered, ShareGPT
from seodang.data.formats.instructions import Alpaca, ByColumns, Instances, PromptCompletion
from seodang.data.formats.preferences import BetterId, Chosen, Pair, Ranked
from seodang.data.formats.row_format import RowFormat
from seodang.data.formats.texts import PromptOnly, Text
from seodang.data.turns import Row
from seodang.errors import DataError
from seodang.language import Phrase, joined
from seodang.records import Record
from seodang.runs import dump_json
from seodang.schema import by_name


class Auto(RowFormat):
    """Decided from many rows, and refused where none or two of the others fit."""

    makes: ClassVar[str] = ""

    kind: Literal["auto"] = "auto"

    def parse(self, row: Row, source: str) -> Record:
        """The record of one row, decided from this row alone; over a file, `settle` decides once."""
        return decide([row], source).parse(row, source)


Known = (
    Alpaca | ByColumns | Messages | ShareGPT | Alternating | Numbered | Delimited | Instances | PromptCompletion
    | Classification | AIHub | NIKL | Pair | BetterId | Ranked | Chosen | PromptOnly | Text
)  # fmt: skip
Format = Annotated[Auto | Known, Field(discriminator="kind"), by_name]

_KNOWN: tuple[type[Known], ...] = (
    Alpaca, Messages, ShareGPT, Alternating, Numbered, Delimited, Instances, PromptCompletion, AIHub, NIKL, Pair,
    BetterId, Ranked, PromptOnly, Text,
)  # fmt: skip
"""The formats that `auto` looks for."""
MOST, FEW = 0.5, 0.1
"""A format fits a file where it fits more than `MOST` of the rows looked at, and where less than `FEW` of them are
rows of another one. The rows that it does not fit are named one by one when they are read."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Which format a file has, and why: how many of the rows looked at each format fits."""

    format: Known
    fits: dict[str, int]
    looked_at: int
    unread: tuple[str, ...]
    """Columns that the format does not read."""

    def __str__(self) -> str:
        return str(self.phrase)

    @property
    def phrase(self) -> Phrase:
        """The evidence: `alpaca (12 of 12 rows fit; not read: id)`."""
        unread = Phrase("; not read: {columns}", columns=", ".join(self.unread)) if self.unread else ""
        kind, told = self.format.kind, "{kind} ({fit} of {rows} rows fit{unread})"
        count = self.fits.get(kind, 0)
        return Phrase(told, kind=written(self.format), fit=count, rows=self.looked_at, unread=unread)


def written(form: RowFormat) -> str:
    """A format as a recipe writes it: `alpaca`, or `{kind: alpaca, instruction: 질문, output: 답변}`."""
    knobs = form.model_dump(mode="json", exclude_defaults=True, exclude={"kind"})
    if not knobs:
        return form.kind
    told = ", ".join(f"{name}: {_yaml(value)}" for name, value in knobs.items())
    return f"{{kind: {form.kind}, {told}}}"


def _yaml(value: Any) -> str:
    """A value as YAML in one line: a plain word as it is, everything else as JSON, which YAML reads too."""
    if isinstance(value, list):
        return f"[{', '.join(map(_yaml, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_yaml(name)}: {_yaml(one)}' for name, one in value.items())}}}"
    is_word = isinstance(value, str) and re.fullmatch(r"[A-Za-z가-힣_][\w-]*", value) is not None
    return str(value) if is_word and value not in ("y", "n", "yes", "no", "on", "off", "null") else dump_json(value)


def expand(form: Known, row: Row, source: str) -> Iterator[tuple[Row | DataError, str]]:
    """The rows that a row holds, each with its place; a part that is no object is the DataError that it is."""
    for part, place in form.expand(row, source):
        if isinstance(part, dict):
            yield part, place
        else:
            told = "{where}: a row must be an object, got {got!r:.40}."
            yield DataError(told, where=place, got=part, raw=dump_json(part)), place


def settle(wanted: Format, rows: Sequence[Row], where: str = "the rows") -> Decision:
    """The format to read rows with: the one that is wanted, or for `auto` the only one that fits `rows`.

    Raises DataError, naming the columns, where none fits or two do.
    """
    found = [{kind: form for kind in _KNOWN if (form := kind.fits(row))} for row in rows]
    fits: Counter[str] = Counter(form.kind for forms in found for form in forms.values())
    if isinstance(wanted, Auto):
        fitting = [kind for kind in _KNOWN if fits[_name(kind)] > MOST * len(rows)]
        others = sum(bool(forms) and fitting[0] not in forms for forms in found) if fitting else 0
        if len(fitting) != 1 or others >= FEW * len(rows):
            raise _undecided(rows, fits, [_name(kind) for kind in fitting if not others], where)
        fitted = [row for row, forms in zip(rows, found, strict=True) if fitting[0] in forms]
        wanted = fitting[0].settled(fitted) or found[rows.index(fitted[0])][fitting[0]]
        if isinstance(wanted, Alpaca) and _may_judge(fitted):
            raise _two_labels(wanted.kind, where)
    elif type(wanted) not in _KNOWN or wanted.model_dump(exclude_defaults=True, exclude={"kind"}):
        # what was found looks for common names only; here the named columns count
        fits[wanted.kind] = sum(_reads(wanted, row) for row in rows)
    columns = dict.fromkeys(name for row in rows for name in row)
    return Decision(wanted, dict(fits), len(rows), tuple(name for name in columns if name not in wanted.columns))


def _reads(form: Known, row: Row) -> bool:
    """Whether a format makes records of everything in a row."""
    try:
        return all(not isinstance(part, DataError) and form.parse(part, "") for part, _ in expand(form, row, ""))
    except DataError:
        return False


def decide(rows: Sequence[Row], where: str = "the rows") -> Known:
    """The only format that fits `rows`. Raises DataError where none fits or two do."""
    return settle(Auto(), rows, where).format


def _name(kind: type[Known]) -> str:
    return str(kind.model_fields["kind"].default)


def _undecided(rows: Sequence[Row], fits: Counter[str], fitting: list[str], where: str) -> DataError:
    columns = Counter(name for row in rows for name in row)
    kinds = " · ".join(_name(kind) for kind in _KNOWN)
    if len(fitting) > 1:
        what = Phrase("{formats} both fit", formats=joined(" and ", fitting))
        kinds = " · ".join(fitting)
    else:
        told = "{kind} fits {count} of {rows} rows"
        some = [Phrase(told, kind=kind, count=count, rows=len(rows)) for kind, count in fits.most_common()]
        fits_none = Phrase("no known format fits")
        what = Phrase("{what} ({some})", what=fits_none, some=joined(", ", some)) if some else fits_none
    return DataError(
        "{where}: {what}. The columns are {columns}. Name the format with `format:` ({kinds}); {advice}.",
        where=where,
        what=what,
        columns=", ".join(columns) or Phrase("none"),
        kinds=kinds,
        advice=_advice(columns),
    )


def _may_judge(rows: Sequence[Row]) -> bool:
    """Whether a label of two values stands beside the answers: in some sets it tells the bad ones from the good."""
    labels = {str(row["label"]).strip() for row in rows if "label" in row}
    return labels in ({"0", "1"}, {"True", "False"})


def _two_labels(kind: str, where: str) -> DataError:
    return DataError(
        "{where}: the rows fit `{kind}`, but their `label` has two values, which may tell good answers from bad ones. "
        "Take the bad rows out, and name the columns: `format: {example}`.",
        where=where,
        kind=kind,
        example="{kind: columns, instruction: …, output: …}",
    )


def _advice(columns: Counter[str]) -> Phrase:
    if any(name.lower() in ("label", "gold_label") for name in columns):
        return Phrase(
            "for rows with labels: `format: {example}`", example="{kind: classification, verbaliser: sentiment}"
        )
    return Phrase("for other column names: `format: {example}`", example="{kind: columns, instruction: …, output: …}")
