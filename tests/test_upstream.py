"""Every upstream fact that this project leans on, so that an upgrade fails here and not in a user's run.

A fact is stated as it is measured in the pinned versions. Where one stops holding, the code that leans on it is named
in the test's docstring: look there before the expectation is changed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

# PEFT 0.21 and TRL 1.16 still use names that transformers 5.23 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.*:FutureWarning")

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
PLAIN_BORDER = (
    "{% for message in messages %}{% if message['role'] == 'user' %}{{ '### 질문:\n' + message['content'] + '\n' }}"
    "{% else %}{{ '### 답변:' + message['content'] + eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '### 답변:' }}{% endif %}"
)
ANSWERS = (" 서른여덟입니다.", " 오늘은 맑아요.", " 두 시간 반이 걸립니다.")


@pytest.fixture
def chat_tokenizer(tokenizer_dir: Path) -> Any:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tokenizer_dir)
    tokenizer.chat_template = CHATML
    return tokenizer


@pytest.fixture
def tiny(model_dir: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(model_dir)


def user(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def assistant(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]


def pair_rows() -> Any:
    from datasets import Dataset

    rows = [
        {"prompt": user("38을 한글로 읽어 주세요."), "chosen": assistant(answer), "rejected": assistant(" 모름")}
        for answer in ANSWERS
    ]
    return Dataset.from_list(rows)


def dpo_config(folder: Path, **given: Any) -> Any:
    from trl import DPOConfig

    defaults: dict[str, Any] = {
        "bf16": False,
        "activation_checkpointing": False,
        "report_to": "none",
        "max_length": None,
    }
    return DPOConfig(str(folder), use_cpu=True, disable_tqdm=True, **(defaults | given))


def dpo_trainer(model: Any, tokenizer: Any, folder: Path, rows: Any = None, **given: Any) -> Any:
    from trl import DPOTrainer

    rows = pair_rows() if rows is None else rows
    return DPOTrainer(model, args=dpo_config(folder, **given), train_dataset=rows, processing_class=tokenizer)


def sft_trainer(model: Any, folder: Path, rows: list[dict[str, list[int]]], tokenizer: Any, **given: Any) -> Any:
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    defaults: dict[str, Any] = {"bf16": False, "activation_checkpointing": False, "report_to": "none"}
    config = SFTConfig(str(folder), use_cpu=True, disable_tqdm=True, **(defaults | given))
    return SFTTrainer(model, args=config, train_dataset=Dataset.from_list(rows), processing_class=tokenizer)


def logits(model: Any) -> Any:
    import torch

    ids = torch.arange(4, 40)[None]
    model.eval()
    with torch.no_grad():
        return model(input_ids=ids).logits


def stir(model: Any) -> Any:
    """Move every trainable weight, as training would."""
    import torch

    generator = torch.Generator().manual_seed(1)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
    return model


def in_fresh_python(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True, text=True, check=False, env=os.environ | environment, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


# --- Tokenizers and chat templates -----------------------------------------------------------------------------------


def test_a_tokenizer_class_imports_without_torch_and_auto_tokenizer_brings_torch() -> None:
    """seodang.tokenization loads the class named in tokenizer_config.json, so that `check` stays light."""
    code = (
        "import sys\n"
        "from transformers import LlamaTokenizer, Qwen2Tokenizer, PreTrainedTokenizerFast\n"
        "from transformers.utils import chat_template_utils\n"
        "named = 'torch' in sys.modules\n"
        "from transformers import AutoTokenizer\n"
        "print(named, 'torch' in sys.modules)\n"
    )
    assert in_fresh_python(code).split() == ["False", "True"]


def test_the_trainers_config_class_imports_torch() -> None:
    """Why `training.extra` is checked against the generated upstream_fields.json and not against SFTConfig."""
    code = "import sys\nfrom trl.trainer.sft_config import SFTConfig\nprint('torch' in sys.modules)"
    assert in_fresh_python(code).split() == ["True"]


def test_yaml_reads_an_exponent_as_text_and_no_as_false() -> None:
    """seodang.tuning.specs coerces both back in `training.extra`."""
    import yaml

    assert yaml.safe_load("adam_epsilon: 1e-8\neval_strategy: no") == {"adam_epsilon": "1e-8", "eval_strategy": False}


def test_a_bare_tokenizer_json_gives_other_ids_than_the_named_class(shared_data: Path) -> None:
    """seodang.tokenization never reads tokenizer.json alone: Llama-type tokenizers get Metaspace in transformers 5."""
    from tokenizers import Tokenizer
    from transformers import AutoTokenizer, LlamaTokenizer

    folder = shared_data / "tokenizers" / "granite-7b-lab"
    bare = Tokenizer.from_file(str(folder / "tokenizer.json")).encode("<|user|>안녕", add_special_tokens=False).ids
    named = LlamaTokenizer.from_pretrained(folder).encode("<|user|>안녕", add_special_tokens=False)
    auto = AutoTokenizer.from_pretrained(folder).encode("<|user|>안녕", add_special_tokens=False)
    assert named == auto
    assert bare[:2] == [32002, 29871] and named[0] == 32002 and named[1] != 29871


def test_a_byte_level_tokenizer_that_calls_itself_llama_is_loaded_as_what_it_is(
    tokenizer_dir: Path, tmp_path: Path
) -> None:
    """seodang.tokenization makes the same exception as AutoTokenizer; LlamaTokenizer would lose the Hangul."""
    import shutil

    from transformers import AutoTokenizer, LlamaTokenizer, PreTrainedTokenizerFast

    shutil.copytree(tokenizer_dir, tmp_path, dirs_exist_ok=True)
    config = json.loads((tmp_path / "tokenizer_config.json").read_text(encoding="utf-8"))
    config["tokenizer_class"] = "LlamaTokenizer"
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    kinds = (AutoTokenizer, PreTrainedTokenizerFast, LlamaTokenizer)
    auto, fast, llama = (kind.from_pretrained(tmp_path).encode("학교", add_special_tokens=False) for kind in kinds)
    assert auto == fast != llama


def test_saving_the_named_class_makes_tokenizer_json_agree(shared_data: Path, tmp_path: Path) -> None:
    """A run's adapter/ folder reads the same in every reader."""
    from tokenizers import Tokenizer
    from transformers import LlamaTokenizer

    named = LlamaTokenizer.from_pretrained(shared_data / "tokenizers" / "granite-7b-lab")
    named.save_pretrained(tmp_path)
    bare = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    for text in ("<|user|>안녕", " 앞", "I go", "\n줄"):
        assert bare.encode(text, add_special_tokens=False).ids == named.encode(text, add_special_tokens=False)


