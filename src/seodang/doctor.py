"""`seodang doctor`: versions against the tested window, hardware, the dtype it would choose and why, what is missing.

Each finding that is not as it should be, and each optional part that is missing, comes with the command that mends it.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seodang.language import Phrase, say

if TYPE_CHECKING:
    from rich.table import Table

OPTIONAL = {
    "kiwipiepy": (Phrase("morphemes for Korean statistics and novelty"), "pip install 'seodang[ko]'", False),
    "scipy": (Phrase("`init_lora_weights: loftq`"), "pip install scipy", False),
    "tensorboard": (Phrase("`training.report_to: tensorboard`"), "pip install tensorboard", False),
    "wandb": (Phrase("`training.report_to: wandb`"), "pip install wandb", False),
    "trackio": (Phrase("`training.report_to: trackio`"), "pip install trackio", False),
    "flash_attn": (Phrase("variable-length attention on NVIDIA GPUs"), "pip install flash-attn", True),
    "deepspeed": (Phrase("`launch.deepspeed`: optimizer states spread over GPUs"), "pip install deepspeed", True),
    "vllm": (Phrase("fast generation on GPUs"), "pip install vllm", True),
}
"""Module → (what it speeds up or adds, the command that installs it, whether it needs an NVIDIA GPU)."""
REINSTALL = "pip install --force-reinstall --no-deps torch"
MIN_DISK = 10 * 2**30
"""Bytes: a 4-bit 8B model with its checkpoints takes about as much."""
CPU_FLAGS = ("avx512f", "avx512_bf16", "amx_bf16")
"""What /proc/cpuinfo calls the units that a matrix product can use."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor: a subject, what was found, whether it is as it should be, and the command that mends."""

    subject: str
    found: str
    good: bool = True
    mend: str = ""

    @property
    def mark(self) -> str:
        """`ok`, `NO`, or `--` for what may be missing."""
        return "NO" if not self.good else "--" if self.mend else "ok"


def examine() -> list[Finding]:
    """Look at this machine. Imports torch, so it takes a few seconds."""
    return [_python(), *_versions(), *_hardware(), _disk(), *_optional()]


def table(findings: list[Finding]) -> Table:
    """The findings on 80 columns: long texts go on below themselves, each command on a line of its own."""
    from rich.table import Table
    from rich.text import Text

    shown = Table.grid(padding=(0, 2, 0, 0))
    shown.add_column(no_wrap=True)
    shown.add_column(no_wrap=True)
    shown.add_column(overflow="fold")
    for finding in findings:
        shown.add_row(Text(finding.mark), Text(say(finding.subject)), Text(say(finding.found)))
        if finding.mend:
            shown.add_row(Text(""), Text(""), Text(f"$ {finding.mend}"))
    return shown


def _python() -> Finding:
    from packaging.specifiers import SpecifierSet

    there = ".".join(map(str, sys.version_info[:3]))
    try:
        window = metadata.metadata("seodang")["Requires-Python"] or ""
    except metadata.PackageNotFoundError:
        window = ""
    if SpecifierSet(window).contains(there):
        return Finding("python", there)
    return Finding("python", Phrase("{there}, outside the tested window {window}", there=there, window=window), False)


def _versions() -> list[Finding]:
    from packaging.requirements import Requirement

    try:
        wanted = [Requirement(text) for text in metadata.requires("seodang") or []]
    except metadata.PackageNotFoundError:
        return [Finding("seodang", Phrase("is not installed"), False, "pip install -e .")]
    return [_version(need) for need in wanted if need.marker is None]


def _version(need: Any) -> Finding:
    mend = f"pip install '{need}'"
    try:
        there = metadata.version(need.name)
    except metadata.PackageNotFoundError:
        return Finding(need.name, Phrase("missing"), False, mend)
    if need.specifier.contains(there, prereleases=True):
        return Finding(need.name, there)
    outside = Phrase("{there}, outside the tested window {window}", there=there, window=need.specifier)
    return Finding(need.name, outside, False, mend)


