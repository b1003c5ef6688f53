"""tuning/quiet.py: no usage ping and no kernel from the Hub, also where the libraries were imported by someone else."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import types
import warnings
from pathlib import Path

import pytest

from seodang.tuning.quiet import quiet_peft

SRC = Path(__file__).resolve().parents[2] / "src"


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A fresh interpreter with CI, offline mode and the telemetry switch unset, as a user's notebook has it."""
    unset = {"CI", "HF_HUB_OFFLINE", "HF_HUB_DISABLE_TELEMETRY", "TRANSFORMERS_OFFLINE", "DO_NOT_TRACK"}
    clean = {name: value for name, value in os.environ.items() if name not in unset}
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=120,
        env=clean | {"PYTHONPATH": str(SRC)} | environment,
        check=False,
    )


def test_the_ping_is_off_where_huggingface_hub_was_imported_before_and_nothing_is_said() -> None:
    done = python("""
        from huggingface_hub import constants, utils
        assert not constants.HF_HUB_DISABLE_TELEMETRY
        import seodang.tuning.quiet
        assert constants.HF_HUB_DISABLE_TELEMETRY
        from huggingface_hub.utils import _telemetry
        utils.send_telemetry("trl/SFTTrainer", library_name="trl")
        assert _telemetry._TELEMETRY_THREAD is None, "a ping was queued"
        import os, sys
        assert os.environ["HF_HUB_DISABLE_TELEMETRY"] == "1"
        assert "bitsandbytes" in sys.modules and "kernels" not in sys.modules
    """)
    assert done.returncode == 0, done.stderr
    assert done.stdout + done.stderr == ""


def test_bitsandbytes_asks_the_hub_for_nothing_and_kernels_is_given_back() -> None:
    done = python("""
        import sys, types
        kernels = types.ModuleType("kernels")
        def get_kernel(*args, **kwargs):
            print("ASKED THE HUB")
        kernels.get_kernel = get_kernel
        sys.modules["kernels"] = kernels
        import seodang.tuning.quiet
        assert "bitsandbytes" in sys.modules
        assert sys.modules["kernels"] is kernels
    """)
    assert done.returncode == 0, done.stderr
    assert "ASKED" not in done.stdout
    assert "kernels" not in done.stderr


def test_it_may_be_called_again_and_filters_one_warning_only(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    from seodang.tuning.quiet import silence_upstream

    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", False)
    monkeypatch.setitem(sys.modules, "kernels", types.ModuleType("kernels"))
    silence_upstream()
    silence_upstream()
    assert constants.HF_HUB_DISABLE_TELEMETRY
    warnings.warn("`is_gradient_checkpointing` is deprecated and will be removed in v6", FutureWarning, stacklevel=1)
    with pytest.raises(FutureWarning):
        warnings.warn("`gradient_checkpointing` is deprecated", FutureWarning, stacklevel=1)


def test_what_peft_says_of_what_is_meant_here_is_kept_from_the_screen() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with quiet_peft():
            warnings.warn("Position ids are not supported for parameter efficient tuning. Ignoring.", stacklevel=1)
            warnings.warn("something else", stacklevel=1)
    assert [str(one.message) for one in caught] == ["something else"]
