"""The grammar of everyday sentences: forms that turn into each other, times that fit the tense, spaces found again."""

from __future__ import annotations

import random

import pytest
from pydantic import ValidationError

from seodang.korean.register import is_polite, register_of
from seodang.tasks.everyday import Everyday, Form, Tense, by_form, everyday, sentence, spaced, turned

FORMS: tuple[Form, ...] = ("hae", "haeyo", "hapsyo", "haera")
VERBS = {verb.lemma: verb for verb in everyday().verbs}


@pytest.mark.parametrize(
    ("lemma", "present", "past"),
    [
        # 해체, 해요체, 합쇼체, 해라체
        ("먹다", "먹어 먹어요 먹습니다 먹는다", "먹었어 먹었어요 먹었습니다 먹었다"),
        ("가다", "가 가요 갑니다 간다", "갔어 갔어요 갔습니다 갔다"),
        ("듣다", "들어 들어요 듣습니다 듣는다", "들었어 들었어요 들었습니다 들었다"),
        ("부르다", "불러 불러요 부릅니다 부른다", "불렀어 불렀어요 불렀습니다 불렀다"),
        ("돕다", "도와 도와요 돕습니다 돕는다", "도왔어 도왔어요 도왔습니다 도왔다"),
        ("만들다", "만들어 만들어요 만듭니다 만든다", "만들었어 만들었어요 만들었습니다 만들었다"),
        ("짓다", "지어 지어요 짓습니다 짓는다", "지었어 지었어요 지었습니다 지었다"),
        ("바쁘다", "바빠 바빠요 바쁩니다 바쁘다", "바빴어 바빴어요 바빴습니다 바빴다"),
        ("귀엽다", "귀여워 귀여워요 귀엽습니다 귀엽다", "귀여웠어 귀여웠어요 귀여웠습니다 귀여웠다"),
        ("필요하다", "필요해 필요해요 필요합니다 필요하다", "필요했어 필요했어요 필요했습니다 필요했다"),
    ],
)
def test_the_forms_of_a_verb(lemma: str, present: str, past: str) -> None:
    assert [VERBS[lemma].said(form, "present") for form in FORMS] == present.split()
    assert [VERBS[lemma].said(form, "past") for form in FORMS] == past.split()


def test_every_form_is_of_its_speech_level() -> None:
    """Where the rules for endings decide at all, they agree with the form."""
    for word, found in by_form().items():
        for _, form, _ in found:
            assert is_polite(f"나는 {word}") in (None, form in ("haeyo", "hapsyo")), word
            if form == "hapsyo":
                assert register_of(f"나는 {word}") == "hapsyo"


def test_every_verb_has_a_dictionary_form_and_somebody_who_does_it() -> None:
    assert len(VERBS) >= 150
    for lemma, verb in VERBS.items():
        assert lemma.endswith("다") and lemma not in (verb.hae, verb.past)
        assert verb.haera == lemma or verb.haera.endswith("다")
        assert verb.subjects or getattr(everyday().subjects, verb.takes)
        assert verb.phrases and len(set(verb.phrases)) == len(verb.phrases)


def test_one_word_may_be_of_several_verbs() -> None:
    assert {verb.lemma for verb, _, _ in by_form()["걸어"]} == {"걷다", "걸다"}
    assert [(verb.lemma, form, tense) for verb, form, tense in by_form()["갔어요"]] == [("가다", "haeyo", "past")]


@pytest.mark.parametrize("form", FORMS)
def test_a_sentence_ends_in_a_form_of_its_verb(form: Form) -> None:
    draw = random.Random(form)
    for _ in range(60):
        words = sentence(draw, form).split(" ")
        assert len(words) >= 2 and all(words)
        assert form in {found for _, found, _ in by_form()[words[-1]]}


@pytest.mark.parametrize(("tense", "never"), [("present", "past"), ("past", "present")])
def test_a_time_fits_the_tense(tense: Tense, never: str) -> None:
    others = tuple(f"{time.text} " for time in everyday().times if time.tense == never)
    draw = random.Random(1)
    said = [sentence(draw, "haera", tense) for _ in range(300)]
    assert [one for one in said if one.startswith(others)] == []
    assert any(one.startswith({"past": "어제 ", "present": "지금 "}[tense]) for one in said)


def test_any_time_leaves_out_times_of_one_tense() -> None:
    bound = tuple(f"{time.text} " for time in everyday().times if time.tense != "any")
    draw = random.Random(1)
    said = [sentence(draw, "haera", "present", any_time=True) for _ in range(300)]
    assert [one for one in said if one.startswith(bound)] == []
    assert any(one.startswith("오늘 ") for one in said)


@pytest.mark.parametrize(
    ("text", "given", "wanted", "tense", "found"),
    [
        ("나는 밥을 먹어", ("hae",), ("haeyo",), None, ["나는 밥을 먹어요"]),
        ("나는 밥을 먹어", ("hae",), ("haeyo", "hapsyo"), None, ["나는 밥을 먹어요", "나는 밥을 먹습니다"]),
        ("나는 밥을 먹는다", ("haera",), ("haera",), "past", ["나는 밥을 먹었다"]),
        ("나는 밥을 먹었다", ("haera",), ("haera",), "past", []),
        ("나는 밥을 먹어요", ("hae",), ("haeyo",), None, []),
        ("나는 길을 걸어", ("hae",), ("hapsyo",), None, ["나는 길을 걷습니다", "나는 길을 겁니다"]),
        ("모르는 말", ("hae",), ("haeyo",), None, []),
        ("", ("hae",), ("haeyo",), None, []),
    ],
)
def test_turned(text: str, given: tuple[Form, ...], wanted: tuple[Form, ...], tense: Tense, found: list[str]) -> None:
    assert turned(text, given, wanted, tense) == tuple(found)


def test_spaces_are_found_again() -> None:
    draw = random.Random(1)
    for _ in range(500):
        said = sentence(draw, draw.choice(FORMS))
        assert spaced(said.replace(" ", "")) == said


@pytest.mark.parametrize("text", ["", "모르는말이다", "나는밥을먹었다고"])
def test_unknown_words_are_not_spaced(text: str) -> None:
    assert spaced(text) == ""


def test_a_verb_that_stands_twice_is_refused() -> None:
    data = everyday().model_dump()
    with pytest.raises(ValidationError, match="verbs stand twice: 먹다"):
        Everyday.model_validate(data | {"verbs": [*data["verbs"], VERBS["먹다"].model_dump()]})
