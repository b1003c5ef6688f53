"""Requests known by their content, a log that survives any cut, and the two backends that need no model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from seodang.errors import DataError
from seodang.records import Message, instruct
from seodang.schema import check_schema
from seodang.self_instruct.completers import (
    AnswerLog,
    Completer,
    Fake,
    Local,
    Replay,
    Request,
    Response,
    Sampling,
    read_answers,
    seed_of,
)

TURNS = (Message("system", "짧게 답하세요."), instruct("다음 낱말의 뜻을 쓰세요.", "서당"))
ONE = Request("과제 1\n지시:", Sampling(temperature=0.7), 5, ("\n과제 9",), "model@1")


class Counting:
    """Answers with the request's seed and counts what it is asked."""

    name, chats = "model@1", False

    def __init__(self) -> None:
        self.asked: list[str] = []

    def complete(self, requests: Sequence[Request]) -> list[Response]:
        self.asked += [request.key for request in requests]
        return [
            Response(r.key, f"답 {r.seed}\n둘째 줄", True, "prompt_too_long" if r.seed == 3 else "") for r in requests
        ]


def _requests(count: int) -> list[Request]:
    return [replace(ONE, seed=number) for number in range(count)]


@pytest.mark.parametrize(
    "change",
    [
        {"prompt": "과제 2\n지시:"},
        {"prompt": (Message("user", "과제 1\n지시:"),)},
        {"sampling": Sampling(temperature=0.8)},
        {"sampling": Sampling(temperature=0.7, max_new_tokens=7)},
        {"seed": 6},
        {"stop": ()},
        {"model": "model@2"},
    ],
)
def test_system_prompt_or_any_other_change_misses_the_cache(change: dict[str, Any]) -> None:
    assert replace(ONE, **change).key != ONE.key


def test_system_prompt_is_part_of_the_key() -> None:
    with_system, without = replace(ONE, prompt=TURNS), replace(ONE, prompt=TURNS[1:])
    assert with_system.key != without.key


def test_the_key_is_the_same_on_every_machine() -> None:
    assert ONE.key == Request("과제 1\n지시:", Sampling(temperature=0.7), 5, ("\n과제 9",), "model@1").key
    assert ONE.key == "ab55d7e51c758618fdd03fed145ddd8a"


def test_seeds_differ_by_place_and_are_stable() -> None:
    assert seed_of(42, "answer", 7) == seed_of(42, "answer", 7) == 67931895596500
    assert len({seed_of(*parts) for parts in ((42, "a", 1), (42, "a", 2), (43, "a", 1), (42, "b", 1))}) == 4


def test_the_log_asks_once_and_keeps_the_order(tmp_path: Path) -> None:
    completer, log = Counting(), AnswerLog(tmp_path / "requests.jsonl")
    first = log.ask(_requests(2), completer)
    again = log.ask([_requests(4)[at] for at in (3, 1, 0, 2)], completer)
    assert [answer.text for answer in first] == ["답 0\n둘째 줄", "답 1\n둘째 줄"]
    assert [answer.text[:3] for answer in again] == ["답 3", "답 1", "답 0", "답 2"]
    assert again[0].failed == "prompt_too_long"
    assert len(completer.asked) == len(set(completer.asked)) == 4


def test_an_equal_request_in_one_batch_is_asked_once(tmp_path: Path) -> None:
    completer = Counting()
    assert len(AnswerLog(tmp_path / "requests.jsonl").ask([ONE, ONE], completer)) == 2
    assert completer.asked == [ONE.key]


def test_a_reopened_log_asks_nothing_again_not_even_what_failed(tmp_path: Path) -> None:
    path, completer = tmp_path / "requests.jsonl", Counting()
    first = AnswerLog(path).ask(_requests(5), completer)
    content = path.read_bytes()
    assert AnswerLog(path).ask(_requests(5), completer) == first
    assert len(completer.asked) == 5
    assert path.read_bytes() == content


def test_the_log_is_readable_and_whole(tmp_path: Path) -> None:
    path = tmp_path / "requests.jsonl"
    AnswerLog(path).ask([replace(ONE, prompt=TURNS)], Counting())
    row = json.loads(path.read_text(encoding="utf-8"))
    assert row["prompt"][1] == {"role": "user", "content": "다음 낱말의 뜻을 쓰세요.\n\n서당", "input_at": 16}
    assert row | {"key": "", "prompt": ""} == {
        "key": "", "model": "model@1", "prompt": "", "sampling": ONE.sampling.model_dump(), "stop": ["\n과제 9"],
        "seed": 5, "text": "답 5\n둘째 줄", "stopped": True, "failed": "",
    }  # fmt: skip
    assert "서당" in path.read_text(encoding="utf-8")


def test_a_log_cut_at_any_byte_continues_to_the_same_bytes(tmp_path: Path) -> None:
    path = tmp_path / "requests.jsonl"
    AnswerLog(path).ask(_requests(3), Counting())
    whole = path.read_bytes()
    for cut in range(0, len(whole), 7):
        path.write_bytes(whole[:cut])
        completer = Counting()
        assert [answer.key for answer in AnswerLog(path).ask(_requests(3), completer)] == [r.key for r in _requests(3)]
        assert path.read_bytes() == whole
        assert len(completer.asked) == 3 - whole[:cut].count(b"\n")


