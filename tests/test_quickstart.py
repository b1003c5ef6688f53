"""The quickstart's screen: every step, its figures taken from the runs, 80 columns, resumable, nothing made up."""

from __future__ import annotations

import io
import json
import random
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from seodang import quickstart as module
from seodang import runs
from seodang.cli import main
from seodang.errors import RecipeError, RunError
from seodang.language import columns
from seodang.quickstart import STEPS, quickstart
from seodang.screen import WIDTH, Screen
from seodang.tasks.kinds import draw_item, kind

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = ROOT / "recipes" / "quickstart"
KINDS = ("number_reading", "even_odd", "antonym")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.*:FutureWarning"),
    pytest.mark.xdist_group("quickstart"),
]

SFT = """\
stage: sft
model: {{name_or_path: {model}}}
template: chatml
data: {{run: runs/quickstart/{data}, max_length: 256}}
adapter: {{kind: lora, r: 4}}
training: {{max_steps: 2, per_device_train_batch_size: 4}}
"""
EVALUATE = """\
stage: evaluate
models: {models}
data: {{run: runs/quickstart/2-prepare-seeds, max_length: 256}}
sampling: {{temperature: 0, max_new_tokens: 6}}
max_prompts: 9
"""
GENERATE = """\
stage: generate
seeds: {{run: runs/quickstart/2-prepare-seeds}}
completer: {{kind: fake, chats: true, answers: {answers}}}
target: 2
verify: count
in_context: {{seeds: 2, machine: 0}}
novelty: {{threshold: 0.99}}
"""
PAIRS = """\
stage: prepare
sources: [{path: ./data/pairs.jsonl}]
eval: 0
"""
DPO = """\
stage: dpo
model: {run: runs/quickstart/9-sft}
data: {run: runs/quickstart/10-pairs, max_length: 256}
training: {max_steps: 2, per_device_train_batch_size: 4}
"""
GROWN = (
    "과제 3\n지시: 48 한글로 어떻게 읽어?\n입력: (없음)\n출력: '48'은 '사십팔'이라고 읽어요.\n\n"
    "과제 4\n지시: 봄꽃 이야기를 해 줘\n입력: (없음)\n출력: 개나리가 먼저 피어요.\n\n"
)


def seeds() -> list[dict[str, Any]]:
    """Sixty checkable tasks of three kinds."""
    draw, rows = random.Random(1), []
    for name in KINDS * 20:
        one, item = kind(name), draw_item(name, draw)
        prompt, answer = one.said(one.prompts.plain[0], item), one.said(one.answers.polite[0], item)
        turns = [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]
        rows.append({"messages": turns, "accept": list(one.accept(item)), "task": name})
    return rows


def recipes(model: Path) -> dict[str, str]:
    """The quickstart's recipes with a tiny model and few steps."""
    base, folder = {"name_or_path": str(model)}, "runs/quickstart"

    def run(name: str) -> dict[str, str]:
        return {"run": f"{folder}/{name}"}

    last = {
        "base": base,
        "base_5shot": base,
        "sft_seeds": run("6-sft-seeds"),
        "sft": run("9-sft"),
        "dpo": run("11-dpo"),
    }
    stops = {"without": run("3-sft-no-stop"), "with": run("4-sft-stop")}
    return {
        "1-prepare-dirty": (SHIPPED / "1-prepare-dirty.yaml").read_text(encoding="utf-8"),
        "2-prepare-seeds": "stage: prepare\nsources: [{path: ./data/seeds.jsonl}]\neval: 0.3\n",
        "3-sft-no-stop": SFT.format(model=model, data="2-prepare-seeds"),
        "4-sft-stop": SFT.format(model=model, data="2-prepare-seeds"),
        "5-evaluate-stop": EVALUATE.format(models=json.dumps(stops)),
        "6-sft-seeds": SFT.format(model=model, data="2-prepare-seeds"),
        "7-generate": GENERATE.format(answers=json.dumps([GROWN], ensure_ascii=False)),
        "8-prepare-grown": "stage: prepare\nsources: [{run: runs/quickstart/2-prepare-seeds}, "
        "{run: runs/quickstart/7-generate}]\neval: 0\n",
        "9-sft": SFT.format(model=model, data="8-prepare-grown"),
        "10-pairs": PAIRS,
        "11-dpo": DPO,
        "12-evaluate": EVALUATE.format(models=json.dumps(last)),
    }


def write_project(folder: Path, model: Path) -> None:
    shutil.copytree(SHIPPED / "data", folder / "data")
    for name, text in recipes(model).items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    rows = seeds()
    runs.write_rows(folder / "data" / "seeds.jsonl", rows)
    asked = [row["messages"] for row in rows]
    pairs = [{"prompt": a["content"], "chosen": b["content"], "rejected": "몰라"} for a, b in asked]
    runs.write_rows(folder / "data" / "pairs.jsonl", pairs)