def test_a_template_without_generation_prompt_is_possible(shared_data: Path) -> None:
    """Granite's own template ignores `add_generation_prompt`: the header belongs to what the model writes."""
    from transformers import LlamaTokenizer

    granite = LlamaTokenizer.from_pretrained(shared_data / "tokenizers" / "granite-7b-lab")
    with_prompt = granite.apply_chat_template(user("안녕"), add_generation_prompt=True, tokenize=False)
    assert with_prompt == granite.apply_chat_template(user("안녕"), add_generation_prompt=False, tokenize=False)


def test_apply_chat_template_gives_a_dictionary_unless_told_not_to(chat_tokenizer: Any) -> None:
    """Every caller of ours passes `return_dict=False`."""
    found = chat_tokenizer.apply_chat_template(user("안녕"))
    assert found["input_ids"] == chat_tokenizer.apply_chat_template(user("안녕"), return_dict=False)


def test_the_saved_template_is_a_file_of_its_own(chat_tokenizer: Any, tmp_path: Path) -> None:
    """seodang reads a model's own template from the loaded tokenizer, never from tokenizer_config.json."""
    chat_tokenizer.save_pretrained(tmp_path)
    assert (tmp_path / "chat_template.jinja").read_text(encoding="utf-8") == CHATML
    assert "chat_template" not in json.loads((tmp_path / "tokenizer_config.json").read_text(encoding="utf-8"))


def test_the_oracle_keeps_typed_control_strings_as_text(chat_tokenizer: Any) -> None:
    """seodang.encoding is compared with `apply_chat_template(..., sanitize_control_tokens=True)`."""
    end = chat_tokenizer.convert_tokens_to_ids("<|im_end|>")
    typed = user("끝은 <|im_end|> 입니다")
    plain = chat_tokenizer.apply_chat_template(typed, return_dict=False)
    kept = chat_tokenizer.apply_chat_template(typed, return_dict=False, sanitize_control_tokens=True)
    assert plain.count(end) == 2 and kept.count(end) == 1
    assert chat_tokenizer.decode(kept) == chat_tokenizer.decode(plain)


def test_the_oracle_keeps_added_tokens_that_are_not_special(chat_tokenizer: Any) -> None:
    """`split_special_tokens` skips only `special: true` tokens; the oracle knows a template's `<think>` too."""
    chat_tokenizer.add_tokens(["<think>"])
    chat_tokenizer.chat_template = CHATML + "{# #}{% if false %}<think>{% endif %}"
    think = chat_tokenizer.convert_tokens_to_ids("<think>")
    typed = user("<think> 라고 쓰면?")
    assert think in chat_tokenizer.encode("<think> 라고", split_special_tokens=True)
    assert think in chat_tokenizer.apply_chat_template(typed, return_dict=False)
    assert think not in chat_tokenizer.apply_chat_template(typed, return_dict=False, sanitize_control_tokens=True)


def test_the_private_seams_of_the_oracle_exist(chat_tokenizer: Any) -> None:
    """seodang.encoding and seodang.template call these by name."""
    from transformers.utils import chat_template_utils as seams

    tokens = chat_tokenizer._get_control_tokens(CHATML)
    control, marked = seams._get_control_token_patterns(tuple(tokens))
    text = seams.mark_control_tokens("가<|im_end|>나", control)
    start, end = seams._CONTROL_TOKEN_START, seams._CONTROL_TOKEN_END
    assert text == f"가{start}<|im_end|>{end}나" and marked.split(text) == ["가", "<|im_end|>", "나"]
    unmarked = chat_tokenizer._encode_without_added_tokens("<|im_end|>")
    assert chat_tokenizer.convert_tokens_to_ids("<|im_end|>") not in unmarked
    assert seams.encode_marked_chat(chat_tokenizer, text)[1:-1] != []


def test_user_text_cannot_forge_the_oracles_marks(chat_tokenizer: Any) -> None:
    """Private-use characters in a message are dropped before the marks are set."""
    from transformers.utils import chat_template_utils as seams

    control, _ = seams._get_control_token_patterns(("<|im_end|>",))
    forged = f"{seams._CONTROL_TOKEN_START}가{seams._CONTROL_TOKEN_END}"
    assert seams.mark_control_tokens(forged, control) == "가"


# --- What TRL does to data -------------------------------------------------------------------------------------------


def test_sft_takes_ready_made_ids_and_labels(tiny: Any, tokenizer: Any, tmp_path: Path) -> None:
    """Stage sft hands `input_ids` and `labels` over, and -100 stays -100 in the batch."""
    rows = [{"input_ids": [4, 5, 6, 7], "labels": [-100, -100, 6, 7]}, {"input_ids": [8, 9], "labels": [-100, 9]}]
    trainer = sft_trainer(tiny, tmp_path, rows, tokenizer, max_length=None)
    batch = trainer.data_collator([trainer.train_dataset[0], trainer.train_dataset[1]])
    assert batch["input_ids"].tolist() == [[4, 5, 6, 7], [8, 9, 3, 3]]
    assert batch["labels"].tolist() == [[-100, -100, 6, 7], [-100, 9, -100, -100]]


def test_sft_cuts_ready_made_ids_at_1024_by_default(tiny: Any, tokenizer: Any, tmp_path: Path) -> None:
    """Every trainer of ours is built with `max_length=None`."""
    from trl import SFTConfig

    rows = [{"input_ids": [5] * 1500, "labels": [5] * 1500}]
    assert SFTConfig.max_length == 1024
    assert len(sft_trainer(tiny, tmp_path, rows, tokenizer).train_dataset[0]["input_ids"]) == 1024
    whole = sft_trainer(tiny, tmp_path, rows, tokenizer, max_length=None)
    assert len(whole.train_dataset[0]["input_ids"]) == 1500


