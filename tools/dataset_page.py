"""Write docs/datasets.md, the public Korean sets that are read: shape, format, licence, and how sure that is.

python tools/dataset_page.py            write it
python tools/dataset_page.py --check    end with 1 where the file is not what the tables say

The sets and their shapes are those of tests/fixtures/datasets, whose rows a test reads; licences are those of
data_sets/known.yaml.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml

from seodang.data.lineage import known_sets

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "docs" / "datasets.md"
FIXTURES = ROOT / "tests" / "fixtures" / "datasets"

HEAD = """\
# Public Korean sets

<!-- Made by tools/dataset_page.py from tests/fixtures/datasets and data_sets/known.yaml; then `make generated`. -->

What `format: auto` makes of {count} public sets. The first {tutorial} are those of the tutorial
LEE-hyeon0771/instruction_dataset; preference sets and others follow. Each has a fixture of rows written for it, which
a test reads and compares record by record. "exact" means that the columns are those which the set's card, or code that
reads it, shows; "inferred" that only its kind is known, so look at your file with `seodang inspect` first. A licence is
what the set's own card said when it was read; it may contradict the licence of what the set was made from, and it may
have changed.

| set | shape | format | licence | known |
| --- | --- | --- | --- | --- |
"""


def sets() -> list[dict[str, Any]]:
    """Every set of the fixtures, those of the tutorial first."""
    found = [
        {"tutorial": path.stem[0] in "12"} | entry
        for path in sorted(FIXTURES.glob("*.yaml"))
        for entry in yaml.safe_load(path.read_text(encoding="utf-8"))
    ]
    return sorted(found, key=lambda entry: not entry["tutorial"])


def page() -> str:
    """The whole page."""
    entries = sets()
    head = HEAD.format(count=len(entries), tutorial=sum(entry["tutorial"] for entry in entries))
    notes = [f"- **{entry['name']}**: {entry['notes']}." for entry in entries if entry.get("notes")]
    return head + "\n".join([*map(_line, entries), "", "## What to know", "", *notes, ""])


def _line(entry: dict[str, Any]) -> str:
    form = f"`{entry['format']}`" if entry["format"] else "refused, see below"
    known = "inferred" if entry.get("inferred") else "exact"
    cells = (entry["name"], entry["shape"], form, _license(entry), known)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _license(entry: dict[str, Any]) -> str:
    known = known_sets().get(entry["name"].lower())
    if known is None:
        return str(entry.get("license", "unknown: card not seen"))
    return f"{known.license} ({known.source})" + (f"; {known.note}" if known.note else "")


def main(arguments: list[str]) -> int:
    """Write the page, or with --check compare it. Returns the exit status."""
    text = page()
    if arguments == ["--check"]:
        current = TARGET.read_text(encoding="utf-8") if TARGET.exists() else ""
        if current != text:
            print("docs/datasets.md is not what the tables say: run `make generated`", file=sys.stderr)
        return int(current != text)
    TARGET.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