def _hardware() -> list[Finding]:
    from seodang.machine import hardware
    from seodang.tuning.precision import choose_dtype, find_hardware

    there, facts = find_hardware(), hardware()
    precision = choose_dtype("auto", there)
    machine = Phrase("{cores} cores, {memory_gib} GiB, {machine}", **facts)
    dtype = str(precision.weights).removeprefix("torch.")
    autocast = "bfloat16" if precision.bf16 else "float16" if precision.fp16 else Phrase("no")
    text = "{dtype} weights, {autocast} autocast: {why}"
    chosen = Phrase(text, dtype=dtype, autocast=autocast, why=_why_dtype(there.device, there.native_bf16))
    return [Finding(Phrase("machine"), machine), _threads(), _device(there.device, facts), Finding("dtype", chosen)]


def _why_dtype(device: str, native_bf16: bool) -> Phrase:
    """Why `model.dtype: auto` is what it is (tuning/precision.py, `choose_dtype`)."""
    if device == "cpu":
        if {"avx512_bf16", "amx_bf16"} & _cpu_flags():
            return Phrase("on a processor only matrix products are faster in bfloat16, and float32 is exact")
        return Phrase("this processor has no bfloat16 units and would emulate it, several times slower")
    if native_bf16:
        return Phrase("this GPU computes bfloat16 itself, in half the memory and with float32's range")
    return Phrase("this GPU only emulates bfloat16, and float16 alone would lose small gradients")


def _cpu_flags() -> set[str]:
    """Those of `CPU_FLAGS` that this processor has; none where the system does not say."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return set()
    line = next((line for line in text.splitlines() if line.startswith("flags")), "")
    return set(CPU_FLAGS) & set(line.split())


def _threads() -> Finding:
    """How many cores torch uses; fewer than there are is slow and mostly not meant."""
    import torch

    used, cores = torch.get_num_threads(), len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    if used >= cores // 2 or "OMP_NUM_THREADS" not in os.environ:
        return Finding(Phrase("threads"), Phrase("{used} of {cores} cores", used=used, cores=cores))
    text = "{used} of {cores} cores, because OMP_NUM_THREADS says so: slower than it could be"
    return Finding(Phrase("threads"), Phrase(text, used=used, cores=cores), True, "unset OMP_NUM_THREADS")


def _device(device: str, facts: dict[str, Any]) -> Finding:
    """The GPUs, or the processor; a driver that torch cannot use is not as it should be."""
    import torch

    subject = Phrase("device")
    if device != "cpu":
        return Finding(subject, ", ".join(facts.get("gpus", [])) or device)
    if shutil.which("nvidia-smi") and torch.version.cuda is None:
        text = "there is an NVIDIA driver, and this torch ({version}) is built without CUDA"
        return Finding(subject, Phrase(text, version=torch.__version__), False, REINSTALL)
    return Finding(subject, Phrase("the processor; there is no GPU that torch can use"))


def _disk() -> Finding:
    free = shutil.disk_usage(".").free
    if free >= MIN_DISK:
        return Finding(Phrase("disk"), Phrase("{size:.0f} GiB free here", size=free / 2**30))
    text = "{size:.0f} GiB free here: little for models and checkpoints"
    return Finding(Phrase("disk"), Phrase(text, size=free / 2**30), True, "du -sh runs/* | sort -h")


def _optional() -> list[Finding]:
    """What may be missing; on a machine without an NVIDIA driver what needs one is told and not asked for."""
    has_gpu = shutil.which("nvidia-smi") is not None
    findings = []
    for name, (what, command, needs_gpu) in OPTIONAL.items():
        if importlib.util.find_spec(name):
            findings.append(Finding(name, Phrase("present: {what}", what=what)))
        elif needs_gpu and not has_gpu:
            findings.append(Finding(name, Phrase("not installed, and of no use without a GPU: {what}", what=what)))
        else:
            findings.append(Finding(name, Phrase("not installed: {what}", what=what), mend=command))
    return findings
