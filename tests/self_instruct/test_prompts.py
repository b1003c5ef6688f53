"""Prompt files: what is asked, and how answers are read back record by record, whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from seodang.errors import RecipeError, TemplateError
from seodang.records import Conversation, Message, instruct
from seodang.self_instruct.prompts import (
    NO_INSTRUCTION,
    TRUNCATED,
    PromptFile,
    Proposal,
    build,
    exchange,
    find_prompt,
    load_prompt,
    parse,
    record,
    stops,
)

KO, EN, ONE = (load_prompt(find_prompt(name)) for name in ("self_instruct_ko", "self_instruct_en", "one_task_ko"))


def _example(instruction: str, given: str, answer: str) -> Conversation:
    return Conversation((instruct(instruction, given), Message("assistant", answer)), "seed.jsonl:1")


SEEDS = [
    _example("다음 수를 한글로 읽어 주세요.", "38", "삼십팔"),
    _example("봄에 피는 꽃을 두 가지 말해 주세요.", "", "개나리와 진달래입니다.\n둘 다 봄에 핍니다."),
]


def _read(answer: str, *, prompt: PromptFile = KO, chat: bool = True, stopped: bool = True) -> list[Proposal]:
    return parse(prompt, answer, chat=chat, stopped=stopped)


def _fields(proposals: list[Proposal]) -> list[tuple[str, str, str]]:
    return [(one.instruction, one.input, one.output) for one in proposals if not one.reason]


def _reasons(proposals: list[Proposal]) -> list[str]:
    return [one.reason for one in proposals]


def test_a_text_to_continue_ends_where_the_next_record_begins() -> None:
    text = build(KO, SEEDS, chat=False)
    assert text == (
        "사람들이 언어 모델에게 맡긴 여러 가지 과제와 그 바른 답을 모았습니다. 과제는 서로 다릅니다.\n\n"
        "과제 1\n지시: 다음 수를 한글로 읽어 주세요.\n입력: 38\n출력: 삼십팔\n\n"
        "과제 2\n지시: 봄에 피는 꽃을 두 가지 말해 주세요.\n입력: (없음)\n"
        "출력: 개나리와 진달래입니다.\n둘 다 봄에 핍니다.\n\n"
        "과제 3\n지시:"
    )


def test_a_chat_model_is_asked_in_one_user_turn() -> None:
    (message,) = build(KO, SEEDS, chat=True)
    assert isinstance(message, Message)
    assert message.role == "user"
    assert "과제 2개입니다" in message.content
    assert "과제 3부터 과제 10까지 새 과제 8개를" in message.content
    assert "필요 없으면 (없음)이라고" in message.content
    assert "과제 1\n지시: 다음 수를 한글로 읽어 주세요.\n입력: 38\n출력: 삼십팔" in message.content
    assert "{" not in message.content


def test_english_is_asked_in_english() -> None:
    (message,) = build(EN, SEEDS[:1], chat=True)
    assert isinstance(message, Message)
    assert "write 8 new tasks, Task 2 to Task 9" in message.content


def test_braces_in_an_example_stay_as_they_are() -> None:
    example = _example("{count}와 {examples}를 설명하세요.", '{"a": {first}}', "{none}")
    text = build(KO, [example], chat=True)[0].content  # type: ignore[union-attr]
    assert '지시: {count}와 {examples}를 설명하세요.\n입력: {"a": {first}}\n출력: {none}' in text


def test_stop_strings_name_the_record_after_the_last() -> None:
    assert stops(KO, 8) == ("\n과제 17",)
    assert stops(EN, 0) == ("\nTask 9",)


def test_a_year_at_the_end_of_a_sentence_is_no_stop() -> None:
    """Alpaca's stop "20." and Self-Instruct's "16." cut "in 2020." short."""
    for prompt in (KO, EN):
        assert not any(stop in "그 일은 2020.\n17. 다음 해 16." for stop in stops(prompt, 8))


@pytest.mark.parametrize("chat", [True, False])
@pytest.mark.parametrize("prompt", [KO, EN])
def test_what_is_built_is_read_back(prompt: PromptFile, chat: bool) -> None:
    text = build(prompt, SEEDS, chat=False)
    assert isinstance(text, str)
    records = text.split("\n\n", 1)[1].rpartition("\n\n")[0]
    answer = records if chat else records.split(f"{prompt.labels.instruction}:", 1)[1]
    assert _fields(_read(answer, prompt=prompt, chat=chat)) == [
        ("다음 수를 한글로 읽어 주세요.", "38", "삼십팔"),
        ("봄에 피는 꽃을 두 가지 말해 주세요.", "", "개나리와 진달래입니다.\n둘 다 봄에 핍니다."),
    ]


@pytest.mark.parametrize(
    "answer",
    [
        "과제 3\n지시: 뜻을 쓰세요.\n입력: 서당\n출력: 글방",
        "과제 3.\n지시 : 뜻을 쓰세요.\n입력 :서당\n출력 : 글방\n",
        "과제3:\n지시：뜻을 쓰세요.\n입력：서당\n출력：글방",
        "### 과제 3\n\n**지시:** 뜻을 쓰세요.\n**입력**: 서당\n**출력:** 글방",
        "네, 새 과제입니다.\n\n과제 3\n지시: 뜻을 쓰세요.\n입력:\n서당\n출력:\n글방",
        "지시: 뜻을 쓰세요.\n입력: 서당\n출력: 글방",
        "과제 3\r\n지시: 뜻을 쓰세요.\r\n입력: 서당\r\n출력: 글방\r\n",
    ],
)
def test_what_models_make_of_the_layout_is_read(answer: str) -> None:
    assert _fields(_read(answer)) == [("뜻을 쓰세요.", "서당", "글방")]


@pytest.mark.parametrize("none", ["(없음)", "없음", "N/A", "n/a", "<noinput>", "", "-"])
def test_a_record_may_have_no_input(none: str) -> None:
    assert _fields(_read(f"과제 3\n지시: 시를 써 주세요.\n입력: {none}\n출력: 봄이 왔네")) == [
        ("시를 써 주세요.", "", "봄이 왔네")
    ]
    assert _fields(_read("과제 3\n지시: 시를 써 주세요.\n출력: 봄이 왔네")) == [("시를 써 주세요.", "", "봄이 왔네")]


def test_truncated_last_record_is_dropped_and_the_complete_ones_are_kept() -> None:
    answer = "과제 3\n지시: 가\n출력: 나\n과제 4\n지시: 다\n출력: 라\n과제 5\n지시: 마\n출력: 바"
    assert _reasons(_read(answer)) == ["", "", ""]
    cut = _read(answer, stopped=False)
    assert _reasons(cut) == ["", "", "truncated"]
    assert cut[2].raw == "지시: 마\n출력: 바"
    assert _fields(cut) == [("가", "", "나"), ("다", "", "라")]


def test_misaligned_tags_shift_nothing() -> None:
    """A record without an output must not take the next one's (InstructLab's columns zipped by position)."""
    answer = "과제 3\n지시: 가\n과제 4\n지시: 나\n출력: 둘\n과제 5\n출력: 셋\n과제 6\n지시: 라\n출력: 넷"
    found = _read(answer)
    assert _reasons(found) == ["no_output", "", "no_instruction", ""]
    assert _fields(found) == [("나", "", "둘"), ("라", "", "넷")]


def test_two_records_under_one_heading_are_not_guessed_apart() -> None:
    assert _reasons(_read("과제 3\n지시: 가\n출력: 나\n지시: 다\n출력: 라")) == ["label_twice"]


@pytest.mark.parametrize("answer", ["", "   ", "죄송하지만 도와드릴 수 없습니다.", "지시를 기다립니다"])
@pytest.mark.parametrize(("stopped", "reason"), [(True, "parse"), (False, "truncated")])
def test_text_without_a_record_is_one_that_cannot_be_read(answer: str, stopped: bool, reason: str) -> None:
    found = _read(answer, stopped=stopped)
    assert _reasons(found) == [reason]
    assert found[0].raw == answer


def test_a_block_without_labels_is_counted_too() -> None:
    assert _reasons(_read("과제 3\n그냥 글입니다\n과제 4\n지시: 가\n출력: 나")) == ["parse", ""]


def test_a_continued_text_begins_within_a_record() -> None:
    answer = " 뜻을 쓰세요.\n입력: 서당\n출력: 글방\n\n과제 4\n지시: 가\n출력: 나"
    assert _fields(_read(answer, chat=False)) == [("뜻을 쓰세요.", "서당", "글방"), ("가", "", "나")]
    assert _reasons(_read("\n\n과제 4\n지시: 가\n출력: 나", chat=False)) == ["no_instruction", ""]
    assert _reasons(_read("", chat=False, stopped=False)) == ["truncated"]


def test_heading_words_within_a_sentence_are_no_heading() -> None:
    found = _read("과제 3\n지시: 과제 4 를 설명하세요.\n출력: 과제 4는 어렵다.\n과제 5가 더 쉽다.")
    assert _fields(found) == [("과제 4 를 설명하세요.", "", "과제 4는 어렵다.\n과제 5가 더 쉽다.")]


def test_a_proposal_becomes_a_conversation() -> None:
    (found,) = _read("과제 3\n지시: 뜻을 쓰세요.\n입력: 서당\n출력: 글방")
    assert found.to_conversation("generate:000001") == _example("뜻을 쓰세요.", "서당", "글방").__class__(
        (instruct("뜻을 쓰세요.", "서당"), Message("assistant", "글방")), "generate:000001"
    )


@pytest.mark.parametrize(
    ("turns", "shown"),
    [
        ((Message("user", "가"), Message("assistant", "나")), (Message("user", "가"), "나")),
        ((Message("system", "s"), Message("user", "가"), Message("assistant", "나")), (Message("user", "가"), "나")),
        (
            (Message("user", "가"), Message("assistant", "나"), Message("user", "다"), Message("assistant", "라")),
            (Message("user", "가"), "나"),
        ),
        ((Message("assistant", "나"),), None),
        ((Message("user", "가"), Message("user", "나")), None),
        ((), None),
    ],
)
def test_the_first_exchange_is_what_a_prompt_shows(turns: tuple[Message, ...], shown: object) -> None:
    assert exchange(Conversation(turns)) == shown


@pytest.mark.parametrize(
    ("prompt", "number", "example", "text"),
    [
        (KO, 2, SEEDS[0], "과제 2\n지시: 다음 수를 한글로 읽어 주세요.\n입력: 38\n출력: 삼십팔"),
        (KO, 1, SEEDS[1], "과제 1\n지시: 봄에 피는 꽃을 두 가지 말해 주세요.\n입력: (없음)\n출력: 개나리와 진달래입니다.\n둘 다 봄에 핍니다."),
        (KO, 2, SEEDS[0], "과제 2\n지시: 다음 수를 한글로 읽어 주세요.\n입력: 38\n출력: 삼십팔"),
        (KO, 1, _example("가?", "", "나"), "과제 1\n지시: 가?\n입력: (없음)\n출력: 나"),
    ],
)  # fmt: skip
def test_a_record_in_the_layout_of_its_file_is_read_back(
    prompt: PromptFile, number: int, example: Conversation, text: str
) -> None:
    assert record(prompt, number, example) == text
    (message,) = example.prompt
    assert _fields(_read(text, prompt=prompt)) == [(message.instruction, message.input, example.answer)]


def test_a_conversation_without_an_exchange_is_no_record() -> None:
    with pytest.raises(ValueError, match="seed.jsonl:3: an example needs a user turn and its answer"):
        record(KO, 1, Conversation((Message("assistant", "나"),), "seed.jsonl:3"))


def test_an_unknown_prompt_file_lists_what_there_is() -> None:
    with pytest.raises(TemplateError, match="did you mean `self_instruct_ko`"):
        find_prompt("self_instruct_kr")


def _written(tmp_path: Path, **changes: object) -> Path:
    data = yaml.safe_load(find_prompt("self_instruct_ko").read_text("utf-8")) | changes
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8")
    return path


def test_a_prompt_file_of_the_users_own(tmp_path: Path) -> None:
    path = _written(tmp_path, heading="문제 {number}", new=3)
    assert find_prompt(str(path)) == path
    text = build(load_prompt(path), SEEDS, chat=False)
    assert isinstance(text, str)
    assert text.endswith("문제 3\n지시:")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"heading": "과제"}, "`heading` needs {number}"),
        ({"chat": "새 과제를 만드세요."}, "`chat` needs {examples}"),
        ({"stops": ["x"]}, "stops: unknown key, did you mean `stop`?"),
        ({"labels": {"instruction": "지시", "input": "입력"}}, "labels.output: is required"),
        ({"new": 0}, "new: must be greater than or equal to 1, got 0"),
    ],
)
def test_a_broken_prompt_file_names_its_mistake(tmp_path: Path, changes: dict[str, object], said: str) -> None:
    with pytest.raises(RecipeError) as error:
        load_prompt(_written(tmp_path, **changes))
    assert said in str(error.value)


def test_a_prompt_file_that_is_no_yaml(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("a: [", encoding="utf-8")
    with pytest.raises(RecipeError, match=r"own\.yaml is not a valid recipe:\n  cannot be read as YAML"):
        load_prompt(tmp_path / "own.yaml")


@pytest.mark.parametrize(
    ("answer", "stopped", "instruction", "reason"),
    [
        (" 38을 한글로 써 줘 ", True, "38을 한글로 써 줘", ""),
        ("38을 한글로", False, "38을 한글로", TRUNCATED),
        ("  ", True, "", NO_INSTRUCTION),
    ],
)
def test_an_instruction_alone(answer: str, stopped: bool, instruction: str, reason: str) -> None:
    (found,) = parse(ONE, answer, chat=True, stopped=stopped)

    assert (found.instruction, found.output, found.reason) == (instruction, "", reason)
    asked = "바다를 소개해 줘\n\n이와 비슷한 과제를 하나 더 만들어 줘."
    example = Conversation((Message("user", "바다를 소개해 줘"), Message("assistant", "바다는 넓어요.")))
    assert build(ONE, [example], chat=True) == (Message("user", asked),)
