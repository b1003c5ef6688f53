"""What each filter drops of real files, how long it takes, and whether planted personal data is found.

    python benchmarks/filters.py DATA [--rows 100000]

DATA is a folder of public sets. Every filter is asked alone, with its defaults, after the repair. Prints three tables,
writes them into docs/filters.md between its marks, and benchmarks/results/<date>-filters.json with the machine and the
versions. Figures only: no row of the data leaves it. Times are seconds of one core.
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import json
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seodang.data.filters import (
    AiIdentity,
    Broken,
    ChosenEqualsRejected,
    Empty,
    EndsWithColon,
    Filter,
    HangulShare,
    Leftover,
    Length,
    ListOnly,
    MixedRegister,
    Pii,
    PromptEqualsAnswer,
    Refusal,
    Repeated,
    Untranslated,
)
from seodang.data.filters.sides import taught
from seodang.data.judge import judge, mended
from seodang.data.reading import open_records
from seodang.errors import DataError
from seodang.korean.pii import KINDS, find_pii
from seodang.machine import git_state, hardware, versions
from seodang.records import Conversation, Message, Record, turns

ROOT = Path(__file__).resolve().parents[1]
RESULTS, PAGE = ROOT / "benchmarks" / "results", ROOT / "docs" / "filters.md"
FILTERS: tuple[Filter, ...] = (
    Empty(),
    Length(),
    Leftover(),
    HangulShare(),
    Untranslated(),
    Broken(),
    Repeated(),
    PromptEqualsAnswer(),
    ChosenEqualsRejected(),
    EndsWithColon(),
    ListOnly(),
    Refusal(),
    AiIdentity(),
    MixedRegister(),
    Pii(),
)
FILES = (
    "ko/chatbot_data.csv",
    "ko/kullm_style_conversation.jsonl",
    "ko/kullm_style_evol.jsonl",
    "ko/kochatgpt_sft_conversation.jsonl",
    "ko/kochatgpt_ppo.jsonl",
    "ko/preference_mk4.jsonl",
    "ko/preference_mk6_eval.json",
    "en/alpaca_en_demo.json",
    "en/dpo_en_demo.json",
)
"""Instructions, conversations, prompts and preferences; what is plain text or a task set is no instruction."""
TEXTS = ("ko/web_text_0.jsonl", "ko/smilestyle.tsv", "ko/kobest_boolq_dev.tsv", "ko/kobest_sentineg_train.tsv")
"""Read as lines, beside FILES, for personal data found where there is none."""
LIMIT_S, LENGTH = 8.0, 300
"""Seconds of one core that all filters may take on 100,000 rows of about so many characters."""


def read(path: Path) -> list[Record]:
    """The records of a file, repaired; rows that are none are left to `prepare` to tell of."""
    found = (item.found for item in open_records(path).items)
    return [judge(one, ())[0] for one in found if not isinstance(one, DataError)]


def losses(records: Sequence[Record]) -> dict[str, int]:
    """Filter → how many of the records it drops."""
    return {one.kind: sum(one.reason(mended(record, one)[0]) is not None for record in records) for one in FILTERS}


def rows_of_length(pool: Sequence[Record], count: int) -> list[Record]:
    """`count` conversations of about `LENGTH` characters: real ones, cut after a sentence, and numbered."""
    pairs = [(turns(one)[0].content[:60], _cut(taught(one)[0])) for one in pool if turns(one) and taught(one)]
    long = [(question, said) for question, said in pairs if len(said) > LENGTH / 2]
    return [
        Conversation((Message("user", f"{number}. {question}"), Message("assistant", said)), f"rows:{number}")
        for number, (question, said) in enumerate(itertools.islice(itertools.cycle(long), count))
    ]


def _cut(text: str) -> str:
    return text if len(text) <= LENGTH else text[: text.rfind(".", 0, LENGTH) + 1]


def seconds(records: Sequence[Record]) -> dict[str, float]:
    """Filter → seconds of one core over all records."""
    found: dict[str, float] = {}
    for one in FILTERS:
        start = time.process_time()
        for record in records:
            one.reason(mended(record, one)[0])
        found[one.kind] = round(time.process_time() - start, 3)
    return found


def pii_in(records: Sequence[Record], path: Path | None = None) -> dict[str, int]:
    """Kind → how often it is found in the records, or in the lines of a text file."""
    texts = path.read_text(encoding="utf-8").split("\n") if path else [m.content for r in records for m in turns(r)]
    found = [one.kind for text in texts for one in find_pii(text, tuple(KINDS))]
    return {kind: found.count(kind) for kind in KINDS if kind in found}


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table for a page."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def loss_table(counted: dict[str, tuple[int, dict[str, int]]]) -> str:
    """Filters down, files across: rows dropped and their share."""
    head = ["filter", *(Path(name).stem for name in counted)]
    rows: list[list[object]] = [["*rows*", *(f"{rows:,}" for rows, _ in counted.values())]]
    for one in FILTERS:
        cells = [(lost[one.kind], rows) for rows, lost in counted.values()]
        rows.append([f"`{one.kind}`", *(f"{n} ({n / of:.2%})" if n else "–" for n, of in cells)])
    return table(head, rows)


def _told(kinds: dict[str, int]) -> str:
    return ", ".join(f"{kind} {count}" for kind, count in kinds.items()) or "–"


def put(name: str, text: str) -> None:
    """Write a text between the marks of its name in docs/filters.md."""
    page = PAGE.read_text(encoding="utf-8")
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    page = re.sub(f"{re.escape(begin)}.*?{re.escape(end)}", lambda _: f"{begin}\n{text}\n{end}", page, flags=re.DOTALL)
    PAGE.write_text(page, encoding="utf-8")


def main() -> int:
    """Measure, print, write. Returns 1 where a filter drops more than 1 % of a file, or all of them take too long."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path)
    parser.add_argument("--rows", type=int, default=100_000)
    given = parser.parse_args()
    records = {name: read(given.data / name) for name in FILES}
    counted = {name: (len(found), losses(found)) for name, found in records.items()}
    pool = [one for name in FILES if name.startswith("ko/") for one in records[name]]
    rows = rows_of_length(pool, given.rows)
    taken, length = seconds(rows), sum(len(m.content) for one in rows for m in turns(one)) / len(rows)
    found = {name: pii_in(records[name]) for name in FILES} | {n: pii_in([], given.data / n) for n in TEXTS}
    tables = {
        "loss": loss_table(counted),
        "time": table(["filter", "seconds"], [*taken.items(), ["**all**", round(sum(taken.values()), 2)]]),
        "pii": table(
            ["file", "found"], [[n, ", ".join(f"{k} {v}" for k, v in c.items()) or "–"] for n, c in found.items()]
        ),
    }
    for name, text in tables.items():
        print(text, end="\n\n")
        put(name, text)
    write({"losses": counted, "rows": given.rows, "characters_per_row": round(length), "seconds": taken, "pii": found})
    over = [name for name, (rows, lost) in counted.items() if max(lost.values()) > rows / 100]
    return int(bool(over) or sum(taken.values()) > LIMIT_S * given.rows / 100_000)


def write(results: dict[str, Any]) -> None:
    """benchmarks/results/<date>-filters.json."""
    today = datetime.date.today().isoformat()
    about = {"benchmark": "filters", "date": today, "hardware": hardware(), "git": git_state(), "versions": versions()}
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{today}-filters.json"
    path.write_text(json.dumps(about | results, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    print(f"written to {path.relative_to(ROOT)}")


if __name__ == "__main__":
    sys.exit(main())