def test_sft_drops_rows_without_a_trained_token_without_a_word(tiny: Any, tokenizer: Any, tmp_path: Path) -> None:
    """seodang.data.dataset drops and counts such rows before the trainer sees them."""
    rows = [{"input_ids": [4, 5], "labels": [4, 5]}, {"input_ids": [6, 7] * 600, "labels": [-100] * 1100 + [7] * 100}]
    assert len(sft_trainer(tiny, tmp_path, rows, tokenizer).train_dataset) == 1


def test_dpos_collator_cuts_at_1024_by_default() -> None:
    """Stage dpo builds its config with `max_length=None`."""
    from trl import DPOConfig
    from trl.trainer.dpo_trainer import DataCollatorForPreference

    row = {"prompt_ids": [5] * 1400, "chosen_ids": [6] * 100, "rejected_ids": [7] * 100}
    assert DPOConfig.max_length == 1024
    assert DataCollatorForPreference(pad_token_id=3, max_length=1024)([row])["input_ids"].shape == (2, 1024)
    assert DataCollatorForPreference(pad_token_id=3)([row])["input_ids"].shape == (2, 1500)


def test_dpo_tokenises_even_rows_that_bring_ids(tiny: Any, chat_tokenizer: Any, tmp_path: Path) -> None:
    """Why seodang.tuning.dpo overrides `_prepare_dataset`: there is no documented way to hand ids over."""
    from datasets import Dataset

    rows = Dataset.from_list([{"prompt_ids": [4, 5], "chosen_ids": [6], "rejected_ids": [7]}])
    with pytest.raises(KeyError, match="chosen"):
        dpo_trainer(tiny, chat_tokenizer, tmp_path, rows)


def test_dpo_honours_sanitize_control_tokens_per_row(tiny: Any, chat_tokenizer: Any, tmp_path: Path) -> None:
    """The documented seam by which a bare TRL script keeps a typed control string as text."""
    end = chat_tokenizer.convert_tokens_to_ids("<|im_end|>")
    row = {"prompt": user("<|im_end|>는 무엇?"), "chosen": assistant("끝"), "rejected": assistant("몰라")}

    def prompt_ids(row: dict[str, Any]) -> list[int]:
        from datasets import Dataset

        return list(
            dpo_trainer(tiny, chat_tokenizer, tmp_path, Dataset.from_list([row])).train_dataset[0]["prompt_ids"]
        )

    assert prompt_ids(row).count(end) == 2
    assert prompt_ids(row | {"chat_template_kwargs": {"sanitize_control_tokens": True}}).count(end) == 1


def test_dpo_cuts_the_prompt_where_a_token_crosses_the_border(tiny: Any, tokenizer_dir: Path, tmp_path: Path) -> None:
    """With a template whose border is plain text TRL trains a context the served model never reads."""
    from datasets import Dataset
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tokenizer_dir)
    tokenizer.chat_template = PLAIN_BORDER.replace("### 답변:'", "### 답변:\n'")
    tokenizer.add_tokens(["\n\n"])  # a token made of the prompt's last and the answer's first character
    row = {"prompt": user("무엇?"), "chosen": assistant("\n답"), "rejected": assistant("\n몰라")}
    prompt = tokenizer.apply_chat_template(row["prompt"], add_generation_prompt=True, return_dict=False)
    trained = dpo_trainer(tiny, tokenizer, tmp_path, Dataset.from_list([row])).train_dataset[0]["prompt_ids"]
    assert list(trained) == prompt[:-1]


def test_the_private_seams_of_dpo_exist() -> None:
    """seodang.tuning.dpo overrides both: our ids instead of TRL's, our reference instead of TRL's."""
    import inspect

    from trl import DPOTrainer

    assert list(inspect.signature(DPOTrainer._prepare_dataset).parameters)[1:] == [
        "dataset", "processing_class", "args", "dataset_name",
    ]  # fmt: skip
    assert list(inspect.signature(DPOTrainer._precompute_ref_logps).parameters)[1:] == ["dataset", "name", "batch_size"]
    source = inspect.getsource(DPOTrainer._compute_loss)
    assert 'inputs["ref_chosen_logps"], inputs["ref_rejected_logps"]' in source


def test_dpos_collator_carries_reference_columns() -> None:
    """The reference reaches the loss as two columns."""
    from trl.trainer.dpo_trainer import DataCollatorForPreference

    row = {"prompt_ids": [4], "chosen_ids": [5, 6], "rejected_ids": [7]}
    batch = DataCollatorForPreference(pad_token_id=3)([row | {"ref_chosen_logps": -1.5, "ref_rejected_logps": -2.5}])
    assert batch["ref_chosen_logps"].tolist() == [-1.5] and batch["ref_rejected_logps"].tolist() == [-2.5]
    assert batch["completion_mask"].tolist() == [[0, 1, 1], [0, 1, 0]]


# --- What TRL does to models -----------------------------------------------------------------------------------------


def adapter_config(kind: str) -> Any:
    import peft

    if kind == "ia3":
        return peft.IA3Config(
            task_type="CAUSAL_LM", target_modules=["q_proj", "down_proj"], feedforward_modules=["down_proj"]
        )
    weights = "pissa" if kind == "pissa" else True
    return peft.LoraConfig(task_type="CAUSAL_LM", r=4, target_modules="all-linear", init_lora_weights=weights)


def copied(kind: str, tiny: Any, tokenizer: Any, folder: Path) -> dict[str, float]:
    """How far TRL's own reference copy is from the parent and from the base, and how far the policy moved."""
    import peft

    model = stir(peft.get_peft_model(tiny, adapter_config(kind)))
    parent = logits(model)
    with model.disable_adapter():
        base = logits(model)
    dpo_trainer(model, tokenizer, folder)
    policy = logits(model)
    model.set_adapter("ref")
    copy = logits(model)
    far = {"policy": policy - parent, "copy": copy - parent, "base": copy - base}
    return {name: float(difference.abs().max()) for name, difference in far.items()}