def test_a_torn_line_longer_than_the_look_back_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "requests.jsonl"
    AnswerLog(path).ask(_requests(1), Counting())
    whole = path.read_bytes()
    for torn in (whole + b"x" * 200_000, whole + b"x" * ((1 << 16) - 1), whole + b"x" * (1 << 16)):
        path.write_bytes(torn)
        assert len(AnswerLog(path).found) == 1
        assert path.read_bytes() == whole
    path.write_bytes(b"x" * 200_000)
    assert AnswerLog(path).found == {}
    assert path.read_bytes() == b""


@pytest.mark.parametrize("line", ["{broken", "[]", '{"key": "a"}', "3"])
def test_a_line_that_is_no_answer_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "requests.jsonl"
    AnswerLog(path).ask(_requests(1), Counting())
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(DataError) as error:
        read_answers(path)
    assert str(error.value) == (
        "requests.jsonl:2: this line is not a recorded answer (key, text, stopped, failed). The file must be the "
        "requests.jsonl of a `generate` or `pairs` run, unchanged."
    )


def test_replay_gives_what_was_recorded(tmp_path: Path) -> None:
    path = tmp_path / "requests.jsonl"
    recorded = AnswerLog(path).ask(_requests(4), Counting())
    replay = Replay(path=str(path))
    assert (replay.name, replay.chats) == ("model@1", False)
    assert replay.complete(_requests(4)[::-1]) == recorded[::-1]
    assert replay.complete([replace(ONE, seed=99)])[0].failed == "not_recorded"


def test_replay_knows_that_chat_turns_were_recorded(tmp_path: Path) -> None:
    AnswerLog(tmp_path / "r.jsonl").ask([replace(ONE, prompt=TURNS)], Counting())
    assert Replay(path=str(tmp_path / "r.jsonl")).chats


def test_replay_of_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.jsonl: there is no such file of recorded answers"):
        _ = Replay(path=str(tmp_path / "none.jsonl")).name


EXAMPLES = """과제를 모았습니다.

과제 1
지시: 다음 수를 한글로 읽어 주세요.
입력: 38
출력: 삼십팔

과제 2
지시: 반대말을 쓰세요.
입력: 높다
출력: 낮다

과제 3
지시:"""


def test_fake_shuffles_the_prompts_own_words_in_its_layout() -> None:
    (answer,) = Fake().complete([replace(ONE, prompt=EXAMPLES)])
    lines = (EXAMPLES + answer.text).splitlines()
    assert answer.stopped
    labels = [line.split(":")[0] for line in lines[lines.index("과제 3") + 1 :] if line and not line.startswith("과제")]
    assert labels == ["지시", "입력", "출력"] * (len(labels) // 3)
    assert set(answer.text.split()) <= set(EXAMPLES.split())


def test_fake_is_a_function_of_the_request() -> None:
    requests = [replace(ONE, prompt=EXAMPLES, seed=seed) for seed in range(20)]
    first = Fake().complete(requests)
    assert [Fake().complete([request])[0] for request in requests[::-1]] == first[::-1]
    assert len({answer.text for answer in first}) > 5


def test_fake_chooses_among_given_answers() -> None:
    fake = Fake(answers=("하나", "둘"))
    assert {answer.text for answer in fake.complete(_requests(20))} == {"하나", "둘"}
    assert fake.name != Fake().name


def test_fake_takes_any_prompt() -> None:
    for prompt in ("", "한 줄", "두\n줄", "한 칸 한 칸\n\n마지막"):
        assert Fake().complete([replace(ONE, prompt=prompt)])[0].stopped
    assert Fake(chats=True).complete([replace(ONE, prompt=TURNS)])[0].stopped


def test_completers_are_written_by_kind_or_by_name() -> None:
    read = TypeAdapter(Completer).validate_python
    assert read("fake") == Fake()
    assert read({"kind": "local", "run": "runs/sft"}) == Local(run="runs/sft")
    assert read({"kind": "replay", "path": "r.jsonl"}) == Replay(path="r.jsonl")
    found, mistakes = check_schema(Completer, {"kind": "local", "batchsize": 3})
    assert found is None
    assert [str(mistake) for mistake in mistakes] == ["batchsize: unknown key, did you mean `batch_size`?"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"temperature": -1}, "temperature: must be greater than or equal to 0, got -1"),
        ({"top_p": 0}, "top_p: must be greater than 0, got 0"),
        ({"max_new_tokens": 0}, "max_new_tokens: must be greater than or equal to 1, got 0"),
        ({"repetition_penalty": 0}, "repetition_penalty: must be greater than 0, got 0"),
        ({"max_tokens": 5}, "max_tokens: unknown key, did you mean `max_new_tokens`?"),
    ],
)
def test_sampling_is_checked(given: dict[str, Any], said: str) -> None:
    _, mistakes = check_schema(Sampling, given)
    assert [str(mistake) for mistake in mistakes] == [said]
