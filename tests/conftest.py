"""Shared fixtures: a tiny tokenizer and tiny models, made here; no network, no telemetry."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("SEODANG_LANG", "en")

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"

TEXT = """나는 아침에 학교에 갑니다. 오늘은 날씨가 맑아서 산책을 했어요. 저녁에는 가족과 함께 밥을 먹었다.
다음 문장을 영어로 번역하세요. 숫자를 한글로 읽어 주세요. 삼십팔, 서른여덟, 스무 살, 유월.
고양이는 조용히 창밖을 보았다. 비가 오면 우산을 챙기세요. 서울에서 부산까지 기차로 두 시간 반이 걸립니다.
I go to school. The weather is nice today. Please translate the sentence below.
### Instruction: ### Response: ### Input: ### 질문: ### 답변: user assistant system
책을 읽는 사람은 생각이 깊어진다. 물을 많이 마시면 건강에 좋습니다. 1 2 3 4 5 6 7 8 9 10 100 2026
""".strip().splitlines()

CONTROL = ("<|im_start|>", "<|im_end|>", "<|endoftext|>", "<pad>")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real public data; tests that use it skip where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("the shared real data is not on this machine")
    return SHARED


@pytest.fixture(scope="session")
def tokenizer_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A byte-level BPE tokenizer with ChatML's control tokens, eos `<|endoftext|>`, and no chat template."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    raw.train_from_iterator(
        TEXT, trainers.BpeTrainer(vocab_size=600, special_tokens=list(CONTROL), initial_alphabet=alphabet)
    )
    folder = tmp_path_factory.mktemp("tokenizer")
    PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="<|endoftext|>", pad_token="<pad>").save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def model_dir(tokenizer_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A two-layer Llama with random weights beside that tokenizer: a base model without a chat template."""
    import shutil

    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("model")
    shutil.copytree(tokenizer_dir, folder, dirs_exist_ok=True)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=640, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=2048, bos_token_id=None, eos_token_id=2, pad_token_id=3,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tokenizer(tokenizer_dir: Path) -> Any:
    """The tokenizer of `tokenizer_dir`, loaded."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tokenizer_dir)
