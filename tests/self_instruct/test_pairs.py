"""Pairs that cannot be broken: a margin or a reason, never a tie, a missing score, one text twice, or a cut chosen."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from seodang import generation
from seodang.errors import DataError, ModelError
from seodang.recipe import Pairs
from seodang.records import Conversation, Message, Preference
from seodang.runs import Run
from seodang.self_instruct import pairs
from seodang.self_instruct.completers import Request, Response
from seodang.self_instruct.pairs import Cut, Sample, pick, weighted_mean


def _sample(text: str, score: float | None, stopped: bool = True) -> Sample:
    return Sample(text, stopped, {}, score)


def _texts(found: Any) -> Any:
    return found if isinstance(found, str) else tuple(sample.text for sample in found)


@pytest.mark.parametrize(
    ("samples", "found"),
    [
        ([("가", 1.0), ("나", 0.0)], ("가", "나")),
        ([("나", 0.0), ("다", 0.5), ("가", 1.0)], ("가", "나")),
        ([("가", 1.0), ("다", 1.0), ("나", 0.0), ("라", 0.0)], ("가", "나")),
        ([("가", 0.7), ("나", 0.5)], ("가", "나")),
        ([("가", 0.3 + 0.6), ("나", 0.7)], ("가", "나")),
        ([("가", 0.69), ("나", 0.5)], "no_margin"),
        ([("가", 0.5), ("나", 0.5), ("다", 0.5)], "all_equal"),
        ([("가", 0.0), ("나", 0.0)], "all_equal"),
        ([("가", None), ("나", None)], "no_score"),
        ([("가", 1.0), ("나", None), ("다", 0.0)], ("가", "다")),
        ([("가", 1.0), ("나", None)], "same_text"),
        ([("가", 1.0), ("가", 0.0)], "same_text"),
        ([("가", 1.0), (" 가\n", 0.0)], "same_text"),
        ([("", 1.0), ("  ", 0.0)], "no_score"),
        ([("", 1.0), ("나", 0.0), ("다", 0.5)], ("다", "나")),
        ([], "no_score"),
    ],
)
def test_the_best_and_the_worst_or_the_reason(samples: list[tuple[str, float | None]], found: Any) -> None:
    assert _texts(pick([_sample(text, score) for text, score in samples], 0.2)) == found


def test_n_identical_samples_make_no_pair() -> None:
    assert pick([_sample("같은 답", 0.5)] * 8, 0.2) == "same_text"


def test_chosen_has_ended_by_itself_and_rejected_may_be_cut() -> None:
    cut, ended, worse = _sample("끝없는", 1.0, False), _sample("끝", 0.8), _sample("나쁨", 0.1, False)
    assert _texts(pick([cut, ended, worse], 0.2)) == ("끝", "나쁨")
    assert pick([cut, worse], 0.2) == "none_stopped"


def test_a_cut_copy_of_the_chosen_is_no_rejected() -> None:
    """exact_match and stop differ for one text that once ran into the limit."""
    assert pick([_sample("삼십팔", 1.0), _sample("삼십팔", 0.5, False)], 0.2) == "same_text"


@pytest.mark.parametrize(
    ("scores", "mean"),
    [
        ({"exact_match": 1.0, "stop": 0.0}, 0.75),
        ({"exact_match": None, "stop": 1.0}, 1.0),
        ({"exact_match": None, "stop": None}, None),
        ({}, None),
        ({"repetition": 1.0, "stop": 1.0}, 0.0),
        ({"repetition": 0.0, "stop": 1.0}, 0.5),
    ],
)
def test_the_score_is_the_weighted_mean_of_what_applies(scores: dict[str, float | None], mean: float | None) -> None:
    weights = {"exact_match": 3.0, "stop": 1.0, "repetition": -1.0}
    assert weighted_mean(scores, weights) == mean


class Scripted:
    """Gives, for every prompt, these answers in turn; "…" at the end means cut by length."""

    name, chats = "sft@1", True

    def __init__(self, answers: dict[str, Sequence[str]]) -> None:
        self.answers = {prompt: iter(list(given) * 9) for prompt, given in answers.items()}
        self.asked: list[Request] = []

    def complete(self, requests: Sequence[Request]) -> list[Response]:
        self.asked += requests
        found = []
        for request in requests:
            said = next(self.answers[request.prompt[-1].content])  # type: ignore[union-attr]
            failed = "prompt_too_long" if said == "!" else ""
            found.append(Response(request.key, "" if failed else said.removesuffix("…"), said[-1:] != "…", failed))
        return found


ANSWERS = {
    "38을 읽으세요": ["삼십팔", "삼백팔", "서른여덟", "삼십팔이"],
    "반대말: 높다": ["낮다", "낮다.", "낮다", "낮다"],
    "수도는?": ["부산", "대구", "인천", "광주"],
    "인사하세요": ["안녕하세요…", "반갑…", "네…", "예…"],
    "긴 글": ["!", "!", "!", "!"],
    "꽃 이름": ["장미", "국화", "장미…", "백합…"],
}
ACCEPT = {
    "38을 읽으세요": ["삼십팔", "서른여덟"],
    "반대말: 높다": ["낮다"],
    "수도는?": ["서울"],
    "인사하세요": ["안녕"],
}


def _row(prompt: str) -> dict[str, Any]:
    if prompt not in ACCEPT:
        return {"messages": [{"role": "user", "content": prompt}, {"role": "assistant", "content": "장미"}]}
    answer = {"role": "assistant", "content": ACCEPT[prompt][0]}
    return {"messages": [{"role": "user", "content": prompt}, answer], "accept": ACCEPT[prompt]}


def _write(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return _write(tmp_path / "prompts.jsonl", [_row(prompt) for prompt in ANSWERS])


def _recipe(path: Path, **changes: Any) -> Pairs:
    given = {"stage": "pairs", "model": {"name_or_path": "sft"}, "data": {"train": str(path)}, "margin": 0.3}
    return TypeAdapter(Pairs).validate_python(given | changes)


def _run(
    recipe: Pairs, path: Path, monkeypatch: pytest.MonkeyPatch, answers: dict[str, Any] = ANSWERS
) -> tuple[dict[str, Any], dict[str, Any], Scripted]:
    path.mkdir(exist_ok=True)
    completer = Scripted(answers)
    monkeypatch.setattr(generation, "load_completer", lambda spec, batch_size, style: completer)
    report = pairs.run(recipe, Run(path, resumed=(path / "requests.jsonl").exists()))
    return report, {file.name: file.read_bytes() for file in sorted(path.iterdir())}, completer


def _rows(files: dict[str, bytes], name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in files[name].decode().splitlines()]


def test_every_prompt_is_a_pair_or_has_a_reason(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report, files, _ = _run(_recipe(data), tmp_path / "run", monkeypatch)
    assert report["rows"] == {
        "read": 6,
        "kept": 2,
        "dropped": {"all_equal": 2, "none_stopped": 1, "prompt_too_long": 1},
    }
    assert _rows(files, "train.jsonl") == [
        {
            "prompt": [{"role": "user", "content": "38을 읽으세요"}],
            "chosen": [{"role": "assistant", "content": "삼십팔"}],
            "rejected": [{"role": "assistant", "content": "삼백팔"}],
            "source": "prompts.jsonl:1",
        },
        {
            "prompt": [{"role": "user", "content": "꽃 이름"}],
            "chosen": [{"role": "assistant", "content": "장미"}],
            "rejected": [{"role": "assistant", "content": "백합"}],
            "source": "prompts.jsonl:6",
        },
    ]
    assert report["metrics"] == {"exact_match": 8 / 20, "stop": 14 / 20, "margin": 0.75, "rejected_unended": 0.5}
    assert "eval.jsonl" not in files


def test_every_sample_is_kept_with_its_scores(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, files, _ = _run(_recipe(data), tmp_path / "run", monkeypatch)
    rows = _rows(files, "samples.jsonl")
    assert len(rows) == 6 * 4
    assert rows[1] == {
        "source": "prompts.jsonl:1", "sample": 1, "text": "삼백팔", "stopped": True, "failed": "",
        "scores": {"exact_match": 0.0, "stop": 1.0}, "score": 0.5,
    }  # fmt: skip
    assert [row["failed"] for row in rows if row["source"] == "prompts.jsonl:5"] == ["prompt_too_long"] * 4
    dropped = _rows(files, "dropped.jsonl")
    assert {row["source"] for row in dropped} == {f"prompts.jsonl:{number}" for number in (2, 3, 4, 5)}
    assert all(len(row["scores"]) == 4 for row in dropped)


def test_samples_of_one_prompt_have_seeds_of_their_own(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, _, completer = _run(_recipe(data), tmp_path / "run", monkeypatch)
    assert len({request.seed for request in completer.asked}) == 24
    assert len({request.key for request in completer.asked}) == 24


def test_a_cut_anywhere_resumes_to_the_same_bytes(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairs, "PROMPTS_PER_BATCH", 2)
    _, whole, _ = _run(_recipe(data), tmp_path / "whole", monkeypatch)
    lines = whole["requests.jsonl"].splitlines(keepends=True)
    for kept in range(len(lines) + 1):
        path = tmp_path / str(kept)
        path.mkdir()
        (path / "requests.jsonl").write_bytes(b"".join(lines[:kept]) + b'{"key"' * (kept % 2))
        left = {prompt: given[max(0, kept - 4 * at) :] for at, (prompt, given) in enumerate(ANSWERS.items())}
        _, files, completer = _run(_recipe(data), path, monkeypatch, left)
        assert files == whole
        assert len(completer.asked) == len(lines) - kept


def test_prompts_beyond_the_limit_are_counted(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report, _, completer = _run(_recipe(data, max_prompts=2), tmp_path / "run", monkeypatch)
    assert report["rows"] == {"read": 6, "kept": 1, "dropped": {"all_equal": 1, "over_max_prompts": 4}}
    assert len(completer.asked) == 8


def test_held_out_prompts_make_held_out_pairs(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = _write(tmp_path / "held.jsonl", [_row("꽃 이름")])
    recipe = _recipe(data, data={"train": str(data), "eval": str(held)}, max_prompts=1)
    report, files, completer = _run(recipe, tmp_path / "run", monkeypatch)
    assert report["rows"] == {"read": 7, "kept": 2, "dropped": {"over_max_prompts": 5}}
    assert [row["source"] for row in _rows(files, "eval.jsonl")] == ["held.jsonl:1"]
    assert len({request.seed for request in completer.asked}) == 8


def test_prompts_alone_are_scored_by_what_applies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = _write(tmp_path / "p.jsonl", [{"prompt": "인사하세요"}])
    answers = {"인사하세요": ["안녕하세요", "안녕…", "반가워요", "네"]}
    report, files, _ = _run(_recipe(data), tmp_path / "run", monkeypatch, answers)
    assert report["rows"]["kept"] == 1
    assert _rows(files, "samples.jsonl")[0]["scores"] == {"exact_match": None, "stop": 1.0}


def test_politeness_makes_pairs_by_register(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = _write(tmp_path / "p.jsonl", [{"prompt": "서당이 뭐예요?"}])
    answers = {"서당이 뭐예요?": ["글을 배우던 곳이야.", "글을 배우던 곳이에요.", "옛날 학교야.", "옛날 학교입니다."]}
    _, files, _ = _run(_recipe(data, score={"polite": 1.0}), tmp_path / "run", monkeypatch, answers)
    (row,) = _rows(files, "train.jsonl")
    assert row["chosen"][0]["content"] == "글을 배우던 곳이에요."
    assert row["rejected"][0]["content"] == "글을 배우던 곳이야."


def test_a_conversation_that_begins_with_the_assistant_is_counted(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [_row("38을 읽으세요"), {"messages": [{"role": "assistant", "content": "안녕하세요"}]}]
    report, _, _ = _run(_recipe(_write(tmp_path / "p.jsonl", rows)), tmp_path / "run", monkeypatch)
    assert report["rows"] == {"read": 2, "kept": 1, "dropped": {"no_prompt": 1}}


def test_no_margin_anywhere_is_a_paragraph_and_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = _write(tmp_path / "p.jsonl", [_row("수도는?"), _row("반대말: 높다")])
    with pytest.raises(DataError) as error:
        _run(_recipe(data), tmp_path / "run", monkeypatch)
    assert str(error.value) == (
        "No pair has a margin: 2 prompts, dropped 2 all_equal. samples.jsonl shows all answers and scores; raise "
        "`sampling.temperature` or `samples_per_prompt`, lower `margin`, or score by other metrics."
    )
    assert len((tmp_path / "run" / "samples.jsonl").read_text().splitlines()) == 8
    assert not (tmp_path / "run" / "train.jsonl").exists()


def test_a_cut_counts_what_it_keeps() -> None:
    from seodang.runs import Ledger

    cut = Cut(0.2, Ledger())
    record = Conversation((Message("user", "물음"), Message("assistant", "답")), "a.jsonl:1")
    assert cut(record, [_sample("가 ", 1.0), _sample("나", 0.0, False)]) == [
        Preference(
            (Message("user", "물음"),), (Message("assistant", "가"),), (Message("assistant", "나"),), "a.jsonl:1"
        )
    ]
    assert cut.metrics == {"margin": 1.0, "rejected_unended": 1.0}


JINJA = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def _real(data: Path, folder: Path) -> Pairs:
    """Random weights: half of the vocabulary stops, so that answers differ in whether they ended."""
    return _recipe(data, model={"name_or_path": str(folder)}, score={"stop": 1.0},
                   sampling={"temperature": 1.0, "max_new_tokens": 3}, samples_per_prompt=4)  # fmt: skip


def test_a_real_model_is_sampled(data: Path, tmp_path: Path, model_dir: Path) -> None:
    from transformers import AutoTokenizer

    folder = tmp_path / "chat"
    shutil.copytree(model_dir, folder)
    with pytest.raises(ModelError, match="has no chat template, so it cannot answer chat turns"):
        pairs.run(_real(data, folder), Run(tmp_path))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = JINJA
    tokenizer.save_pretrained(folder)
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": list(range(100, 300))}))
    files = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        report = pairs.run(_real(data, folder), Run(tmp_path / name))
        files.append({file.name: file.read_bytes() for file in sorted((tmp_path / name).iterdir())})
    assert files[0] == files[1]
    assert report["rows"]["kept"] == len(_rows(files[0], "train.jsonl")) > 0
    assert report["metrics"]["rejected_unended"] == 1.0
