"""What a recipe says of many devices: how many processes, and what they share. No torch in here.

Nothing home-made: processes are started by `torch.distributed.run` (tuning/processes.py), and DDP, FSDP2 and DeepSpeed
are accelerate's, reached through transformers' TrainingArguments. Of several machines each runs the same command; where
they meet is said by the launcher's own variables (`PET_NNODES`, `PET_NODE_RANK`, `PET_MASTER_ADDR`, `PET_MASTER_PORT`).
"""

from __future__ import annotations

import json
import os
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from seodang.errors import Mistake, RecipeError
from seodang.language import Phrase
from seodang.schema import Schema

Offload = Literal["none", "cpu"]
AUTO = "auto"
"""DeepSpeed's word for a value that transformers fills in from the other arguments."""


class Fsdp(Schema):
    """PyTorch's fully sharded data parallel, version 2, by the names of transformers' `fsdp_config`. Not run here."""

    reshard_after_forward: bool = True
    """Give a layer's weights back after its forward pass (ZeRO-3); `false` keeps them until the backward (ZeRO-2)."""
    cpu_offload: bool = False
    """Keep weights and optimizer states in main memory between their uses."""
    activation_checkpointing: bool = False
    """Recompute activations; takes the place of `training.gradient_checkpointing`."""
    transformer_layer_cls_to_wrap: tuple[str, ...] | None = None
    """Classes that are sharded as one; unset: those that the model itself names."""

    def arguments(self) -> dict[str, Any]:
        """As TrainingArguments takes it."""
        given = self.model_dump(exclude_none=True) | {"version": 2, "state_dict_type": "FULL_STATE_DICT"}
        classes = given.pop("transformer_layer_cls_to_wrap", None)
        return {
            "fsdp": True,
            "fsdp_config": given | ({"transformer_layer_cls_to_wrap": list(classes)} if classes else {}),
        }


class DeepSpeed(Schema):
    """DeepSpeed's ZeRO (Rajbhandari et al. 2020, arXiv:1910.02054), by accelerate's names for it. Not run here."""

    zero_stage: Literal[1, 2, 3] = 2
    """What is spread over the devices: 1 the optimizer's states, 2 the gradients too, 3 the weights too."""
    offload_optimizer_device: Offload = "none"
    offload_param_device: Offload = "none"
    """Only with `zero_stage: 3`."""
    config_file: str | None = None
    """A DeepSpeed configuration of your own (JSON) instead of the other keys."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        others = set(type(self).model_fields) - {"config_file"}
        if self.config_file and any(getattr(self, name) != type(self).model_fields[name].default for name in others):
            raise ValueError("give `config_file` or the other keys, one of the two")
        if self.offload_param_device != "none" and self.zero_stage != 3:
            raise ValueError("`offload_param_device` needs `zero_stage: 3`: only then are the weights spread")
        return self

    def arguments(self) -> dict[str, Any]:
        """As TrainingArguments takes it. Raises RecipeError where `config_file` cannot be read."""
        return {"deepspeed": self._read() if self.config_file else self._config()}

    @property
    def shares_weights(self) -> bool:
        """Whether no device holds all weights."""
        zero = self._read().get("zero_optimization", {}) if self.config_file else {"stage": self.zero_stage}
        return bool(zero.get("stage") == 3)

    def _config(self) -> dict[str, Any]:
        zero: dict[str, Any] = {"stage": self.zero_stage, "overlap_comm": True, "contiguous_gradients": True}
        if self.offload_optimizer_device != "none":
            zero["offload_optimizer"] = {"device": self.offload_optimizer_device, "pin_memory": True}
        if self.offload_param_device != "none":
            zero["offload_param"] = {"device": self.offload_param_device, "pin_memory": True}
        if self.zero_stage == 3:
            zero["stage3_gather_16bit_weights_on_model_save"] = True
        names = ("train_batch_size", "train_micro_batch_size_per_gpu", "gradient_accumulation_steps",
                 "gradient_clipping")  # fmt: skip
        whole = {"zero_optimization": zero, "bf16": {"enabled": AUTO}, "fp16": {"enabled": AUTO}}
        return whole | dict.fromkeys(names, AUTO)

    def _read(self) -> dict[str, Any]:
        path = Path(str(self.config_file))
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise _mistake("deepspeed.config_file", Phrase("cannot be read as JSON: {why}", why=error)) from None
        if not isinstance(found, dict):
            raise _mistake("deepspeed.config_file", Phrase("must be a JSON object"))
        return found


class Launch(Schema):
    """Training in several processes, each with a copy of the model (DDP) or, where they share it, with a part."""

    num_processes: int = Field(1, ge=1)
    """Processes on each machine: one per GPU. A step is so many times `per_device_train_batch_size` rows."""
    fsdp: Fsdp | None = None
    """`{}` is its defaults."""
    deepspeed: DeepSpeed | None = None
    """`{}` is its defaults."""

    @model_validator(mode="after")
    def _one_way_to_share(self) -> Self:
        if self.fsdp is not None and self.deepspeed is not None:
            raise ValueError("give `fsdp` or `deepspeed`, one of the two")
        return self

    @property
    def shared(self) -> str | None:
        """The key that shares the model out: `fsdp` or `deepspeed`; None where every process has all of it."""
        return "fsdp" if self.fsdp else "deepspeed" if self.deepspeed else None

    def arguments(self) -> dict[str, Any]:
        """What transformers' TrainingArguments are told."""
        way = self.fsdp or self.deepspeed
        return way.arguments() if way else {}

    def environment(self) -> dict[str, str]:
        """What accelerate reads before the trainer exists, as its own launcher would set it."""
        if self.fsdp:
            offload = str(self.fsdp.cpu_offload).lower()
            return {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2", "FSDP_OFFLOAD_PARAMS": offload,
                    "FSDP_STATE_DICT_TYPE": "FULL_STATE_DICT"}  # fmt: skip
        return {"ACCELERATE_USE_DEEPSPEED": "true"} if self.deepspeed else {}


