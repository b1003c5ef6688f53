"""Kinds of task: every file holds what it promises, and its items are on one side, trained or held out."""

from __future__ import annotations

import random
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from seodang.errors import DataError, RecipeError, TemplateError
from seodang.evaluation.metrics import comparable
from seodang.korean.register import is_polite
from seodang.packaged import find, load
from seodang.tasks import kinds
from seodang.tasks.kinds import FOLDER, HELD_OUT, Item, Kind, draw_item, item, kind, kind_names
from seodang.tasks.slots import Slots

every_kind = pytest.mark.parametrize("name", kind_names())

TRANSLATIONESE = re.compile(
    r"(?<![가-힣])그(?:는|가|를|의|에게|와)(?![가-힣])|그녀|에 의해|에 의하|되어[지진졌질집]|[가-힣]에 있어서|로부터의|에의"
)
"""그 and 그녀 as pronouns, -에 의해, -되어지다: how translated Korean gives itself away."""


@cache
def drawn(name: str) -> tuple[Item, ...]:
    """Different items of a kind: the whole table, or what 400 draws find."""
    one, draw = kind(name), random.Random(f"drawn {name}")
    if one.items.table:
        rows = [{slot: cell[0] for slot, cell in row.items() if slot != "a"} for row in one.table]
        found = [item(name, slots) for slots in rows]
        return tuple(each for each in found if each)
    return tuple({tuple(each.slots.items()): each for each in (draw_item(name, draw) for _ in range(400))}.values())


def some(name: str, count: int = 30) -> list[Item]:
    return random.Random(f"some {name}").sample(drawn(name), count)


def test_there_are_enough_kinds() -> None:
    assert len(kind_names()) >= 20
    assert sum(kind(name).classification for name in kind_names()) >= 5
    assert len({kind(name).title for name in kind_names()}) == len(kind_names())
    assert {"everyday", "words"}.isdisjoint(kind_names())


@every_kind
def test_the_file_holds_enough_of_everything(name: str) -> None:
    one = kind(name)
    assert len(one.title) <= 10
    assert len(one.all_prompts()) >= 10
    for part in (one.prompts.plain, one.prompts.polite, one.prompts.nominal, one.prompts.sloppy):
        assert len(part) >= 2
    assert len(one.answers.polite) == len(one.answers.casual) >= 3
    assert len(one.facts) >= 8
    for patterns in (one.all_prompts(), (*one.answers.polite, *one.answers.casual), one.facts):
        assert len(set(patterns)) == len(patterns)


@every_kind
def test_every_slot_is_known_and_every_particle_filled_in(name: str) -> None:
    one = kind(name)
    for each in some(name):
        for pattern in (*one.all_prompts(), *one.answers.polite, *one.answers.casual, *one.facts):
            said = one.said(pattern, each)
            assert said.strip() == said
            assert not re.search(r"[{}]|\(\S+/\S+\)", said.replace(each.slots.get("s", ""), "")), said


@every_kind
def test_a_prompt_asks_and_does_not_answer(name: str) -> None:
    one = kind(name)
    assert not [prompt for prompt in one.all_prompts() if "{a}" in prompt]
    asked = {frozenset(re.findall(r"\{(\w)\}", prompt)) for prompt in one.all_prompts()}
    assert asked == {frozenset(some(name, 1)[0].slots)}


@every_kind
def test_an_answer_restates_the_item_and_ends_in_its_register(name: str) -> None:
    one = kind(name)
    for register, wanted in (("polite", True), ("casual", False)):
        decided = set()
        for pattern in getattr(one.answers, register):
            assert re.search(r"\{[aj]\}", pattern) and len(set(re.findall(r"\{\w\}", pattern))) >= (name != "copy") + 1
            told = {is_polite(one.said(pattern, each)) for each in some(name, 8)}
            assert told <= {wanted, None}, pattern
            decided |= told
        assert wanted in decided


