"""`seodang plan`: steps, tokens, padding, what is trained, and memory part by part, without weights or torch."""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from seodang.errors import SeodangError
from seodang.language import Phrase, columns, label, padded, say
from seodang.machine import hardware
from seodang.planning import speed
from seodang.planning.architecture import Architecture
from seodang.planning.cards import Fit, advice, smallest
from seodang.planning.memory import Memory
from seodang.planning.published import Published
from seodang.planning.setting import CPU, GPU, memory_on, published_shape, shape_of, what_is_trained
from seodang.planning.steps import Steps, count_steps
from seodang.planning.trained import Trained
from seodang.recipe import DPO, SFT, Pretrain, Stage
from seodang.screen import Screen, duration
from seodang.tuning.launch import processes

BAR = 28
"""Columns of the longest bar."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a recipe will take."""

    stage: str
    shape: Architecture
    trained: Trained
    memory: Memory
    on_cpu: bool
    published: Published | None
    """Where the shape was read when the model itself is not on disk."""
    processes: int
    """How many processes train together; memory is that of each."""
    steps: Steps | None
    why_no_steps: str
    """The paragraph that says why the rows cannot be counted yet."""
    fit: Fit | None
    """The smallest common GPU; with changes, where it fits on none as it is."""
    time: tuple[str, float] | None
    """The run by whose speed the time was estimated, and the seconds."""
    machine_bytes: float
    """The memory of this machine."""
    machine_advice: tuple[str, ...]
    """Overrides with which it would fit on this machine, where it does not."""

    def to_json(self) -> dict[str, Any]:
        """Everything as JSON holds it: sizes in bytes, times in seconds."""
        steps = self.steps and asdict(self.steps) | {"waste": self.steps.waste, "total_tokens": self.steps.total}
        fit = self.fit and {"card": self.fit.card.name, "bytes": round(self.fit.memory.total),
                            "changes": list(self.fit.changes)}  # fmt: skip
        return {
            "stage": self.stage,
            "architecture": self.shape.model_type,
            "parameters": self.shape.parameters,
            "trained_parameters": self.trained.parameters,
            "steps": steps or {"unknown": self.why_no_steps},
            "shape_from": self.published and {"source": self.published.source, "verified": self.published.verified},
            "processes": self.processes,
            "device": "cpu" if self.on_cpu else "gpu",
            "memory": {name: round(size) for name, size in self.memory.parts.items()},
            "memory_total": round(self.memory.total),
            "memory_reference_pass": round(self.memory.reference),
            "smallest_gpu": fit,
            "seconds": self.time and round(self.time[1]),
        }


def plan(recipe: Stage, on: str | None = None) -> Plan:
    """What a `pretrain`, `sft` or `dpo` recipe takes, on `cpu` or `gpu`; unset: on a GPU where there is a driver.

    Raises SeodangError for another stage, and ModelError where the model's config.json is not there or not known.
    """
    if not isinstance(recipe, (SFT, DPO, Pretrain)):
        raise SeodangError("`{stage}` trains nothing to plan; plan looks at pretrain, sft and dpo.", stage=recipe.stage)
    shape = shape_of(recipe)
    steps, why = _steps(recipe)
    on_cpu = on == "cpu" or (on is None and shutil.which("nvidia-smi") is None)
    found = memory_on(recipe, shape, steps, CPU if on_cpu else GPU)
    there = float(hardware()["memory_gib"]) * 2**30
    return Plan(
        stage=recipe.stage,
        shape=shape,
        trained=what_is_trained(recipe, shape),
        memory=found,
        on_cpu=on_cpu,
        published=published_shape(recipe),
        processes=processes(recipe.launch),
        steps=steps,
        why_no_steps=why,
        fit=_fit(recipe, shape, steps),
        time=_time(recipe, shape, steps) if on_cpu else None,
        machine_bytes=there,
        machine_advice=_advice_here(recipe, shape, steps, there) if on_cpu and found.total > there else (),
    )


def _steps(recipe: SFT | DPO | Pretrain) -> tuple[Steps | None, str]:
    """The steps, or the paragraph that says why they cannot be counted yet: rows or tokenizer are not there."""
    try:
        return count_steps(recipe), ""
    except SeodangError as error:
        return None, error.phrase


def _fit(recipe: Any, shape: Architecture, steps: Steps | None) -> Fit | None:
    """The smallest card as the recipe is, or with the mildest changes."""
    found = smallest(recipe, shape, steps)
    if found is not None:
        return found
    fits: list[Fit] = []

    def fit(changed: Any) -> bool:
        there = smallest(changed, shape, steps)
        fits.extend([there] if there else [])
        return there is not None

    changes = advice(recipe, shape, fit)
    return Fit(fits[0].card, fits[0].memory, changes) if changes else None


def _advice_here(recipe: Any, shape: Architecture, steps: Steps | None, there: float) -> tuple[str, ...]:
    return advice(recipe, shape, lambda changed: memory_on(changed, shape, steps, CPU).total <= there) or ()


