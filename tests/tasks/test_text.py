"""The starter's text: ordinary sentences, with no prompt in them and no held-out item of a computed kind."""

from __future__ import annotations

import json
import random
import re
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from seodang.tasks import everyday, text
from seodang.tasks.kinds import Item, kind, kind_names

QUICKSTART = Path(__file__).resolve().parents[2] / "recipes" / "quickstart" / "data"
COUNT = 3000
GRAM = 4


@cache
def drawn() -> tuple[str, ...]:
    return tuple(row["text"] for row in text.documents(COUNT, seed=7))


@cache
def prompts() -> tuple[str, ...]:
    rows = (
        line
        for name in ("seeds", "held_out")
        for line in (QUICKSTART / f"{name}.jsonl").read_text("utf-8").splitlines()
    )
    return tuple(json.loads(line)["messages"][0]["content"] for line in rows)


@cache
def sentences() -> frozenset[str]:
    return frozenset(part.strip(" .!?") for one in drawn() for part in re.split(r"(?<=[.!?])\s+|\n+", one))


def test_the_same_seed_writes_the_same_documents() -> None:
    first = [row["text"] for row in text.documents(20, seed=7)]
    assert first == list(drawn()[:20])
    assert first != [row["text"] for row in text.documents(20, seed=8)]


def test_documents_are_lines_of_a_few_sentences() -> None:
    assert len(drawn()) == COUNT
    paragraphs = set(everyday.everyday().paragraphs)
    lines = [one for one in drawn() if one not in paragraphs]
    assert [one for one in lines if "\n" in one or not one.endswith(".")] == []
    assert 40 < sum(map(len, lines)) / len(lines) < 300
    # some say nothing of any kind of task, and few are drawn twice
    assert 0.05 * COUNT < COUNT - len(lines) < 0.12 * COUNT
    assert len(set(lines)) > 0.99 * len(lines)


def test_no_prompt_is_a_sentence_of_the_text() -> None:
    """Short noun phrases ('크다'의 반대말) also begin a statement; what is as long as a sentence stands nowhere."""
    assert len(prompts()) > 1000
    assert [one for one in prompts() if one.strip(" .!?") in sentences()] == []
    whole = "\n".join(drawn())
    assert [one for one in prompts() if len(one.split()) > GRAM and one in whole] == []


def test_the_commonest_word_runs_of_the_prompts_are_not_in_the_text() -> None:
    runs: Counter[str] = Counter()
    for one in prompts():
        words = one.split()
        runs.update(" ".join(words[at : at + GRAM]) for at in range(len(words) - GRAM + 1))
    whole = "\n".join(drawn())
    assert [run for run, _ in runs.most_common(10) if run in whole] == []


@pytest.mark.parametrize("layout", ["### 질문", "질문:", "답변", "###답", "<|", "|>", "지시:", "입력:", "출력:"])
def test_no_layout_of_questions_and_answers_is_in_the_text(layout: str) -> None:
    """질문 alone is a noun like any other: its letters are counted, and its opposite is 대답."""
    assert [one for one in drawn() if layout in one] == []


def test_held_out_items_of_computed_kinds_stand_in_no_fact(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Item] = []

    def spy(name: str, draw: random.Random, held_out: bool | None = None) -> Item:
        seen.append(draw_item(name, draw, held_out))
        return seen[-1]

    draw_item = text.draw_item
    monkeypatch.setattr(text, "draw_item", spy)
    draw = random.Random(1)
    for number in range(2000):
        text.fact(kind_names()[number % len(kind_names())], draw)
    held_out = {item.kind for item in seen if item.held_out}
    assert len(seen) == 2000
    assert held_out == {name for name in kind_names() if not kind(name).computed}


@pytest.mark.parametrize("name", kind_names())
def test_a_fact_is_one_of_its_kind_with_its_item(name: str) -> None:
    draw = random.Random(name)
    patterns = [re.escape(fact) for fact in kind(name).facts]
    wild = [re.sub(r"\\\{\w\\\}|\\\([^()]+/[^()]+\\\)", ".*", pattern) for pattern in patterns]
    for _ in range(5):
        said = text.fact(name, draw)
        assert any(re.fullmatch(pattern, said) for pattern in wild), said
        assert "{" not in said


def test_weights_are_of_kinds_that_exist() -> None:
    assert set(text.WEIGHTS) <= set(kind_names())
    assert all(weight > 0 for weight in text.WEIGHTS.values())


def test_all_kinds_are_told_of() -> None:
    whole = " ".join(drawn())
    for word in (
        "짝수",
        "반대말",
        "수도는",
        "받침",
        "초성",
        "띄어",
        "기본형",
        "평서문",
        "긍정",
        "존댓말",
        "요일",
        "합은",
    ):
        assert whole.count(word) > 10, word


def test_written_as_a_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "new" / "text.jsonl"
    monkeypatch.setattr(sys, "argv", ["text", str(path), "--documents", "5", "--seed", "7"])
    text.main()
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert rows == [{"text": one} for one in drawn()[:5]]
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {"path": str(path), "documents": 5, "seed": 7}
