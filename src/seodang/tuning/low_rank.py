"""LoRA and AdaLoRA with PEFT's own field names, and what every PEFT method has. No torch before a hook is called."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from seodang.language import Phrase
from seodang.schema import Schema

if TYPE_CHECKING:
    from peft import PeftConfig

Targets = str | tuple[str, ...]


class Method(Schema):
    """What every method but `full` has. A hook does nothing where its method needs nothing."""

    CONFIG: ClassVar[str]
    """The class in `peft` whose fields these are."""
    OWN: ClassVar[frozenset[str]] = frozenset({"kind"})
    """Keys that PEFT's config does not have."""

    def to_peft(self, steps: int) -> PeftConfig:
        """PEFT's config. `steps` is the number of optimizer steps, for methods with a schedule."""
        return self._config()

    def _config(self, **more: Any) -> PeftConfig:
        import peft

        given = self.model_dump(exclude=set(self.OWN), exclude_none=True) | more
        lists = {name: list(value) for name, value in given.items() if isinstance(value, tuple)}
        config: PeftConfig = getattr(peft, self.CONFIG)(task_type="CAUSAL_LM", **(given | lists))
        return config

    def refuses(self, quantization: str | None) -> Phrase | None:
        """Why the method cannot stand on weights of this kind (`nf4`, `fp4`, `int8`; None is full precision)."""
        return None

    @property
    def moves_base(self) -> bool:
        """Whether starting it changes the base's own weights, so that it is saved as the LoRA that it differs by."""
        return False

    @property
    def starts_apart(self) -> bool:
        """Whether the fresh adapter already answers otherwise than its base."""
        return False

    def prepare(self, model: Any, batches: Iterable[dict[str, Any]]) -> None:
        """Set the first weights from data or from the base's files; `batches` are what training will read."""

    def penalty(self, model: Any) -> Any:
        """What is added to the loss of a training step: a scalar tensor, or None."""
        return None

    def on_step(self, model: Any, step: int) -> None:
        """After the optimizer's step number `step`, counted from 0, and before the gradients are cleared."""

    def save_progress(self, model: Any, folder: Path) -> None:
        """Write what a checkpoint needs beyond PEFT's files, before it counts as whole."""

    def load_progress(self, model: Any, folder: Path) -> None:
        """Read what `save_progress` wrote."""


class Eva(Schema):
    """How EVA chooses its ranks."""

    rho: float = Field(2.0, ge=1)
    """A layer may have up to rho x r; 1 keeps r everywhere."""
    tau: float = Field(0.99, gt=0, le=1)
    """How alike a direction must stay between two batches to count as found."""
    whiten: bool = False
    adjust_scaling_factors: bool = True
    """Keep the update's size where the rank has changed."""


INITS = ("gaussian", "orthogonal", "eva", "loftq", "olora", "pissa", "pissa_niter_N")
_INITS = re.compile(r"gaussian|orthogonal|eva|loftq|olora|pissa(_niter_[1-9]\d*)?")


