"""Stage `evaluate`: held-out prompts answered by several models of one lineage, measured and shown side by side.

    answers.jsonl   a line per model and prompt: what it said, and what the reference cost it in log-probability

Rows are chosen and encoded for every model before the first weights are loaded, and one model is freed before the next
comes. A model whose lines stand in answers.jsonl is not asked again when the run is resumed.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import torch

from seodang import runs
from seodang.data.loading import load_rows
from seodang.encoding import IGNORED, Chat
from seodang.errors import DataError, ModelError
from seodang.evaluation.divergence import Drawn, divergence, draw
from seodang.evaluation.lineage import lineage_chats
from seodang.evaluation.metrics import Answer, ratio_interval, summarise, wilson
from seodang.evaluation.shots import with_shots
from seodang.generation import Completion, Generator
from seodang.language import Phrase
from seodang.progress import progress
from seodang.recipe import Evaluate
from seodang.records import Conversation, Message, Preference, Record
from seodang.runs import Ledger, Run, hash_text
from seodang.self_instruct.completers import seed_of
from seodang.tuning.model import load_model
from seodang.tuning.preflight import require_positions, stored_positions, stored_virtual_tokens
from seodang.tuning.reference import answer_logps, token_logps

Held: TypeAlias = Conversation | Preference

ANSWERS = "answers.jsonl"
SAMPLES = 12
PROMPTS_AT_ONCE = 128
REPORTED = {"stop": "stop_rate", "polite": "polite_rate", "language": "language_rate", "repetition": "repetition_rate"}
"""Metric name → its name in the report, where the two differ."""


def run(recipe: Evaluate, folder: Run) -> dict[str, Any]:
    """Answer and measure; returns rows, metrics per model and samples. Raises DataError where no row is left.

    `metrics[model]` holds a mean per metric that applies, `loss` (nats per trained token of the references),
    `perplexity`, for pairs `preference_accuracy` (share with log p(chosen) > log p(rejected), summed over tokens), `n`,
    `counts` and 95 % `intervals` per metric, and `tasks` where the rows name theirs.
    """
    chats = lineage_chats(recipe)
    records, examples, ledger = held_out(recipe, chats)
    require_positions_for(recipe, chats, records)
    folder.write_rows(runs.DROPPED, ledger.rows)
    found = _answered(folder, [record.source for record in records]) if folder.resumed else {}
    drawn: dict[str, Drawn] = {}
    for name, spec in recipe.models.items():
        moves = recipe.divergence_from not in (None, name) and not spec.shots
        if name in found and not moves:
            continue
        started, model = time.monotonic(), load_model(spec).model
        if name not in found:
            asked = with_shots(records, examples, spec.shots, recipe.seed)
            found[name] = list(_examine(name, model, chats[name], asked, recipe))
            folder.write_rows(ANSWERS, (row for rows in found.values() for row in rows))
        if moves:
            drawn[name] = draw(model, chats[name], records, recipe.sampling.max_new_tokens, recipe.seed)
        del model
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        folder.log({"model": name, "prompts": len(records), "seconds": round(time.monotonic() - started, 1)})
    metrics = {name: measure(records, found[name], recipe.metrics) for name in recipe.models}
    for name, moved in _divergences(recipe, drawn):
        metrics[name]["kl"] = moved["mean"]
        metrics[name]["intervals"]["kl"], metrics[name]["counts"]["kl"] = [moved["low"], moved["high"]], moved["n"]
    samples = [_sample(records[i], {name: found[name][i] for name in recipe.models}) for i in _spread(len(records))]
    return {"rows": ledger.close(), "verdict": _verdict(metrics), "metrics": metrics, "samples": samples}


def _divergences(recipe: Evaluate, drawn: dict[str, Drawn]) -> Iterator[tuple[str, dict[str, float]]]:
    """How far every model is from `divergence_from`, on what it said itself."""
    if recipe.divergence_from and drawn:
        reference = load_model(recipe.models[recipe.divergence_from]).model
        yield from ((name, divergence(one, reference)) for name, one in drawn.items())


def held_out(recipe: Evaluate, chats: dict[str, Chat]) -> tuple[list[Held], list[Record], Ledger]:
    """The rows every model answers: held-out ones where the data has them, at most `max_prompts`, chosen by content.

    The second list is what examples are drawn from: the training rows, where they are others.

    Raises DataError where none is left, or one is too long and `over_length` is `error`.
    """
    rows = load_rows(recipe.data, "answers")
    given: list[Any] = rows.eval or rows.train
    order = sorted(range(len(given)), key=lambda i: hash_text(f"{recipe.seed} {_content(given[i])}"))
    kept: list[int] = []
    ledger = Ledger()
    for index in order:
        reason = "max_prompts" if len(kept) == recipe.max_prompts else _unusable(given[index], chats, recipe)
        if reason:
            ledger.drop(reason, given[index].to_row())
        else:
            ledger.keep()
            kept.append(index)
    if not kept:
        raise DataError(
            "No held-out row is left to answer: {rows}. Look at the file with `seodang inspect`, or raise "
            "`data.max_length`.",
            rows=runs.ledger_line(ledger.close()),
        )
    return [given[index] for index in sorted(kept)], list(rows.train if rows.eval else ()), ledger


def require_positions_for(recipe: Evaluate, chats: dict[str, Chat], records: Sequence[Held]) -> None:
    """Raise ModelError, before weights are read, where a row has more tokens than one of the models has positions."""
    for name, spec in recipe.models.items():
        longest = max(len(given) + len(said) for record in records for given, said, _ in _sides(record, chats[name]))
        require_positions(stored_positions(spec), longest, stored_virtual_tokens(spec))


def _content(record: Held) -> str:
    return runs.dump_json({key: value for key, value in record.to_row().items() if key != "source"})


def _unusable(record: Held, chats: dict[str, Chat], recipe: Evaluate) -> str | None:
    if not _reference(record).strip():
        return "no_answer"
    length = max(len(given) + len(said) for chat in chats.values() for given, said, _ in _sides(record, chat))
    if length <= recipe.data.max_length:
        return None
    if recipe.data.over_length == "error":
        raise DataError(
            "{source}: the row has {length} tokens and `data.max_length` is {limit}. Raise it, or write "
            "`data.over_length: drop` to drop and count such rows.",
            source=record.source,
            length=length,
            limit=recipe.data.max_length,
        )
    return "over_length"


def _sides(record: Held, chat: Chat) -> list[tuple[list[int], list[int], list[bool]]]:
    """(ids before the first trained token, ids from there on, which of those are trained) per answer of the row."""
    if isinstance(record, Preference):
        prompt, chosen, rejected = chat.encode_preference(record)
        return [(prompt, said, [True] * len(said)) for said in (chosen, rejected)]
    sides = []
    for row in chat.examples(record):
        start = next(i for i, label in enumerate(row.labels) if label != IGNORED)
        sides.append((row.input_ids[:start], row.input_ids[start:], [label != IGNORED for label in row.labels[start:]]))
    return sides


def _reference(record: Held) -> str:
    return record.chosen[-1].content if isinstance(record, Preference) else record.answer


def _accept(record: Held) -> tuple[str, ...]:
    """The right forms of the answer; a pair's chosen side is one good answer of many, and no form to match."""
    return () if isinstance(record, Preference) else record.accept or (record.answer,)