@every_kind
def test_facts_state(name: str) -> None:
    said = [one for one in kind(name).facts if re.search(r"\?|줘|주세요|질문|답변|지시|뭐야", one)]
    assert said == []


@every_kind
def test_no_pattern_reads_like_a_translation(name: str) -> None:
    one = kind(name)
    patterns = (*one.all_prompts(), *one.answers.polite, *one.answers.casual, *one.facts)
    assert [each for each in patterns if TRANSLATIONESE.search(each)] == []


@pytest.mark.parametrize("text", ["그는 갔다", "그녀의 책", "사람들에 의해", "사용되어진다", "그가 왔다"])
def test_a_translation_is_told(text: str) -> None:
    assert TRANSLATIONESE.search(text)
    assert not TRANSLATIONESE.search("그네를 타고 그날 그 노래를 들으며 그림을 그리고 그래도 웃었다")


@every_kind
def test_every_answer_pattern_is_accepted(name: str) -> None:
    one = kind(name)
    for each in some(name, 10):
        accepted = one.accept(each)
        assert len(set(accepted)) == len(accepted)
        for form in each.forms:
            assert form in accepted and f"{form}입니다" in accepted
            for pattern in (*one.answers.polite, *one.answers.casual):
                said = one.said_with(pattern, each, form)
                assert said in accepted
                assert comparable(said.replace("'", "")) in map(comparable, accepted)


@pytest.mark.parametrize(
    "said",
    [
        "895와 966 중에서 더 큰 수는 966이에요.",
        "895와 966을 비교하면 더 큰 수는 966입니다.",
        "두 수 895와 966 중에서 큰 쪽은 966이지.",
        "수직선에서는 오른쪽에 있는 수가 더 크므로 895와 966 중에서는 966이 더 크다.",
    ],
)
def test_an_answer_is_right_at_every_speech_level_and_as_a_fact(said: str) -> None:
    found = item("larger", {"x": "895", "y": "966"})
    assert found is not None
    assert said in kind("larger").accept(found)
    assert said.replace("966이", "895가").replace("966입", "895입") not in kind("larger").accept(found)


@every_kind
def test_items_are_on_one_side_each(name: str) -> None:
    found = drawn(name)
    held_out = [each for each in found if each.held_out]
    assert len(found) >= 80 and len(held_out) >= 10
    assert 0.05 <= len(held_out) / len(found) <= 0.30
    draw = random.Random(name)
    sides = [{tuple(draw_item(name, draw, side).slots.items()) for _ in range(60)} for side in (False, True)]
    assert sides[0] and sides[1] and sides[0].isdisjoint(sides[1])
    assert all(item(name, dict(slots)).held_out for slots in sides[1])  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        ("sort_numbers", {"s": "3, 15, 8"}, {"s": "15, 8, 3"}),
        ("larger", {"x": "123", "y": "321"}, {"x": "321", "y": "123"}),
        ("antonym", {"w": "크다"}, {"w": "작다"}),
        ("antonym", {"w": "낮"}, {"w": "밤"}),
    ],
)
def test_a_pair_is_on_one_side_in_either_order(name: str, one: Slots, other: Slots) -> None:
    sides = [item(name, slots).held_out for slots in (one, other)]  # type: ignore[union-attr]
    assert sides[0] == sides[1]


def test_every_pair_of_opposites_is_on_one_side() -> None:
    by_word = {each.slots["w"]: each for each in drawn("antonym")}
    mutual = [
        each for word, each in by_word.items() if each.forms[0] in by_word and by_word[each.forms[0]].forms[0] == word
    ]
    assert len(mutual) > 200
    assert [each for each in mutual if by_word[each.forms[0]].held_out != each.held_out] == []


@pytest.mark.parametrize("name", [name for name in kind_names() if kind(name).items.table])
def test_tables_have_no_item_twice_and_no_empty_cell(name: str) -> None:
    one = kind(name)
    keys = [tuple(row[slot] for slot in one.items.table if slot != "a") for row in one.table]
    assert len(set(keys)) == len(keys)
    assert all(form.strip() == form != "" for row in one.table for cell in row.values() for form in cell)
    assert all(len(set(row["a"])) == len(row["a"]) for row in one.table)