class Lora(Method):
    """Low-rank adaptation (Hu et al. 2021, arXiv:2106.09685), with the ways to start, scale and train it."""

    CONFIG: ClassVar[str] = "LoraConfig"
    OWN: ClassVar[frozenset[str]] = frozenset({"kind", "loraplus_lr_ratio"})

    kind: Literal["lora"] = "lora"
    r: int = Field(16, ge=1)
    """Rank of the update."""
    lora_alpha: int = Field(32, ge=1)
    """The update is scaled by lora_alpha / r."""
    lora_dropout: float = Field(0.0, ge=0, lt=1)
    target_modules: Targets = "all-linear"
    """`all-linear`, or the names of the modules to adapt."""
    target_parameters: tuple[str, ...] | None = None
    """Parameters to adapt that are no module's weight, such as a mixture's `mlp.experts.gate_up_proj`."""
    modules_to_save: tuple[str, ...] | None = None
    """Modules trained and saved whole beside the adapter."""
    use_rslora: bool = False
    """Scale by lora_alpha / √r, for high ranks (Kalajdzievski 2023, arXiv:2312.03732)."""
    use_dora: bool = False
    """Train the weights' magnitude apart from their direction (Liu et al. 2024, arXiv:2402.09353)."""
    init_lora_weights: bool | str = True
    """How it starts. `true`: as no change. `gaussian`, `orthogonal`: no change, other draws. `pissa` and
    `pissa_niter_N` (arXiv:2404.02948), `olora` (arXiv:2406.01775): with a part of the weights, saved as plain LoRA.
    `eva` (arXiv:2410.07170): along what the training rows excite. `loftq` (arXiv:2310.08659): with what 4-bit
    weights lost."""
    eva_config: Eva | None = None
    loraplus_lr_ratio: float | None = Field(None, ge=1)
    """LoRA+ (Hayou et al. 2024, arXiv:2402.12354): B learns so many times faster than A."""

    @field_validator("init_lora_weights")
    @classmethod
    def _known_init(cls, value: bool | str) -> bool | str:
        if value is True or (isinstance(value, str) and _INITS.fullmatch(value)):
            return value
        shown = "false" if value is False else value
        raise ValueError(Phrase("cannot be `{value}` (known: {known})", value=shown, known=", ".join(("true", *INITS))))

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.eva_config is not None and self.init_lora_weights != "eva":
            raise ValueError("`eva_config` belongs to `init_lora_weights: eva`")
        if self.moves_base and (self.use_dora or self.modules_to_save or self.target_parameters):
            raise ValueError(
                Phrase(
                    "`init_lora_weights: {init}` is saved as plain LoRA, which `use_dora`, `modules_to_save` and "
                    "`target_parameters` do not survive",
                    init=self.init_lora_weights,
                )
            )
        if self.target_parameters and (self.use_dora or self.lora_dropout or self.init_lora_weights is not True):
            raise ValueError(
                "`target_parameters` are adapted by plain LoRA only: without `use_dora`, `lora_dropout` and another "
                "`init_lora_weights`"
            )
        return self

    def to_peft(self, steps: int) -> PeftConfig:
        """PEFT's config; LoftQ starts as plain LoRA there, because PEFT's own would quantise a second time."""
        import peft

        more: dict[str, Any] = {"init_lora_weights": True} if self.init_lora_weights == "loftq" else {}
        if self.init_lora_weights == "eva":
            more["eva_config"] = peft.EvaConfig(**(self.eva_config or Eva()).model_dump())
        return self._config(**more)

    @property
    def moves_base(self) -> bool:
        """PiSSA and OLoRA take their first weights out of the base."""
        return isinstance(self.init_lora_weights, str) and self.init_lora_weights.startswith(("pissa", "olora"))

    @property
    def starts_apart(self) -> bool:
        """LoftQ gives back what quantisation took."""
        return self.init_lora_weights == "loftq"

    def refuses(self, quantization: str | None) -> Phrase | None:
        """PiSSA and OLoRA on quantised weights, LoftQ on others than 4-bit ones, DoRA and parameters on some."""
        init = self.init_lora_weights
        if self.moves_base and quantization:
            text = (
                "`init_lora_weights: {init}` moves a part of the weights into the adapter, and quantised weights would "
                "be rounded again without it; leave it out, or write `loftq`, with 4-bit weights"
            )
            return Phrase(text, init=init)
        if init == "loftq" and quantization not in ("nf4", "fp4"):
            text = "`init_lora_weights: loftq` gives back what 4-bit weights lost; write `model.quantization: nf4` too"
            return Phrase(text)
        if self.use_dora and quantization == "int8":
            return Phrase("`use_dora` needs the norm of every weight, which int8 weights hide; write `nf4` instead")
        if self.target_parameters and quantization:
            return Phrase("`target_parameters` are not adapted on quantised weights; leave `model.quantization` out")
        return None

    def prepare(self, model: Any, batches: Iterable[dict[str, Any]]) -> None:
        """EVA: A along the inputs' main directions. LoftQ: A and B from what quantisation lost."""
        if self.init_lora_weights == "eva":
            from peft import initialize_lora_eva_weights

            initialize_lora_eva_weights(model, batches, show_progress_bar=False)
        elif self.init_lora_weights == "loftq":
            _give_back_rounding(model)


def _give_back_rounding(model: Any) -> None:
    """LoftQ's first weights (Li et al. 2023, alg. 1 with T = 1): scale · B A is the best rank-r W - dequantised W.

    PEFT's own function computes on a GPU only and forgets the scale (peft 0.21.2, loftq_utils.py).
    """
    import torch
    from bitsandbytes.functional import dequantize_4bit
    from peft.tuners.lora import Linear4bit
    from peft.utils.loftq_utils import _SafetensorLoader

    stored = model.get_base_model().config._name_or_path
    whole = _SafetensorLoader(model, stored if Path(stored).is_dir() else None)
    with torch.no_grad():
        for name, module in model.named_modules():
            if isinstance(module, Linear4bit):
                weight = whole.get_tensor(name.removeprefix("base_model.model.") + ".weight")
                a, b = module.lora_A["default"].weight, module.lora_B["default"].weight
                kept = dequantize_4bit(module.weight.data, module.weight.quant_state)
                lost = weight.to(a.device, torch.float32) - kept
                u, s, v = torch.linalg.svd(lost, full_matrices=False)
                root = s[: a.shape[0]].sqrt()
                a.copy_(root[:, None] * v[: len(root)])
                b.copy_(u[:, : len(root)] * root / module.scaling["default"])


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


_REMEMBERED = ("ipt", "exp_avg_ipt", "exp_avg_unc")
_PROGRESS = "rank_allocator.safetensors"


def _as_tensors(masks: dict[str, list[bool]] | None) -> dict[str, Any]:
    import torch

    return {f"mask/{name}": torch.tensor(kept) for name, kept in (masks or {}).items()}
