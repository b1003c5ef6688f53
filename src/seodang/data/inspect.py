"""`seodang inspect FILE`: what a file is, as a dictionary and as text: container, format with its evidence, defects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from seodang.data.reading import MALFORMED, UNREADABLE
from seodang.data.survey import Survey, percentiles, survey
from seodang.language import Phrase, columns, joined, label, padded, say
from seodang.runs import dump_json

_CONTAINERS = {
    "lines": Phrase("JSON lines"),
    "array": Phrase("one JSON array"),
    "objects": Phrase("JSON objects, one after the other"),
    "wrapped": Phrase("one JSON object that wraps the rows"),
    "csv": Phrase("CSV"),
    "tsv": Phrase("TSV, quoting off"),
    "parquet": Phrase("parquet"),
    "xlsx": Phrase("a workbook (.xlsx)"),
    "text": Phrase("plain text, one per line"),
    "transcript": Phrase("a transcript of dialogues"),
}
_WIDTH = 80
"""Columns of a terminal; a syllable takes two."""
_HANG = 14
_WAY_OUT = Phrase("`prepare` stops at rows that are unreadable or malformed; `on_error: skip` drops and counts them.")


def inspect(path: str) -> dict[str, Any]:
    """Everything that is told about a file, folder, glob or archive, ready for JSON.

    Raises DataError where no row of it can be read.
    """
    found = survey(path)
    decision = found.decision
    return {
        "file": found.source.name,
        "bytes": found.source.size,
        **found.source.to_report(found.container),
        "rows": found.rows,
        "columns": {name: dict(types) for name, types in found.columns.items()},
        "format": decision.format.model_dump() if decision else None,
        "evidence": decision.phrase if decision else found.undecided,
        "makes": decision.format.makes if decision else None,
        "characters": {"prompt": percentiles(found.prompts), "answer": percentiles(found.answers)},
        "scripts": _scripts(found),
        "languages": found.languages(),
        "endings": found.politeness() if decision else {},
        "defects": {name: {"rows": rows, "first": found.first[name]} for name, rows in sorted(found.defects.items())},
        "repairs": dict(sorted(found.repairs.items())),
        "samples": found.shown,
    }


def _scripts(found: Survey) -> dict[str, float]:
    shares = found.scripts()
    if not shares.letters:
        return {}
    return {name: round(getattr(shares, name), 4) for name in ("hangul", "latin", "han", "kana")}


def render(found: dict[str, Any]) -> str:
    """The dictionary of `inspect` as text for a terminal of 80 columns."""
    lines = [
        say("{file}  ({bytes:,} bytes)", file=found["file"], bytes=found["bytes"]),
        *_decisions(found),
        *_line("rows", f"{found['rows']:,}"),
        *_columns(found),
        *_line("format", say(found["evidence"])),
        *_texts(found),
        *_defects(found),
        *_samples(found),
    ]
    return "\n".join(lines)


def _line(name: str, text: str) -> list[str]:
    """A heading and its text, which goes on under itself where it is longer than a line."""
    first, *others = _wrapped(text, _WIDTH - _HANG)
    return [f"  {padded(label(name), 11)} {first}", *(" " * _HANG + other for other in others)]


def _wrapped(text: str, width: int) -> list[str]:
    """A text in lines of at most so many columns, parted at spaces; a longer word has a line of its own."""
    lines, line = [], ""
    for word in text.split(" "):
        if line and columns(line) + 1 + columns(word) > width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    return [*lines, line]


def _decisions(found: dict[str, Any]) -> list[str]:
    """How the file holds its rows, and why; of many files the first, how many are the same, and what is no data."""
    why, told = found["decided_by"], "{what}: {why}"
    lines = _line("container", say(told, what=_CONTAINERS[found["container"]], why=why["container"]))
    for name in ("encoding", "line_ends"):
        if found[name]:
            lines += _line(name, say(told, what=found[name], why=why[name]))
    if found.get("packed"):
        lines += _line("packed", ", ".join(found["packed"]))
    for number, group in enumerate(_groups(found)):
        lines += _line("" if number else "files", say(group))
    if found.get("unread"):
        lines += _line("not read", ", ".join(found["unread"]))
    return lines


def _groups(found: dict[str, Any]) -> Iterator[Phrase]:
    for group in found.get("groups", ()):
        what = [_CONTAINERS[group["container"]], *(group[name] for name in ("encoding", "line_ends") if group[name])]
        yield Phrase("{files:,}: {what}", files=group["files"], what=joined(", ", what))


def _columns(found: dict[str, Any]) -> list[str]:
    told = [
        f"{name} ({', '.join(f'{count:,} {kind}' for kind, count in types.items())})"
        for name, types in found["columns"].items()
    ]
    return [line for at, text in enumerate(told) for line in _line("" if at else "columns", text)]


def _texts(found: dict[str, Any]) -> list[str]:
    lines = []
    for name, values in found["characters"].items():
        if values and values["max"]:
            told = " · ".join(f"{rank} {value:,}" for rank, value in values.items())
            lines += _line(name, say("{lengths} characters", lengths=told))
    if found["scripts"]:
        told = " · ".join(f"{name} {share:.1%}" for name, share in found["scripts"].items() if share)
        lines += _line("letters", say("{shares} of the letters in answers", shares=told))
    if found["languages"]:
        told = " · ".join(
            f"{name} {count:,}" for name, count in sorted(found["languages"].items(), key=lambda e: -e[1])
        )
        lines += _line("languages", say("{counts} (answers, sampled)", counts=told))
    if found["makes"] in ("messages", "preference"):
        told = " · ".join(f"{label(name)} {count:,}" for name, count in found["endings"].items() if count)
        lines += _line("endings", say("{counts} (Korean sentence endings of answers, sampled)", counts=told))
    return lines


def _defects(found: dict[str, Any]) -> list[str]:
    lines = []
    for name, entry in found["defects"].items():
        first, *others = _wrapped(say("first: {place}", place=entry["first"]), _WIDTH - 34)
        lines += [f"  {name:<22} {entry['rows']:>7,}  {first}", *(" " * 34 + other for other in others)]
    if {UNREADABLE, MALFORMED} & found["defects"].keys():
        lines += [f"  {line}" for line in _wrapped(say(_WAY_OUT), _WIDTH - 2)]
    lines += [f"  {padded(label('repair'), 6)} {name:<15} {count:>7,}" for name, count in found["repairs"].items()]
    return ["", label("defects"), *(lines or [say("  none found")])]


def _samples(found: dict[str, Any]) -> list[str]:
    return ["", label("rows"), *(f"  {_cut(dump_json(row))}" for row in found["samples"])]


def _cut(text: str) -> str:
    """A text in one line of the terminal."""
    if columns(text) <= _WIDTH - 2:
        return text
    shown = text[: _WIDTH - 3]
    while columns(shown) > _WIDTH - 3:
        shown = shown[:-1]
    return shown + "…"