def _examine(name: str, model: Any, chat: Chat, records: Sequence[Held], recipe: Evaluate) -> Iterator[dict[str, Any]]:
    """One model's lines of answers.jsonl, in the order of the records."""
    _require_rows_for(name, model, chat)
    completions = _answers(
        name, Generator(model, chat.tokenizer, chat.stop_ids, recipe.batch_size), chat, records, recipe
    )
    costs = _costs(model, chat, records)
    for record, completion, cost in zip(records, completions, costs, strict=True):
        said = {"text": completion.text, "stopped": completion.stopped, "tokens": len(completion.ids)}
        yield {"model": name, "source": record.source, **said, **cost}


def _require_rows_for(name: str, model: Any, chat: Chat) -> None:
    rows, last = model.get_input_embeddings().weight.shape[0], max(chat.tokenizer.get_vocab().values())
    if last >= rows:
        raise ModelError(
            "models.{name} has {rows} embeddings, and the chat template's tokenizer has the id {last}. Name a template "
            "whose control tokens this model knows (`template: NAME`).",
            name=name,
            rows=rows,
            last=last,
        )


def _answers(
    name: str, generator: Generator, chat: Chat, records: Sequence[Held], recipe: Evaluate
) -> list[Completion]:
    prompts = [chat.prompt_ids(record.prompt) for record in records]
    order = sorted(range(len(prompts)), key=lambda i: -len(prompts[i]))
    found: dict[int, Completion] = {}
    with progress(Phrase("{name}: answers", name=name), len(prompts)) as advance:
        for start in range(0, len(order), PROMPTS_AT_ONCE):
            part = order[start : start + PROMPTS_AT_ONCE]
            seeds = [seed_of(recipe.seed, i) for i in part]
            found |= zip(part, generator.answer([prompts[i] for i in part], recipe.sampling, seeds), strict=True)
            advance(len(part))
    return [found[i] for i in range(len(prompts))]


