"""`seodang quickstart`: the packaged recipes from a dirty file to DPO, shown in nine steps, resumable.

Every figure on the screen is read from a run of this folder, and every mistake shown is really made.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from seodang import runs
from seodang.data import preview as previews
from seodang.data.init import epochs_for
from seodang.data.judge import judge
from seodang.data.reading import open_records
from seodang.errors import RecipeError, RunError
from seodang.language import Phrase, columns, say
from seodang.packaged import find
from seodang.planning.speed import flops_of, seconds
from seodang.recipe import DPO, SFT, Evaluate, Generate, Prepare, Stage
from seodang.recipe_file import Loaded, load_recipe, overrides_for
from seodang.records import Conversation
from seodang.reports.tables import by_kind, lines_of, side_by_side
from seodang.screen import ROOM, Screen, clipped, duration
from seodang.spans import STYLES, as_rich, as_text
from seodang.workflow import Mode, check_and_run, folder_mode, is_unchanged, recipe_files

FOLDER = Path("recipes/quickstart")
DIRTY, SEEDS, NO_STOP, STOP = "1-prepare-dirty", "2-prepare-seeds", "3-sft-no-stop", "4-sft-stop"
STOPS, SFT_SEEDS, GROW, SFT_GROWN, DPO_RUN, LAST = (
    "5-evaluate-stop", "6-sft-seeds", "7-generate", "9-sft", "11-dpo", "12-evaluate")  # fmt: skip
MISSPELT = "adapter.lora_alfa=32"
MODELS = {"base": "base\n0-shot", "base_5shot": "base\n5-shot",
          "sft_seeds": "SFT\nseeds", "sft": "SFT\n+grown", "dpo": "DPO"}  # fmt: skip
"""The last evaluation's models, and what stands above their columns."""
ENCODINGS = {"utf-8": Phrase("UTF-8"), "utf-8-sig": Phrase("UTF-8 with a byte-order mark")}
OTHER_MODEL, OTHER_PARAMETERS, OTHER_ROWS, OTHER_TOKENS = "Qwen/Qwen3-0.6B", 0.6e9, 200, 300
"""What the estimate at the end is for: a model of so many parameters, so many rows of so many tokens."""

SHAPE: dict[str, type[Stage]] = {
    DIRTY: Prepare, SEEDS: Prepare, NO_STOP: SFT, STOP: SFT, STOPS: Evaluate, SFT_SEEDS: SFT, GROW: Generate,
    SFT_GROWN: SFT, DPO_RUN: DPO, LAST: Evaluate}  # fmt: skip
"""The recipes that the steps look into."""

S = TypeVar("S", bound=Stage)


def quickstart(overrides: Sequence[str] = (), mode: Mode = "fresh", screen: Screen | None = None) -> None:
    """Run and show everything. An unfinished stage is resumed, a finished and unchanged one is not run again.

    The recipes are those in recipes/quickstart; where that is missing, the packaged ones are copied there first.
    Raises SeodangError with one clear paragraph.
    """
    job, started = Job(screen or Screen(), mode), time.monotonic()
    title = "Seodang quickstart: from a dirty file to a tuned model, with the small Korean model in the box."
    job.screen.line(say(title))
    if not FOLDER.is_dir():
        _copy_recipes()
        job.screen.line(say("The recipes now lie in {folder}: read them, change them, run this again.", folder=FOLDER))
    job.screen.line(say("The runs go to runs/quickstart. Nothing is fetched from any network."))
    job.open(overrides)
    for title, step in STEPS:
        job.screen.heading(say(title))
        step(job)
    took, now = duration(sum(map(job.seconds, job.reports))), duration(time.monotonic() - started)
    job.screen.console.print()
    job.screen.line(say("All stages took {all}; this call took {now}.", all=took, now=now), style="bold")


