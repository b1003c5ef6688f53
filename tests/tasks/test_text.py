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
from seodang.tasks.kinds import Item, item, kind, kind_names

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


def test_the_same_seed_writes_the_same_documents() -> None:
    first = [row["text"] for row in text.documents(20, seed=7)]
    assert first == list(drawn()[:20])
    assert first != [row["text"] for row in text.documents(20, seed=8)]


def test_documents_are_a_few_sentences() -> None:
    assert len(drawn()) == COUNT
    paragraphs = set(everyday.everyday().paragraphs)
    made = [one for one in drawn() if one not in paragraphs]
    assert [one for one in made if one != one.strip() or not one.endswith(".")] == []
    assert 40 < sum(map(len, made)) / len(made) < 300
    # some say nothing of any kind of task, and few are drawn twice
    assert 0.03 * COUNT < COUNT - len(made) < 0.12 * COUNT
    assert len(set(made)) > 0.99 * len(made)


def test_no_prompt_is_in_the_text() -> None:
    assert len(prompts()) > 1000
    whole = "\n".join(drawn())
    assert [one for one in prompts() if one in whole] == []


@pytest.mark.parametrize("name", kind_names())
def test_no_phrasing_of_a_prompt_stands_in_a_fact_or_a_cue(name: str) -> None:
    one = kind(name)
    for phrasing in one.all_prompts():
        for told in (*one.facts, *one.cues):
            assert phrasing.replace("'", "") not in told.replace("'", "")


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

    def spy(about: Item, draw: random.Random) -> str:
        seen.append(about)
        return fact(about, draw)

    fact = text.fact
    monkeypatch.setattr(text, "fact", spy)
    list(text.documents(1000, seed=1))
    assert len(seen) > 2000
    assert {item.kind for item in seen} == set(kind_names())
    assert {item.kind for item in seen if item.held_out} == {name for name in kind_names() if not kind(name).computed}


@pytest.mark.parametrize("name", kind_names())
def test_a_fact_is_one_of_its_kind_with_its_item(name: str) -> None:
    draw = random.Random(name)
    for _ in range(5):
        about = text.draw_fact_item(name, draw)
        told = {kind(name).said_with(fact, about, form) for fact in kind(name).facts for form in about.forms}
        assert text.fact(about, draw) in told


@pytest.mark.parametrize(
    ("name", "slots", "shown"),
    [
        ("number_reading", {"n": "38"}, "38"),
        ("counting", {"w": "고양이", "n": "3", "u": "마리"}, "고양이 3마리"),
        ("next_day", {"w": "월요일", "n": "3", "d": "뒤"}, "월요일에서 3일 뒤"),
        ("larger", {"x": "12", "y": "9"}, "12와 9"),
        ("to_polite", {"s": "나는 밥을 먹어"}, "나는 밥을 먹어"),
        ("jamo_join", {"j": "ㄱ, ㅏ, ㅇ"}, "ㄱ, ㅏ, ㅇ"),
    ],
)
def test_an_item_as_it_stands_in_a_text(name: str, slots: dict[str, str], shown: str) -> None:
    about = item(name, slots)
    assert about is not None
    assert text.shown(about) == shown
    draw = random.Random(1)
    mentions = [text.mention(about, draw) for _ in range(40)]
    assert all(shown in one and not re.search(r"[{}]|\(\S+/\S+\)", one) for one in mentions)
    # a sentence within a sentence stands in quotes
    assert all(f"'{shown}'" in one for one in mentions) is ("s" in slots)


def test_several_things_are_said_of_the_same_item() -> None:
    draw = random.Random(1)
    said = [text.same_item(draw) for _ in range(200)]
    assert min(one.count(".") for one in said) >= 2
    assert {name for group in text._same_slot() for name in group} <= set(kind_names())
    assert all(
        len({frozenset(text.draw_fact_item(name, draw).slots) for name in group}) == 1 for group in text._same_slot()
    )


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