def test_trls_reference_copy_is_right_for_lora(tiny: Any, chat_tokenizer: Any, tmp_path: Path) -> None:
    far = copied("lora", tiny, chat_tokenizer, tmp_path)
    assert far["policy"] == far["copy"] == 0 and far["base"] > 1e-2


def test_trls_reference_copy_is_the_base_for_ia3(tiny: Any, chat_tokenizer: Any, tmp_path: Path) -> None:
    """Why the reference is never TRL's own copy (seodang.tuning.reference)."""
    far = copied("ia3", tiny, chat_tokenizer, tmp_path)
    assert far["base"] == 0 and far["copy"] > 1e-3


def test_trl_damages_the_policy_of_a_pissa_adapter(tiny: Any, chat_tokenizer: Any, tmp_path: Path) -> None:
    """Adding `ref` initialises it again on the same base; the step-0 assertion of seodang.tuning.dpo sees it."""
    assert copied("pissa", tiny, chat_tokenizer, tmp_path)["policy"] > 1e-3


def test_the_reference_copy_can_be_deleted(tiny: Any, chat_tokenizer: Any, tmp_path: Path) -> None:
    """seodang.tuning.dpo deletes it, so that no checkpoint holds a second adapter."""
    import peft

    model = stir(peft.get_peft_model(tiny, adapter_config("lora")))
    parent = logits(model)
    dpo_trainer(model, chat_tokenizer, tmp_path)
    model.delete_adapter("ref")
    assert list(model.peft_config) == ["default"] and model.active_adapters == ["default"]
    assert float((logits(model) - parent).abs().max()) == 0


def test_dpo_saves_a_second_adapter_and_a_pickle(tiny: Any, chat_tokenizer: Any, tmp_path: Path) -> None:
    """Why seodang.tuning.loop saves adapters itself."""
    import peft

    model = peft.get_peft_model(tiny, adapter_config("lora"))
    dpo_trainer(model, chat_tokenizer, tmp_path).save_model(str(tmp_path / "saved"))
    assert {"ref", "training_args.bin"} <= {path.name for path in (tmp_path / "saved").iterdir()}


@pytest.mark.parametrize("trainer", ["sft", "dpo"])
def test_trl_casts_the_adapter_of_a_quantised_model_to_bfloat16(
    trainer: str, model_dir: Path, chat_tokenizer: Any, tmp_path: Path
) -> None:
    """On any device; the tuning stages put values and dtype back before there is an optimizer."""
    import torch

    model = qlora(model_dir)
    if trainer == "sft":
        sft_trainer(model, tmp_path, [{"input_ids": [4, 5], "labels": [4, 5]}], chat_tokenizer)
    else:
        dpo_trainer(model, chat_tokenizer, tmp_path)
    dtypes = {p.dtype for name, p in model.named_parameters() if ".default." in name}
    assert dtypes == {torch.bfloat16}


def test_trl_refuses_an_adapter_on_the_output_layer(tiny: Any, chat_tokenizer: Any, tmp_path: Path) -> None:
    """Its losses read `lm_head.weight` directly; seodang.tuning.model says so in a paragraph before."""
    import peft

    config = peft.LoraConfig(task_type="CAUSAL_LM", r=4, target_modules=["lm_head"])
    with pytest.raises(ValueError, match="`lm_head` is not supported"):
        dpo_trainer(peft.get_peft_model(tiny, config), chat_tokenizer, tmp_path)


def test_trls_defaults_are_wrong_for_a_cpu() -> None:
    """bf16 is emulated there, and checkpointing doubles the forward; seodang.tuning.loop decides both."""
    from trl import DPOConfig, SFTConfig

    for config in (SFTConfig, DPOConfig):
        built = config("unused", use_cpu=True, report_to="none")
        assert built.bf16 and built.gradient_checkpointing and built.logging_steps == 10
    assert DPOConfig("unused", use_cpu=True, report_to="none").disable_dropout


def test_dpo_recomputes_logits_for_compute_metrics_with_a_warning(
    tiny: Any, chat_tokenizer: Any, tmp_path: Path
) -> None:
    """Custom metrics see our evaluation's answers instead."""
    trainer = dpo_trainer(tiny, chat_tokenizer, tmp_path, precompute_ref_log_probs=True)
    batch = trainer.data_collator([trainer.train_dataset[0]])
    with pytest.warns(FutureWarning, match="return_outputs"):
        trainer.compute_loss(trainer.model, batch, return_outputs=True)


def test_upstream_still_reads_names_that_it_deprecates(tiny: Any) -> None:
    """PEFT reads `is_gradient_checkpointing` of transformers 5.23: not a warning for the user."""
    import peft

    with pytest.warns(FutureWarning, match="is_gradient_checkpointing"):
        peft.get_peft_model(tiny, adapter_config("lora"))


def test_gradient_checkpointing_is_called_activation_checkpointing() -> None:
    """seodang.tuning.loop passes the new name; the old one warns."""
    from transformers import TrainingArguments

    with pytest.warns(FutureWarning, match="activation_checkpointing"):
        TrainingArguments("unused", use_cpu=True, report_to="none", gradient_checkpointing=True)


def test_importing_experimental_trl_warns_unless_silenced() -> None:
    """Experimental losses will set TRL_EXPERIMENTAL_SILENCE."""
    code = "import warnings\nwith warnings.catch_warnings(record=True) as seen:\n    warnings.simplefilter('always')\n"
    code += "    import trl.experimental\nprint(any('experimental' in str(w.message) for w in seen))"
    assert in_fresh_python(code).split() == ["True"]
    assert in_fresh_python(code, TRL_EXPERIMENTAL_SILENCE="1").split() == ["False"]


