"""The PEFT methods a recipe can ask for, by `kind`, each with PEFT's own field names and nothing else.

To add one: a class with `to_peft(steps)` and, where the method needs them, the hooks that `Method` describes; then its
name in the union at the bottom and an example in tools/adapter_table.py, which the tests train and docs/adapters.md
shows. No torch in here before a hook is called.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from seodang.language import Phrase
from seodang.schema import Schema, by_name
from seodang.tuning.adalora import AdaLora
from seodang.tuning.low_rank import Lora, Method, Targets

__all__ = ["PROMPTS", "AdaLora", "Adapter", "Boft", "Full", "Ia3", "Lora", "Method", "Oft", "PrefixTuning",
           "PromptTuning", "Vera"]  # fmt: skip

PROMPTS = frozenset({"PROMPT_TUNING", "PREFIX_TUNING"})
"""PEFT's names of the methods that put learnt vectors before the text and change no weight."""


class Ia3(Method):
    """Learnt factors on keys, values and the feed-forward layer (Liu et al. 2022, arXiv:2205.05638)."""

    CONFIG: ClassVar[str] = "IA3Config"

    kind: Literal["ia3"] = "ia3"
    target_modules: Targets | None = None
    """Unset: the paper's three per layer, by PEFT's list of architectures."""
    feedforward_modules: Targets | None = None
    """Those of `target_modules` whose input is scaled instead of their output."""
    modules_to_save: tuple[str, ...] | None = None


class Vera(Method):
    """Random projections shared by all layers, and learnt factors (Kopiczko et al. 2024, arXiv:2310.11454)."""

    CONFIG: ClassVar[str] = "VeraConfig"

    kind: Literal["vera"] = "vera"
    r: int = Field(256, ge=1)
    """Width of the shared projections; it costs r factors per layer, so it is larger than LoRA's."""
    target_modules: Targets = "all-linear"
    projection_prng_key: int = 0
    """The seed of the projections."""
    vera_dropout: float = Field(0.0, ge=0, lt=1)
    d_initial: float = 0.1
    modules_to_save: tuple[str, ...] | None = None


class Oft(Method):
    """Weights turned by learnt orthogonal blocks (Qiu et al. 2023, arXiv:2306.07280)."""

    CONFIG: ClassVar[str] = "OFTConfig"

    kind: Literal["oft"] = "oft"
    oft_block_size: int = Field(32, ge=1)
    """Size of a block; it must divide the inputs of every adapted layer."""
    target_modules: Targets = "all-linear"
    module_dropout: float = Field(0.0, ge=0, lt=1)
    coft: bool = False
    """Keep the rotation near none, within `eps`."""
    eps: float = Field(6e-5, gt=0)
    block_share: bool = False
    """One block for a whole layer."""
    modules_to_save: tuple[str, ...] | None = None


class Boft(Method):
    """OFT with its blocks joined in a butterfly (Liu et al. 2024, arXiv:2311.06243)."""

    CONFIG: ClassVar[str] = "BOFTConfig"

    kind: Literal["boft"] = "boft"
    boft_block_size: int = Field(4, ge=1)
    """Size of a block; it must divide the inputs of every adapted layer."""
    boft_dropout: float = Field(0.0, ge=0, lt=1)
    target_modules: Targets = "all-linear"
    modules_to_save: tuple[str, ...] | None = None


class PromptTuning(Method):
    """Learnt vectors before the text (Lester et al. 2021, arXiv:2104.08691)."""

    CONFIG: ClassVar[str] = "PromptTuningConfig"

    kind: Literal["prompt_tuning"] = "prompt_tuning"
    num_virtual_tokens: int = Field(20, ge=1)
    """How many; they take so many of the model's positions."""

    @property
    def starts_apart(self) -> bool:
        """Random vectors stand before the text from the first step on."""
        return True


class PrefixTuning(Method):
    """Learnt keys and values before the text, in every layer (Li and Liang 2021, arXiv:2101.00190)."""

    CONFIG: ClassVar[str] = "PrefixTuningConfig"

    kind: Literal["prefix_tuning"] = "prefix_tuning"
    num_virtual_tokens: int = Field(20, ge=1)
    """How many; they take so many of the model's positions."""
    prefix_projection: bool = False
    """Learn them through a small network, which is left out of what is saved."""
    encoder_hidden_size: int | None = Field(None, ge=1)
    """Width of that network."""

    @property
    def starts_apart(self) -> bool:
        """Random keys and values stand before the text from the first step on."""
        return True

    @model_validator(mode="after")
    def _projects(self) -> Self:
        if self.prefix_projection != (self.encoder_hidden_size is not None):
            raise ValueError("`prefix_projection` and `encoder_hidden_size` are given together or not at all")
        return self


class Full(Schema):
    """No adapter: every weight is trained."""

    kind: Literal["full"] = "full"

    def to_peft(self, steps: int) -> None:
        """There is no PEFT config: the trainer gets the bare model."""
        return None


def _one(value: Any) -> Any:
    if isinstance(value, list | tuple):
        text = Phrase(
            "one adapter is trained at a time; to put a second on top, finish this run, and in the next recipe write "
            "`model.run` and `model.merge: true` with the second"
        )
        raise ValueError(text)
    return value


Adapter = Annotated[
    Lora | AdaLora | Ia3 | Vera | Oft | Boft | PromptTuning | PrefixTuning | Full,
    Field(discriminator="kind"),
    by_name,
    BeforeValidator(_one),
]