def nodes() -> int:
    """How many machines train together, as `PET_NNODES` says."""
    return int(os.environ.get("PET_NNODES") or 1)


def node() -> int:
    """Which of the machines this is, from 0, as `PET_NODE_RANK` says."""
    return int(os.environ.get("PET_NODE_RANK") or 0)


def processes(launch: Launch | None) -> int:
    """How many processes train together, on all machines."""
    return (launch.num_processes if launch else 1) * nodes()


def is_many(launch: Launch | None) -> bool:
    """Whether a recipe is trained by started processes: by several, or in a way that only they know."""
    return launch is not None and (processes(launch) > 1 or launch.shared is not None)


_NOT_IN_DPO = Phrase(
    "cannot share out the weights in `dpo`, which measures reference and policy on the whole model. Train a whole copy "
    "in each process, or write `deepspeed.zero_stage: 2`"
)


def require_launch(recipe: Any) -> None:
    """Raise RecipeError for a `launch` that cannot work, as far as that can be seen without torch."""
    launch: Launch | None = recipe.launch
    _require_alone()
    if launch is None:
        return
    _require_nodes()
    if launch.shared and not _has_gpu_driver():
        raise no_device_to_share(launch.shared)
    if launch.deepspeed and find_spec("deepspeed") is None:
        raise _mistake("deepspeed", Phrase("is not installed. Run `pip install deepspeed`, or leave `deepspeed` out"))
    shares_weights = launch.fsdp is not None or (launch.deepspeed is not None and launch.deepspeed.shares_weights)
    quantization = getattr(recipe.model, "quantization", None)
    if shares_weights and quantization is not None:
        text = "cannot share out {kind} weights. Leave `model.quantization` out, or train a whole copy in each process"
        raise _mistake(str(launch.shared), Phrase(text, kind=quantization.kind))
    if shares_weights and recipe.stage == "dpo":
        raise _mistake(str(launch.shared), _NOT_IN_DPO)
    if launch.shared and recipe.training.optim in recipe.training.OWN_OPTIM:
        text = "gives every process a part of a matrix, and `optim: {name}` needs whole ones. Choose another `optim`"
        raise _mistake(str(launch.shared), Phrase(text, name=recipe.training.optim))


def _require_alone() -> None:
    if os.environ.get("WORLD_SIZE", "1") != "1":
        started = Phrase(
            "the variable WORLD_SIZE says that a launcher has started this process already; seodang starts them "
            "itself. Call it once on each machine, with `launch.num_processes`"
        )
        raise _mistake("num_processes", started)


def _require_nodes() -> None:
    for name in ("PET_NNODES", "PET_NODE_RANK"):
        value = os.environ.get(name, "")
        if value and not value.isdigit():
            text = "the variable {name} must be a whole number, got {value}"
            raise _mistake("num_processes", Phrase(text, name=name, value=value))
    missing = [name for name in ("PET_NODE_RANK", "PET_MASTER_ADDR", "PET_MASTER_PORT") if not os.environ.get(name)]
    if nodes() > 1 and missing:
        text = "PET_NNODES says {count} machines; set {missing} too, on each of them"
        raise _mistake("num_processes", Phrase(text, count=nodes(), missing=", ".join(missing)))


def _has_gpu_driver() -> bool:
    return any(map(shutil.which, ("nvidia-smi", "rocm-smi", "amd-smi"))) or Path("/dev/kfd").exists()


def no_device_to_share(key: str) -> RecipeError:
    """The error for sharing a model out between processors: accelerate would train whole copies and not say so."""
    no_gpu = Phrase(
        "shares a model out between GPUs, and there is none here. Leave it out: `num_processes` alone trains a copy in "
        "each process"
    )
    return _mistake(key, no_gpu)


def too_few_devices(wanted: int, there: int) -> RecipeError:
    """The error for more processes than GPUs."""
    return _mistake(
        "num_processes", Phrase("is {wanted}, and this machine has {there} GPUs", wanted=wanted, there=there)
    )


def _mistake(key: str, text: Phrase) -> RecipeError:
    return RecipeError("The recipe", [Mistake(f"launch.{key}", text)])
