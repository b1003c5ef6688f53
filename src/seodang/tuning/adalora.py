"""AdaLoRA with PEFT's own field names: its schedule, penalty and reallocation. No torch before a hook is called."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from seodang.language import Phrase
from seodang.tuning.low_rank import Method, Targets

if TYPE_CHECKING:
    from peft import PeftConfig


class AdaLora(Method):
    """LoRA whose ranks are redistributed between the layers while it trains (Zhang et al. 2023, arXiv:2303.10512)."""

    CONFIG: ClassVar[str] = "AdaLoraConfig"

    kind: Literal["adalora"] = "adalora"
    init_r: int = Field(12, ge=1)
    """Rank of every layer at the start."""
    target_r: int = Field(8, ge=1)
    """Mean rank of the layers at the end."""
    lora_alpha: int = Field(32, ge=1)
    lora_dropout: float = Field(0.0, ge=0, lt=1)
    target_modules: Targets = "all-linear"
    modules_to_save: tuple[str, ...] | None = None
    tinit: int | None = Field(None, ge=0)
    """Optimizer steps before ranks are taken away; unset is a tenth of all."""
    tfinal: int | None = Field(None, ge=1)
    """Optimizer steps at the end with the ranks fixed; unset is three tenths of all."""
    deltaT: int = Field(1, ge=1)
    """Optimizer steps between two redistributions."""
    beta1: float = Field(0.85, gt=0, lt=1)
    beta2: float = Field(0.85, gt=0, lt=1)
    orth_reg_weight: float = Field(0.5, ge=0)
    """Weight of the penalty that keeps the directions of a layer apart."""

    @model_validator(mode="after")
    def _shrinks(self) -> Self:
        if self.target_r > self.init_r:
            raise ValueError("`target_r` must not be greater than `init_r`: ranks are taken away, never added")
        return self

    def schedule(self, steps: int) -> tuple[int, int]:
        """(tinit, tfinal) for so many optimizer steps. Raises ValueError where no step is left between them."""
        tinit = steps // 10 if self.tinit is None else self.tinit
        tfinal = max(1, 3 * steps // 10) if self.tfinal is None else self.tfinal
        if tinit >= steps - tfinal:
            text = (
                "{steps} optimizer steps leave none between `tinit` ({tinit}) and the last `tfinal` ({tfinal}), in "
                "which ranks are redistributed; train longer or lower them"
            )
            raise ValueError(Phrase(text, steps=steps, tinit=tinit, tfinal=tfinal))
        return tinit, tfinal

    def to_peft(self, steps: int) -> PeftConfig:
        """PEFT's config with the schedule of this run's steps."""
        tinit, tfinal = self.schedule(steps)
        return self._config(tinit=tinit, tfinal=tfinal, total_step=steps)

    def penalty(self, model: Any) -> Any:
        """Eq. 4 of the paper as PEFT weighs it: the mean of ‖PᵀP - I‖ over the layers. TRL's loss does not hold it."""
        if not self.orth_reg_weight:
            return None
        import torch

        halves = [
            weight if "lora_A" in name else weight.T
            for name, weight in model.named_parameters()
            if "lora_A.default" in name or "lora_B.default" in name
        ]
        apart = [torch.linalg.norm(w @ w.T - torch.eye(len(w), device=w.device, dtype=w.dtype)) for w in halves]
        return self.orth_reg_weight * torch.stack(apart).mean()

    def on_step(self, model: Any, step: int) -> None:
        """Reallocate: ask every direction how much the loss needs it, and mask the least needed."""
        model.base_model.update_and_allocate(step)

    def save_progress(self, model: Any, folder: Path) -> None:
        """Write the adapter with all its ranks (PEFT cuts the masked ones off) and what the allocator remembers."""
        from safetensors.torch import save_file

        config, allocator = model.peft_config["default"], model.base_model.rankallocator
        masks, config.rank_pattern = config.rank_pattern, None
        model.save_pretrained(folder, selected_adapters=["default"])
        config.rank_pattern = masks
        known = {
            f"{kind}/{name}": tensor.contiguous()
            for kind in _REMEMBERED
            for name, tensor in getattr(allocator, kind).items()
        }
        save_file(known | _as_tensors(masks), folder / _PROGRESS)

    @contextmanager
    def loading(self, model: Any) -> Iterator[None]:
        """A checkpoint holds every rank that the layers have, and PEFT would cut the layers by the masks first."""
        config = model.peft_config["default"]
        masks, config.rank_pattern = config.rank_pattern, None
        yield
        config.rank_pattern = masks

    def load_progress(self, model: Any, folder: Path) -> None:
        """Give the allocator its memory back."""
        from safetensors.torch import load_file

        config, allocator = model.peft_config["default"], model.base_model.rankallocator
        stored = load_file(folder / _PROGRESS, device=str(model.device))
        masks = {name[len("mask/") :]: stored.pop(name).tolist() for name in list(stored) if name.startswith("mask/")}
        config.rank_pattern = masks or None
        for name, tensor in stored.items():
            kind, _, parameter = name.partition("/")
            getattr(allocator, kind)[parameter] = tensor

    def continued(self) -> Method:
        """A later run keeps the ranks that this one has settled on, and the penalty."""
        return _Settled(**self.model_dump())


class _Settled(AdaLora):
    """AdaLoRA after its last redistribution."""

    def on_step(self, model: Any, step: int) -> None:
        """The budget was spent in the first run."""


_REMEMBERED = ("ipt", "exp_avg_ipt", "exp_avg_unc")
_PROGRESS = "rank_allocator.safetensors"


def _as_tensors(masks: dict[str, list[bool]] | None) -> dict[str, Any]:
    import torch

    return {f"mask/{name}": torch.tensor(kept) for name, kept in (masks or {}).items()}
