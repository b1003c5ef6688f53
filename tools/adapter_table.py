"""Writes docs/adapters.md: every adapter a recipe can ask for, on which weights it trains, and whether it merges.

    python tools/adapter_table.py [--check]

tests/tools/test_adapter_table.py trains every example on every kind of weights, so what stands in the table is what
was seen. `--check` writes nothing and ends with 1 where the page is not current.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from seodang.tuning.adapters import Adapter, Full, PrefixTuning, PromptTuning

PAGE = Path(__file__).resolve().parents[1] / "docs" / "adapters.md"
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
    return HEAD + "\n".join(lines) + "\n\n" + "\n".join(notes) + "\n" + TAIL


TAIL = f"""
PiSSA and OLoRA train on a base from which their first weights are taken out; what is saved is the plain LoRA of twice
the rank by which the trained model differs from the untouched base. `merges` is exact to {MERGED[None]:g} in the
logits, also for 4-bit weights, because the base is dequantised first; int8 layers round their inputs too, so a merged
one differs by some thousandths (tested to {MERGED["int8"]:g}).

Preference tuning (`dpo`) starts from its reference, so LoftQ, prompt tuning and prefix tuning, which answer otherwise
than their base from the start, are for `sft`; a run that ended as one of the two prompt methods cannot be continued.
"""


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
