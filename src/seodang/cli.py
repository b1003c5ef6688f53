"""The command line: the verbs, each a few lines over a doer.

A user's mistake is one paragraph on stderr and exit status 2; a broken threshold 1; Ctrl-C 130. Anything else is a bug
and shows its traceback. Doers are imported inside their verbs, so that `--help` stays light.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from seodang.errors import SeodangError
from seodang.language import say

if TYPE_CHECKING:
    from seodang.recipe_file import Loaded
    from seodang.workflow import Mode, Outcome

OVERRIDES = click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")


def main() -> None:
    """The entry point of the `seodang` command."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    _say_help(cli)
    try:
        cli(standalone_mode=False)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except SeodangError as error:
        click.echo(str(error), err=True)
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        text = "\nInterrupted. What was finished is kept; an unfinished run continues with --resume."
        click.echo(say(text), err=True)
        sys.exit(130)


def _say_help(command: click.Command) -> None:
    """The help of a command and of everything below it in the user's language."""
    options: list[Any] = [option for option in command.params if isinstance(option, click.Option)]
    for one in (command, *options):
        one.help = say(one.help) if one.help else None
    for below in command.commands.values() if isinstance(command, click.Group) else ():
        _say_help(below)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="seodang")
def cli() -> None:
    """Instruction data in, an instruction-tuned adapter out: recipes, templates, SFT, DPO, self-instruct."""


@cli.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@OVERRIDES
@click.option("--resume", "mode", flag_value="resume", help="Continue an unfinished run.")
@click.option("--new", "mode", flag_value="new", help="Run again beside a finished run (runs/x.2).")
@click.option("--replace", "mode", flag_value="replace", help="Run again in its place; the old folder goes to .trash.")
def run(recipe: Path, overrides: tuple[str, ...], mode: Mode | None) -> None:
    """Check a recipe, then do it; for a folder, its numbered recipes in order."""
    from seodang import workflow
    from seodang.recipe_file import overrides_for

    if recipe.is_dir():
        for file, own in overrides_for(workflow.recipe_files(recipe), overrides).items():
            _run_one(file, own, mode or "fresh", skip=True)
        return
    _run_one(recipe, overrides, mode or "fresh")


def _run_one(file: Path, overrides: Sequence[str], mode: Mode, skip: bool = False) -> None:
    from seodang import workflow
    from seodang.recipe_file import load_recipe

    loaded = load_recipe(file, overrides)
    click.echo(f"== {file} → {loaded.recipe.output_dir}")
    if workflow.is_unchanged(loaded.recipe) and (skip or mode == "fresh"):
        click.echo(say("   finished before and unchanged: skipped"))
        return
    if skip:
        mode = workflow.folder_mode(loaded.recipe, mode)
    _close(workflow.check_and_run(loaded, mode, click.echo))


def _close(outcome: Outcome) -> None:
    from seodang import runs

    report = outcome.report or runs.read_json(outcome.path / runs.REPORT) or {}
    rows = report.get("rows")
    if rows:
        click.echo(say("   rows: {ledger}", ledger=runs.ledger_line(rows)))
    for name, value in report.get("metrics", {}).items():
        click.echo(f"   {name}: {_metric(value)}")
    for warning in report.get("warnings", []):
        click.echo(say("   WARNING: {warning}", warning=warning))
    click.echo(say("   report: {path}", path=outcome.path / "report.html"))


def _metric(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k} {_metric(v)}" for k, v in value.items() if not isinstance(v, (dict, list)))
    return f"{value:.4g}" if isinstance(value, float) else str(value)


@cli.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@OVERRIDES
def check(recipe: Path, overrides: tuple[str, ...]) -> None:
    """Audit a recipe, its data, template and supervision before the run (exit 1 where a threshold is broken)."""
    from seodang.data.audit import check as audit
    from seodang.recipe_file import load_recipe, overrides_for
    from seodang.workflow import recipe_files

    failed = False
    files = overrides_for(recipe_files(recipe), overrides) if recipe.is_dir() else {recipe: overrides}
    for file, own in files.items():
        found = audit(load_recipe(file, own).recipe)
        click.echo(f"== {file}\n{found.text}")
        failed |= bool(found.problems)
    sys.exit(int(failed))


@cli.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@OVERRIDES
@click.option("--row", metavar="SOURCE", help="The row to show, by its source (file.jsonl:17).")
@click.option("--ids", is_flag=True, help="Print the ids as well.")
@click.option("--beside", type=click.Choice(["trl"]), help="Show what a bare `trl sft` would train on the same row.")
@click.option("--steps", is_flag=True, help="Walk the row's question through the tokenizer, step by step.")
@click.option("--text", help="Walk this text through the tokenizer instead.")
def preview(recipe: Path, overrides: tuple[str, ...], ids: bool, **wanted: Any) -> None:
    """Show what is trained, token by token."""
    from seodang.data import preview as previews
    from seodang.recipe import DPO, SFT
    from seodang.recipe_file import load_recipe

    stage = load_recipe(recipe, overrides).recipe
    if not isinstance(stage, (SFT, DPO)):
        text = "{file} is a `{stage}` recipe; preview looks at sft and dpo."
        raise SeodangError(text, file=recipe, stage=stage.stage)
    previews.show(previews.preview(stage, previews.Wanted(**wanted)), ids=ids)