def test_missing_weights_are_made_up_and_only_reported(model_dir: Path, tmp_path: Path) -> None:
    """seodang.tuning.model asks for the report and refuses."""
    from safetensors.torch import load_file, save_file
    from transformers import AutoConfig, AutoModelForCausalLM

    AutoConfig.from_pretrained(model_dir).save_pretrained(tmp_path)
    weights = load_file(model_dir / "model.safetensors")
    del weights["lm_head.weight"]
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    _, info = AutoModelForCausalLM.from_pretrained(tmp_path, output_loading_info=True)
    assert set(info["missing_keys"]) == {"lm_head.weight"}


def test_generate_fills_what_is_unset_from_the_models_own_config(tiny: Any) -> None:
    """seodang.generation puts an empty one in its place: a hidden penalty would make two runs incomparable."""
    from transformers import GenerationConfig

    tiny.generation_config.repetition_penalty = 5.0
    used, _ = tiny._prepare_generation_config(GenerationConfig(max_new_tokens=3, do_sample=False))
    assert used.repetition_penalty == 5.0


# --- Telemetry -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ci", "main", "sent"), [("", True, 1), ("true", True, 0), ("", False, 0)])
def test_trl_pings_at_construction_except_in_ci(tiny: Any, ci: str, main: bool, sent: int, monkeypatch: Any) -> None:
    """A socket test with `CI` set proves nothing; ours unsets it."""
    from trl.trainer import base_trainer

    pings: list[str] = []
    monkeypatch.setenv("CI", ci)
    monkeypatch.setattr(base_trainer, "send_telemetry", lambda topic, **_: pings.append(topic))
    device = SimpleNamespace(type="cpu")
    trainer = SimpleNamespace(
        accelerator=SimpleNamespace(is_main_process=main, num_processes=1, device=device),
        is_deepspeed_enabled=False, is_fsdp_enabled=False, train_dataset=None, model=tiny,
    )  # fmt: skip
    base_trainer._BaseTrainer._send_telemetry(trainer)
    assert len(pings) == sent


def test_every_trainer_pings(tiny: Any, chat_tokenizer: Any, tmp_path: Path, monkeypatch: Any) -> None:
    """The name that seodang.tuning.loop must silence is the one in trl.trainer.base_trainer."""
    from trl.trainer import base_trainer

    pings: list[str] = []
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(base_trainer, "send_telemetry", lambda topic, **_: pings.append(topic))
    dpo_trainer(tiny, chat_tokenizer, tmp_path)
    sft_trainer(tiny, tmp_path, [{"input_ids": [4, 5], "labels": [4, 5]}], chat_tokenizer)
    assert pings == ["trl/DPOTrainer", "trl/SFTTrainer"]


def test_the_hub_reads_its_telemetry_switch_once_at_import() -> None:
    """Setting the variable later does nothing: a notebook user has imported huggingface_hub before us."""
    code = (
        "import os, huggingface_hub\nfrom huggingface_hub import constants\n"
        "os.environ['HF_HUB_DISABLE_TELEMETRY'] = '1'\nprint(constants.HF_HUB_DISABLE_TELEMETRY)\n"
        "import huggingface_hub.utils._telemetry as t, inspect\n"
        "print('constants.HF_HUB_DISABLE_TELEMETRY' in inspect.getsource(t.send_telemetry))"
    )
    assert in_fresh_python(code, HF_HUB_DISABLE_TELEMETRY="0").split() == ["False", "True"]


# --- PEFT ------------------------------------------------------------------------------------------------------------


def saved_adapter(tiny: Any, folder: Path) -> Path:
    import peft

    stir(peft.get_peft_model(tiny, adapter_config("lora"))).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("asked", [False, True])
def test_a_loaded_adapter_is_frozen_unless_asked(tiny: Any, model_dir: Path, tmp_path: Path, asked: bool) -> None:
    """seodang.tuning.model passes `is_trainable=True` when a run continues."""
    import peft
    from transformers import AutoModelForCausalLM

    folder = saved_adapter(tiny, tmp_path)
    base = AutoModelForCausalLM.from_pretrained(model_dir)
    loaded = peft.PeftModel.from_pretrained(base, folder, is_trainable=asked)
    assert any(p.requires_grad for p in loaded.parameters()) is asked


def test_peft_saves_no_generation_config_and_the_base_path_as_given(
    model_dir: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    """Our adapter/ folder adds generation_config.json with the stop ids, and an absolute base path."""
    from transformers import AutoModelForCausalLM

    monkeypatch.chdir(model_dir.parent)
    folder = saved_adapter(AutoModelForCausalLM.from_pretrained(model_dir.name), tmp_path / "adapter")
    config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    assert config["base_model_name_or_path"] == model_dir.name
    assert not (folder / "generation_config.json").exists()


def test_a_pipeline_takes_the_tokenizer_of_the_base(
    tiny: Any, chat_tokenizer: Any, model_dir: Path, tmp_path: Path
) -> None:
    """README names the tokenizer: else an adapter folder answers with the base's chat template, here none."""
    from transformers import pipeline

    folder = saved_adapter(tiny, tmp_path)
    chat_tokenizer.save_pretrained(folder)
    silent = pipeline("text-generation", model=str(folder))
    named = pipeline("text-generation", model=str(folder), tokenizer=str(folder))
    assert silent.tokenizer.chat_template is None
    assert named.tokenizer.chat_template == CHATML


def test_peft_keeps_adapters_in_float32_over_a_half_precision_base(model_dir: Path) -> None:
    """`autocast_adapter_dtype` is on by default; only TRL's cast for quantised models undoes it."""
    import peft
    import torch
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.bfloat16)
    model = peft.get_peft_model(base, adapter_config("lora"))
    assert {p.dtype for p in model.parameters() if p.requires_grad} == {torch.float32}


def adalora(tiny: Any, **given: Any) -> Any:
    import peft

    config = peft.AdaLoraConfig(
        task_type="CAUSAL_LM",
        init_r=4,
        target_r=2,
        tinit=1,
        tfinal=1,
        total_step=4,
        target_modules="all-linear",
        **given,
    )
    return peft.get_peft_model(tiny, config)


