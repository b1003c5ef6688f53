"""docs/preview.md: what the command prints, the same every time, and a stale page is noticed."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def tool(load_tool: Callable[[str], ModuleType]) -> ModuleType:
    return load_tool("preview_page")


@pytest.fixture(scope="module")
def blocks(tool: ModuleType) -> dict[str, str]:
    """Command → what it prints."""
    found = re.findall(r"^```text\n\$ (.+)\n([\s\S]+?)\n```$", tool.page(), re.MULTILINE)
    return dict(found)


def test_the_page_in_the_repository_is_current(tool: ModuleType) -> None:
    assert tool.main(["--check"]) == 0


def test_a_stale_page_is_noticed_and_mended(
    tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "preview.md"
    monkeypatch.setattr(tool, "TARGET", page)
    assert tool.main(["--check"]) == 1
    assert tool.main([]) == 0
    assert tool.main(["--check"]) == 0
    page.write_text(page.read_text(encoding="utf-8").replace("[|endofturn|]⟧", "⟧[|endofturn|]"), encoding="utf-8")
    capsys.readouterr()
    assert tool.main(["--check"]) == 1
    said = capsys.readouterr()
    assert "⟧[|endofturn|]" in said.out
    assert "docs/preview.md is not what `seodang preview` prints. Run `make generated`." in said.err


@pytest.mark.parametrize("language", ["ko", "en"])
def test_the_page_is_english_whoever_makes_it(
    tool: ModuleType, blocks: dict[str, str], language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEODANG_LANG", language)
    assert "trained tokens stand in ⟦ ⟧" in tool._printed("exaone3", tool.TALK)
    assert tool._printed("exaone3", tool.TALK).endswith(blocks["seodang preview exaone3.yaml"] + "\n```")


@pytest.mark.parametrize(
    ("command", "trained"),
    [
        ("seodang preview exaone3.yaml", "\n[|assistant|]⟦{}[|endofturn|]⟧"),
        ("seodang preview exaone4.yaml", "\n[|assistant|]\n<think>\n\n</think>\n\n⟦{}[|endofturn|]⟧"),
        ("seodang preview hyperclovax.yaml", "\n<|im_start|>assistant\n⟦{}<|im_end|><|endofturn|>⟧"),
    ],
)
def test_every_answer_of_a_family_is_trained_with_its_stop(
    tool: ModuleType, blocks: dict[str, str], command: str, trained: str
) -> None:
    answers = [turn["content"] for turn in tool.TALK if turn["role"] == "assistant"]
    assert [answer for answer in answers if trained.format(answer) not in blocks[command]] == []
    assert blocks[command].count("⟦") == len(answers) + 1, "and nothing else is"


def test_a_tokenizer_of_the_page_splits_what_it_does_not_know(tool: ModuleType) -> None:
    made = tool.tokenizer("exaone3")
    assert [len(made.encode(one)) for one in ("김", "똠", "[|endofturn|]")] == [1, 3, 1]
    assert made.decode(made.encode("똠얌은 김장 배추")) == "똠얌은 김장 배추"
    assert made.backend_tokenizer.to_str() == tool.tokenizer("exaone3").backend_tokenizer.to_str()
