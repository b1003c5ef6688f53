"""`seodang init FILE… --model NAME`: look at the files and the tokenizer, write numbered recipes that run unedited.

    1-prepare.yaml  2-sft.yaml                          from conversations
    1-prepare.yaml  1-prepare-pairs.yaml  2-sft.yaml  3-dpo.yaml      from conversations and preference pairs
    1-prepare.yaml  2-dpo.yaml                          from preference pairs alone

Every decision stands in the recipe with its reason as a comment. No torch in here.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from seodang import runs
from seodang.chats import make_chat
from seodang.data.formats import Known
from seodang.data.survey import Survey, survey
from seodang.encoding import Chat, asks
from seodang.errors import DataError, ModelError, RunError
from seodang.model_template import thinks
from seodang.records import Conversation, Preference, Record, turns
from seodang.runs import dump_json
from seodang.template import load_template
from seodang.tokenization import load_light, missing_tokens

SHORTEST, LONGEST = 128, 2048
"""Bounds of the `max_length` that is chosen, in tokens."""
LONG_ROWS, SPREAD_ROWS = 50, 450
"""How many rows are encoded to choose it: the longest in characters, and some spread evenly over the file."""
PREFERENCE, MESSAGES = "preference", "messages"


@dataclass(frozen=True, slots=True)
class Base:
    """The model to train and what its tokenizer says about chat templates."""

    spec: str
    """The recipe's `model:` line, without the key."""
    template: str
    """The recipe's lines about the template, each with its reason."""
    fresh_adapter: bool
    limit: int
    """Most positions that the model or its tokenizer admits."""
    chat: Chat


def write_recipes(files: Sequence[str], model: str, out: str | Path | None = None) -> list[Path]:
    """Write the recipes into `out` (default: recipes/<first file>) and return their paths in order.

    Raises DataError for a file that cannot be trained on, ModelError for a model that is not there, and RunError where
    a recipe of that name exists: nothing is overwritten.
    """
    surveys = [_usable(survey(file)) for file in files]
    base = look_at(model)
    folder = Path(out) if out else Path("recipes") / _stem(surveys[0].path)
    texts = _recipes(surveys, base, f"runs/{folder.resolve().name}")
    for name in texts:
        if (folder / name).exists():
            raise RunError("{path} exists already. Give another folder with `--out`.", path=folder / name)
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        runs.write_text(folder / name, text)
    return [folder / name for name in texts]


def _usable(found: Survey) -> Survey:
    if found.decision is None:
        raise DataError("{why}", why=found.undecided)
    if found.decision.format.makes not in (MESSAGES, PREFERENCE):
        raise DataError(
            "{where} holds rows without answers (format `{kind}`). `init` writes recipes for conversations and for "
            "preference pairs; texts go into a `pretrain` recipe, prompts into `pairs` or `generate`.",
            where=found.path.name,
            kind=found.decision.format.kind,
        )
    return found


def _stem(path: Path) -> str:
    return path.stem.replace(" ", "-")


def look_at(model: str) -> Base:
    """What a model needs in a recipe. `model` is a folder, a finished run, or a name on the Hub."""
    path = Path(model)
    is_run = runs.manifest(path) is not None
    weights = runs.weights_of(runs.finished_run(model, "--model")) if is_run else path
    if is_run and weights.name == "tokenizer":
        raise ModelError("--model: the run {path} trained a tokenizer and holds no model. Name a model.", path=model)
    tokenizer = load_light(str(weights) if is_run else model)
    template, lines = _template(tokenizer)
    thinking = "empty" if template is None and thinks(tokenizer.get_chat_template()) else None
    if thinking:
        lines += "\nthinking: empty                # its template has a reasoning block; the rows have no reasoning"
    name = _path(model) if is_run or path.exists() else model
    spec = f"{{{'run' if is_run else 'name_or_path'}: {dump_json(name)}}}"
    chat = make_chat(tokenizer, template, thinking=thinking)
    return Base(spec, lines, not (is_run and weights.name == "adapter"), _limit(tokenizer, weights), chat)


