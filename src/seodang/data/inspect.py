"""`seodang inspect FILE`: what a file is, as a dictionary and as text: container, format with its evidence, defects."""

from __future__ import annotations

from typing import Any

from seodang.data.reading import MALFORMED, UNREADABLE
from seodang.data.survey import Survey, percentiles, survey
from seodang.language import Phrase, label, padded, say
from seodang.runs import dump_json

_CONTAINERS = {
    "lines": Phrase("JSON lines"),
    "array": Phrase("one JSON array"),
    "objects": Phrase("JSON objects, one after the other"),
    "text": Phrase("plain text, one per line"),
}
_LINE = 110
_WAY_OUT = Phrase("`prepare` stops at rows that are unreadable or malformed; `on_error: skip` drops and counts them.")


def inspect(path: str) -> dict[str, Any]:
    """Everything that is told about a file, ready for JSON. Raises DataError where no row of it can be read."""
    found = survey(path)
    container, decision = found.container, found.decision
    return {
        "file": found.path.name,
        "bytes": found.path.stat().st_size,
        "container": container.kind,
        "encoding": container.encoding,
        "line_ends": container.line_ends,
        "rows": found.rows,
        "columns": {name: dict(types) for name, types in found.columns.items()},
        "format": decision.format.model_dump() if decision else None,
        "evidence": decision.phrase if decision else found.undecided,
        "makes": decision.format.makes if decision else None,
        "characters": {"prompt": percentiles(found.prompts), "answer": percentiles(found.answers)},
        "scripts": _scripts(found),
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
    """The dictionary of `inspect` as text for a terminal."""
    head = [
        say("{file}  ({bytes:,} bytes)", file=found["file"], bytes=found["bytes"]),
        _line("container", f"{say(_CONTAINERS[found['container']])}, {found['encoding']}, {found['line_ends']}"),
        _line("rows", f"{found['rows']:,}"),
        *_columns(found),
        _line("format", say(found["evidence"])),
    ]
    return "\n".join(head + _texts(found) + _defects(found) + _samples(found))


def _line(name: str, text: str) -> str:
    return f"  {padded(label(name), 11)} {text}"


def _columns(found: dict[str, Any]) -> list[str]:
    told = [
        f"{name} ({', '.join(f'{count:,} {kind}' for kind, count in types.items())})"
        for name, types in found["columns"].items()
    ]
    return [_line("" if at else "columns", text) for at, text in enumerate(told)]


def _texts(found: dict[str, Any]) -> list[str]:
    lines = []
    for name, values in found["characters"].items():
        if values and values["max"]:
            told = " · ".join(f"{rank} {value:,}" for rank, value in values.items())
            lines.append(_line(name, say("{lengths} characters", lengths=told)))
    if found["scripts"]:
        told = " · ".join(f"{name} {share:.1%}" for name, share in found["scripts"].items() if share)
        lines.append(_line("letters", say("{shares} of the letters in answers", shares=told)))
    if found["makes"] in ("messages", "preference"):
        told = " · ".join(f"{label(name)} {count:,}" for name, count in found["endings"].items() if count)
        lines.append(_line("endings", say("{counts} (Korean sentence endings of answers, sampled)", counts=told)))
    return lines


def _defects(found: dict[str, Any]) -> list[str]:
    lines = []
    for name, entry in found["defects"].items():
        lines.append(f"  {name:<22} {entry['rows']:>7,}  {say('first: {place}', place=entry['first'])}")
    if {UNREADABLE, MALFORMED} & found["defects"].keys():
        lines.append(f"  {say(_WAY_OUT)}")
    lines += [f"  {padded(label('repair'), 6)} {name:<15} {count:>7,}" for name, count in found["repairs"].items()]
    return ["", label("defects"), *(lines or [say("  none found")])]


def _samples(found: dict[str, Any]) -> list[str]:
    lines = [dump_json(row) for row in found["samples"]]
    return ["", label("rows"), *(f"  {line[:_LINE]}{'…' if len(line) > _LINE else ''}" for line in lines)]
