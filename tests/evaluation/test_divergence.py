"""The KL divergence from another model, against the closed form."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from seodang.chats import make_chat
from seodang.evaluation.divergence import Drawn, divergence, draw
from seodang.records import Conversation, Message

VOCABULARY = 5


class Unigram(torch.nn.Module):
    """Says the same distribution at every place: the divergence of n tokens is n times that of one."""

    def __init__(self, logits: list[float]) -> None:
        super().__init__()
        self.logits = torch.tensor(logits)
        self.config = SimpleNamespace(get_text_config=lambda: SimpleNamespace(vocab_size=VOCABULARY))
        self.device = torch.device("cpu")

    def forward(self, input_ids: torch.Tensor, **_: object) -> SimpleNamespace:
        return SimpleNamespace(logits=self.logits.expand(*input_ids.shape, VOCABULARY))


def drawn_from(model: Unigram, count: int, length: int) -> Drawn:
    torch.manual_seed(1)
    answers = torch.distributions.Categorical(logits=model.logits).sample((count, length))
    logps = model.logits.log_softmax(0)[answers].sum(1)
    return Drawn([([0], row) for row in answers.tolist()], logps.tolist())


def test_it_is_the_closed_form_within_its_interval() -> None:
    model, other = Unigram([1.0, 0.0, 0.5, -1.0, 0.2]), Unigram([0.0, 0.3, -0.5, 1.0, 0.0])
    exact = 3 * float(
        torch.distributions.kl_divergence(
            torch.distributions.Categorical(logits=model.logits), torch.distributions.Categorical(logits=other.logits)
        )
    )

    found = divergence(drawn_from(model, 4000, 3), other)

    assert found["low"] < exact < found["high"]
    assert found["mean"] == pytest.approx(exact, rel=0.1)
    assert found["n"] == 4000


def test_a_model_is_at_no_distance_from_itself() -> None:
    model = Unigram([1.0, 0.0, 0.5, -1.0, 0.2])

    found = divergence(drawn_from(model, 50, 4), model)

    assert found["mean"] == pytest.approx(0.0, abs=1e-5)
    assert found["low"] <= found["mean"] <= found["high"]


def test_samples_are_the_models_own_and_repeat(model_dir: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(model_dir)
    model, chat = AutoModelForCausalLM.from_pretrained(model_dir), make_chat(tokenizer, "chatml")
    records = [Conversation((Message("user", text), Message("assistant", "네")), text) for text in ("안녕", "뭐 해?")]

    first, again, other = (draw(model, chat, records, 6, seed) for seed in (1, 1, 2))

    assert first.rows == again.rows != other.rows
    assert first.logps == pytest.approx(again.logps)
    assert all(logp < 0 for logp in first.logps)