def _template(tokenizer: Any) -> tuple[str | None, str]:
    """The template to name (None: the tokenizer's own), and the lines that say so."""
    if tokenizer.chat_template:
        return None, "# template: the tokenizer has a chat template of its own, and that is the default"
    missing = missing_tokens(tokenizer, load_template("chatml").control)
    if not missing:
        return "chatml", "template: chatml               # no chat template of its own, but ChatML's control tokens"
    return "alpaca", f"template: alpaca               # no chat template of its own, and no {missing[0]} for ChatML"


def _limit(tokenizer: Any, folder: Path) -> int:
    positions = (runs.read_json(folder / "config.json") or {}).get("max_position_embeddings")
    return min(int(tokenizer.model_max_length), positions if isinstance(positions, int) and positions > 0 else 1 << 30)


def _path(path: str | Path) -> str:
    """A path as a recipe understands it: one that starts with `./` would be relative to the recipe's folder."""
    text = os.path.normpath(path)
    return str(Path(text).resolve()) if text.startswith("..") else text


def _recipes(surveys: Sequence[Survey], base: Base, run: str) -> dict[str, str]:
    """File name → text, in the order in which they are run."""
    talks = [found for found in surveys if _makes(found) == MESSAGES]
    pairs = [found for found in surveys if _makes(found) == PREFERENCE]
    if not pairs:
        return {"1-prepare.yaml": _prepare(talks), "2-sft.yaml": _sft(talks, base, f"{run}/1-prepare")}
    if not talks:
        return {"1-prepare.yaml": _prepare(pairs), "2-dpo.yaml": _dpo(pairs, base, f"{run}/1-prepare", None)}
    return {
        "1-prepare.yaml": _prepare(talks),
        "1-prepare-pairs.yaml": _prepare(pairs),
        "2-sft.yaml": _sft(talks, base, f"{run}/1-prepare"),
        "3-dpo.yaml": _dpo(pairs, base, f"{run}/1-prepare-pairs", f"{run}/2-sft"),
    }


def _makes(found: Survey) -> str:
    assert found.decision is not None
    return found.decision.format.makes


def _prepare(surveys: Sequence[Survey]) -> str:
    rows = sum(found.rows - found.unusable for found in surveys)
    share, why = _held_out(rows)
    return "\n".join(
        [
            "# Rows in the format of their files → train.jsonl, eval.jsonl, and dropped.jsonl with the reasons.",
            "stage: prepare",
            "sources:",
            *(line for found in surveys for line in _source(found)),
            "normalize: true                # NFC on Hangul, line ends, outer white space; U+200B and U+FEFF removed",
            "filters: [empty]               # further: length, hangul_share, prompt_equals_answer, contains, …",
            'dedup: {"on": conversation}    # rows that differ only in a number or a name are no duplicates',
            f"eval: {share:<25}# {why}",
            "",
        ]
    )


def _source(found: Survey) -> list[str]:
    assert found.decision is not None
    container = found.container
    told = f"{found.rows:,} rows, {container.kind}, {container.encoding}, {container.line_ends}; {found.decision}"
    lines = [
        f"  # {told}",
        f"  - path: {dump_json(_path(found.path))}",
        f"    format: {_format(found.decision.format)}",
    ]
    if found.unusable:
        first = found.first.get("malformed") or found.first["unreadable"]
        why = first.splitlines()[0].removesuffix(".")
        lines.append(f"    on_error: skip             # {found.unusable} rows are dropped and counted: {why}")
    return lines


def _format(form: Known) -> str:
    knobs = form.model_dump(exclude_defaults=True)
    return form.kind if not knobs else dump_json({"kind": form.kind} | knobs)


