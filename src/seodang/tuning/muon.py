"""Muon for the matrices between embedding and head, AdamW for the rest: `training.optim: muon` of stage `pretrain`.

Jordan et al. 2024 (kellerjordan.github.io/posts/muon), scaled to AdamW's step so that one learning rate serves both
(Liu et al. 2025, arXiv:2502.16982, eq. 4). Both halves are PyTorch's own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from transformers import TrainingArguments


class MuonWithAdamW(torch.optim.Optimizer):  # type: ignore[misc]
    """Two optimizers as one: each steps its own parameter group, whose state and learning rate live here."""

    def __init__(self, parts: tuple[torch.optim.Optimizer, ...]) -> None:
        super().__init__([dict(part.param_groups[0]) for part in parts], {})
        self.parts = parts

    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """One step of both; returns the closure's loss."""
        loss = closure() if closure else None
        for part, group in zip(self.parts, self.param_groups, strict=True):
            part.param_groups, part.state = [group], self.state  # a loaded state replaces both, so link them anew
            part.step()
        return loss


def muon(model: nn.Module, args: TrainingArguments) -> MuonWithAdamW:
    """The optimizer of a model. Embeddings, head, norms and biases take AdamW, without weight decay."""
    tables = {id(one.weight) for one in model.modules() if isinstance(one, nn.Embedding)}
    head = getattr(model, "get_output_embeddings", lambda: None)()
    tables |= {id(head.weight)} if head is not None else set()
    trained = [one for one in model.parameters() if one.requires_grad]
    matrices = [one for one in trained if one.ndim == 2 and id(one) not in tables]
    rest = [one for one in trained if one.ndim != 2 or id(one) in tables]
    rate = args.learning_rate
    return MuonWithAdamW((
        torch.optim.Muon(matrices, rate, args.weight_decay, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(rest, rate, (args.adam_beta1, args.adam_beta2), args.adam_epsilon, weight_decay=0.0),
    ))  # fmt: skip
