"""Writes docs/adapters.md: every adapter a recipe can ask for, on which weights it trains, and whether it merges.

    python tools/adapter_table.py [--check]

tests/tools/test_adapter_table.py trains every example on every kind of weights, so what stands in the table is what
was seen; the figures of QLoRA are those of the newest benchmarks/results/*-qlora.json. `--check` writes nothing and
ends with 1 where the page is not current.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from seodang.tuning.adapters import Adapter, Full, PrefixTuning, PromptTuning

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "adapters.md"
RESULTS = ROOT / "benchmarks" / "results"
WEIGHTS = (None, "nf4", "fp4", "int8")
"""Kinds of base weights; None is full precision."""
MERGED = {None: 1e-5, "nf4": 1e-5, "fp4": 1e-5, "int8": 5e-2}
"""How far the logits of a merged model may be from the adapter's on its base."""


@dataclass(frozen=True)
class Example:
    """An adapter as a recipe writes it, small enough for the tests' model."""

    title: str
    recipe: dict[str, Any]
    mixture: bool = False
    """For a mixture of experts."""

    @property
    def adapter(self) -> Any:
        """The recipe's object."""
        return TypeAdapter(Adapter).validate_python(self.recipe)

    def refused(self, weights: str | None) -> str | None:
        """Why it does not train on these weights."""
        if isinstance(self.adapter, Full):
            return "`full` trains every weight, and quantised weights are frozen" if weights else None
        found = self.adapter.refuses(weights)
        return str(found) if found else None

    @property
    def merges(self) -> bool:
        """Whether it can become part of the weights."""
        return not isinstance(self.adapter, (PromptTuning, PrefixTuning))


EXAMPLES = (
    Example("LoRA", {"kind": "lora", "r": 4}),
    Example("rsLoRA", {"kind": "lora", "r": 4, "use_rslora": True}),
    Example("LoRA+", {"kind": "lora", "r": 4, "loraplus_lr_ratio": 16}),
    Example("DoRA", {"kind": "lora", "r": 4, "use_dora": True}),
    Example("PiSSA", {"kind": "lora", "r": 4, "init_lora_weights": "pissa"}),
    Example("OLoRA", {"kind": "lora", "r": 4, "init_lora_weights": "olora"}),
    Example("EVA", {"kind": "lora", "r": 4, "init_lora_weights": "eva"}),
    Example("LoftQ", {"kind": "lora", "r": 4, "init_lora_weights": "loftq"}),
    Example("LoRA, a module whole", {"kind": "lora", "r": 4, "modules_to_save": ["embed_tokens"]}),
    Example("LoRA on a mixture's experts",
            {"kind": "lora", "r": 4, "target_parameters": ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]},
            mixture=True),
    Example("AdaLoRA", {"kind": "adalora", "init_r": 6, "target_r": 2}),
    Example("IA3", {"kind": "ia3"}),
    Example("VeRA", {"kind": "vera", "r": 16}),
    Example("OFT", {"kind": "oft", "oft_block_size": 8}),
    Example("BOFT", {"kind": "boft"}),
    Example("Prompt tuning", {"kind": "prompt_tuning", "num_virtual_tokens": 8}),
    Example("Prefix tuning", {"kind": "prefix_tuning", "num_virtual_tokens": 8}),
    Example("Every weight", {"kind": "full"}),
)  # fmt: skip

HEAD = """# Adapters

<!-- Written by tools/adapter_table.py; change the classes in src/seodang/tuning/ or the examples there. -->

Which adapter trains on which weights. `make test` trains every row of this table on a small model, loads what was saved
on the untouched base in a fresh process and compares the logits; the keys are in [recipes.md](recipes.md).

| adapter | in a recipe | full precision | nf4 | fp4 | int8 | merges |
| --- | --- | --- | --- | --- | --- | --- |
"""


def page() -> str:
    """The whole page."""
    reasons: list[str] = []
    lines = [_line(example, reasons) for example in EXAMPLES]
    notes = [f"{number}. {reason}." for number, reason in enumerate(reasons, 1)]
    return HEAD + "\n".join(lines) + "\n\n" + "\n".join(notes) + "\n" + TAIL + measured()


