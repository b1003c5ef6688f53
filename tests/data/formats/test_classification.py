"""Rows with labels become questions and sentences that answer them."""

from __future__ import annotations

from typing import Any

import pytest

from seodang.data.formats import Classification
from seodang.data.formats.classification import verbalisers
from seodang.errors import DataError
from seodang.korean.josa import PAIRS
from seodang.records import Conversation, Message, instruct
from seodang.schema import check_schema

ABOUT = {name: entry.ask for name, entry in verbalisers().items()}
ROWS = [
    # (format, row, what is asked about, the answer)
    (Classification(verbaliser="sentiment"), {"ID": "1", "Text": "마감이 튼튼해요", "Label": "1"},
     "마감이 튼튼해요", "이 문장에 담긴 감정은 긍정입니다."),
    (Classification(verbaliser="sentiment", column_mapping={"text": "document"}),
     {"id": 3, "document": "지루했다", "label": 0.0}, "지루했다", "이 문장에 담긴 감정은 부정입니다."),
    (Classification(verbaliser="hate"), {"text": "다 같이 힘내요", "label": "0   "}, "다 같이 힘내요",
     "이 댓글은 혐오 표현이 아닙니다."),
    (Classification(verbaliser="nli", column_mapping={"premise": "sentence1", "hypothesis": "sentence2",
                                                      "label": "gold_label"}),
     {"sentence1": "비가 온다.", "sentence2": "날이 맑다.", "gold_label": "contradiction"},
     "전제: 비가 온다.\n가설: 날이 맑다.", "두 문장의 관계는 모순입니다."),
    (Classification(verbaliser="boolq", column_mapping={"label": "Answer"}),
     {"Text": "섬에는 등대가 없다.", "Question": "섬에 등대가 있나?", "Answer": "False"},
     "글: 섬에는 등대가 없다.\n질문: 섬에 등대가 있나?", "아니요."),
    (Classification(verbaliser="similarity", column_mapping={"label": "labels.binary-label"}),
     {"guid": "1", "sentence1": "문이 열렸다.", "sentence2": "문이 닫혔다.", "labels": {"label": 0.5, "binary-label": 0}},
     "문장 1: 문이 열렸다.\n문장 2: 문이 닫혔다.", "두 문장의 뜻은 다릅니다."),
    (Classification(verbaliser="topic"), {"text": "9회 말 역전승", "label": 5}, "9회 말 역전승",
     "이 기사 제목의 주제는 스포츠입니다."),
]  # fmt: skip


@pytest.mark.parametrize(("form", "row", "about", "answer"), ROWS)
def test_a_label_in_words(form: Classification, row: dict[str, Any], about: str, answer: str) -> None:
    asked = instruct(ABOUT[form.verbaliser], about)
    assert form.parse(row, "a.tsv:2") == Conversation((asked, Message("assistant", answer)), "a.tsv:2")


COPA = {"sentence": "길이 미끄러웠다.", "option_1": "눈이 왔다.", "option_2": "해가 떴다.", "label": 1}


@pytest.mark.parametrize(("question", "asked"), [("원인", "원인으로"), ("결과", "결과로")])
def test_the_particle_after_a_value_fits_its_sound(question: str, asked: str) -> None:
    record = Classification(verbaliser="copa").parse(COPA | {"question": question}, "a:1")
    assert isinstance(record, Conversation)
    assert record.messages[0].content.startswith(f"다음 문장의 {asked} 더 알맞은 것을 고르세요.")
    assert record.answer == "더 알맞은 것은 '눈이 왔다.'입니다."


def test_sentences_of_ones_own() -> None:
    form = Classification(
        ask="{text}의 갈래는?", labels={"a": "시", "b": "소설"}, answer="{text}(은/는) {label}입니다."
    )
    record = form.parse({"text": "진달래꽃", "label": "a"}, "a:1")
    asked = instruct("진달래꽃의 갈래는?", "진달래꽃")
    assert record == Conversation((asked, Message("assistant", "진달래꽃은 시입니다.")), "a:1")


def test_braces_in_a_text_are_text() -> None:
    record = Classification(verbaliser="sentiment").parse({"text": "{label} {0} 좋아요", "label": 1}, "a:1")
    assert isinstance(record, Conversation)
    assert record.messages[0].input == "{label} {0} 좋아요"


def test_every_dual_particle_of_the_table_is_known() -> None:
    import re

    texts = [text for entry in verbalisers().values() for text in (entry.ask, entry.answer)]
    assert {found for text in texts for found in re.findall(r"\(([^()]+/[^()]+)\)", text)} <= set(PAIRS)


WRONG = [
    ({"text": "좋아요", "label": 7}, "the label '7' has no words (known: 0, 1)"),
    ({"text": "", "label": 1}, "the row has no text in `text`"),
    ({"document": "좋아요", "label": 1},
     "the row has no `text` (it has document, label); name it: `column_mapping: {text: …}`"),
    ({"text": "좋아요"}, "the row has no `label` (it has text); name it: `column_mapping: {label: …}`"),
]  # fmt: skip


@pytest.mark.parametrize(("row", "text"), WRONG)
def test_a_row_that_cannot_be_read_names_itself(row: dict[str, Any], text: str) -> None:
    with pytest.raises(DataError) as caught:
        Classification(verbaliser="sentiment").parse(row, "seed.jsonl:17")
    assert str(caught.value).startswith(f"seed.jsonl:17: {text}. ")


OWN = {"kind": "classification", "ask": "갈래는?", "labels": {"a": "시"}, "answer": "{label}"}
MISTAKES = [
    ({"kind": "classification"}, "give a `verbaliser` (sentiment, hate, "),
    (OWN | {"ask": "{text"}, "braces must hold the name of a column, as in {text}; the text is '{text'"),
    (OWN | {"about": "{text.x}"}, "braces must hold the name of a column"),
    (OWN | {"answer": "{}"}, "braces must hold the name of a column"),
    (OWN | {"labels": {"a": "{0[1]}"}}, "braces must hold the name of a column"),
    ({"kind": "classification", "verbaliser": "sentimant"}, "there is no verbaliser `sentimant` (known: sentiment, "),
]


@pytest.mark.parametrize(("value", "text"), MISTAKES)
def test_mistakes_in_a_recipe(value: dict[str, Any], text: str) -> None:
    _, mistakes = check_schema(Classification, value)
    assert text in str(mistakes[0])