def _time(recipe: Any, shape: Architecture, steps: Steps | None) -> tuple[str, float] | None:
    found = speed.latest_speed(Path("runs"), str(hardware()["machine"])) if steps else None
    if steps is None or found is None:
        return None
    name, flops = found
    return name, speed.seconds(shape.parameters, steps.tokens * steps.epochs, flops)


def show(found: Plan, screen: Screen | None = None) -> None:
    """The plan on 80 columns, with a bar for each part of memory."""
    screen = screen or Screen()
    lines = [*_facts(found), (Phrase("memory"), _total(found))]
    wide = max(columns(say(name)) for name, _ in lines) + 2
    for name, text in lines:
        screen.line(padded(say(name), wide) + say(text))
    for line in _bars(found.memory):
        screen.line(line)
    for text in _verdicts(found):
        screen.line(say(text))


def _facts(found: Plan) -> list[tuple[str, str]]:
    shape, whole = found.shape, found.trained.parameters / found.shape.parameters
    text = "{all:,} parameters ({kind}, {layers} layers)"
    facts: list[tuple[str, str]] = [
        (Phrase("model"), Phrase(text, all=shape.parameters, kind=shape.model_type, layers=shape.layers))
    ]
    if found.published is not None:
        text = "{source}; the model is not on this machine"
        doubt = Phrase("unverified: {source}", source=found.published.source)
        source = found.published.source if found.published.verified else doubt
        facts.append((Phrase("shape"), Phrase(text, source=source)))
    text = "{count:,} parameters ({share:.2f} %, {kind})"
    told = {"count": found.trained.parameters, "share": 100 * whole, "kind": found.trained.kind}
    facts.append((Phrase("trained"), Phrase(text, **told)))
    if found.steps is None:
        return [*facts, (Phrase("steps"), Phrase("not known yet: {why}", why=Phrase(found.why_no_steps)))]
    steps = found.steps
    text = "{rows:,} to train on, {held_out:,} held out; the longest has {longest:,} tokens"
    facts.append((Phrase("rows"), Phrase(text, rows=steps.rows, held_out=steps.held_out, longest=steps.longest)))
    text = "{steps:,} in {epochs:.2g} epochs, of {tokens:,.0f} tokens each; {waste:.0f} % of them are padding"
    told = {"steps": steps.steps, "epochs": steps.epochs, "tokens": steps.tokens_per_step}
    facts.append((Phrase("steps"), Phrase(text, **told, waste=100 * steps.waste)))
    if found.processes > 1:
        text = "{count} train together; a step is of all of them, the memory below of each"
        facts.append((Phrase("processes"), Phrase(text, count=found.processes)))
    if found.time:
        text = "about {time} here, at the speed of {name}"
        facts.append((Phrase("time"), Phrase(text, time=duration(found.time[1]), name=found.time[0])))
    return facts


def _total(found: Plan) -> Phrase:
    device = Phrase("on this machine's processor") if found.on_cpu else Phrase("on a GPU with bfloat16")
    return Phrase("{size} at the fullest moment, {device}", size=gib(found.memory.total), device=device)


def gib(size: float) -> str:
    """Bytes in a unit that says most: `512 MiB`, `3.1 GiB`."""
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"


def _bars(found: Memory) -> list[str]:
    """A line per part, and one for the pass over the reference, which is no part of the sum."""
    parts: dict[str, float] = {name: size for name, size in found.parts.items() if size >= 2**20}
    parts |= {"reference": found.reference} if found.reference else {}
    wide, most = max(columns(label(name)) for name in parts), max(parts.values())
    lines = []
    for name, size in parts.items():
        bar = "█" * max(1, round(BAR * size / most))
        text = Phrase("  (before the first step)") if name == "reference" else ""
        lines.append(f"  {padded(label(name), wide)}  {gib(size):>9}  {bar}{say(text)}")
    return lines


def _verdicts(found: Plan) -> list[Phrase]:
    told = []
    if found.on_cpu and found.memory.total > found.machine_bytes:
        text = "This machine has {size}: too little. {way_out}"
        changes = " ".join(found.machine_advice)
        way_out = Phrase("It fits with: {changes}", changes=changes) if changes else Phrase("Train a smaller model.")
        told.append(Phrase(text, size=gib(found.machine_bytes), way_out=way_out))
    fit = found.fit
    if fit is None:
        return [
            *told,
            Phrase("It fits on no common GPU, also with less at once and in 4 bits: take a smaller model."),
        ]
    size = gib(fit.memory.total)
    if fit.changes:
        text = "On no common GPU as it is. With {changes} it takes {size}, and the smallest that fits is: {card}"
        return [*told, Phrase(text, changes=" ".join(fit.changes), size=size, card=fit.card.name)]
    text = "Smallest common GPU that fits: {card}, with {size} (counted, not measured)"
    return [*told, Phrase(text, size=size, card=fit.card.name)]