@cli.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@OVERRIDES
@click.option("--on", type=click.Choice(["cpu", "gpu"]), help="The device to plan for (default: what is here).")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON, in bytes and seconds.")
def plan(recipe: Path, overrides: tuple[str, ...], on: str | None, as_json: bool) -> None:
    """Steps, tokens, padding and memory of a training, from the model's config alone."""
    from seodang.planning import plan as planning
    from seodang.recipe_file import load_recipe
    from seodang.runs import dump_json

    found = planning.plan(load_recipe(recipe, overrides).recipe, on)
    if as_json:
        click.echo(dump_json(found.to_json(), indent=2))
    else:
        planning.show(found)


@cli.command()
@click.argument("recipe", metavar="RECIPE|RUN", type=click.Path(path_type=Path))
@OVERRIDES
def show(recipe: Path, overrides: tuple[str, ...]) -> None:
    """Show every value of a recipe and where it comes from; of a run, who was made from whom."""
    from seodang.recipe_file import explain, load_recipe
    from seodang.runs import MANIFEST, dump_json

    if (recipe / MANIFEST).exists():
        from seodang import ancestry

        for line in ancestry.tree(ancestry.of_run(recipe)):
            click.echo(line)
        return
    loaded: Loaded = load_recipe(recipe, overrides)
    lines = [(path, dump_json(value), origin) for path, value, origin in explain(loaded)]
    wide = max(len(path) for path, _, _ in lines)
    for path, value, origin in lines:
        click.echo(f"{path:<{wide}}  {value}  ({say(origin)})")


@cli.command()
@click.argument("stage", required=False)
def schema(stage: str | None) -> None:
    """Print the JSON schema of a stage, or of every recipe, for editors."""
    from pydantic import TypeAdapter

    from seodang.recipe import STAGES, Recipe, stage_class
    from seodang.runs import dump_json

    if stage is not None and stage not in STAGES:
        raise SeodangError("There is no stage `{stage}` (known: {names}).", stage=stage, names=", ".join(STAGES))
    kind: Any = Recipe if stage is None else stage_class(stage)
    click.echo(dump_json(TypeAdapter(kind).json_schema(), indent=2))


@cli.command()
@click.argument("file", type=click.Path(path_type=Path))
def inspect(file: Path) -> None:
    """Say what a file is: container, encoding, format, lengths, defects, three rows."""
    from seodang.data import inspect as inspecting

    click.echo(inspecting.render(inspecting.inspect(str(file))))


@cli.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--model", required=True, help="A model folder, a run, or a name on the Hub.")
@click.option("--out", type=click.Path(path_type=Path), help="Where the recipes go (default: recipes/<file>).")
def init(files: tuple[Path, ...], model: str, out: Path | None) -> None:
    """Look at data files and write numbered recipes for them, with a comment per decision."""
    from seodang.data import init as initialising

    written = initialising.write_recipes([str(file) for file in files], model, out)
    for path in written:
        click.echo(say("wrote {path}", path=path))
    click.echo(say("next: seodang run {folder}", folder=written[0].parent))


@cli.command()
@OVERRIDES
@click.option("--new", "mode", flag_value="new", help="Run again beside a finished run (runs/x.2).")
@click.option("--replace", "mode", flag_value="replace", help="Run again in its place; the old folder goes to .trash.")
def quickstart(overrides: tuple[str, ...], mode: Mode | None) -> None:
    """The whole job on a small Korean model in the box, from a dirty file to DPO, in a few minutes, offline."""
    from seodang.quickstart import quickstart as show

    try:
        show(overrides, mode or "fresh")
    except KeyboardInterrupt:
        click.echo(say("\nInterrupted. What was finished is kept: call it again, and it goes on."), err=True)
        sys.exit(130)


@cli.command()
def doctor() -> None:
    """Versions, hardware, the dtype that would be chosen, and what is missing."""
    from seodang.doctor import examine, table
    from seodang.screen import Screen

    findings = examine()
    Screen().console.print(table(findings))
    sys.exit(int(not all(finding.good for finding in findings)))


@cli.command()
@click.argument("run_path", metavar="RUN", type=click.Path(path_type=Path))
@OVERRIDES
def chat(run_path: Path, overrides: tuple[str, ...]) -> None:
    """Talk to a run's model; sampling by temperature=0.8 top_p=0.95 max_new_tokens=512 repetition_penalty=1.1."""
    from seodang.recipe_file import part
    from seodang.self_instruct.completers import Sampling

    sampling = part(Sampling, {"max_new_tokens": 512}, overrides)
    from seodang.serving.chat import chat as talk

    talk(run_path, sampling)


if __name__ == "__main__":
    main()