def _held_out(rows: int) -> tuple[float, str]:
    """A share that leaves enough rows on both sides, and the reason."""
    if rows < 20:
        return 0.0, f"{rows} rows are too few to hold any out"
    share = 0.02 if rows >= 1000 else 0.05 if rows >= 200 else 0.1
    return share, f"about {round(rows * share):,} of {rows:,} rows are held out, by the hash of their prompts"


def _sft(surveys: Sequence[Survey], base: Base, data: str) -> str:
    length, why = _max_length(surveys, base)
    rows = sum(found.rows - found.unusable for found in surveys)
    adapter = ["adapter: {kind: lora, r: 16, lora_alpha: 32, target_modules: all-linear}"] if base.fresh_adapter else []
    return "\n".join(
        [
            "# Supervised fine-tuning: the answers and their stop tokens are trained.",
            "# On a GPU with little memory: model: {…, quantization: nf4} makes it QLoRA.",
            "stage: sft",
            f"model: {base.spec}",
            base.template,
            f"data: {{run: {dump_json(data)}, max_length: {length}}}    # {why}",
            *(adapter or ["# adapter: the run's own is trained on"]),
            f"training: {{num_train_epochs: {epochs_for(rows)}, learning_rate: 2e-4, per_device_train_batch_size: 8}}",
            "",
        ]
    )


def _dpo(surveys: Sequence[Survey], base: Base, data: str, parent: str | None) -> str:
    length, why = _max_length(surveys, base)
    model = [f"model: {{run: {dump_json(parent)}}}    # continues its adapter; the run as saved is the reference"]
    if parent is None:
        model = [f"model: {base.spec}", base.template]
        if base.fresh_adapter:
            model.append("adapter: {kind: lora, r: 16, lora_alpha: 32, target_modules: all-linear}")
    return "\n".join(
        [
            "# Preference tuning: chosen answers are made likelier than rejected ones, held to the reference.",
            "stage: dpo",
            *model,
            f"data: {{run: {dump_json(data)}, max_length: {length}}}    # {why}",
            "loss: {kind: sigmoid, beta: 0.1}",
            "training: {num_train_epochs: 1, learning_rate: 5e-6, per_device_train_batch_size: 4}",
            "",
        ]
    )


def epochs_for(rows: int) -> int:
    """More passes over small sets, as KoAlpaca and QLoRA did; one over large ones."""
    return 3 if rows < 2000 else 2 if rows < 20000 else 1


def _max_length(surveys: Sequence[Survey], base: Base) -> tuple[int, str]:
    """The power of two that holds the longest row, within bounds, and the reason."""
    longest_rows, spread = zip(*(_to_encode(found) for found in surveys), strict=True)
    lengths = [_tokens(record, base.chat) for records in spread for record in records]
    longest = max(lengths + [_tokens(record, base.chat) for records in longest_rows for record in records])
    wanted = max(SHORTEST, 1 << (longest - 1).bit_length())
    limit = min(LONGEST, base.limit)
    if wanted <= limit:
        return wanted, f"tokens; the longest row has {longest:,}, half of them at most {median(lengths):,.0f}"
    over = sum(length > limit for length in lengths)
    return limit, f"tokens; the longest row has {longest:,}; {over:,} of {len(lengths):,} looked at are longer: dropped"


def _to_encode(found: Survey) -> tuple[list[Record], list[Record]]:
    """The longest records in characters, and records spread evenly over the file."""
    records = [record for record in found.sample.records if asks(turns(record))]  # the others are never trained
    by_size = sorted(records, key=lambda record: -sum(len(message.content) for message in turns(record)))
    return by_size[:LONG_ROWS], records[:: max(1, len(records) // SPREAD_ROWS)]


def _tokens(record: Record, chat: Chat) -> int:
    if isinstance(record, Preference):
        prompt, chosen, rejected = chat.encode_preference(record)
        return len(prompt) + max(len(chosen), len(rejected))
    assert isinstance(record, Conversation)
    return max(len(row.input_ids) for row in chat.examples(record))