TAIL = f"""
PiSSA and OLoRA train on a base from which their first weights are taken out; what is saved is the plain LoRA of twice
the rank by which the trained model differs from the untouched base. `merges` is exact to {MERGED[None]:g} in the
logits, also for 4-bit weights, because the base is dequantised first; int8 layers round their inputs too, so a merged
one differs by some thousandths (tested to {MERGED["int8"]:g}).

Preference tuning (`dpo`) starts from its reference, so LoftQ, prompt tuning and prefix tuning, which answer otherwise
than their base from the start, are for `sft`; a run that ended as one of the two prompt methods cannot be continued.
Any other goes on in a later run (`model: {{run: …}}`) as its first run asked: LoRA+ with its ratio, AdaLoRA with its
penalty and the ranks that it has settled on.

Virtual tokens count against the model's positions, in training and in every answer. Rows behind a tuned prompt are
generated in batches of one length, because PEFT would read a padded one at positions it was not trained at.
"""

MEASURED = """
## What nf4 costs

`python benchmarks/qlora.py FOLDER` trains LoRA and QLoRA side by side on long Korean answers ({date}, one thread of an
{machine} processor, float32). The base is {model}, {size:.1f} M parameters, after {pretrained} steps of `pretrain`
on web text; each arm trains for {steps} steps with rank 16 on every linear layer, and is measured on {rows} held-out
rows of {tokens:,} trained tokens.

| | full precision | nf4 | nf4 costs (95 % interval) |
| --- | --- | --- | --- |
| base, nats per token | {base:.4f} | {base_nf4:.4f} | {cost_base} |
| trained, nats per token | {lora:.4f} | {qlora:.4f} | {cost_trained} |
| seconds per step, of the processor | {lora_cpu:.2f} | {qlora_cpu:.2f} | {times:+.0%} |
| peak memory in training, {size:.1f} M parameters | {lora_peak} | {qlora_peak} | {peaks:+.0%} |
| peak memory in training, 340 M parameters, short rows | {lora_large} | {qlora_large} | {larges:+.0%} |

{verdict}On a small model with long rows the activations are most of the memory, and dequantised copies come on top;
quantisation is for models whose weights are most of it.
"""


def measured() -> str:
    """What the newest benchmark of QLoRA says; empty where there is none."""
    files = sorted(RESULTS.glob("*-qlora.json"))
    if not files:
        return ""
    found = json.loads(files[-1].read_text(encoding="utf-8"))
    lora, qlora, large = found["lora"], found["qlora"], found["peak_340m"]
    cpu = {name: found[name]["cpu_seconds"] / found[name]["steps"] for name in ("lora", "qlora")}
    left = 1 - found["cost_trained"]["mean"] / found["cost_base"]["mean"]
    taken = f"Training takes back {left:.0%} of what rounding cost the base.\n" if left > 0 else ""
    return MEASURED.format(
        date=found["date"], model=f"`{found['model']}`", size=found["pretrain"]["metrics"]["parameters"] / 1e6,
        machine=found["hardware"]["machine"], pretrained=found["pretrain"]["steps"],
        steps=lora["steps"], rows=found["rows"], tokens=found["tokens"], **found["loss"],
        cost_base=_cost(found["cost_base"]), cost_trained=_cost(found["cost_trained"]),
        lora_cpu=cpu["lora"], qlora_cpu=cpu["qlora"], times=cpu["qlora"] / cpu["lora"] - 1,
        lora_peak=_mib(lora["peak"]), qlora_peak=_mib(qlora["peak"]), peaks=qlora["peak"] / lora["peak"] - 1,
        lora_large=_mib(large["lora"]), qlora_large=_mib(large["qlora"]), larges=large["qlora"] / large["lora"] - 1,
        verdict=taken,
    )  # fmt: skip


def _cost(cost: dict[str, Any]) -> str:
    return f"{cost['mean']:+.4f} ({cost['interval'][0]:+.4f} … {cost['interval'][1]:+.4f})"


def _mib(size: int) -> str:
    return f"{size / 2**20:,.0f} MiB"


def _line(example: Example, reasons: list[str]) -> str:
    written = ", ".join(f"{key}: {_yaml(value)}" for key, value in example.recipe.items())
    cells = [_cell(example.refused(weights), reasons) for weights in WEIGHTS]
    merges = "–" if isinstance(example.adapter, Full) else "yes"
    if not example.merges:
        merges = _cell("Vectors before the text change no weight, so there is nothing to merge", reasons)
    return f"| {example.title} | `{{{written}}}` | {' | '.join(cells)} | {merges} |"


def _yaml(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(value)}]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _cell(refused: str | None, reasons: list[str]) -> str:
    if refused is None:
        return "yes"
    if refused not in reasons:
        reasons.append(refused)
    return f"no ({reasons.index(refused) + 1})"


def main(arguments: list[str]) -> int:
    """Write the page, or with `--check` only compare it."""
    text = page()
    if "--check" in arguments:
        current = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
        if current != text:
            print(f"{PAGE.name} is not current: run `make generated`", file=sys.stderr)
        return int(current != text)
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
