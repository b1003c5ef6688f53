"""Seeds, "make a new task" and held-out tasks: what is shipped is what the program writes, and it is sound."""

from __future__ import annotations

import json
import random
import re
import sys
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from seodang.data import dedup
from seodang.data.prepare import run
from seodang.korean.register import is_polite
from seodang.recipe import Prepare
from seodang.records import Conversation, Message
from seodang.runs import Run
from seodang.tasks import seeds
from seodang.tasks.kinds import draw_item, is_held_out, item, kind, kind_names
from seodang.tasks.seeds import STYLES, USUAL, Amount, make, more, task, tasks
from seodang.tasks.verify import solve

SHIPPED = Path(__file__).resolve().parents[2] / "recipes" / "quickstart" / "data"
FILES = ("seeds", "more", "held_out")


@cache
def rows(name: str) -> tuple[dict[str, Any], ...]:
    return tuple(json.loads(line) for line in (SHIPPED / f"{name}.jsonl").read_text("utf-8").splitlines())


def prompt_of(row: dict[str, Any]) -> str:
    return str(row["messages"][0]["content"])


def answer_of(row: dict[str, Any]) -> str:
    return str(row["messages"][-1]["content"])


@cache
def items_of(name: str) -> frozenset[tuple[str, tuple[tuple[str, str], ...]]]:
    """Kind and slots of every task of a file."""
    found = set()
    for row in rows(name):
        own = [one for one in solve(prompt_of(row)) if one.kind == row["task"]]
        assert own, prompt_of(row)
        found |= {(one.kind, tuple(sorted(one.item.slots.items()))) for one in own}
    return frozenset(found)


def styles_of(row: dict[str, Any]) -> set[str]:
    """The styles whose phrasings this prompt can be."""
    prompts, text = kind(row["task"]).prompts, prompt_of(row)

    def fits(phrasing: str) -> bool:
        pattern = re.sub(r"\\\{\w\\\}", ".+?", re.sub(r"\\\([^()]+/[^()]+\\\)", ".{1,3}", re.escape(phrasing)))
        return re.fullmatch(pattern, text) is not None

    return {style for style in STYLES if any(map(fits, getattr(prompts, style)))}


def test_the_shipped_files_are_what_the_program_writes(tmp_path: Path) -> None:
    counts = make(tmp_path, USUAL, 42)
    for name in FILES:
        assert (tmp_path / f"{name}.jsonl").read_bytes() == (SHIPPED / f"{name}.jsonl").read_bytes(), name
    assert counts == {name: len(rows(name)) for name in FILES}


def test_there_are_enough_of_each() -> None:
    assert len(rows("seeds")) == USUAL.seeds * len(kind_names()) >= 175
    assert len(rows("more")) == USUAL.more * len(kind_names())
    assert len(rows("held_out")) == USUAL.held_out * len(kind_names())
    for name, each in (("seeds", USUAL.seeds), ("held_out", USUAL.held_out)):
        assert Counter(row["task"] for row in rows(name)) == dict.fromkeys(kind_names(), each)
    assert len(kind_names()) >= 20
    assert sum(kind(row["task"]).classification for row in rows("seeds")) >= 25


@pytest.mark.parametrize("on", ["conversation", "prompt"])
def test_no_two_rows_are_duplicates(on: dedup.Part) -> None:
    found = [*rows("seeds"), *rows("held_out")]
    talks = [Conversation(tuple(Message(one["role"], one["content"]) for one in row["messages"])) for row in found]
    assert len({dedup.key(talk, on) for talk in talks}) == len(found)


def test_prepare_keeps_every_row(tmp_path: Path) -> None:
    paths = [{"path": str(SHIPPED / f"{name}.jsonl")} for name in ("seeds", "more")]
    (tmp_path / "run").mkdir()
    report = run(Prepare.model_validate({"stage": "prepare", "sources": paths, "eval": 0}), Run(tmp_path / "run"))
    count = len(rows("seeds")) + len(rows("more"))
    assert report["rows"] == {"read": count, "kept": count, "dropped": {}}
    assert not report["repairs"]


@pytest.mark.parametrize("name", kind_names())
def test_every_second_answer_is_polite(name: str) -> None:
    """Where the rules for endings do not decide, the answer is one of the casual patterns they know nothing of."""
    for file in ("seeds", "held_out"):
        answers = [answer_of(row) for row in rows(file) if row["task"] == name]
        assert sum(is_polite(answer) is True for answer in answers) == len(answers) / 2


