"""What is trained, counted from an adapter's fields, against what PEFT makes of them on real models."""

from __future__ import annotations

from typing import Any

import pytest

from seodang.errors import ModelError
from seodang.planning.architecture import architecture
from seodang.planning.trained import trained

SIZES: dict[str, Any] = {"vocab_size": 301, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3,
         "num_attention_heads": 8, "num_key_value_heads": 4, "max_position_embeddings": 64, "pad_token_id": 0}  # fmt: skip
NEOX = {key: value for key, value in SIZES.items() if key != "num_key_value_heads"}
GPT2: dict[str, Any] = {"vocab_size": 301, "n_embd": 64, "n_layer": 3, "n_head": 8, "n_positions": 64}
CONFIGS: dict[str, dict[str, Any]] = {"llama": SIZES, "qwen3": SIZES | {"head_dim": 16}, "gpt_neox": NEOX, "gpt2": GPT2}
CLASSES = {"lora": "LoraConfig", "adalora": "AdaLoraConfig", "ia3": "IA3Config", "vera": "VeraConfig",
           "oft": "OFTConfig", "boft": "BOFTConfig", "prompt_tuning": "PromptTuningConfig",
           "prefix_tuning": "PrefixTuningConfig"}  # fmt: skip
ALL = {"target_modules": "all-linear"}
CASES = [
    ("llama", {"kind": "lora", "r": 5} | ALL),
    ("llama", {"kind": "lora", "r": 5, "use_dora": True} | ALL),
    ("llama", {"kind": "lora", "r": 5, "target_modules": ["q_proj", "down_proj"]}),
    ("llama", {"kind": "lora", "r": 5, "target_modules": r".*layers\.[01]\.mlp\..*_proj"}),
    ("llama", {"kind": "lora", "r": 5, "target_modules": ["embed_tokens", "v_proj"]}),
    ("llama", {"kind": "lora", "r": 5, "modules_to_save": ["lm_head"]} | ALL),
    ("qwen3", {"kind": "lora", "r": 5} | ALL),
    ("gpt_neox", {"kind": "lora", "r": 5} | ALL),
    ("gpt_neox", {"kind": "lora", "r": 5, "target_modules": ["query_key_value"]}),
    ("gpt2", {"kind": "lora", "r": 5} | ALL),
    ("llama", {"kind": "adalora", "init_r": 6} | ALL),
    ("llama", {"kind": "ia3"}),
    ("qwen3", {"kind": "ia3"}),
    ("gpt_neox", {"kind": "ia3"}),
    ("llama", {"kind": "vera", "r": 16} | ALL),
    ("llama", {"kind": "oft", "oft_block_size": 32} | ALL),
    ("llama", {"kind": "oft", "oft_block_size": 32, "block_share": True} | ALL),
    ("llama", {"kind": "boft", "boft_block_size": 4} | ALL),
    ("llama", {"kind": "prompt_tuning", "num_virtual_tokens": 7}),
    ("llama", {"kind": "prefix_tuning", "num_virtual_tokens": 7}),
]


@pytest.mark.filterwarnings("ignore:Failed to load the CUDA extension", "ignore:Setting boft_n_butterfly_factor to 1")
@pytest.mark.parametrize(("name", "adapter"), CASES, ids=lambda value: str(value)[:60])
def test_the_count_is_what_peft_makes_trainable(name: str, adapter: dict[str, Any]) -> None:
    from seodang.tuning.quiet import silence_upstream

    # isort: split
    import peft
    from transformers import CONFIG_MAPPING, AutoModelForCausalLM

    silence_upstream()
    model = AutoModelForCausalLM.from_config(CONFIG_MAPPING[name](**CONFIGS[name]))
    given = {key: value for key, value in adapter.items() if key != "kind"}
    given |= {"total_step": 100} if adapter["kind"] == "adalora" else {}
    given |= {"fan_in_fan_out": True} if name == "gpt2" else {}
    made = peft.get_peft_model(model, getattr(peft, CLASSES[adapter["kind"]])(task_type="CAUSAL_LM", **given))
    wanted = sum(part.numel() for part in made.parameters() if part.requires_grad)
    shape = architecture({"model_type": name} | CONFIGS[name], "it")
    assert trained(shape, adapter).parameters == wanted


def test_full_trains_everything() -> None:
    shape = architecture({"model_type": "llama"} | SIZES, "it")
    assert trained(shape, {"kind": "full"}).parameters == shape.parameters


def test_an_unknown_method_is_said() -> None:
    shape = architecture({"model_type": "llama"} | SIZES, "it")
    with pytest.raises(ModelError, match="adapter.kind: `plan` does not know what `lokr` trains"):
        trained(shape, {"kind": "lokr"})


def test_every_method_of_a_recipe_is_known() -> None:
    from typing import get_args

    from seodang.tuning.adapters import Adapter

    kinds = {get_args(kind.model_fields["kind"].annotation)[0] for kind in get_args(get_args(Adapter)[0])}
    assert kinds <= {*CLASSES, "full"}
