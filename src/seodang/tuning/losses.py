"""The preference losses a recipe can ask for, by `kind`, each with only its own knobs.

To add one: a class that says which trainer runs it, whether it needs a reference, which rows it reads, and `to_trl()`;
then its name in the union at the bottom.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from seodang.schema import Schema, by_name


class Sigmoid(Schema):
    """The DPO loss, -log σ(β · margin) (Rafailov et al. 2023, arXiv:2305.18290, eq. 7)."""

    trainer: ClassVar[str] = "dpo"
    needs_reference: ClassVar[bool] = True
    reads: ClassVar[str] = "preference"

    kind: Literal["sigmoid"] = "sigmoid"
    beta: float = Field(0.1, gt=0)
    """How strongly the policy is held to the reference."""
    label_smoothing: float = Field(0.0, ge=0, lt=0.5)
    """Share of labels taken to be flipped (conservative DPO)."""

    def to_trl(self) -> dict[str, Any]:
        """The keys of TRL's DPOConfig."""
        return {"loss_type": [self.kind], "beta": self.beta, "label_smoothing": self.label_smoothing}


class Ipo(Schema):
    """The IPO loss, (margin - 1/2β)² (Azar et al. 2023, arXiv:2310.12036, eq. 17)."""

    trainer: ClassVar[str] = "dpo"
    needs_reference: ClassVar[bool] = True
    reads: ClassVar[str] = "preference"

    kind: Literal["ipo"] = "ipo"
    beta: float = Field(0.1, gt=0)
    """The regularisation strength τ of the paper."""

    def to_trl(self) -> dict[str, Any]:
        """The keys of TRL's DPOConfig."""
        return {"loss_type": [self.kind], "beta": self.beta}


class Hinge(Schema):
    """The hinge loss, relu(1 - β · margin) (Zhao et al. 2023, SLiC-HF, arXiv:2305.10425)."""

    trainer: ClassVar[str] = "dpo"
    needs_reference: ClassVar[bool] = True
    reads: ClassVar[str] = "preference"

    kind: Literal["hinge"] = "hinge"
    beta: float = Field(0.1, gt=0)
    """The reciprocal of the margin."""

    def to_trl(self) -> dict[str, Any]:
        """The keys of TRL's DPOConfig."""
        return {"loss_type": [self.kind], "beta": self.beta}


Loss = Annotated[Sigmoid | Ipo | Hinge, Field(discriminator="kind"), by_name]
