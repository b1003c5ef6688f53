"""tools/starter.py: the packaged model is the one its record names, and small enough to ship."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from safetensors import safe_open

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def tool(load_tool: Callable[[str], ModuleType]) -> ModuleType:
    return load_tool("starter")


def test_the_packaged_model_is_what_its_record_says(tool: ModuleType) -> None:
    assert tool.check() == []


def test_a_changed_file_is_named(tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for file in tool.TARGET.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    (tmp_path / "model.bin").write_bytes(b"")
    monkeypatch.setattr(tool, "TARGET", tmp_path)

    assert tool.check() == ["config.json is not the packaged one", "model.bin is not the packaged one"]


def test_weights_are_half_precision_and_no_pickle(tool: ModuleType) -> None:
    assert sorted(path.suffix for path in tool.TARGET.iterdir() if path.suffix in (".safetensors", ".bin", ".pt")) == [
        ".safetensors"
    ]
    with safe_open(tool.TARGET / "model.safetensors", "pt") as weights:
        assert {weights.get_slice(name).get_dtype() for name in weights.keys()} == {"F16"}  # noqa: SIM118
