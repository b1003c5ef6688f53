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

_CHATTY = (
    "bitsandbytes.autograd._functions",  # once per matrix product: int8 computes in float16
    "transformers.trainer_utils",  # once per checkpoint: mtime; once per run: special tokens aligned, as they should be
)


def silence_upstream() -> None:
    """Turn upstream's pings and noise off, also where its libraries are imported already. May be called again."""
    from huggingface_hub import constants

    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    constants.HF_HUB_DISABLE_TELEMETRY = True  # huggingface_hub read the variable when a notebook imported it
    if "bitsandbytes" not in sys.modules:
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


silence_upstream()