def _copy_recipes() -> None:
    """The packaged recipes, whole or not at all."""
    unfinished = FOLDER.with_name(f".{FOLDER.name}.{os.getpid()}")
    try:
        shutil.copytree(find("recipes", FOLDER.name), unfinished)
        os.replace(unfinished, FOLDER)
    except OSError as error:  # of a full disk, shutil makes one error with a list of all files
        shutil.rmtree(unfinished, ignore_errors=True)
        reason = error.strerror or Phrase("the disk may be full")
        text = "The recipes cannot be put into {folder}: {reason}. Call it in a folder that can be written."
        raise RunError(text, folder=FOLDER.absolute(), reason=reason) from error


@dataclass(slots=True)
class Job:
    """The recipes by name, and the reports of the stages that are done."""

    screen: Screen
    mode: Mode
    recipes: dict[str, Loaded] = field(default_factory=dict)
    overrides: dict[str, list[str]] = field(default_factory=dict)
    reports: dict[str, dict[str, Any]] = field(default_factory=dict)

    def open(self, overrides: Sequence[str]) -> None:
        """Load every recipe, so that all mistakes are said before anything is done. Raises RunError for a hole."""
        files = overrides_for(recipe_files(FOLDER), overrides)
        self.overrides = {file.stem: own for file, own in files.items()}
        self.recipes = {file.stem: load_recipe(file, own) for file, own in files.items()}
        stages = {name: type(loaded.recipe) for name, loaded in self.recipes.items()}
        wrong = ", ".join(name for name, kind in SHAPE.items() if stages.get(name) is not kind)
        if wrong:
            text = (
                "{folder} is no quickstart any more: {names} is missing, or of another stage. Move it away, call again."
            )
            raise RunError(text, folder=FOLDER, names=wrong)

    def recipe(self, name: str, kind: type[S]) -> S:
        """The recipe of this name, which is of this stage."""
        found = self.recipes[name].recipe
        assert isinstance(found, kind), f"{name} is a {found.stage} recipe"
        return found

    def path(self, name: str) -> Path:
        """The run folder of a recipe."""
        return Path(self.recipes[name].recipe.output_dir)

    def seconds(self, name: str) -> float:
        """How long a stage took when it was done."""
        return float((runs.manifest(self.path(name)) or {}).get("seconds", 0.0))

    def run(self, name: str) -> dict[str, Any]:
        """Do a stage unless it is done, show its line, and return its report."""
        # loaded again: what a parent run hands on (its quantisation) is known only now
        loaded, made = load_recipe(FOLDER / f"{name}.yaml", self.overrides[name]), {}
        self.recipes[name] = loaded
        if self.mode != "fresh" or not is_unchanged(loaded.recipe):
            mode = folder_mode(loaded.recipe, "resume" if self.mode == "fresh" else self.mode)
            made = check_and_run(loaded, mode).report
        report = made or runs.read_json(self.path(name) / runs.REPORT) or {}
        self.reports[name] = report
        rows, seconds = report.get("rows", {}).get("kept", 0), self.seconds(name)
        told = say("{rows:>6,} rows {seconds:>5.0f} s", rows=rows, seconds=seconds)
        self.screen.line(f"{name:<18} {loaded.recipe.stage:<9}{told}")
        for warning in report.get("warnings", []):
            self.screen.line(say("   WARNING: {warning}", warning=warning))
        return report


def dirty_file(job: Job) -> None:
    """What is in the file, what becomes of its rows and why, and a row that was repaired."""
    recipe = job.recipe(DIRTY, Prepare)
    job.screen.command(f"seodang inspect {recipe.sources[0].path}")
    job.screen.command(f"seodang run {FOLDER / DIRTY}.yaml")
    report = job.run(DIRTY)
    found = report["sources"][0]
    told = {
        "container": found["container"],
        "encoding": ENCODINGS[found["encoding"]],
        "format": found["format"]["kind"],
    }
    job.screen.line(
        say("{name} holds a JSON {container} in {encoding}. Its rows: {format}", name=found["source"], **told)
    )
    rows = report["rows"]
    lost = sum(rows["dropped"].values())
    job.screen.line(say("{read} read = {kept} kept + {lost} dropped:", read=rows["read"], kept=rows["kept"], lost=lost))
    dropped = {row["reason"]: row for row in reversed(runs.read_rows(job.path(DIRTY) / runs.DROPPED))}
    for reason, count in rows["dropped"].items():
        row = dropped[reason]
        job.screen.line(f"  {count} {reason:<21}" + clipped(f"{row['source']}  {_asked(row)}", ROOM - 25))
    repairs = runs.counted((name, times) for name, times in report["repairs"].items())
    job.screen.line(say("Repaired and counted: {repairs}.", repairs=repairs))
    _show_repair(job, recipe)


