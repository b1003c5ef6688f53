"""tools/upstream_fields.py: the table is current, and nothing that changes what is trained passes through it."""

from __future__ import annotations

import enum
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def tool(load_tool: Callable[[str], ModuleType]) -> ModuleType:
    return load_tool("upstream_fields")


class Colour(enum.StrEnum):
    RED = "red"
    BLUE = "blue"


@pytest.mark.parametrize(
    ("annotation", "wanted"),
    [
        (int, "int"),
        (float | None, "float | None"),
        (None | str | list[str], "str | list | None"),
        (dict[str, Any] | str | None, "dict | str | None"),
        (Colour | str, "str"),
        (str | None | Literal[False], "str | bool | None"),
        (list[Colour] | str, "list | str"),
    ],
)
def test_a_type_is_written_as_the_reader_of_the_table_knows_it(tool: ModuleType, annotation: Any, wanted: str) -> None:
    assert tool.type_name(annotation) == wanted


@pytest.mark.parametrize(
    ("annotation", "wanted"),
    [(Colour | str, ["red", "blue"]), (str | list[Colour], ["red", "blue"]), (str | None, []), (bool, [])],
)
def test_the_values_of_an_enum_are_its_choices(tool: ModuleType, annotation: Any, wanted: list[str]) -> None:
    assert tool.choices_of(annotation) == wanted


def test_the_table_is_current(tool: ModuleType) -> None:
    assert tool.main(["--check"]) == 0


def test_a_stale_table_fails_the_check(
    tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tool.build()
    table["fields"].pop("adam_beta1")
    stale = tmp_path / "upstream_fields.json"
    stale.write_text(json.dumps(table), encoding="utf-8")
    monkeypatch.setattr(tool, "TABLE", stale)
    assert tool.main(["--check"]) == 1
    assert "upstream_fields.json is stale: run `python tools/upstream_fields.py`" in capsys.readouterr().err
    assert tool.main([]) == 0
    assert tool.main(["--check"]) == 0


def test_every_field_has_a_type_the_light_half_can_check(tool: ModuleType) -> None:
    known = {"bool", "int", "float", "str", "dict", "list", "None"}
    for name, entry in tool.build()["fields"].items():
        assert set(entry["type"].split(" | ")) <= known, name
        assert "default" in entry


def test_what_changes_tokens_data_or_is_sent_is_refused(tool: ModuleType) -> None:
    table = tool.build()
    refused = [
        "max_length", "packing", "padding_free", "completion_only_loss",
        "assistant_only_loss", "truncation_mode", "chat_template_path", "eos_token",
        "dataset_kwargs", "remove_unused_columns", "push_to_hub", "hub_model_id",
        "hub_token", "model_init_kwargs", "output_dir", "trust_remote_code",
        "seed", "data_seed", "resume_from_checkpoint", "precompute_ref_log_probs",
        "sync_ref_model", "loss_type", "beta", "fp16",
        "bf16", "use_cpu", "deepspeed", "fsdp",
        "dataloader_drop_last", "ignore_data_skip",
    ]  # fmt: skip
    assert [name for name in refused if name not in table["refused"]] == []
    assert [name for name in refused if name in table["fields"]] == []
    assert table["refused"]["max_length"] == "write `data.max_length`"


def test_no_field_of_upstream_that_pushes_or_names_a_dataset_slips_through(tool: ModuleType) -> None:
    words = ("hub", "push", "dataset", "ref_model", "precompute", "trackio", "packing", "_only_loss")
    assert [name for name in tool.build()["fields"] if any(word in name for word in words)] == []


def test_a_refused_name_that_upstream_dropped_is_noticed(tool: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(tool.REFUSED, "max_seq_length", "write `data.max_length`")
    with pytest.raises(KeyError, match="refused here but unknown upstream: max_seq_length"):
        tool.build()
