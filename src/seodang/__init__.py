"""Seodang: from instruction data to an instruction-tuned adapter.

import seodang as sd

run = sd.sft("models/base", "seed.jsonl", template="chatml", adapter={"kind": "lora", "r": 8}, output_dir="runs/sft")
better = sd.dpo(run, "pairs.jsonl", output_dir="runs/dpo")
dataset, collator = sd.encode("seed.jsonl", model="models/base", template="chatml")
sd.preview("seed.jsonl", model="models/base", template="chatml", beside="trl")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seodang.api import Finished, dpo, encode, preview, sft
    from seodang.errors import SeodangError

__all__ = ["Finished", "SeodangError", "dpo", "encode", "preview", "sft"]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for, so that `import seodang` costs nothing."""
    if name not in __all__:
        raise AttributeError(f"module 'seodang' has no attribute {name!r}")
    import importlib

    home = "seodang.errors" if name == "SeodangError" else "seodang.api"
    return getattr(importlib.import_module(home), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