@pytest.mark.parametrize("weight", [0.0, 5.0])
def test_adaloras_penalty_reaches_nobody_through_trl(
    weight: float, tiny: Any, chat_tokenizer: Any, tmp_path: Path
) -> None:
    """PEFT adds it to the model's own loss, and TRL computes another: seodang.tuning.hooks adds it there."""
    import torch

    model = adalora(tiny, orth_reg_weight=weight)
    trainer = sft_trainer(model, tmp_path, [{"input_ids": [4, 5, 6], "labels": [4, 5, 6]}], chat_tokenizer)
    batch = trainer.data_collator([trainer.train_dataset[0]])
    with torch.no_grad():
        bare = model.base_model.model(**batch).loss
        inside = model.train()(**batch).loss
        trained = trainer.compute_loss(model, dict(batch))
    assert float(trained) == pytest.approx(float(bare), rel=1e-5)
    assert (float(inside - bare) > 1) == (weight > 0)


def test_nobody_calls_adaloras_reallocation(
    tiny: Any, chat_tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither transformers nor TRL: `on_step` of seodang.tuning.adalora does."""
    model, rows = adalora(tiny), [{"input_ids": [4, 5, 6], "labels": [4, 5, 6]}] * 4
    monkeypatch.setattr(model.base_model, "update_and_allocate", lambda step: pytest.fail("it was called"))
    sft_trainer(
        model, tmp_path, rows, chat_tokenizer, max_steps=4, per_device_train_batch_size=1, save_strategy="no"
    ).train()
    assert model.peft_config["default"].rank_pattern is None


def test_adalora_cuts_its_layers_again_where_a_checkpoint_is_loaded(tiny: Any) -> None:
    """`loading` of seodang.tuning.adalora takes the masks away while PEFT loads."""
    from peft import get_peft_model_state_dict, set_peft_model_state_dict

    model = adalora(tiny)
    stored = {name: weight.clone() for name, weight in get_peft_model_state_dict(model).items()}
    names = [name for name, _ in model.named_parameters() if "lora_E" in name]
    masks = {name.removeprefix("base_model.model."): [True, False, True, False] for name in names}
    model.peft_config["default"].rank_pattern = masks
    with pytest.raises(RuntimeError, match="size mismatch"):
        set_peft_model_state_dict(model, stored)


def test_dpo_refuses_an_adalora_policy(tiny: Any, chat_tokenizer: Any, tmp_path: Path) -> None:
    """Its reference copy would be a second trainable one: seodang.tuning.dpo builds the trainer without a copy."""
    with pytest.raises(ValueError, match="only 1 trainable adapter"):
        dpo_trainer(adalora(tiny), chat_tokenizer, tmp_path)


@pytest.mark.filterwarnings("ignore:Failed to load the CUDA extension", "ignore:Setting boft_n_butterfly_factor to 1")
@pytest.mark.parametrize("kind", ["VeraConfig", "BOFTConfig"])
def test_trls_reference_copy_is_the_base_for_others_too(
    kind: str, tiny: Any, chat_tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import peft

    keys: dict[str, Any] = {"r": 8} if kind == "VeraConfig" else {"boft_block_size": 4, "boft_n_butterfly_factor": 1}
    config = getattr(peft, kind)(task_type="CAUSAL_LM", target_modules=["q_proj", "v_proj"], **keys)
    monkeypatch.setitem(globals(), "adapter_config", lambda name: config)
    far = copied(kind, tiny, chat_tokenizer, tmp_path)
    assert far["base"] < 1e-6 < 1e-4 < far["copy"]


def test_pefts_loftq_is_for_gpus_and_leaves_the_scale_out() -> None:
    """Why seodang.tuning.low_rank has a LoftQ of its own, and what it borrows."""
    import inspect

    from peft.utils import loftq_utils

    first, whole = (inspect.getsource(getattr(loftq_utils, name)) for name in
                    ("_loftq_init_new", "replace_lora_weights_loftq"))  # fmt: skip
    assert 'compute_device = "xpu" if is_xpu_available() else "cuda"' in first
    assert "lora_B = _loftq_init_new" in whole and "scaling" not in first + whole
    assert hasattr(loftq_utils._SafetensorLoader, "get_tensor")


def test_pissa_refuses_quantised_weights(model_dir: Path) -> None:
    """seodang.tuning.low_rank says so before a weight is read."""
    import peft

    plain = qlora(model_dir).unload()
    with pytest.raises(TypeError, match="Please initialize PiSSA under float32, float16, or bfloat16"):
        peft.get_peft_model(plain, adapter_config("pissa"))


def prompt_tuned(tiny: Any, kind: str = "PromptTuningConfig") -> Any:
    import peft

    return stir(peft.get_peft_model(tiny, getattr(peft, kind)(task_type="CAUSAL_LM", num_virtual_tokens=4)))


def test_a_padded_row_behind_a_tuned_prompt_is_read_at_other_positions(tiny: Any) -> None:
    """The prompt stands before the padding, and positions are dropped: seodang.generation pads no such row."""
    import torch

    model = prompt_tuned(tiny).eval()
    for weight in model.prompt_encoder.parameters():
        weight.data *= 20
    row = torch.arange(4, 12)[None]
    given = {"input_ids": torch.cat([row.new_full((1, 6), 3), row], 1),
             "attention_mask": torch.tensor([[0] * 6 + [1] * 8]), "past_key_values": None}  # fmt: skip
    given["position_ids"] = given["attention_mask"].cumsum(-1) - 1
    with pytest.warns(UserWarning, match="Position ids are not supported for parameter efficient tuning"):
        padded = model(**given).logits[0, -1]
    apart = (padded - model(input_ids=row).logits[0, -1]).abs().max()
    assert apart.item() > 1e-4


@pytest.mark.parametrize("kind", ["PromptTuningConfig", "PrefixTuningConfig"])
def test_virtual_tokens_are_not_loaded_to_be_trained_on(kind: str, tiny: Any, model_dir: Path, tmp_path: Path) -> None:
    """seodang.tuning.preflight refuses to continue such a run."""
    import peft
    from transformers import AutoModelForCausalLM

    prompt_tuned(tiny, kind).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="Cannot set a prompt learning adapter to trainable"):
        peft.PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(model_dir), tmp_path, is_trainable=True)


# --- bitsandbytes ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wide_dir(model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose layers are as wide as bitsandbytes' blocks of 64, or repacking fails outright."""
    from transformers import AutoConfig, LlamaForCausalLM

    config = AutoConfig.from_pretrained(model_dir)
    config.update({"hidden_size": 64, "intermediate_size": 128, "head_dim": 16})
    folder = tmp_path_factory.mktemp("wide")
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def qlora(model_dir: Path) -> Any:
    import peft
    import torch
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    quantization = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.float32
    )
    base = AutoModelForCausalLM.from_pretrained(model_dir, quantization_config=quantization, dtype=torch.float32)
    return peft.get_peft_model(base, adapter_config("lora"))


