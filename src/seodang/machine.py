"""What a result was made with: library versions, hardware, and the state of the working directory's repository."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib import metadata
from typing import Any

LIBRARIES = ("torch", "transformers", "trl", "peft", "bitsandbytes", "datasets", "accelerate", "tokenizers", "seodang")


def versions() -> dict[str, str | None]:
    """The installed version of every library that a result depends on; None where it is missing."""
    return {name: _version(name) for name in LIBRARIES}


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def hardware() -> dict[str, Any]:
    """Processor, cores, memory in GiB, and the GPUs where torch is loaded."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 0
    found: dict[str, Any] = {
        "machine": platform.machine(),
        "system": platform.system(),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "memory_gib": round(pages / 2**30, 1),
    }
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        found["gpus"] = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return found


def git_state() -> dict[str, Any] | None:
    """Commit of the working directory and whether it has changes; None outside a repository."""
    try:
        ask = ["git", "status", "--porcelain=v2", "--branch", "--untracked-files=no"]
        text = subprocess.run(ask, capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    commit = next((line.split()[-1] for line in text.splitlines() if line.startswith("# branch.oid")), None)
    return {"commit": commit, "changed": any(not line.startswith("#") for line in text.splitlines())}
