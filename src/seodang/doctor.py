"""`seodang doctor`: versions against the tested window, hardware, the dtype it would choose, what is missing."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from importlib import metadata

from seodang.language import Phrase

OPTIONAL = {
    "kiwipiepy": (Phrase("morphemes for Korean statistics and novelty"), "pip install 'seodang[ko]'"),
    "flash_attn": (Phrase("variable-length attention on NVIDIA GPUs"), "pip install flash-attn"),
    "vllm": (Phrase("fast generation on GPUs"), "pip install vllm"),
}
"""Module → (what it speeds up or adds, the command that installs it)."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor: a subject, what was found, and whether it is as it should be."""

    subject: str
    found: str
    good: bool = True


def examine() -> list[Finding]:
    """Look at this machine. Imports torch, so it takes a few seconds."""
    return [*_versions(), *_hardware(), *_optional()]


def _versions() -> list[Finding]:
    from packaging.requirements import Requirement

    try:
        wanted = [Requirement(text) for text in metadata.requires("seodang") or []]
    except metadata.PackageNotFoundError:
        return [Finding("seodang", Phrase("is not installed (pip install -e .)"), False)]
    found = []
    for need in wanted:
        if need.marker is not None:
            continue
        try:
            there = metadata.version(need.name)
        except metadata.PackageNotFoundError:
            found.append(Finding(need.name, Phrase("missing: pip install '{need}'", need=need), False))
            continue
        good = need.specifier.contains(there, prereleases=True)
        text = "{there}, outside the tested window {window}: pip install '{need}'"
        outside = Phrase(text, there=there, window=need.specifier, need=need)
        found.append(Finding(need.name, there if good else outside, good))
    return found


def _hardware() -> list[Finding]:
    from seodang.machine import hardware
    from seodang.tuning.model import choose_dtype, find_hardware

    there, facts = find_hardware(), hardware()
    precision = choose_dtype("auto", there)
    autocast = "bfloat16" if precision.bf16 else "float16" if precision.fp16 else Phrase("no")
    native = Phrase("computes") if there.native_bf16 else Phrase("does not compute")
    dtype = str(precision.weights).removeprefix("torch.")
    machine = Phrase("{cores} cores, {memory_gib} GiB, {machine}", **facts)
    text = "{dtype} weights, {autocast} autocast (this device {native} bfloat16 natively)"
    return [
        Finding(Phrase("machine"), machine),
        Finding(Phrase("device"), ", ".join(facts.get("gpus", [])) or there.device),
        Finding("dtype", Phrase(text, dtype=dtype, autocast=autocast, native=native)),
    ]


def _optional() -> list[Finding]:
    text = "not installed ({what}; {command})"
    return [
        Finding(name, Phrase("present") if importlib.util.find_spec(name) else Phrase(text, what=what, command=command))
        for name, (what, command) in OPTIONAL.items()
    ]