def test_prompts_are_typed_in_many_styles() -> None:
    found = [styles_of(row) for row in rows("seeds")]
    assert [row for row, styles in zip(rows("seeds"), found, strict=True) if not styles] == []
    counted = Counter(style for styles in found if len(styles) == 1 for style in styles)
    assert counted["plain"] >= 0.40 * len(found)
    assert counted["polite"] >= 0.25 * len(found)
    assert counted["nominal"] >= 0.10 * len(found)
    assert counted["sloppy"] >= 0.05 * len(found)
    assert abs(sum(STYLES.values()) - 1) < 1e-9


def test_every_phrasing_of_a_style_is_used_somewhere() -> None:
    used = {style for row in rows("seeds") for style in styles_of(row)}
    assert used == set(STYLES)


def test_no_item_is_both_seed_and_held_out() -> None:
    assert len(items_of("seeds")) >= 0.9 * len(rows("seeds"))
    assert items_of("seeds").isdisjoint(items_of("held_out"))
    for file, side in (("seeds", False), ("held_out", True)):
        for name, slots in items_of(file):
            found = item(name, dict(slots))
            assert found is not None and is_held_out(name, dict(slots), found.forms) is side


@pytest.mark.parametrize("file", ["seeds", "held_out"])
def test_the_answer_is_an_accepted_form(file: str) -> None:
    assert [row["id"] for row in rows(file) if answer_of(row) not in row["accept"]] == []
    for row in rows(file):
        own = [one for one in solve(prompt_of(row)) if one.kind == row["task"]]
        assert any(set(row["accept"]) <= set(one.accept) for one in own)


def test_nothing_reads_like_a_translation() -> None:
    said = [one["content"] for file in FILES for row in rows(file) for one in row["messages"]]
    wrong = re.compile(r"(?<![가-힣])그(?:는|가|를|의|에게|와)(?![가-힣])|그녀|에 의해|에 의하|되어[지진졌질집]")
    assert [one for one in said if wrong.search(one)] == []


def test_ids_are_in_order_and_kinds_are_mixed() -> None:
    for name in FILES:
        assert [row["id"] for row in rows(name)] == [f"{name}-{n:04d}" for n in range(1, len(rows(name)) + 1)]
    assert len({row["task"] for row in rows("seeds")[:40]}) > 15


ASKED = "\n\n이와 비슷한 과제를 하나 더 만들어 줘."


def test_more_rows_show_a_task_and_answer_with_one_of_its_kind() -> None:
    for row in rows("more")[::20]:
        shown, answer = prompt_of(row).removesuffix(ASKED), answer_of(row)
        assert prompt_of(row) == shown + ASKED
        assert {one.kind for one in solve(shown)} & {one.kind for one in solve(answer)}
        assert set(row) == {"id", "messages"}


def test_no_more_row_names_a_held_out_item() -> None:
    named = [found.item for row in rows("more")[::20] for found in solve(answer_of(row))[:1]]
    assert named and not any(one.held_out for one in named)


def test_a_task_is_said_in_the_register_asked_for() -> None:
    draw = random.Random(1)
    found = draw_item("antonym", draw)
    for register, polite in (("polite", True), ("casual", False)):
        made = task(found, draw, register, "here")
        assert is_polite(made.answer) is polite
        assert made.answer in made.accept
        assert (made.task, made.source) == ("antonym", "here")


def test_items_come_back_only_when_there_are_no_others() -> None:
    found = list(tasks("next_day", 20, random.Random(1), held_out=True))
    about = [one.item.slots for made in found for one in solve(made.messages[0].content) if one.kind == "next_day"]
    distinct = {tuple(sorted(slots.items())) for slots in about}
    assert len(found) == 20 and len(distinct) == len({tuple(sorted(slots.items())) for slots in about[:20]}) < 20
    assert len({made.messages[0].content for made in found}) == 20


def test_more_keeps_the_phrasing_and_takes_another_item() -> None:
    for made in more("capital", 12, random.Random(2), "one_task_ko"):
        shown, answer = made.messages[0].content.removesuffix(ASKED), made.answer
        (asked,), (wanted,) = solve(shown), solve(answer)
        assert asked.kind == wanted.kind == "capital"
        assert shown.replace(asked.item.slots["w"], "")[:2] == answer.replace(wanted.item.slots["w"], "")[:2]


def test_written_as_a_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(seeds, "kind_names", lambda: ("antonym", "capital"))
    monkeypatch.setattr(sys, "argv", ["seeds", str(tmp_path), "--seeds", "4", "--more", "1", "--held-out", "2"])
    seeds.main()
    assert "{'seeds': 8, 'more': 2, 'held_out': 4}" in capsys.readouterr().out
    assert make(tmp_path / "other", Amount(4, 1, 2), 43) == {"seeds": 8, "more": 2, "held_out": 4}
    assert (tmp_path / "seeds.jsonl").read_bytes() != (tmp_path / "other" / "seeds.jsonl").read_bytes()
