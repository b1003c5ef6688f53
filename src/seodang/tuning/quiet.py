"""Keep upstream from talking: no usage ping, no kernel from the Hub, no bars and warnings that a user cannot act on.

Import this first where peft, trl, bitsandbytes or transformers' Trainer are imported: importing it does the work.
"""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

_CHATTY = (
    "bitsandbytes.autograd._functions",  # once per matrix product: int8 computes in float16
    "transformers.trainer_utils",  # once per checkpoint: mtime; once per run: special tokens aligned, as they should be
)


def silence_upstream() -> None:
    """Turn upstream's pings and noise off, also where its libraries are imported already. May be called again."""
    from huggingface_hub import constants

    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    constants.HF_HUB_DISABLE_TELEMETRY = True  # huggingface_hub read the variable when a notebook imported it
    if "bitsandbytes" not in sys.modules and find_spec("bitsandbytes") is not None:
        with _without_hub_kernels():
            import bitsandbytes  # noqa: F401
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.ERROR)
    # peft 0.21.2 still reads the old name of a property that transformers 5.23 renamed
    warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated", category=FutureWarning)


@contextmanager
def _without_hub_kernels() -> Iterator[None]:
    """bitsandbytes asks the Hub for a kernel at import on CPUs with AVX512-BF16; it is not used here (model.py)."""
    kept, logger = sys.modules.get("kernels"), logging.getLogger("bitsandbytes.backends.cpu.ops")
    level = logger.level
    sys.modules["kernels"] = None  # type: ignore[assignment]
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
        del sys.modules["kernels"]
        if kept is not None:
            sys.modules["kernels"] = kept


_EXPECTED = (
    r".*eva initialization used with low_cpu_mem_usage=False",  # a smaller batch serves as well
    r".*(rank|alpha)_pattern keys did not match any targeted module",  # they match the experts' parameters
    r".*LoRA tensor\(s\) have invalid shape",  # AdaLoRA took a layer's last rank
    r"\w+ changes the base weights of the model",  # so it is saved as the difference
    r"Failed to load the CUDA extension",  # BOFT computes the same without
    r"Setting boft_n_butterfly_factor to 1",  # which it is
    r"Could not find a config file in .*base - will assume that the vocabulary was not modified",  # `keep_base: false`
    r"Position ids are not supported for parameter efficient tuning",  # so rows of prompt tuning are never padded
)


@contextmanager
def quiet_peft() -> Iterator[None]:
    """Keep PEFT's warnings of what is meant here from the screen (peft 0.21.2)."""
    with warnings.catch_warnings():
        for text in _EXPECTED:
            warnings.filterwarnings("ignore", text)
        yield


silence_upstream()
