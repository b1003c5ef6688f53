"""Conversations to ids and labels: equal to what a server is given, trained ids are exactly answer and stop."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seodang import encoding
from seodang.chats import make_chat
from seodang.encoding import IGNORED, Chat, NamedRenderer
from seodang.errors import TemplateError
from seodang.records import Conversation, Message, Preference, instruct
from seodang.template import load_template

GOLDEN = Path(__file__).parent / "golden" / "ids.json"
TEMPLATES = ("alpaca", "chatml", "koalpaca")
CASES: dict[str, tuple[Message, ...]] = {
    "one_turn": (Message("user", "오늘 날씨는?"), Message("assistant", "맑습니다.")),
    "system": (Message("system", "짧게."), Message("user", "하나"), Message("assistant", "둘")),
    "multi_turn": (Message("user", "1"), Message("assistant", "2"), Message("user", "3"), Message("assistant", "4")),
    "with_input": (instruct("영어로.", "나는 학교에 간다."), Message("assistant", "I go to school.")),
    "control": (Message("user", "끝은 <|im_end|> 이고 <|endoftext|>"), Message("assistant", "<|im_start|>는 글자")),
    "control_input": (instruct("<|im_end|> 뒤", "앞 <pad> 뒤"), Message("assistant", "네")),
}


@pytest.fixture(params=TEMPLATES)
def chat(request: pytest.FixtureRequest, tokenizer: Any) -> Chat:
    return make_chat(tokenizer, request.param)


def has_place(chat: Chat, case: str) -> bool:
    return not (chat.renderer.name == "koalpaca" and case == "system")


def oracle(chat: Chat, messages: tuple[Message, ...]) -> list[int]:
    """What transformers gives a served model."""
    return list(
        chat.tokenizer.apply_chat_template(
            [message.to_row() for message in messages],
            chat_template=chat.jinja,
            add_generation_prompt=True,
            sanitize_control_tokens=True,
            return_dict=False,
        )
    )


def trained_text(chat: Chat, labels: list[int]) -> str:
    return str(chat.tokenizer.decode([label for label in labels if label != IGNORED]))


@pytest.mark.parametrize("case", CASES)
def test_golden_ids(chat: Chat, case: str) -> None:
    if has_place(chat, case):
        row = chat.encode(Conversation(CASES[case]))
        expected = json.loads(GOLDEN.read_text(encoding="utf-8"))[chat.renderer.name][case]
        assert [row.input_ids, row.labels] == expected


@pytest.mark.parametrize("case", CASES)
def test_prompt_ids_equal_apply_chat_template_and_are_a_prefix(chat: Chat, case: str) -> None:
    if has_place(chat, case):
        messages = CASES[case]
        prompt = chat.prompt_ids(messages[:-1])
        assert prompt == oracle(chat, messages[:-1])
        assert chat.encode(Conversation(messages)).input_ids[: len(prompt)] == prompt


def test_trained_ids_decode_to_exactly_answer_and_stop(chat: Chat) -> None:
    stop = chat.renderer.stops[-1]
    lead = " " if chat.renderer.name == "koalpaca" else ""
    row = chat.encode(Conversation(CASES["multi_turn"]))
    assert trained_text(chat, row.labels) == f"{lead}2{stop}{lead}4{stop}"
    assert row.stop_trained


def test_typed_control_strings_stay_text(chat: Chat) -> None:
    row = chat.encode(Conversation(CASES["control"]))
    clean = chat.encode(Conversation((Message("user", "끝은 이고"), Message("assistant", "는 글자"))))
    control = set(chat.tokenizer.added_tokens_encoder.values())
    assert sum(token in control for token in row.input_ids) == sum(token in control for token in clean.input_ids)
    assert row.control_strings == 3
    assert "<|im_end|> 이고 <|endoftext|>" in chat.tokenizer.decode(row.input_ids)


TEXT = st.text(st.sampled_from("가각힣 ㅋ\n\t🙂👨‍👩abc.,0{%\u1100\u1161"), min_size=1, max_size=30)
TYPED = st.lists(st.sampled_from(["<|im_end|>", "<|endoftext|>", "<pad>", "가나", " ", "\n", "x"]), max_size=6).map(
    "".join
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(question=TEXT, typed=TYPED, answer=TEXT)
def test_any_conversation_is_a_served_prompt_and_exactly_its_answer(
    chat: Chat, question: str, typed: str, answer: str
) -> None:
    messages = (Message("user", question + typed), Message("assistant", answer + typed))
    row = chat.encode(Conversation(messages))
    prompt = oracle(chat, messages[:1])
    assert row.input_ids[: len(prompt)] == prompt
    lead = " " if chat.renderer.name == "koalpaca" else ""
    assert trained_text(chat, row.labels) == lead + answer + typed + chat.renderer.stops[-1]
    control = set(chat.tokenizer.added_tokens_encoder.values())
    assert [label for label in row.labels if label in control] == [chat.stop_ids[0]]


def test_a_turn_that_is_not_trained_gets_no_labels(tokenizer: Any) -> None:
    chat = make_chat(tokenizer, "chatml")
    messages = (
        Message("user", "1"),
        Message("assistant", "2", trained=False),
        Message("user", "3"),
        Message("assistant", "4"),
    )
    assert trained_text(chat, chat.encode(Conversation(messages)).labels) == "4<|im_end|>"


def test_nothing_to_train_names_the_row(tokenizer: Any) -> None:
    with pytest.raises(TemplateError, match=r"seed\.jsonl:3: no turn of this conversation is trained"):
        make_chat(tokenizer, "chatml").encode(Conversation((Message("user", "1"),), "seed.jsonl:3"))


def test_half_of_a_surrogate_pair_names_the_row(tokenizer: Any) -> None:
    broken = Conversation((Message("user", "안녕\ud83d"), Message("assistant", "네")), "seed.jsonl:3")
    with pytest.raises(TemplateError, match=r"seed\.jsonl:3: the row holds half of a surrogate pair \(an escape like"):
        make_chat(tokenizer, "chatml").encode(broken)


def test_many_at_once_are_each_by_itself(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "BATCH", 2)
    wrong = [Conversation((Message("user", "1"),), "seed.jsonl:3"), Conversation((Message("assistant", "1"),))]
    right = [Conversation(messages, case) for case, messages in CASES.items() if has_place(chat, case)]
    talks = [right[0], wrong[0], *right, wrong[1]]
    found = list(chat.encode_many(talks))
    assert len(found) == len(talks)
    for talk, rows in zip(talks, found, strict=True):
        if talk in wrong:
            assert isinstance(rows, TemplateError)
            assert str(rows).startswith(talk.source or "a conversation")
        else:
            assert rows == chat.examples(talk) == [chat.encode(talk)]


def test_a_named_template_that_rewrites_earlier_turns_gives_an_example_per_trained_turn(tokenizer: Any) -> None:
    bound = load_template("chatml").bind()
    chat = Chat(tokenizer, NamedRenderer(replace(bound, thinking="keep")))
    kept = Message("assistant", "2", trained=False)
    talk = (*CASES["multi_turn"], Message("user", "5"), kept, Message("user", "6"), Message("assistant", "7"))
    rows = chat.examples(Conversation(talk))
    assert [trained_text(chat, row.labels) for row in rows] == ["2<|im_end|>", "4<|im_end|>", "7<|im_end|>"]
    assert [len(row.input_ids) for row in rows] == sorted(len(row.input_ids) for row in rows)


def test_a_template_that_was_not_verified_is_noted(tokenizer: Any) -> None:
    bound = load_template("chatml").bind()
    for verified in (True, False):
        template = bound.template.model_copy(update={"verified": verified})
        notes = Chat(tokenizer, NamedRenderer(replace(bound, template=template))).notes
        assert [note.startswith("the template `chatml` is not verified") for note in notes] == [True] * (not verified)


def test_a_border_where_tokens_would_merge_is_counted(tokenizer: Any) -> None:
    chat = make_chat(tokenizer, "alpaca")
    merging = chat.encode(Conversation((Message("user", "가"), Message("assistant", "\n나"))))
    plain = chat.encode(Conversation((Message("user", "가"), Message("assistant", "나"))))
    whole = tokenizer.encode(":\n\n나", add_special_tokens=False)
    parts = tokenizer.encode(":\n", add_special_tokens=False) + tokenizer.encode("\n나", add_special_tokens=False)
    assert merging.border_cuts == int(whole != parts)
    assert plain.border_cuts == 0


def test_preference_sides_share_the_prompt_and_end_in_their_stop(tokenizer: Any) -> None:
    chat = make_chat(tokenizer, "chatml")
    pair = Preference((Message("user", "안녕"),), (Message("assistant", "안녕하세요."),), (Message("assistant", "응"),))
    prompt, chosen, rejected = chat.encode_preference(pair)
    assert prompt == chat.prompt_ids(pair.prompt)
    assert tokenizer.decode(chosen) == "안녕하세요.<|im_end|>"
    assert tokenizer.decode(rejected) == "응<|im_end|>"


def test_the_prompt_of_a_pair_may_hold_answers_and_they_are_not_trained(tokenizer: Any) -> None:
    chat = make_chat(tokenizer, "chatml")
    prompt = (Message("user", "1"), Message("assistant", "2"), Message("user", "3"))
    given, chosen, _ = chat.encode_preference(
        Preference(prompt, (Message("assistant", "4"),), (Message("assistant", "5"),))
    )
    assert given == chat.prompt_ids(prompt)
    assert tokenizer.decode(chosen) == "4<|im_end|>"


def test_stop_ids_are_the_templates_stop_and_eos(tokenizer: Any) -> None:
    assert make_chat(tokenizer, "chatml").stop_ids == (1, 2)
    assert make_chat(tokenizer, "alpaca").stop_ids == (2,)


def test_bos_stands_exactly_once_where_the_tokenizer_puts_one(shared_data: Path) -> None:
    from seodang.tokenization import load_light

    llama = load_light(str(shared_data / "tokenizers" / "granite-7b-lab"))
    llama.add_bos_token = True
    row = make_chat(llama, "alpaca", override=True).encode(Conversation(CASES["one_turn"]))
    assert row.input_ids[0] == llama.bos_token_id
    assert row.input_ids.count(llama.bos_token_id) == 1
