"""LoRA with PEFT's own field names, and what every PEFT method has. No torch in here before a hook is called."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
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

    def loading(self, model: Any) -> AbstractContextManager[None]:
        """PEFT loads a checkpoint inside."""
        return nullcontext()

    def load_progress(self, model: Any, folder: Path) -> None:
        """Read what `save_progress` wrote."""

    def continued(self) -> Method:
        """The method as it goes on in a later run that continues this one's adapter; nothing is prepared there."""
        return self


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