def test_labels_of_a_classification_are_balanced() -> None:
    """No label is given for more than 60 % of a kind's items, so that guessing one is no skill."""
    for name in kind_names():
        if kind(name).classification:
            answers = [each.forms[0] for each in drawn(name)]
            assert max(answers.count(answer) for answer in set(answers)) <= 0.65 * len(answers), name


@pytest.mark.parametrize(
    ("name", "slots", "pattern", "form", "said"),
    [
        ("number_reading", {"n": "38"}, "'{n}'(은/는) '{a}'(이라고/라고) 읽어요.", 0, "'38'은 '삼십팔'이라고 읽어요."),
        (
            "number_reading",
            {"n": "38"},
            "'{n}'(은/는) '{a}'(이라고/라고) 읽어요.",
            1,
            "'38'은 '서른여덟'이라고 읽어요.",
        ),
        ("josa_object", {"w": "사과"}, "'{w}'에는 '{a}'(이/가) 붙어서 '{j}'", 0, "'사과'에는 '를'이 붙어서 '사과를'"),
        ("even_odd", {"n": "348"}, "끝자리가 {e}인 {n}(은/는) {a}예요.", 0, "끝자리가 8인 348은 짝수예요."),
        ("antonym", {"w": "크다"}, "'{w}'(과/와) '{a}'", 0, "'크다'와 '작다'"),
        ("copy", {"s": "{a}라고 했다"}, "'{s}' 그대로", 0, "'{a}라고 했다' 그대로"),
    ],
)
def test_said(name: str, slots: Slots, pattern: str, form: int, said: str) -> None:
    found = item(name, slots)
    assert found is not None
    assert kind(name).said_with(pattern, found, found.forms[form]) == said


def test_accept_holds_short_answers_and_answers_without_quotes() -> None:
    found = item("number_reading", {"n": "38"})
    assert found is not None
    accepted = {comparable(form) for form in kind("number_reading").accept(found)}
    assert {"삼십팔", "서른여덟", "삼십팔입니다", "삼십팔이에요", "삼십팔이야", "38은삼십팔이라고읽어요"} <= accepted
    assert "삼십팔예요" not in accepted and "삼십칠" not in accepted


def test_slots_that_make_no_sense_are_no_item() -> None:
    assert item("number_reading", {"n": "삼"}) is None
    assert item("antonym", {"w": "없는말"}) is None


def test_one_side_that_has_no_item_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kinds, "HELD_OUT", 0)
    with pytest.raises(DataError, match=r"The task kind next_day has no item of this side \(held out: True\)\."):
        draw_item("next_day", random.Random(1), held_out=True)


def test_the_held_out_share_is_what_it_says() -> None:
    found = [each.held_out for name in kind_names() for each in drawn(name)]
    assert abs(100 * sum(found) / len(found) - HELD_OUT) < 2


def test_an_unknown_kind_lists_what_there_is() -> None:
    with pytest.raises(TemplateError, match="There is no `antonyms` in data_tasks; did you mean `antonym`|antonyms"):
        kind("antonyms")


@pytest.mark.parametrize(
    ("items", "said"),
    [
        ({}, "give `table` or `function`, one of the two"),
        ({"table": ["w", "a"], "function": "copy"}, "give `table` or `function`, one of the two"),
        ({"function": "kopy"}, "there is no function `kopy` (known: sino_number, "),
    ],
)
def test_where_items_come_from_is_checked(tmp_path: Path, items: dict[str, Any], said: str) -> None:
    data = yaml.safe_load(find(FOLDER, "copy").read_text(encoding="utf-8")) | {"items": items}
    with pytest.raises(ValidationError, match=re.escape(said)):
        Kind.model_validate(data)
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8")
    with pytest.raises(RecipeError, match=re.escape(said)):
        load(path, Kind)
