"""The PEFT methods a recipe can ask for, by `kind`, each with PEFT's own field names and nothing else.

To add one: a class with `to_peft(steps)` and, where the method needs them, `prepare(model, batches)` and
`on_step(model, step)`; then its name in the union at the bottom.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from seodang.schema import Schema, by_name

if TYPE_CHECKING:
    from peft import PeftConfig


class Lora(Schema):
    """Low-rank adaptation (Hu et al. 2021, arXiv:2106.09685)."""

    kind: Literal["lora"] = "lora"
    r: int = Field(16, ge=1)
    """Rank of the update."""
    lora_alpha: int = Field(32, ge=1)
    """The update is scaled by lora_alpha / r."""
    lora_dropout: float = Field(0.0, ge=0, lt=1)
    target_modules: str | tuple[str, ...] = "all-linear"
    """`all-linear`, or the names of the modules to adapt."""
    use_rslora: bool = False
    modules_to_save: tuple[str, ...] | None = None
    """Modules trained and saved whole beside the adapter."""

    def to_peft(self, steps: int) -> PeftConfig:
        """PEFT's config. `steps` is the number of optimizer steps, for methods with a schedule."""
        from peft import LoraConfig

        given = self.model_dump(exclude={"kind"}, exclude_none=True)
        if not isinstance(self.target_modules, str):
            given["target_modules"] = list(self.target_modules)
        return LoraConfig(task_type="CAUSAL_LM", **given)


class Full(Schema):
    """No adapter: every weight is trained."""

    kind: Literal["full"] = "full"

    def to_peft(self, steps: int) -> None:
        """There is no PEFT config: the trainer gets the bare model."""
        return None


Adapter = Annotated[Lora | Full, Field(discriminator="kind"), by_name]