def first_layer_gradient(model: Any) -> float:
    """The largest gradient of the first layer's adapter after one training step's backward."""
    import torch

    model.train()
    model.zero_grad()
    ids = torch.arange(4, 20)[None]
    model(input_ids=ids, labels=ids).loss.backward()
    layer = model.base_model.model.model.layers[0].self_attn.v_proj.lora_B["default"].weight
    return 0.0 if layer.grad is None else float(layer.grad.abs().max())


def four_bit_layers(model: Any) -> list[Any]:
    import bitsandbytes

    return [module for module in model.modules() if isinstance(module, bitsandbytes.nn.Linear4bit)]


def test_four_bit_layers_repack_on_an_avx512_bf16_cpu(model_dir: Path) -> None:
    """The switch that seodang.tuning.model turns off is on exactly where the CPU has the instructions."""
    import bitsandbytes.functional as functional

    layers = four_bit_layers(qlora(model_dir))
    assert layers and {layer.support_avx512bf16_for_cpu for layer in layers} == {functional.has_avx512bf16()}


@pytest.fixture
def repacking() -> None:
    import bitsandbytes.functional as functional

    if not functional.has_avx512bf16():
        pytest.skip("this CPU has no AVX512-BF16: bitsandbytes does not repack here")


def test_an_evaluation_cuts_the_graph_of_a_repacked_four_bit_model(wide_dir: Path, repacking: None) -> None:
    """Measured on AVX512-BF16: after an eval-mode forward the first layer's gradient vanishes in training."""
    model = qlora(wide_dir)
    before = first_layer_gradient(model)
    logits(model)
    with pytest.warns(UserWarning, match="gemv_4bit: an autograd kernel was not registered"):
        after = first_layer_gradient(model)
    assert before > 0 and after == 0


def test_a_narrow_four_bit_model_cannot_be_evaluated_while_it_repacks(model_dir: Path, repacking: None) -> None:
    """Layers narrower than a block of 64 raise in the repacking: a second reason to turn it off."""
    with pytest.raises(RuntimeError, match="is invalid for input of size"):
        logits(qlora(model_dir))


def test_without_the_switch_an_evaluation_changes_no_gradient(wide_dir: Path) -> None:
    """What seodang.tuning.model relies on when it turns the switch off at load."""
    model = qlora(wide_dir)
    for layer in four_bit_layers(model):
        layer.support_avx512bf16_for_cpu = False
    before = first_layer_gradient(model)
    logits(model)
    assert before > 0 and first_layer_gradient(model) == before


def test_merging_into_four_bits_rounds_the_adapter_away(wide_dir: Path) -> None:
    """Why seodang.tuning.model merges on weights in full precision."""
    model = stir(qlora(wide_dir))
    for layer in four_bit_layers(model):
        layer.support_avx512bf16_for_cpu = False
    whole = logits(model)
    with pytest.warns(UserWarning, match="different generations due to rounding errors"):
        merged = model.merge_and_unload()
    assert float((logits(merged) - whole).abs().max()) > 1e-2


def test_bitsandbytes_asks_the_hub_for_a_kernel_where_it_can() -> None:
    """seodang.tuning.quiet hides the `kernels` package while bitsandbytes is imported."""
    import inspect

    from bitsandbytes.backends.cpu import ops

    assert 'get_kernel(\n                "kernels-community/quantization-bitsandbytes"' in inspect.getsource(ops)


# --- transformers' Trainer and accelerate ----------------------------------------------------------------------------


def test_the_last_checkpoint_may_be_torn(tmp_path: Path) -> None:
    """`get_last_checkpoint` takes the highest number; ours takes the highest whose trainer_state.json parses."""
    from transformers.trainer_utils import get_last_checkpoint

    (tmp_path / "checkpoint-2").mkdir()
    (tmp_path / "checkpoint-2" / "trainer_state.json").write_text("{}", encoding="utf-8")
    (tmp_path / "checkpoint-10").mkdir()
    assert Path(str(get_last_checkpoint(str(tmp_path)))).name == "checkpoint-10"


def test_trainer_state_is_written_last(tiny: Any, tokenizer: Any, tmp_path: Path, monkeypatch: Any) -> None:
    """Hence a checkpoint whose trainer_state.json parses is whole."""
    from transformers.trainer_callback import TrainerState

    seen: list[set[str]] = []
    monkeypatch.setattr(
        TrainerState, "save_to_json", lambda self, path: seen.append({p.name for p in Path(path).parent.iterdir()})
    )
    rows = [{"input_ids": [4, 5, 6], "labels": [4, 5, 6]}]
    sft_trainer(tiny, tmp_path, rows, tokenizer, max_steps=1, save_steps=1).train()
    assert {"optimizer.pt", "scheduler.pt", "rng_state.pth", "model.safetensors"} <= seen[0]


def test_a_loss_that_is_no_number_is_hidden_by_default() -> None:
    """seodang.tuning.loop turns the filter off, so that a diverged run stops."""
    from transformers import TrainingArguments

    assert TrainingArguments("unused", use_cpu=True, report_to="none").logging_nan_inf_filter


@pytest.mark.parametrize(("warmup", "steps"), [(0.25, 25), (5, 5), (0, 0)])
def test_warmup_steps_below_one_is_a_share(warmup: float, steps: int) -> None:
    """`training.warmup_steps: 0.03` is three per cent of all steps."""
    from transformers import TrainingArguments

    arguments = TrainingArguments("unused", use_cpu=True, warmup_steps=warmup, report_to="none")
    assert arguments.get_warmup_steps(100) == steps


