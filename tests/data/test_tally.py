"""What is counted over all rows: shares and their limits, figures, the median without the rows."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import median_low
from typing import Any

import pytest

from seodang.chats import make_chat
from seodang.data.findings import Findings
from seodang.data.outcomes import outcomes
from seodang.data.specs import Check, TrainData
from seodang.data.tally import LIMITS, Share, Tally, allowed


def talk(*contents: str) -> dict[str, Any]:
    roles = ["user", "assistant"] * len(contents)
    return {"messages": [{"role": role, "content": text} for role, text in zip(roles, contents, strict=False)]}


def tallied(tmp_path: Path, tokenizer: Any, rows: list[dict[str, Any]], **data: Any) -> Tally:
    file = tmp_path / "a.jsonl"
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    chat = make_chat(tokenizer, "chatml")
    tally = Tally(chat, Findings(), has_eval_file="eval" in data)
    for outcome in outcomes(TrainData(train=str(file), **data), chat, "messages", order=("eval", "train")):
        tally.see(outcome)
    tally.close()
    return tally


TALKS = [talk(f"{n}번?", "네, " * (n % 7 + 1)) for n in range(20)]


def test_figures_are_those_of_the_rows(tmp_path: Path, tokenizer: Any) -> None:
    tally = tallied(tmp_path, tokenizer, TALKS)
    chat = tally.chat
    data = TrainData(train=str(tmp_path / "a.jsonl"))
    rows = [row for outcome in outcomes(data, chat, "messages") for _, row in outcome.kept]
    lengths = [len(row.input_ids) for row in rows]  # type: ignore[union-attr]
    figures = tally.figures()
    assert figures["tokens"] == sum(lengths) and figures["trained_tokens"] == sum(row.trained for row in rows)  # type: ignore[union-attr]
    assert figures["length"] == (min(lengths), median_low(lengths), max(lengths)) and tally.longest == max(lengths)
    characters = sum(len(row["messages"][1]["content"]) for row in TALKS)
    assert figures["chars_per_token"] == pytest.approx(characters / figures["trained_tokens"], abs=1e-4)


def test_held_out_rows_count_as_rows_and_not_as_tokens(tmp_path: Path, tokenizer: Any) -> None:
    alone = tallied(tmp_path, tokenizer, TALKS)
    held = tmp_path / "e.jsonl"
    held.write_text(json.dumps(talk("길고 긴 질문 하나", "아주 긴 대답 " * 20)) + "\n")
    tally = tallied(tmp_path, tokenizer, TALKS, eval=str(held))
    assert tally.kept == {"train": 20, "eval": 1} and tally.ledger.close()["read"] == 21
    assert tally.sums["tokens"] == alone.sums["tokens"] and tally.longest > alone.longest


def test_a_duplicate_knows_the_row_that_it_repeats(tmp_path: Path, tokenizer: Any) -> None:
    tally = tallied(tmp_path, tokenizer, [*TALKS, TALKS[3], TALKS[3]])
    assert (tally.findings.counts["duplicate"], tally.findings.first["duplicate"]) == (2, "a.jsonl:21")


def test_a_row_is_counted_once_however_many_examples_it_is(tmp_path: Path, tokenizer: Any) -> None:
    long = talk(*(f"{n}번째로 하는 말" for n in range(12)))
    tally = tallied(tmp_path, tokenizer, [TALKS[0], long], max_length=100, over_length="split_turns")
    assert tally.kept["train"] == tally.ledger.close()["kept"] == 2
    assert tally.examples["train"] >= 3 and sum(tally.lengths.values()) == tally.examples["train"]


def test_a_finding_tells_the_row_its_origin_and_its_figures(tmp_path: Path, tokenizer: Any) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "manifest.json").write_text('{"state": "finished"}')
    lost = talk("하나", "일", "둘", "아주 긴 대답 " * 50) | {"source": "seed.jsonl:7"}
    rows = [TALKS[0], talk("<|im_end|>", "네") | {"source": "seed.jsonl:3"}, lost]
    (run / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    tally = Tally(
        make_chat(tokenizer, "chatml"), Findings(tmp_path / "x.offenders.jsonl", frozenset({"byte_fallback"}))
    )
    data = TrainData(run=str(run), max_length=64, over_length="split_turns")
    with tally.findings.closing():
        for outcome in outcomes(data, tally.chat, "messages"):
            tally.see(outcome)
    typed, part = map(json.loads, (tmp_path / "x.offenders.jsonl").read_text(encoding="utf-8").splitlines())
    assert (typed["row"], typed["source"], typed["reason"]) == ("train.jsonl:2", "seed.jsonl:3", "control_string")
    assert (
        0 < typed["trained_tokens"] < typed["tokens"] and 0 <= typed["byte_share"] < 1 and typed["chars_per_token"] > 0
    )
    assert (part["row"], part["source"], part["reason"]) == ("train.jsonl:3", "seed.jsonl:7", "over_length_part")
    assert part["messages"][0] == {"role": "user", "content": "둘"}


@pytest.mark.parametrize(
    ("count", "limit", "is_problem"), [(2, 0.02, False), (3, 0.02, True), (0, 0.0, False), (1, 0.0, True)]
)
def test_a_share_is_a_problem_beyond_its_limit(count: int, limit: float, is_problem: bool) -> None:
    share = Share("duplicate", count, 100, limit, "a.jsonl:7")
    assert bool(share.problem) is is_problem
    if is_problem:
        assert share.problem == (
            f"{count} of 100 rows ({count / 100:.1%}) repeat an earlier training row, the first is a.jsonl:7; "
            f"`check.max_duplicate_ratio` allows {limit:.1%}"
        )


def test_every_limit_is_a_key_of_check_and_every_key_limits_something() -> None:
    keys = {key for key, _ in LIMITS.values()}
    assert keys | {"min_chars_per_token"} == set(Check.model_fields)


def test_what_every_row_may_have(tmp_path: Path) -> None:
    assert allowed(Check()) == {"byte_fallback"}
    assert allowed(Check(max_byte_ratio=0.5, max_drop_ratio=1)) == {"dropped"}


def test_the_shares_say_what_they_are_shares_of(tmp_path: Path, tokenizer: Any) -> None:
    lonely = {"messages": [{"role": "assistant", "content": "안녕하세요."}]}
    shares = {share.name: share for share in tallied(tmp_path, tokenizer, [*TALKS, lonely]).shares(Check())}
    assert (shares["dropped"].count, shares["dropped"].of, shares["dropped"].first) == (1, 21, "a.jsonl:21")
    assert (shares["duplicate"].of, shares["leak"].of, shares["bos"].of) == (20, 0, 20)
    assert shares["stop_untrained"].limit == pytest.approx(0.01)
