"""tuning/precision.py: which numbers by hardware and recipe, bitsandbytes' config, and what cannot be trained."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from seodang.errors import ModelError
from seodang.tuning.precision import (
    Hardware,
    Precision,
    choose_dtype,
    find_hardware,
    quantizer,
    require_trainable_dtype,
)
from seodang.tuning.specs import EightBit, FourBit

CPU, T4, A100 = Hardware("cpu", False), Hardware("cuda", False), Hardware("cuda", True)
F32, B16, F16 = torch.float32, torch.bfloat16, torch.float16


@pytest.mark.parametrize(
    ("wanted", "hardware", "full", "precision"),
    [
        ("auto", CPU, False, Precision(F32)),
        ("auto", CPU, True, Precision(F32)),
        ("auto", A100, False, Precision(B16, bf16=True, device="cuda")),
        ("auto", A100, True, Precision(F32, bf16=True, device="cuda")),
        ("auto", T4, False, Precision(F32, fp16=True, device="cuda")),
        ("auto", T4, True, Precision(F32, fp16=True, device="cuda")),
        ("float32", A100, False, Precision(F32, device="cuda")),
        ("float32", T4, True, Precision(F32, device="cuda")),
        ("bfloat16", CPU, False, Precision(B16, bf16=True)),
        ("bfloat16", A100, False, Precision(B16, bf16=True, device="cuda")),
        ("float16", A100, False, Precision(F16, fp16=True, device="cuda")),
        ("float16", T4, True, Precision(F32, fp16=True, device="cuda")),
    ],
)
def test_precision_follows_the_hardware(wanted: str, hardware: Hardware, full: bool, precision: Precision) -> None:
    assert choose_dtype(wanted, hardware, full) == precision


@pytest.mark.parametrize(
    ("wanted", "hardware", "text"),
    [
        ("float16", CPU, "model.dtype: float16 is not computed on a CPU. Write `float32`, or leave it `auto`."),
        ("bfloat16", T4, "model.dtype: this GPU only emulates bfloat16, many times slower."),
    ],
)
def test_what_the_hardware_cannot_do_is_refused(wanted: str, hardware: Hardware, text: str) -> None:
    with pytest.raises(ModelError, match=text.replace(".", r"\.")):
        choose_dtype(wanted, hardware)


@pytest.mark.parametrize("native", [True, False])
def test_a_gpu_that_emulates_bfloat16_does_not_count_as_having_it(
    native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def supported(including_emulation: bool = True) -> bool:
        return native or including_emulation

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    assert find_hardware() == Hardware("cuda", native)
    assert choose_dtype("auto", find_hardware()).fp16 is not native


def test_a_machine_without_a_gpu_is_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert find_hardware() == CPU


@pytest.mark.parametrize(
    ("quantization", "precision", "wanted"),
    [
        (FourBit(), Precision(F32), {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4",
                                     "bnb_4bit_use_double_quant": True, "bnb_4bit_compute_dtype": F32}),
        (FourBit(kind="fp4", double=False), Precision(B16, bf16=True), {
            "load_in_4bit": True, "bnb_4bit_quant_type": "fp4", "bnb_4bit_use_double_quant": False,
            "bnb_4bit_compute_dtype": B16}),
        (FourBit(), Precision(F32, fp16=True), {"bnb_4bit_compute_dtype": F16}),
        (EightBit(), Precision(F32), {"load_in_8bit": True, "load_in_4bit": False}),
    ],
)  # fmt: skip
def test_the_quantiser_is_bitsandbytes_own(quantization: Any, precision: Precision, wanted: dict[str, Any]) -> None:
    config = quantizer(quantization, precision)
    assert {name: getattr(config, name) for name in wanted} == wanted


def test_float16_weights_are_not_trained_under_a_gradient_scaler() -> None:
    half = torch.nn.Linear(2, 2).half()
    require_trainable_dtype(half, Precision(torch.float16))
    require_trainable_dtype(half.requires_grad_(False), Precision(torch.float16, fp16=True, device="cuda"))
    with pytest.raises(
        ModelError, match=r"float16 weights cannot be trained with float16 autocast \(weight would be\)"
    ):
        require_trainable_dtype(half.requires_grad_(True), Precision(torch.float16, fp16=True, device="cuda"))


WITHOUT = """
import sys, importlib.abc

class Gone(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "bitsandbytes":
            raise ModuleNotFoundError(name, name=name)

import importlib.util
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name == "bitsandbytes" else found(name, package)
sys.meta_path.insert(0, Gone())
from pathlib import Path
from seodang.errors import SeodangError
from seodang.tuning.adapters import Lora
from seodang.tuning.model import Aim, load_for_training
from seodang.tuning.specs import ModelSpec
base, folder = sys.argv[1:]
plain = load_for_training(ModelSpec(name_or_path=base), Lora(r=2), Aim(1, 1, Path(folder)))
print(plain.quantized)
try:
    load_for_training(ModelSpec.model_validate({"name_or_path": base, "quantization": "nf4"}), Lora(), Aim(1, 1, Path(folder)))
except SeodangError as error:
    print(error.exit_code, error)
"""


def test_without_bitsandbytes_everything_but_quantised_weights_goes_on(model_dir: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", WITHOUT, str(model_dir), str(tmp_path)],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    plain, refused = done.stdout.splitlines()
    assert plain == "False"
    assert refused.startswith("2 model.quantization: nf4 weights need bitsandbytes, which is not installed. Run `pip ")