def shown(*arguments: str, terminal: bool = False) -> str:
    """What `seodang quickstart` shows."""
    out = io.StringIO()
    console = Console(file=out, width=WIDTH, highlight=False, force_terminal=terminal, legacy_windows=False)
    quickstart(arguments, screen=Screen(console))
    return out.getvalue()


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, model_dir: Path) -> Iterator[tuple[Path, str]]:
    """A project in which the quickstart has been run, and what it showed."""
    folder = tmp_path_factory.mktemp("quickstart")
    write_project(folder / "recipes" / "quickstart", model_dir)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder, shown()


@pytest.fixture
def there(done: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> str:
    """What was shown, in the folder where it was."""
    monkeypatch.chdir(done[0])
    return done[1]


def part(text: str, number: int) -> str:
    """One step of the screen."""
    return text.split(f"\n{number}  ")[1].split(f"\n{number + 1}  ")[0]


def test_every_step_is_there_in_order_within_80_columns(there: str) -> None:
    titles = [f"\n{number}  {title}\n" for number, (title, _) in enumerate(STEPS, 1)]
    assert [there.find(title) for title in titles] == sorted(there.find(title) for title in titles)
    assert -1 not in [there.find(title) for title in titles]
    assert [line for line in there.splitlines() if columns(line) > WIDTH and not line.startswith("   $")] == []
    assert "Traceback" not in there


def test_the_ledger_of_the_dirty_file_is_that_of_its_report(there: str) -> None:
    text, report = part(there, 1), runs.read_json(Path("runs/quickstart/1-prepare-dirty/report.json")) or {}
    rows = report["rows"]
    lost = sum(rows["dropped"].values())
    assert f"60 read = {rows['kept']} kept + {lost} dropped" in text
    for reason, count in rows["dropped"].items():
        assert f"  {count} {reason}" in text
    for name, times in report["repairs"].items():
        assert f"{times} {name}" in text
    assert "2 rows are conversations of several turns; every turn is kept." in text


def test_a_repaired_row_is_shown_before_and_after(there: str) -> None:
    lines = part(there, 1).splitlines()
    before, after = (next(line for line in lines if line.startswith(f"     {mark} ")) for mark in "-+")
    assert "### 답변:" in before.replace("\u1103\u1161\u11b8\u1107\u1167\u11ab", "답변")
    assert "###" not in after
    sizes = [int(line.split()[-2]) for line in (before, after)]
    assert sizes[0] > 2 * sizes[1]


def test_the_preview_names_the_stop_and_marks_what_is_trained(there: str) -> None:
    text = part(there, 2)
    assert "⟦" in text and "<|im_end|>⟧" in text
    assert "tokens get a loss: the answer and its stop token" in " ".join(text.split())


def test_the_misspelt_key_is_refused_with_its_real_paragraph(there: str) -> None:
    with pytest.raises(RecipeError) as caught:
        module.load_recipe(module.FOLDER / "6-sft-seeds.yaml", [module.MISSPELT])
    assert " ".join(str(caught.value).split()) in " ".join(part(there, 3).split())
    assert "did you mean `lora_alpha`?" in part(there, 3)


def test_the_stop_rates_stand_side_by_side(there: str) -> None:
    text = part(there, 4)
    metrics = (runs.read_json(Path("runs/quickstart/5-evaluate-stop/report.json")) or {})["metrics"]
    row = next(line for line in text.splitlines() if "answers that stop" in line)
    assert row.split()[-2:] == [f"{100 * metrics[name]['stop_rate']:.0f}" for name in ("without", "with")]
    assert "? " in text and "stop trained: " in text


def test_every_stage_has_its_line(there: str) -> None:
    for path in module.FOLDER.glob("*.yaml"):
        assert there.count(f"\n   {path.stem} ") == 1, path.stem


def test_the_table_shows_the_last_report(there: str) -> None:
    text = part(there, 6)
    metrics = (runs.read_json(Path("runs/quickstart/12-evaluate/report.json")) or {})["metrics"]
    row = next(line for line in text.splitlines() if line.strip().startswith("stop "))
    assert row.split()[1:] == [f"{100 * metrics[name]['stop_rate']:.0f}" for name in module.MODELS]
    for name in metrics["dpo"]["tasks"]:
        assert kind(name).title in text


def test_the_table_changes_with_the_report(there: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = Path("runs/quickstart/12-evaluate/report.json")
    before = path.read_text(encoding="utf-8")
    report = json.loads(before)
    report["metrics"]["dpo"]["exact_match"] = 0.77
    try:
        path.write_text(json.dumps(report), encoding="utf-8")
        assert " 77 " in part(shown(), 6)
    finally:
        path.write_text(before, encoding="utf-8")


def test_grown_rows_are_checked_by_program(there: str) -> None:
    text = " ".join(part(there, 7).split())
    assert "= 2 kept + " in text
    assert "a program finds 1 right, in 1 kinds, and 0 wrong; 1 it cannot tell." in text


def test_what_to_type_next_and_how_long_it_takes(there: str) -> None:
    text = " ".join(part(there, 9).split())
    assert "$ seodang init my.jsonl --model Qwen/Qwen3-0.6B" in text
    assert "$ seodang run recipes/my" in text
    assert "For Qwen/Qwen3-0.6B and 200 rows of 300 tokens, read 3 times: about " in text
    assert "$ seodang chat runs/quickstart/11-dpo" in text
    assert "All stages took " in text


def test_a_second_call_runs_nothing_and_shows_the_same(there: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "check_and_run", None)
    again = shown()
    assert again.rpartition("All stages")[0] == there.rpartition("All stages")[0]


def test_in_korean_it_fits_the_screen_too(there: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEODANG_LANG", "ko")
    text = shown()
    assert "오타 난 키로는 학습하지 않습니다" in text and "46 남김" in text
    assert [line for line in text.splitlines() if columns(line) > WIDTH and not line.startswith("   $")] == []
    monkeypatch.setenv("SEODANG_LANG", "en")
    assert text.count("\n   $ ") == there.count("\n   $ ")


def test_on_a_terminal_tokens_are_coloured(there: str) -> None:
    text = shown(terminal=True)
    assert "\x1b[30;42m" in text
    assert "⟦" not in text


def test_an_interrupted_stage_is_resumed(there: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = Path("runs/quickstart/12-evaluate")
    manifest = runs.manifest(path) or {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["seodang", "quickstart"])
        patch.setattr(module, "check_and_run", interrupted)
        runs.Run(path).note(state="running")
        with pytest.raises(SystemExit) as end:
            main()
    assert end.value.code == 130
    assert "call it again, and it goes on" in capsys.readouterr().err
    assert part(shown(), 6) == part(there, 6)
    assert (runs.manifest(path) or {})["state"] == "finished" == manifest["state"]


def interrupted(*_: Any) -> None:
    raise KeyboardInterrupt


def test_new_is_for_one_recipe(there: str) -> None:
    with pytest.raises(RunError, match="`--new` is for one recipe"):
        quickstart(mode="new", screen=Screen(Console(file=io.StringIO())))


def test_a_mistake_is_said_before_anything_is_done(there: str) -> None:
    with pytest.raises(RecipeError, match="no recipe of the folder has this key"):
        shown("addapter.r=4")


def test_a_folder_that_is_no_quickstart_any_more_is_said(
    there: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(module.FOLDER, tmp_path / module.FOLDER)
    monkeypatch.chdir(tmp_path)
    (module.FOLDER / "12-evaluate.yaml").unlink()
    (module.FOLDER / "7-generate.yaml").write_text("stage: prepare\nsources: [{path: ./data/seeds.jsonl}]\n")
    with pytest.raises(RunError, match="is no quickstart any more: 7-generate, 12-evaluate is missing"):
        shown()
    assert not (tmp_path / "runs").exists()


def test_without_verification_and_with_other_models_nothing_breaks(there: str, monkeypatch: pytest.MonkeyPatch) -> None:
    report = runs.read_json(Path("runs/quickstart/7-generate/report.json")) or {}
    job = module.Job(Screen(Console(file=io.StringIO())), "fresh", reports={module.GROW: report})
    module.grown_rows(job)
    del report["metrics"]["verified"]
    module.grown_rows(job)
    assert job.screen.console.file.getvalue().count("a program finds") == 1  # type: ignore[attr-defined]


def test_the_sample_shown_is_a_telling_one() -> None:
    samples = [
        {"answers": dict(zip("ab", texts, strict=True))} for texts in (("가", "나"), ("가 …", "나"), ("가 …", "나 …"))
    ]
    assert module._telling(samples, ["a", "b"]) is samples[1]
    assert module._telling(samples, ["b", "a"]) is samples[0]


def test_in_an_empty_folder_the_packaged_recipes_are_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, "STEPS", STEPS[:1])
    text = shown()
    assert "The recipes now lie in recipes/quickstart" in text
    names = sorted(path.name for path in SHIPPED.rglob("*") if path.is_file())
    assert sorted(path.name for path in Path("recipes/quickstart").rglob("*") if path.is_file()) == names
    assert (tmp_path / "runs" / "quickstart" / "1-prepare-dirty" / "report.json").is_file()
    assert "The recipes now lie" not in shown()


def test_where_nothing_can_be_written_is_a_paragraph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("recipes").write_text("a file, no folder", encoding="utf-8")
    with pytest.raises(RunError, match="cannot be put into .*recipes.quickstart: .*Call it in a folder that can be"):
        shown()
    assert [path.name for path in tmp_path.iterdir()] == ["recipes"]


def test_the_dirty_file_is_as_dirty_as_it_says() -> None:
    raw = (SHIPPED / "data" / "dirty.jsonl").read_bytes()
    rows = json.loads(raw.decode("utf-8-sig"))
    texts = [row["output"] or "" for row in rows]
    assert raw.startswith(b"\xef\xbb\xbf[") and len(rows) == 60
    assert sum(row["input"] == "입력없음" for row in rows) > 20
    assert any("\u1100" <= letter <= "\u1112" for text in texts for letter in text)
    assert any(text.startswith("### 답변:") for text in texts) and any(text.endswith("### 질문:") for text in texts)
    assert any("990231-" in text for text in texts)
    assert sum("history" in row for row in rows) == 2
    assert any(row["output"] == row["instruction"] for row in rows)