def _asked(row: dict[str, Any]) -> str:
    if "messages" in row:
        return next(str(turn["content"]) for turn in row["messages"] if turn["role"] == "user")
    return str(row.get("row", {}).get("instruction", ""))


def _show_repair(job: Job, recipe: Prepare) -> None:
    """The kept row with the most repairs, before and after, and how many kept rows have several turns."""
    kept = list(_kept(recipe))
    before, after, names = max(kept, key=lambda found: (len(found[2]), len(found[0].answer) - len(found[1].answer)))
    job.screen.line(say("One of these rows, {source} ({names}):", source=before.source, names=", ".join(names)))
    for mark, record in (("-", before), ("+", after)):
        size = say("{count} characters", count=len(record.answer))
        job.screen.line(f"  {mark} {clipped(record.answer, ROOM - 6 - columns(size))}  {size}")
    turns = sum(len(record.messages) > 2 for _, record, _ in kept)
    job.screen.line(say("{count} rows are conversations of several turns; every turn is kept.", count=turns))


def _kept(recipe: Prepare) -> Iterator[tuple[Conversation, Conversation, list[str]]]:
    """The conversations that no filter drops: as read, as repaired, and the names of the repairs."""
    for item in open_records(str(recipe.sources[0].path), recipe.sources[0].format).items:
        if isinstance(item.found, Conversation):
            record, repairs, reason = judge(item.found, recipe.filters, recipe.normalize)
            if reason is None and isinstance(record, Conversation):
                yield item.found, record, sorted(repairs)


def trained_tokens(job: Job) -> None:
    """One seed row, coloured by what is trained."""
    job.run(SEEDS)
    job.screen.command(f"seodang preview {FOLDER / SFT_SEEDS}.yaml")
    found = previews.preview(job.recipe(SFT_SEEDS, SFT))
    shown = found.views[0].spans
    if job.screen.has_colours:
        job.screen.line(as_rich(shown))
        job.screen.console.print("   " + "  ".join(f"[{style}]{name}[/]" for name, style in STYLES.items()))
    else:
        job.screen.line(as_text(shown))
        job.screen.line(say("What is trained stands in ⟦ ⟧."))
    job.screen.line(
        say("{trained} of {tokens} tokens get a loss: the answer and its stop token {stop}.", **found.facts)
    )


def misspelt_key(job: Job) -> None:
    """A misspelt key on a real recipe, and what is said about it."""
    file = FOLDER / f"{SFT_SEEDS}.yaml"
    job.screen.command(f"seodang run {file} {MISSPELT}")
    try:
        load_recipe(file, [MISSPELT])
    except RecipeError as error:
        job.screen.line(str(error), style="red")


def stop_token(job: Job) -> None:
    """The same short SFT with and without a trained stop token."""
    for name in (NO_STOP, STOP, STOPS):
        job.screen.command(f"seodang run {FOLDER / name}.yaml")
        job.run(name)
    report, named = job.reports[STOPS], {str(s.run): n for n, s in job.recipe(STOPS, Evaluate).models.items()}
    titles = {str(job.path(NO_STOP)): say("stop not trained"), str(job.path(STOP)): say("stop trained")}
    headings = {named[run]: title for run, title in titles.items() if run in named}
    job.screen.line(side_by_side(report["metrics"], headings, {"stop_rate": say("answers that stop, %")}))
    sample = _telling(report["samples"], list(headings))
    job.screen.line(clipped("? " + sample["prompt"]))
    for name, heading in headings.items():
        job.screen.line(clipped(f"{heading}: {sample['answers'][name]}", 2 * ROOM - 2))


