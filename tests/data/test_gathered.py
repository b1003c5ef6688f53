"""The numbers of all rows: batches add up, and a kept row is found again on disk by its number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from seodang.data.batches import Judged, Task, judge_batch
from seodang.data.filters import Empty
from seodang.data.formats import Alpaca, Messages
from seodang.data.gathered import Gathered, KeptRows
from seodang.data.lineage import Lineage
from seodang.data.spill import Spill
from seodang.records import Conversation


def judged(start: int, license: str = "mit") -> Judged:
    """Four rows, of which the second and the last are kept."""
    lineage = Lineage(license=license)
    task = Task(Alpaca(), False, (Empty(),), True, True, lineage, None, "conversation", True, True)
    outputs = [" ", "가나", "\u200b", "가나다라"]
    rows: list[Any] = [
        ({"instruction": f"{start + at}번?", "output": text}, f"a:{start + at}") for at, text in enumerate(outputs)
    ]
    return judge_batch((task, rows))


def test_batches_add_up(tmp_path: Path) -> None:
    found = Gathered()
    with Spill(tmp_path, "h") as spill:
        list(spill.restored())
        for source, start, license in ((0, 1, "mit"), (0, 5, "mit"), (1, 9, "apache-2.0")):
            batch = judged(start, license)
            spill.add(source, batch)
            found.add(source, batch)
        rows = KeptRows(found, spill, Messages())
        assert len(rows) == 6
        assert [rows.row(kept)["source"] for kept in range(6)] == ["a:2", "a:4", "a:6", "a:8", "a:10", "a:12"]
        record = rows.record(4)
        assert isinstance(record, Conversation)
        assert (record.messages[0].content, record.answer) == ("10번?", "가나")
        assert rows.text(4, "prompt").endswith("10번?")
        assert [rows.source(kept) for kept in range(6)] == [0, 0, 0, 0, 1, 1]
    assert len(found) == 12
    assert found.counts == {0: 8, 1: 4}
    assert found.dropped(0) == {"malformed": 2, "empty": 2}
    assert list(found.lengths) == [2, 4] * 3
    assert [list(found.chains)[at].license for at in found.lineages] == ["mit"] * 4 + ["apache-2.0"] * 2
    assert found.repairs[0] == {"zero_width": 2}
    assert sum(map(len, found.prints)) == sum(map(len, found.prompt_prints)) == 6


def test_lines_stand_one_behind_another(tmp_path: Path) -> None:
    found = Gathered()
    for start in (1, 5):
        found.add(0, judged(start))
    ends = [start + size for start, size, _, _ in found]
    assert [0, *ends[:-1]] == list(found.starts)
    assert ends[-1] == found.end
