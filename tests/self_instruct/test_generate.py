"""The growing set: sums hold, a cut anywhere resumes to the same bytes, every record knows where it comes from."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from seodang.data.reading import open_records
from seodang.data.specs import Source
from seodang.errors import DataError, ModelError, TemplateError
from seodang.recipe import Generate
from seodang.records import Conversation
from seodang.runs import Run
from seodang.self_instruct import generate
from seodang.self_instruct.completers import Request, Response
from seodang.self_instruct.generate import completer_of, read_seeds

SEEDS = [
    ("다음 수를 한글로 읽어 주세요.", "38", "삼십팔"),
    ("반대말을 쓰세요.", "높다", "낮다"),
    ("봄에 피는 꽃을 두 가지 말해 주세요.", "", "개나리와 진달래가 있습니다."),
    ("다음 문장을 존댓말로 바꿔 주세요.", "밥 먹었어?", "식사하셨어요?"),
    ("서당이 무엇인지 한 문장으로 설명해 주세요.", "", "서당은 옛날에 아이들이 글을 배우던 곳입니다."),
]


def _write(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def seeds(tmp_path: Path) -> Path:
    rows = [dict(zip(("instruction", "input", "output"), seed, strict=True)) for seed in SEEDS]
    return _write(tmp_path / "seed.jsonl", rows)


def _recipe(seeds: Path, **changes: Any) -> Generate:
    given = {"stage": "generate", "seeds": {"path": str(seeds)}, "completer": "fake", "target": 25, "max_requests": 60}
    return TypeAdapter(Generate).validate_python(given | {"requests_per_round": 4} | changes)


def _run(recipe: Generate, path: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    path.mkdir(exist_ok=True)
    report = generate.run(recipe, Run(path, resumed=(path / "requests.jsonl").exists()))
    return report, {file.name: file.read_bytes() for file in sorted(path.iterdir())}


def _rows(files: dict[str, bytes], name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in files[name].decode().splitlines()]


class Scripted:
    """A completer that gives these answers in turn."""

    name, chats = "scripted", False

    def __init__(self, *answers: str | Response) -> None:
        self.answers = list(answers)
        self.asked: list[Request] = []

    def complete(self, requests: Sequence[Request]) -> list[Response]:
        found = []
        for request in requests:
            answer = self.answers[len(self.asked) % len(self.answers)]
            self.asked.append(request)
            text, stopped, failed = (answer, True, "") if isinstance(answer, str) else (
                answer.text, answer.stopped, answer.failed)  # fmt: skip
            found.append(Response(request.key, text, stopped, failed))
        return found


def _scripted(monkeypatch: pytest.MonkeyPatch, *answers: str | Response, chats: bool = False) -> Scripted:
    completer = Scripted(*answers)
    completer.chats = chats
    monkeypatch.setattr(generate, "completer_of", lambda spec: completer)
    return completer


def _records(*tasks: tuple[str, str]) -> str:
    """Records as a continued text gives them."""
    blocks = [f"지시: {instruction}\n입력: (없음)\n출력: {answer}" for instruction, answer in tasks]
    return "\n\n과제 9\n".join(blocks).removeprefix("지시:")


def test_the_sums_hold_and_the_target_is_exact(seeds: Path, tmp_path: Path) -> None:
    report, files = _run(_recipe(seeds), tmp_path / "run")
    requests, records = report["requests"], report["records"]
    assert requests["sent"] == requests["answered"] + sum(requests["failed"].values())
    assert records["parsed"] == records["kept"] + sum(records["rejected"].values())
    assert report["rows"] == {"read": records["parsed"], "kept": 25, "dropped": records["rejected"]}
    assert report["stopped_by"] == "target"
    assert len(_rows(files, "train.jsonl")) == records["kept"] == 25
    assert Counter(row["reason"] for row in _rows(files, "dropped.jsonl")) == records["rejected"]
    assert len(_rows(files, "requests.jsonl")) == requests["sent"]


def test_the_same_recipe_gives_the_same_bytes(seeds: Path, tmp_path: Path) -> None:
    first, second = (_run(_recipe(seeds), tmp_path / name)[1] for name in ("a", "b"))
    other = _run(_recipe(seeds, seed=7), tmp_path / "c")[1]
    assert first == second
    assert first["train.jsonl"] != other["train.jsonl"]


def test_a_cut_at_any_line_or_within_one_resumes_to_the_same_bytes(seeds: Path, tmp_path: Path) -> None:
    recipe = _recipe(seeds, target=12)
    report, whole = _run(recipe, tmp_path / "whole")
    ends = [0, *(found.end() for found in re.finditer(b"\n", whole["requests.jsonl"]))]
    for number, end in enumerate(ends):
        for cut in {end, min(end + 100, len(whole["requests.jsonl"]))}:
            folder = tmp_path / f"{number}-{cut}"
            folder.mkdir()
            (folder / "requests.jsonl").write_bytes(whole["requests.jsonl"][:cut])
            (folder / "log.jsonl").write_bytes(b"".join(whole["log.jsonl"].splitlines(keepends=True)[: number // 4]))
            again, files = _run(recipe, folder)
            assert again == report
            assert files == whole


def test_no_stored_answer_is_asked_again(seeds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [
        _records((f"{word}의 뜻을 쓰세요.", "뜻")) for word in ["하늘", "바다", "산", "강", "들", "숲", "섬", "별"]
    ]
    recipe = _recipe(seeds, target=8, max_requests=8)
    first = _scripted(monkeypatch, *answers)
    _, whole = _run(recipe, tmp_path / "run")
    (tmp_path / "run" / "requests.jsonl").write_bytes(
        b"".join(whole["requests.jsonl"].splitlines(keepends=True)[:5]) + b'{"key": "torn'
    )
    second = _scripted(monkeypatch, *answers[5:])
    assert _run(recipe, tmp_path / "run")[1] == whole
    assert [request.key for request in second.asked] == [request.key for request in first.asked[5:]]


def test_every_record_knows_its_lineage(seeds: Path, tmp_path: Path) -> None:
    _, files = _run(_recipe(seeds, in_context={"seeds": 3, "machine": 2}), tmp_path / "run")
    rows, keys = _rows(files, "train.jsonl"), {row["key"] for row in _rows(files, "requests.jsonl")}
    assert [row["source"] for row in rows] == [f"generate:{number:06d}" for number in range(1, 26)]
    known = {f"seed.jsonl:{number}" for number in range(1, 6)}
    for row in rows:
        assert row["request"] in keys
        assert set(row["seeds"]) <= known
        assert all(parent < row["source"] for parent in row["parents"])
        assert len(row["seeds"]) + len(row["parents"]) == 5
        assert re.fullmatch(r"self_instruct_ko@[0-9a-f]{12}", row["prompt_file"])
        assert row["model"].startswith("fake:")
    assert rows[0]["parents"] == []
    assert len(rows[-1]["parents"]) == 2


def test_a_rounds_prompts_come_from_the_state_before_it(seeds: Path, tmp_path: Path) -> None:
    _, files = _run(_recipe(seeds, in_context={"seeds": 1, "machine": 2}), tmp_path / "run")
    rows = _rows(files, "train.jsonl")
    order = {row["key"]: number for number, row in enumerate(_rows(files, "requests.jsonl"))}
    born = {row["source"]: order[row["request"]] // 4 for row in rows}
    assert all(born[parent] < born[row["source"]] for row in rows for parent in row["parents"])
    assert any(row["parents"] for row in rows)


def test_machine_examples_stand_among_the_human_ones(
    seeds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["하늘", "바다", "산", "강", "들", "숲", "섬", "별"]
    asked = _scripted(monkeypatch, *(_records((f"{word}의 뜻을 쓰세요.", "뜻")) for word in words)).asked
    _run(_recipe(seeds, target=8, requests_per_round=1, in_context={"seeds": 3, "machine": 1}), tmp_path / "run")
    places = {str(request.prompt).count("과제", 0, str(request.prompt).index("의 뜻을")) for request in asked[1:]}
    assert len(places) > 1


def test_the_grown_set_goes_back_through_prepare(seeds: Path, tmp_path: Path) -> None:
    _run(_recipe(seeds), tmp_path / "run")
    items = list(open_records(tmp_path / "run" / "train.jsonl", keeps_source=True).items)
    assert all(isinstance(item.found, Conversation) for item in items)
    assert items[0].found.source == "generate:000001"  # type: ignore[union-attr]


def test_a_rejection_names_its_neighbour_and_score(
    seeds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _scripted(
        monkeypatch, _records(("봄에 피는 꽃을 두 가지 말해 주세요!", "목련"), ("여름 과일을 말해 주세요.", "수박"))
    )
    _, files = _run(_recipe(seeds, target=5, max_requests=1), tmp_path / "run")
    (row,) = _rows(files, "dropped.jsonl")
    assert row == {
        "reason": "not_novel",
        "source": "request:000000.1",
        "request": row["request"],
        "score": 1.0,
        "nearest": "봄에 피는 꽃을 두 가지 말해 주세요.",
        "instruction": "봄에 피는 꽃을 두 가지 말해 주세요!",
        "input": "",
        "output": "목련",
    }


def test_accepted_records_make_later_ones_old(seeds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _scripted(monkeypatch, _records(("여름 과일을 말해 주세요.", "수박")))
    report, _ = _run(_recipe(seeds, target=5, max_requests=3), tmp_path / "run")
    assert report["records"] == {"parsed": 3, "kept": 1, "rejected": {"not_novel": 2}}
    assert report["stopped_by"] == "max_requests"


def test_korean_instructions_and_slot_variants_are_all_kept(
    seeds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """First character not ASCII, at most three words, a blacklisted word with a particle, one slot changed."""
    tasks = [
        ("시를 써 줘", "꽃이 피네"),
        ("김치란?", "절인 채소"),
        ("“효”를 설명하세요", "부모를 섬김"),
        ("이미지를 말로 묘사하는 법을 알려 주세요.", "먼저 전체를 말합니다."),
        ("47을 한글로 읽어 주세요", "사십칠"),
        ("59를 한글로 읽어 주세요", "오십구"),
        ("서울의 인구는 얼마인가요?", "약 930만 명입니다."),
        ("부산의 인구는 얼마인가요?", "약 320만 명입니다."),
    ]
    _scripted(monkeypatch, _records(*tasks))
    report, files = _run(_recipe(seeds, target=8, max_requests=1), tmp_path / "run")
    assert report["records"] == {"parsed": 8, "kept": 8, "rejected": {}}
    assert [row["messages"][0]["content"] for row in _rows(files, "train.jsonl")] == [task for task, _ in tasks]


def test_one_instruction_may_stand_with_many_inputs(
    seeds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["깊다", "가볍다", "느리다", "밝다"]
    blocks = [f"지시: 반대말을 쓰세요.\n입력: {word}\n출력: 답" for word in words]
    _scripted(monkeypatch, "\n\n과제 9\n".join(blocks).removeprefix("지시:"))
    report, _ = _run(_recipe(seeds, target=4, max_requests=1), tmp_path / "run")
    assert report["records"]["kept"] == 4


def test_what_is_beyond_the_target_is_counted_not_lost(
    seeds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["하늘", "바다", "호수", "언덕", "들판"]
    _scripted(monkeypatch, _records(*((f"{word}에 관한 글을 쓰세요.", "글") for word in words)))
    report, files = _run(_recipe(seeds, target=2, max_requests=1), tmp_path / "run")
    assert report["records"] == {"parsed": 5, "kept": 2, "rejected": {"over_target": 3}}
    assert report["requests"]["sent"] == 1
    assert [row["instruction"][:2] for row in _rows(files, "dropped.jsonl")] == words[2:] or words


def test_failed_and_unreadable_answers_are_counted_apart(
    seeds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = _records(("가을에 나는 과일을 말해 주세요.", "감"))
    cut = Response("", " 겨울 놀이를 말해 주세요.\n출력: 눈싸움\n\n과제 9\n지시: 새해 인사", False)
    talk = "\n과제 9\n아무 말\n과제 10\n또 아무 말"
    _scripted(monkeypatch, good, Response("", "", False, "prompt_too_long"), cut, talk)
    report, files = _run(_recipe(seeds, target=9, max_requests=4), tmp_path / "run")
    assert report["requests"] == {"sent": 4, "answered": 3, "failed": {"prompt_too_long": 1}}
    assert report["records"] == {
        "parsed": 6, "kept": 2, "rejected": {"no_instruction": 1, "parse": 2, "truncated": 1},
    }  # fmt: skip
    assert {"raw": "지시: 새해 인사"}.items() <= _rows(files, "dropped.jsonl")[0].items()
    assert set(report["samples"]) == {"kept", "no_instruction", "parse", "truncated"}


def test_the_same_filters_and_repairs_as_prepare(seeds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _scripted(
        monkeypatch,
        _records(("짧은 답을 쓰세요.", "네"), ("긴 답을 쓰세요.", "옛날 옛적에 호랑이가\u200b 살았습니다.\r")),
    )
    recipe = _recipe(seeds, target=5, max_requests=1, filters=["empty", {"kind": "length", "min": 5}])
    report, files = _run(recipe, tmp_path / "run")
    assert report["records"]["rejected"] == {"too_short": 1}
    assert _rows(files, "train.jsonl")[0]["messages"][1]["content"] == "옛날 옛적에 호랑이가 살았습니다."


def test_chat_models_are_asked_in_turns_others_continue(
    seeds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = "과제 6\n지시: 가을에 나는 과일을 말해 주세요.\n출력: 감"
    chat = _scripted(monkeypatch, answer, chats=True)
    _run(_recipe(seeds, target=1), tmp_path / "chat")
    assert not isinstance(chat.asked[0].prompt, str)
    plain = _scripted(monkeypatch, _records(("가을에 나는 과일을 말해 주세요.", "감")))
    _run(_recipe(seeds, target=1), tmp_path / "plain")
    assert isinstance(plain.asked[0].prompt, str)
    assert plain.asked[0].stop == ("\n과제 14",)
    assert len({request.seed for request in plain.asked}) == len(plain.asked)


def test_a_replay_of_the_log_gives_the_same_set(seeds: Path, tmp_path: Path) -> None:
    first, files = _run(_recipe(seeds), tmp_path / "run")
    replay = {"kind": "replay", "path": str(tmp_path / "run" / "requests.jsonl")}
    again, replayed = _run(_recipe(seeds, completer=replay), tmp_path / "again")
    assert again == first
    assert replayed == files


def test_a_barren_model_ends_in_a_paragraph_and_loses_nothing(
    seeds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    twice = _records(("반대말을 쓰세요.\n입력: 높다", "낮다"))
    _scripted(monkeypatch, twice, Response("", "", False, "prompt_too_long"))
    with pytest.raises(DataError) as error:
        _run(_recipe(seeds, max_requests=6), tmp_path / "run")
    assert str(error.value).startswith(
        "Nothing was kept of 3 records in 3 answers to 6 requests (3 label_twice, 3 prompt_too_long). dropped.jsonl "
    )
    assert len((tmp_path / "run" / "dropped.jsonl").read_text().splitlines()) == 3
    assert not (tmp_path / "run" / "train.jsonl").exists()


def test_seeds_that_are_no_tasks_stop_the_run_or_are_counted(tmp_path: Path) -> None:
    turns = [{"role": "assistant", "content": "안녕하세요"}]
    good = [{"role": "user", "content": "뜻은?"}, {"role": "assistant", "content": "글방"}]
    path = _write(tmp_path / "seed.jsonl", [{"messages": good}, {"messages": turns}])
    with pytest.raises(DataError, match=r"seed\.jsonl:2: a seed task needs an instruction and its answer"):
        read_seeds(Source(path=str(path)))
    seeds, ledger = read_seeds(Source(path=str(path), on_error="skip"))
    assert len(seeds) == 1
    assert ledger.close() == {"read": 2, "kept": 1, "dropped": {"no_seed": 1}}


def test_a_broken_seed_line_is_named(tmp_path: Path) -> None:
    path = _write(tmp_path / "seed.jsonl", [dict(zip(("instruction", "output"), ("가", "나"), strict=True))])
    path.write_text(path.read_text() + "{broken\n")
    with pytest.raises(DataError, match=r"seed\.jsonl:2: the line is not valid JSON"):
        read_seeds(Source(path=str(path)))


def test_no_seed_is_left(tmp_path: Path) -> None:
    path = _write(tmp_path / "seed.jsonl", [{"messages": [{"role": "assistant", "content": "안녕"}]}])
    with pytest.raises(DataError, match="no seed task is left"):
        read_seeds(Source(path=str(path), on_error="skip"))


def test_seeds_of_a_run_keep_their_own_source(tmp_path: Path) -> None:
    folder = tmp_path / "prepared"
    folder.mkdir()
    turns = [{"role": "user", "content": "뜻은?"}, {"role": "assistant", "content": "글방"}]
    _write(folder / "train.jsonl", [{"messages": turns, "source": "koalpaca.jsonl:17"}])
    (folder / "manifest.json").write_text('{"state": "finished", "stage": "prepare"}')
    assert read_seeds(Source(run=str(folder)))[0][0].source == "koalpaca.jsonl:17"


@pytest.mark.parametrize("local", [{}, {"run": "runs/sft", "name_or_path": "some/model"}])
def test_a_local_completer_must_say_which_model(seeds: Path, local: dict[str, str]) -> None:
    recipe = _recipe(seeds, completer={"kind": "local"} | local)
    with pytest.raises(ModelError, match="completer: `local` needs to know which model proposes"):
        completer_of(recipe.completer)


def test_an_unknown_prompt_file_stops_before_anything_is_asked(seeds: Path, tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match="did you mean `self_instruct_ko`"):
        _run(_recipe(seeds, prompt="selfinstruct_ko"), tmp_path / "run")
    assert not (tmp_path / "run" / "requests.jsonl").exists()


def test_a_real_model_is_asked_through_the_same_door(seeds: Path, tmp_path: Path, model_dir: Path) -> None:
    """A model with random weights proposes nothing readable: every answer is counted, and the reason is said."""
    recipe = _recipe(
        seeds,
        completer={"kind": "local", "name_or_path": str(model_dir), "batch_size": 2},
        sampling={"temperature": 1.0, "max_new_tokens": 8},
        max_requests=4,
    )
    with pytest.raises(DataError, match="Nothing was kept of 4 records in 4 answers to 4 requests"):
        _run(recipe, tmp_path / "run")
    rows = [json.loads(line) for line in (tmp_path / "run" / "requests.jsonl").read_text("utf-8").splitlines()]
    assert len({row["text"] for row in rows}) > 1
    assert rows[0]["model"].startswith(f"{model_dir}@")


def test_a_dry_run_needs_no_torch(seeds: Path, tmp_path: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys; from pathlib import Path; from seodang.recipe import Generate; from seodang.runs import Run; "
        "from seodang.self_instruct import generate; "
        f"recipe = Generate(stage='generate', seeds={{'path': {str(seeds)!r}}}, completer='fake', target=3); "
        f"generate.run(recipe, Run(Path({str(tmp_path)!r}))); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_instruction_alone_is_answered_by_a_second_request(
    seeds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = Response("", "너무 긴 과", False)
    completer = _scripted(monkeypatch, "여름 과일을 말해 줘", "", cut, "수박과 참외가 있어요.", chats=True)
    keys = {"prompt": "one_task_ko", "in_context": {"seeds": 0, "machine": 0}, "target": 1, "verify": "count"}

    report, files = _run(_recipe(seeds, requests_per_round=3, **keys), tmp_path / "run")

    (row,) = _rows(files, "train.jsonl")
    assert [turn["content"] for turn in row["messages"]] == ["여름 과일을 말해 줘", "수박과 참외가 있어요."]
    assert [turn.content for turn in completer.asked[0].prompt] == ["\n\n이와 비슷한 과제를 하나 더 만들어 줘."]
    assert completer.asked[3].sampling.temperature == 0
    assert report["requests"]["sent"] == 4
    assert report["records"]["rejected"] == {"no_instruction": 1, "truncated": 1}
    assert report["metrics"]["verified"] == {"right": 0, "wrong": 0, "unknown": 1, "right_ratio": 0.0, "kinds": {}}


def test_a_model_without_chat_turns_cannot_follow_its_own_instructions(seeds: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="asks for instructions alone, which are then answered in chat turns"):
        _run(_recipe(seeds, prompt="one_task_ko"), tmp_path / "run")


def test_what_programs_do_not_find_right_is_dropped_where_that_is_required(
    seeds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ("38을 한글로 읽으면 뭐야?", "49를 한글로 읽으면 뭐야?", "여름 과일을 말해 줘")
    answers = ("38은 삼십팔이라고 읽어요.", "49는 오십구라고 읽어.", "수박과 참외가 있어요.")
    _scripted(monkeypatch, *asked, *answers, chats=True)
    keys = {"prompt": "one_task_ko", "in_context": {"seeds": 0, "machine": 0}, "target": 3, "verify": "require"}

    report, files = _run(_recipe(seeds, requests_per_round=3, max_requests=6, **keys), tmp_path / "run")

    assert [row["messages"][1]["content"] for row in _rows(files, "train.jsonl")] == ["38은 삼십팔이라고 읽어요."]
    assert {row["instruction"]: row["reason"] for row in _rows(files, "dropped.jsonl")} == {
        asked[1]: "answer_wrong",
        asked[2]: "not_recognised",
    }
    assert report["records"]["rejected"] == {"answer_wrong": 1, "not_recognised": 1}
    assert report["metrics"]["verified"]["right_ratio"] == 1.0