@pytest.mark.parametrize("name", ["eval_steps", "save_steps", "logging_steps"])
def test_steps_below_one_are_shares_of_all_steps(name: str) -> None:
    """`training.eval_steps: 0.5` evaluates twice."""
    from transformers import TrainingArguments
    from transformers.trainer_callback import TrainerState

    state = TrainerState()
    arguments = TrainingArguments("unused", use_cpu=True, report_to="none", **{name: 0.5})
    state.compute_steps(arguments, max_steps=10)
    assert getattr(state, name) == 5


def test_fsdp_on_a_cpu_is_silently_nothing() -> None:
    """A recipe that asks for FSDP on a CPU has to be refused by us: accelerate raises nothing."""
    code = (
        "from accelerate import Accelerator, FullyShardedDataParallelPlugin\n"
        "made = Accelerator(cpu=True, fsdp_plugin=FullyShardedDataParallelPlugin())\n"
        "print(made.distributed_type.value)"
    )
    assert in_fresh_python(code, ACCELERATE_USE_CPU="true").split() == ["NO"]


def test_accelerate_launch_on_a_cpu_goes_to_the_launcher_of_one_process() -> None:
    """Two processes on a CPU are started by `torch.distributed.run`, not by `accelerate launch --cpu`."""
    import inspect

    from accelerate.commands.launch import launch_command, simple_launcher

    source = inspect.getsource(launch_command)
    assert "args.cpu" in source and "multi_gpu" in source and source.rstrip().endswith("simple_launcher(args)")
    assert "Popen" in inspect.getsource(simple_launcher)


def test_native_bfloat16_can_be_told_from_emulated() -> None:
    """seodang.tuning.model chooses the dtype by this parameter (T4 emulates)."""
    import inspect

    import torch

    assert "including_emulation" in inspect.signature(torch.cuda.is_bf16_supported).parameters


def test_accelerate_trains_rows_twice_where_they_do_not_divide() -> None:
    from accelerate.data_loader import BatchSamplerShard
    from torch.utils.data import BatchSampler, SequentialSampler

    batches = BatchSampler(SequentialSampler(range(5)), batch_size=2, drop_last=False)
    dealt = [row for index in (0, 1) for batch in BatchSamplerShard(batches, 2, index) for row in batch]
    assert sorted(dealt) == [0, 0, 1, 1, 2, 2, 3, 4]  # five rows, and three of them again


def test_an_evaluation_before_training_marks_the_model_as_prepared(model_dir: Path, tmp_path: Path) -> None:
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, Trainer, TrainingArguments

    rows = Dataset.from_dict({"input_ids": [[5, 6, 7]] * 2, "labels": [[5, 6, 7]] * 2})
    args = TrainingArguments(output_dir=str(tmp_path), use_cpu=True, report_to="none", disable_tqdm=True)
    model = AutoModelForCausalLM.from_pretrained(model_dir)
    trainer = Trainer(model=model, args=args, train_dataset=rows, eval_dataset=rows)
    trainer.evaluate()
    # prepared without DDP, and `accelerator.prepare` gives it back as it is: no process would sum its gradients
    assert model._is_accelerate_prepared and trainer.accelerator.prepare(model) is model


def test_a_checkpoint_is_written_in_place_and_its_state_comes_last() -> None:
    """tuning/checkpoints.py writes it elsewhere through `_get_output_dir`, and names it once it is whole."""
    import inspect

    from transformers import Trainer

    source = inspect.getsource(Trainer._save_checkpoint)
    order = [
        "self._get_output_dir(",
        "self.save_model(",
        "_save_optimizer_and_scheduler(",
        "_save_rng_state(",
        "save_to_json(",
    ]
    places = [source.index(part) for part in order]
    assert places == sorted(places) and "os.replace" not in source


def test_a_torn_checkpoint_is_taken_for_the_newest(tmp_path: Path) -> None:
    from transformers.trainer_utils import get_last_checkpoint

    for step in (5, 10):
        (tmp_path / f"checkpoint-{step}").mkdir()
    (tmp_path / "checkpoint-5" / "trainer_state.json").write_text("{}", encoding="utf-8")
    assert get_last_checkpoint(str(tmp_path)) == str(tmp_path / "checkpoint-10")


def test_early_stopping_forgets_its_count_when_a_run_is_resumed(tmp_path: Path) -> None:
    """tuning/loop.py reads the history of evaluations instead (`is_exhausted`)."""
    from transformers import EarlyStoppingCallback, TrainerState, TrainingArguments

    assert TrainingArguments(output_dir=str(tmp_path), use_cpu=True).restore_callback_states_from_checkpoint is False
    callback = EarlyStoppingCallback(early_stopping_patience=2)
    state = TrainerState(best_metric=1.0)
    args = SimpleNamespace(greater_is_better=False)
    callback.check_metric_value(args, state, None, 2.0)
    assert callback.early_stopping_patience_counter == 1
    assert EarlyStoppingCallback(early_stopping_patience=2).early_stopping_patience_counter == 0


def test_tensorboard_writes_below_the_folder_of_the_checkpoints() -> None:
    """tuning/loop.py sets `logging_dir`, because that folder goes when a run is finished."""
    import inspect

    from transformers.integrations import TensorBoardCallback

    source = inspect.getsource(TensorBoardCallback.on_train_begin)
    assert "if self.logging_dir is None" in source and "os.path.join(args.output_dir, default_logdir())" in source


def test_a_loss_function_handed_to_trl_is_deprecated_and_runs_the_model_twice() -> None:
    """A loss of one's own is a class below `tuning.sft.TokenTrainer` here."""
    import inspect

    from trl import SFTTrainer

    assert "`compute_loss_func` is deprecated" in inspect.getsource(SFTTrainer.__init__)
    own = inspect.getsource(SFTTrainer.compute_loss).split("if self.compute_loss_func is not None:")[1].split("elif")[0]
    assert "model(**logits_inputs)" in own and "model(**inputs, fused_lm_head=True)" in own
