"""What the doctor says of this machine, and of one that is not as it should be."""

from __future__ import annotations

import io
from collections import namedtuple
from typing import Any

import pytest

from seodang import doctor
from seodang.doctor import OPTIONAL, Finding, examine, table
from seodang.language import columns


def nothing(_: str) -> Any:
    return None


def test_a_tested_installation_is_good() -> None:
    found = {finding.subject: finding for finding in examine()}
    assert all(finding.good for finding in found.values()), [f for f in found.values() if not f.good]
    wanted = {"python", "torch", "trl", "peft", "machine", "threads", "device", "dtype", "disk", *OPTIONAL}
    assert wanted <= set(found)
    assert "float32 weights" in found["dtype"].found or "bfloat16" in found["dtype"].found


def test_a_version_outside_the_window_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        doctor.metadata, "requires", lambda _: ["click>=99,<100", "nothing-like-it>=1", "x>1; extra == 'dev'"]
    )
    click, missing = doctor._versions()
    assert not click.good and "outside the tested window <100,>=99" in click.found
    assert click.mend == "pip install 'click<100,>=99'"
    assert missing == Finding("nothing-like-it", "missing", False, "pip install 'nothing-like-it>=1'")


def test_an_old_python_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.sys, "version_info", (3, 9, 1, "final", 0))
    assert not doctor._python().good
    assert "3.9.1, outside the tested window >=3.11" in doctor._python().found


@pytest.mark.parametrize(
    ("device", "native", "why"),
    [
        ("cuda", True, "this GPU computes bfloat16 itself"),
        ("cuda", False, "only emulates bfloat16"),
        ("cpu", False, "would emulate it, several times slower"),
    ],
)
def test_the_dtype_comes_with_its_reason(device: str, native: bool, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_cpu_flags", lambda: {"avx512f"})
    assert why in doctor._why_dtype(device, native)
    monkeypatch.setattr(doctor, "_cpu_flags", lambda: {"amx_bf16"})
    assert "only matrix products are faster" in doctor._why_dtype("cpu", False)


def test_a_driver_that_torch_cannot_use_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(doctor.shutil, "which", lambda _: "/usr/bin/nvidia-smi")
    found = doctor._device("cpu", {})
    assert not found.good and "built without CUDA" in found.found and found.mend.startswith("pip install")
    monkeypatch.setattr(doctor.shutil, "which", nothing)
    assert doctor._device("cpu", {}).good
    assert doctor._device("cuda", {"gpus": ["NVIDIA L4"]}).found == "NVIDIA L4"


def test_fewer_threads_than_cores_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    monkeypatch.setattr(doctor.os, "sched_getaffinity", lambda _: range(8), raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    found = doctor._threads()
    assert "1 of 8 cores, because OMP_NUM_THREADS says so" in found.found and found.mend == "unset OMP_NUM_THREADS"
    assert found.mark == "--"
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert doctor._threads().mark == "ok"


def test_a_full_disk_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: usage(100 << 30, 99 << 30, 1 << 30))
    assert doctor._disk().found == "1 GiB free here: little for models and checkpoints"


@pytest.mark.parametrize("driver", [None, "/usr/bin/nvidia-smi"])
def test_what_is_not_installed_says_what_it_is_for(driver: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.importlib.util, "find_spec", nothing)
    monkeypatch.setattr(doctor.shutil, "which", lambda _: driver)
    found = {finding.subject: finding for finding in doctor._optional()}
    assert all("not installed" in finding.found for finding in found.values())
    assert found["kiwipiepy"].mend == "pip install 'seodang[ko]'"
    assert bool(found["vllm"].mend) is (driver is not None)


@pytest.mark.parametrize("language", ["en", "ko"])
def test_80_columns_are_enough(language: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.console import Console

    monkeypatch.setenv("SEODANG_LANG", language)
    monkeypatch.setattr(doctor.importlib.util, "find_spec", nothing)
    monkeypatch.setattr(doctor.shutil, "which", lambda _: "/usr/bin/nvidia-smi")
    stream = io.StringIO()
    findings = [*doctor._optional(), Finding("torch", doctor._why_dtype("cuda", False), False, "pip install torch")]
    Console(file=stream, width=80).print(table(findings))
    lines = stream.getvalue().splitlines()
    assert max(columns(line.rstrip()) for line in lines) <= 80
    assert any(line.startswith("NO") for line in lines) and any("$ pip install vllm" in line for line in lines)