def _telling(samples: Sequence[dict[str, Any]], models: Sequence[str]) -> dict[str, Any]:
    """A sample that runs on in the first model and ends in the others, where there is one; else the first."""

    def is_telling(sample: dict[str, Any]) -> bool:
        return [sample["answers"][name].endswith("…") for name in models] == [True] + [False] * (len(models) - 1)

    return next(filter(is_telling, samples), samples[0])


def whole_job(job: Job) -> None:
    """What is left, in order."""
    job.screen.command(f"seodang run {FOLDER}")
    for name in job.recipes:
        if name not in job.reports:
            job.run(name)


def results(job: Job) -> None:
    """The table of the last evaluation."""
    job.screen.line(say("Exact match in % on held-out questions, the same ones for every model. `chance` is what the "
                        "commonest answer alone would get."))  # fmt: skip
    job.screen.line(by_kind(job.reports[LAST]["metrics"], MODELS, lines_of(job.recipe(LAST, Evaluate))))
    job.screen.line(say("`+grown` goes on from `seeds` for {steps} steps. What the steps give and what the grown tasks "
                        "give is told apart by recipes/quickstart-controls, and in docs/quickstart.md.",
                        steps=job.recipe(SFT_GROWN, SFT).training.max_steps))  # fmt: skip


def grown_rows(job: Job) -> None:
    """What self-instruct has kept, checked by program."""
    report = job.reports[GROW]
    records, checked = report["records"], report["metrics"].get("verified")
    told = {"parsed": records["parsed"], "kept": records["kept"], "lost": sum(records["rejected"].values())}
    reasons = runs.counted(records["rejected"].items())
    job.screen.line(say("{parsed} proposals = {kept} kept + {lost} rejected ({reasons})", reasons=reasons, **told))
    text = "Of those kept a program finds {right} right, in {kinds} kinds, and {wrong} wrong; {unknown} it cannot tell."
    if checked and not checked["wrong"] + checked["unknown"] and "not_recognised" in records["rejected"]:
        text = "A program found every one of those kept right before it was kept: {right}, in {kinds} kinds."
    if checked:
        told = {name: checked[name] for name in ("right", "wrong", "unknown")}
        job.screen.line(say(text, kinds=len(checked["kinds"]), **told))


def report_path(job: Job) -> None:
    """Where to look."""
    job.screen.line(str(job.path(LAST) / "report.html"))


def your_own(job: Job) -> None:
    """The lines to type next, and how long they would take on this machine."""
    job.screen.command(f"seodang chat {job.path(DPO_RUN)}")
    job.screen.line(say("It knows the kinds of task above and little else."))
    job.screen.command(f"seodang init my.jsonl --model {OTHER_MODEL}")
    job.screen.command("seodang run recipes/my")
    epochs, speed = epochs_for(OTHER_ROWS), _speed(job)
    time_there = duration(seconds(OTHER_PARAMETERS, OTHER_ROWS * OTHER_TOKENS * epochs, speed))
    job.screen.line(say("For {model} and {rows} rows of {tokens} tokens, read {epochs} times: about {time} here, "
                        "without a GPU. An estimate from the {speed:.1f} GFLOP/s of {name}; other work beside it makes "
                        "it longer.", model=OTHER_MODEL, rows=OTHER_ROWS, tokens=OTHER_TOKENS,
                        epochs=epochs, time=time_there, speed=speed / 1e9, name=SFT_GROWN))  # fmt: skip


def _speed(job: Job) -> float:
    """FLOP/s of the SFT, padding not counted."""
    return flops_of(job.recipe(SFT_GROWN, SFT), job.reports[SFT_GROWN]["metrics"])


STEPS: tuple[tuple[Phrase, Callable[[Job], None]], ...] = (
    (Phrase("A file as people have it"), dirty_file),
    (Phrase("What is trained, token by token"), trained_tokens),
    (Phrase("A misspelt key never trains"), misspelt_key),
    (Phrase("The stop token, not trained and trained"), stop_token),
    (Phrase("The whole job"), whole_job),
    (Phrase("The same questions to every model"), results),
    (Phrase("What self-instruct has grown"), grown_rows),
    (Phrase("The report"), report_path),
    (Phrase("Your own file and model"), your_own),
)