def _costs(model: Any, chat: Chat, records: Sequence[Held]) -> Iterator[dict[str, Any]]:
    """Per record the negative log-probability (nats) of its reference's trained tokens and how many they are."""
    if isinstance(records[0], Preference):
        pairs = [chat.encode_preference(record) for record in records if isinstance(record, Preference)]
        for (_, chosen, _), (good, bad) in zip(pairs, answer_logps(model, pairs), strict=True):
            yield {"reference_nll": -good, "reference_tokens": len(chosen), "rejected_nll": -bad}
        return
    each = [_sides(record, chat) for record in records]
    logps = iter(token_logps(model, [(given, said) for sides in each for given, said, _ in sides]))
    for sides in each:
        total = sum(float(next(logps).double()[torch.tensor(trained)].sum()) for _, _, trained in sides)
        yield {"reference_nll": -total, "reference_tokens": sum(sum(trained) for _, _, trained in sides)}


def measure(records: Sequence[Held], rows: Sequence[dict[str, Any]], metrics: Sequence[str]) -> dict[str, Any]:
    """One model's entry in the report from its lines of answers.jsonl. A metric that applies nowhere is left out."""
    answers = [
        Answer(row["text"], row["stopped"], record.prompt[-1].content if record.prompt else "", _accept(record))
        for record, row in zip(records, rows, strict=True)
    ]
    tasks = [record.task if isinstance(record, Conversation) else "" for record in records]
    summary = summarise(answers, metrics, tasks)
    by_task = summary.pop("tasks", {})
    summary |= _likelihood(rows)
    applied = {REPORTED.get(name, name): one for name, one in summary.items() if one["n"]}
    entry: dict[str, Any] = {name: one["mean"] for name, one in applied.items()}
    if "loss" in entry:
        entry["perplexity"] = math.exp(min(entry["loss"], 700.0))
    entry |= {"n": len(rows), "counts": {name: one["n"] for name, one in applied.items()}}
    entry["intervals"] = {name: [one["low"], one["high"]] for name, one in applied.items()}
    if by_task:
        entry["tasks"] = {task: _task_means(table) for task, table in by_task.items()}
    return entry


def _task_means(table: dict[str, Any]) -> dict[str, Any]:
    means = {REPORTED.get(name, name): one["mean"] for name, one in table.items() if one["n"]}
    return means | {"n": max(one["n"] for one in table.values())}


def _likelihood(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    costs, tokens = [row["reference_nll"] for row in rows], [row["reference_tokens"] for row in rows]
    low, high = ratio_interval(costs, tokens)
    found: dict[str, Any] = {"loss": {"mean": sum(costs) / sum(tokens), "low": low, "high": high, "n": len(rows)}}
    pairs = [row for row in rows if "rejected_nll" in row]
    if pairs:
        right = sum(row["reference_nll"] < row["rejected_nll"] for row in pairs)
        low, high = wilson(right, len(pairs))
        found["preference_accuracy"] = {"mean": right / len(pairs), "low": low, "high": high, "n": len(pairs)}
    return found


def _answered(folder: Run, sources: list[str]) -> dict[str, list[dict[str, Any]]]:
    """The models whose lines are whole in answers.jsonl, for exactly these rows."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in runs.read_rows(folder.file(ANSWERS)):
        found.setdefault(row["model"], []).append(row)
    return {name: rows for name, rows in found.items() if [row["source"] for row in rows] == sources}


def _spread(count: int) -> list[int]:
    """Up to SAMPLES indices, evenly over all rows."""
    shown = min(count, SAMPLES)
    return [index * count // shown for index in range(shown)]


def _sample(record: Held, rows: dict[str, dict[str, Any]]) -> dict[str, Any]:
    answers = {name: row["text"] + ("" if row["stopped"] else " …") for name, row in rows.items()}
    return {"prompt": _shown(record.prompt), "reference": _reference(record), "answers": answers}


def _shown(messages: Sequence[Message]) -> str:
    if len(messages) == 1:
        return messages[0].content
    return "\n".join(f"[{message.role}] {message.content}" for message in messages)


def _verdict(metrics: dict[str, dict[str, Any]]) -> str:
    """The line to read first: the leading numbers over the models, in their order."""
    lines = []
    for key in ("exact_match", "preference_accuracy", "loss"):
        values = [f"{name} {entry[key]:.3f}" for name, entry in metrics.items() if key in entry]
        lines += [f"{key}: {' → '.join(values)}"] if values else []
    return " · ".join(lines)
