"""tuning/model.py: loading of bases, runs and merged parents, and quantised training."""

from __future__ import annotations

import gc
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter

from seodang import runs
from seodang.errors import ModelError, TemplateError
from seodang.tuning import model as model_module
from seodang.tuning.adapters import Adapter, Full, Lora
from seodang.tuning.model import (
    Aim,
    Loaded,
    exact_adapters,
    inherited_adapter,
    load_for_training,
    load_model,
    load_tokenizer,
    own_device,
    require_room,
    tokenizer_of,
)
from seodang.tuning.precision import Precision, keep_differentiable
from seodang.tuning.specs import ModelSpec

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")

IDS = torch.tensor([[5, 17, 40, 301, 77, 9], [5, 60, 61, 90, 300, 11]])


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(input_ids=IDS).logits


def disturb(model: Any, scale: float = 0.2) -> None:
    """Give a fresh LoRA something to say: B is zero at the start."""
    torch.manual_seed(3)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            weight.data = scale * torch.randn_like(weight)


def finish(folder: Path, stage: str = "sft") -> Path:
    runs.write_text(folder / runs.MANIFEST, json.dumps({"state": "finished", "stage": stage}))
    return folder


@pytest.fixture(scope="module")
def parent(model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with a LoRA adapter that changes the model."""
    folder = tmp_path_factory.mktemp("parent")
    loaded = load_for_training(ModelSpec(name_or_path=str(model_dir)), Lora(r=4), Aim(7, 1, folder))
    disturb(loaded.model)
    loaded.model.save_pretrained(folder / "adapter")
    loaded.tokenizer.save_pretrained(folder / "adapter")
    return finish(folder)


# --- Loading ---------------------------------------------------------------------------------------------------------


def test_a_base_is_loaded_in_float32_on_a_cpu_with_its_tokenizer(model_dir: Path) -> None:
    from transformers import AutoModelForCausalLM

    loaded = load_model(ModelSpec(name_or_path=str(model_dir)))
    assert (loaded.base, loaded.parent, loaded.quantized) == (str(model_dir), None, False)
    assert {weight.dtype for weight in loaded.model.parameters()} == {torch.float32}
    assert not loaded.model.training
    assert torch.equal(logits(loaded.model), logits(AutoModelForCausalLM.from_pretrained(model_dir)))
    assert loaded.tokenizer.eos_token == "<|endoftext|>"


def test_a_run_is_its_base_with_its_adapter(parent: Path, model_dir: Path) -> None:
    from peft import AutoPeftModelForCausalLM

    loaded = load_model(ModelSpec(run=str(parent)))
    assert (loaded.base, loaded.parent) == (str(model_dir), parent / "adapter")
    upstream = AutoPeftModelForCausalLM.from_pretrained(parent / "adapter")
    assert torch.equal(logits(loaded.model), logits(upstream))
    assert not any(weight.requires_grad for weight in loaded.model.parameters())
    base = load_model(ModelSpec(name_or_path=str(model_dir)))
    assert (logits(loaded.model) - logits(base.model)).abs().max() > 1e-2


@pytest.mark.parametrize("kind", ["nf4", "fp4", "int8"])
def test_a_quantised_base_computes_nearly_the_same(kind: str, model_dir: Path) -> None:
    plain = load_model(ModelSpec(name_or_path=str(model_dir)))
    loaded = load_model(ModelSpec.model_validate({"name_or_path": str(model_dir), "quantization": kind}))
    names = {type(module).__name__ for module in loaded.model.modules()}
    assert ("Linear8bitLt" if kind == "int8" else "Linear4bit") in names
    assert loaded.quantized
    difference = (logits(loaded.model) - logits(plain.model)).abs().max()
    assert 0 < difference < 0.2


def test_a_merged_run_is_one_plain_model(parent: Path) -> None:
    merged = load_model(ModelSpec(run=str(parent), merge=True))
    adapted = load_model(ModelSpec(run=str(parent)))
    assert not hasattr(merged.model, "peft_config")
    assert torch.allclose(logits(merged.model), logits(adapted.model), atol=1e-5)


def test_weights_that_a_folder_lacks_are_not_made_up(model_dir: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "torn"
    shutil.copytree(model_dir, folder)
    weights = load_file(folder / "model.safetensors")
    weights.pop("model.layers.1.mlp.up_proj.weight")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"lack 1 of the model's weights \(model.layers.1.mlp.up_proj.weight"):
        load_model(ModelSpec(name_or_path=str(folder)))


def test_a_model_that_cannot_be_loaded_is_one_paragraph(model_dir: Path, tmp_path: Path) -> None:
    torn, seq2seq = tmp_path / "torn", tmp_path / "t5"
    for folder in (torn, seq2seq):
        shutil.copytree(model_dir, folder)
    (torn / "model.safetensors").write_bytes(b"no weights")
    (seq2seq / "config.json").write_text('{"model_type": "t5"}', encoding="utf-8")
    for folder in (torn, seq2seq):
        with pytest.raises(ModelError, match=rf"The model .*{folder.name} cannot be loaded: ") as caught:
            load_model(ModelSpec(name_or_path=str(folder)))
        assert "\n\n" not in str(caught.value)


@pytest.mark.parametrize("path", ["./no/such/model", "/no/such/model", "models/of/mine"])
def test_a_model_path_that_does_not_exist_is_one_paragraph(path: str) -> None:
    with pytest.raises(ModelError, match=f"The model path {path} does not exist"):
        load_model(ModelSpec(name_or_path=path))


def test_an_adapter_of_another_model_is_refused(parent: Path, model_dir: Path, tmp_path: Path) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    wider, run = tmp_path / "wider", tmp_path / "run"
    shutil.copytree(model_dir, wider)
    config = LlamaConfig.from_pretrained(model_dir, hidden_size=64)
    LlamaForCausalLM(config).save_pretrained(wider)
    shutil.copytree(parent, run)
    described = json.loads((run / "adapter" / "adapter_config.json").read_text(encoding="utf-8"))
    described["base_model_name_or_path"] = str(wider)
    (run / "adapter" / "adapter_config.json").write_text(json.dumps(described), encoding="utf-8")
    with pytest.raises(ModelError, match=r"does not fit its base: .*size mismatch") as caught:
        load_model(ModelSpec(run=str(run)))
    assert len(str(caught.value)) < 600


def test_the_tokenizer_of_a_run_is_the_runs_own(parent: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(parent, run)
    (run / "adapter" / "chat_template.jinja").write_text("{{ messages }}", encoding="utf-8")
    assert tokenizer_of(ModelSpec(run=str(run))).chat_template == "{{ messages }}"


def test_a_tokenizer_that_differs_from_the_audits_stops_the_run(
    tokenizer_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Other:
        @staticmethod
        def from_pretrained(*args: Any, **kwargs: Any) -> Any:
            from transformers import PreTrainedTokenizerFast

            tokenizer = PreTrainedTokenizerFast.from_pretrained(tokenizer_dir)
            tokenizer.add_tokens(["서당"])
            return tokenizer

    assert load_tokenizer(str(tokenizer_dir)).eos_token == "<|endoftext|>"
    monkeypatch.setattr(model_module, "AutoTokenizer", Other)
    with pytest.raises(TemplateError, match="The tokenizer has 601 entries as AutoTokenizer loads it and 600"):
        load_tokenizer(str(tokenizer_dir))


# --- Loading to train ------------------------------------------------------------------------------------------------


def test_a_fresh_adapter_is_the_only_thing_trained_and_drawn_from_the_seed(model_dir: Path, tmp_path: Path) -> None:
    def drawn(seed: int) -> dict[str, torch.Tensor]:
        loaded = load_for_training(ModelSpec(name_or_path=str(model_dir)), Lora(r=4), Aim(seed, 1, tmp_path))
        assert loaded.model.peft_config["default"].base_model_name_or_path == str(model_dir)
        return {name: weight for name, weight in loaded.model.named_parameters() if weight.requires_grad}

    one, again, other = drawn(1), drawn(1), drawn(2)
    assert all("lora_" in name for name in one) and len(one) == 2 * 7 * 2
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_the_adapter_remembers_the_commit_of_its_base(model_dir: Path, tmp_path: Path) -> None:
    loaded = load_for_training(ModelSpec(name_or_path=str(model_dir)), Lora(r=2), Aim(1, 1, tmp_path))
    assert loaded.model.peft_config["default"].revision is None
    plain = load_model(ModelSpec(name_or_path=str(model_dir)))
    config: Any = Lora(r=2).to_peft(1)
    config.revision = "abc"
    model_module._add_adapter(plain, Lora(r=2), config, 1)
    assert plain.model.peft_config["default"].revision == "abc"


def test_a_run_continues_its_own_adapter(parent: Path, tmp_path: Path) -> None:
    loaded = load_for_training(ModelSpec(run=str(parent)), None, Aim(1, 1, tmp_path))
    assert loaded.parent == parent / "adapter"
    trained = [name for name, weight in loaded.model.named_parameters() if weight.requires_grad]
    assert trained and all("lora_" in name for name in trained)
    assert torch.equal(logits(loaded.model), logits(load_model(ModelSpec(run=str(parent))).model))


def test_full_training_trains_every_weight(model_dir: Path, tmp_path: Path) -> None:
    loaded = load_for_training(ModelSpec(name_or_path=str(model_dir)), Full(), Aim(1, 1, tmp_path))
    assert all(weight.requires_grad for weight in loaded.model.parameters())


def test_a_merged_parent_carries_a_fresh_adapter_and_is_written_beside_it(parent: Path, tmp_path: Path) -> None:
    loaded = load_for_training(ModelSpec(run=str(parent), merge=True), Lora(r=2), Aim(1, 1, tmp_path))
    assert (loaded.base, loaded.parent) == (str(tmp_path / "base"), None)
    assert loaded.model.peft_config["default"].base_model_name_or_path == str(tmp_path / "base")
    adapted = load_model(ModelSpec(run=str(parent)))
    assert torch.allclose(logits(loaded.model), logits(adapted.model), atol=1e-5)
    again = load_for_training(ModelSpec(run=str(parent), merge=True), Lora(r=2), Aim(1, 1, tmp_path))
    assert torch.equal(logits(again.model), logits(loaded.model))


def test_a_merged_parent_is_quantised_after_the_merge_and_not_before(parent: Path, tmp_path: Path) -> None:
    spec = ModelSpec.model_validate({"run": str(parent), "merge": True, "quantization": "nf4"})
    loaded = load_for_training(spec, Lora(r=2), Aim(1, 1, tmp_path))
    assert loaded.quantized
    whole = load_model(ModelSpec(name_or_path=str(tmp_path / "base")))
    adapted = load_model(ModelSpec(run=str(parent)))
    assert torch.allclose(logits(whole.model), logits(adapted.model), atol=1e-5)


@pytest.mark.parametrize(
    ("spec", "adapter", "text"),
    [
        ({"name_or_path": "BASE"}, None, r"adapter: is required, because .* brings none to continue. Write for example "
         r"`adapter: \{kind: lora, r: 16\}`"),
        ({"run": "RUN", "merge": True}, None, "adapter: is required, because a merged parent brings none to continue"),
        ({"run": "RUN"}, Lora(), "is an adapter already. Leave `adapter` out to continue it, or write `merge: true`"),
        ({"run": "RUN"}, Full(), "is an adapter already"),
        ({"name_or_path": "BASE", "quantization": "nf4"}, Full(), "`full` trains every weight, and nf4 weights are "
         "frozen"),
        ({"name_or_path": "BASE"}, Lora(target_modules=("query",)), "adapter.target_modules: `query` names no module"),
        ({"name_or_path": "BASE"}, Lora(target_modules=r".*\.query"), "adapter: PEFT refuses it: Target modules .*query"),
        ({"name_or_path": "BASE"}, Lora(target_modules=r".*head"), r"adapter.target_modules: the output layer "
         r"\(lm_head\) cannot be adapted"),
        ({"name_or_path": "BASE"}, Lora(target_modules=("lm_head",)), r"adapter.target_modules: the output layer "
         r"\(lm_head\) cannot be adapted"),
    ],
)  # fmt: skip
def test_a_mixture_that_means_nothing_is_refused(
    spec: dict[str, Any], adapter: Any, text: str, parent: Path, model_dir: Path, tmp_path: Path
) -> None:
    places = {"BASE": str(model_dir), "RUN": str(parent)}
    given = ModelSpec.model_validate({name: places.get(str(value), value) for name, value in spec.items()})
    with pytest.raises(ModelError, match=text):
        load_for_training(given, adapter, Aim(1, 1, tmp_path))


def test_rows_longer_than_the_models_positions_are_refused(model_dir: Path) -> None:
    loaded = load_model(ModelSpec(name_or_path=str(model_dir)))
    require_room(loaded, 2048)
    with pytest.raises(ModelError, match="The longest row has 2049 tokens, and the model has 2048 positions"):
        require_room(loaded, 2049)


@pytest.mark.parametrize("kind", ["prompt_tuning", "prefix_tuning"])
def test_virtual_tokens_count_against_the_positions(kind: str, model_dir: Path, tmp_path: Path) -> None:
    adapter: Any = TypeAdapter(Adapter).validate_python({"kind": kind, "num_virtual_tokens": 20})
    loaded = load_for_training(ModelSpec(name_or_path=str(model_dir)), adapter, Aim(1, 1, tmp_path))
    require_room(loaded, 2028)
    text = (
        r"has 2029 tokens, and of the model's 2048 positions the adapter takes 20 \(`num_virtual_tokens`\). Set "
        "`data.max_length` to 2028 or less"
    )
    with pytest.raises(ModelError, match=text):
        require_room(loaded, 2029)


# --- Continuing ------------------------------------------------------------------------------------------------------


def say_recipe(folder: Path, **recipe: Any) -> Path:
    folder.mkdir()
    runs.write_text(folder / runs.RECIPE, json.dumps({"stage": "sft", **recipe}))
    return finish(folder)


def test_what_the_first_run_of_a_chain_asked_goes_on(tmp_path: Path) -> None:
    first = say_recipe(tmp_path / "a", adapter={"kind": "lora", "r": 2, "loraplus_lr_ratio": 8.0})
    second = say_recipe(tmp_path / "b", adapter=None, model={"run": str(first)})
    third = say_recipe(tmp_path / "c", model={"run": str(second)})
    for run in (first, second, third):
        assert inherited_adapter(str(run)) == Lora(r=2, loraplus_lr_ratio=8)


def test_a_chain_without_a_beginning_asks_nothing(tmp_path: Path) -> None:
    lonely = say_recipe(tmp_path / "a", model={"run": str(tmp_path / "gone")})
    circle = say_recipe(tmp_path / "b", model={"run": str(tmp_path / "b")})
    full = say_recipe(tmp_path / "c", adapter={"kind": "full"})
    assert [inherited_adapter(str(run)) for run in (lonely, circle, full)] == [None] * 3


def test_a_chain_that_cannot_be_understood_is_not_continued_silently(tmp_path: Path) -> None:
    old = say_recipe(tmp_path / "a", adapter={"kind": "lora", "rank": 2})
    with pytest.raises(ModelError, match="its recipe.yaml is not understood: rank: unknown key"):
        inherited_adapter(str(old))


# --- Quantised training ----------------------------------------------------------------------------------------------


def gradients(model: Any) -> dict[str, torch.Tensor]:
    model.train()
    model.zero_grad()
    model(input_ids=IDS, labels=IDS).loss.backward()
    return {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.requires_grad}


@pytest.fixture(scope="module")
def wide_dir(model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Wide enough for bitsandbytes' blocks of 64: its repacking fails on narrower layers, even before it cuts."""
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("wide")
    shutil.copytree(model_dir, folder, dirs_exist_ok=True)
    torch.manual_seed(0)
    LlamaForCausalLM(
        LlamaConfig.from_pretrained(model_dir, hidden_size=64, head_dim=16, intermediate_size=128)
    ).save_pretrained(folder)
    return folder


def qlora(base: Path, folder: Path, kind: str = "nf4") -> Loaded:
    spec = ModelSpec.model_validate({"name_or_path": str(base), "quantization": kind})
    loaded = load_for_training(spec, Lora(r=4), Aim(1, 1, folder))
    disturb(loaded.model)
    return loaded


@pytest.mark.parametrize("kind", ["nf4", "fp4"])
def test_evaluating_between_steps_leaves_every_gradient_as_it_was(
    kind: str, wide_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the CPU has the instructions for which bitsandbytes repacks, as its flag says here."""
    monkeypatch.setattr("bitsandbytes.nn.modules.has_avx512bf16", lambda: True)
    model = qlora(wide_dir, tmp_path, kind).model
    before = gradients(model)
    logits(model)
    after = gradients(model)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert before[min(before)].abs().max() > 0


def test_the_repacking_that_cuts_the_gradient_is_off_in_every_layer(wide_dir: Path, tmp_path: Path) -> None:
    from bitsandbytes.nn import Linear4bit

    model = qlora(wide_dir, tmp_path).model
    layers = [module for module in model.modules() if isinstance(module, Linear4bit)]
    assert layers and not any(layer.support_avx512bf16_for_cpu for layer in layers)
    layers[0].support_avx512bf16_for_cpu = True
    keep_differentiable(model)
    assert not layers[0].support_avx512bf16_for_cpu


@pytest.mark.filterwarnings("ignore:bitsandbytes..gemv_4bit.*:UserWarning")
def test_with_the_repacking_the_gradient_is_cut(wide_dir: Path, tmp_path: Path) -> None:
    """The upstream fact behind `keep_differentiable`: it shows on CPUs with AVX512-BF16 only."""
    from bitsandbytes.functional import has_avx512bf16
    from bitsandbytes.nn import Linear4bit

    if not has_avx512bf16():
        pytest.skip("this CPU has no AVX512-BF16, so bitsandbytes never repacks")
    model = qlora(wide_dir, tmp_path).model
    for module in model.modules():
        if isinstance(module, Linear4bit):
            module.support_avx512bf16_for_cpu = True
    before = gradients(model)
    logits(model)
    after = gradients(model)
    worst = max((before[name] - after[name]).abs().max() / before[name].abs().max() for name in before)
    assert worst > 0.5


@pytest.mark.parametrize("kind", ["nf4", "int8"])
def test_a_quantised_model_lets_go_of_the_file_in_full_precision(kind: str, wide_dir: Path, tmp_path: Path) -> None:
    """One tensor that is read out of the mapped file keeps all of it in memory."""
    maps, file = Path("/proc/self/maps"), tmp_path / "model.safetensors"
    if not maps.exists():
        pytest.skip("this system does not tell what is mapped")
    shutil.copytree(wide_dir, tmp_path, dirs_exist_ok=True)
    plain = load_model(ModelSpec(name_or_path=str(tmp_path)))
    assert str(file) in maps.read_text()
    before = logits(plain.model)
    del plain
    loaded = load_model(ModelSpec.model_validate({"name_or_path": str(tmp_path), "quantization": kind}))
    gc.collect()
    assert str(file) not in maps.read_text()
    tied = loaded.model.get_input_embeddings().weight is loaded.model.get_output_embeddings().weight
    assert tied == loaded.model.config.tie_word_embeddings
    assert 0 < (logits(loaded.model) - before).abs().max() < 0.2


def as_trl_does(model: Any) -> None:
    for weight in model.parameters():
        if weight.requires_grad:
            weight.data = weight.data.to(torch.bfloat16)


def test_adapters_that_trl_rounds_have_their_values_back(wide_dir: Path, tmp_path: Path) -> None:
    loaded = qlora(wide_dir, tmp_path)
    before = {name: w.detach().clone() for name, w in loaded.model.named_parameters() if w.requires_grad}
    with exact_adapters(loaded):
        as_trl_does(loaded.model)
    after = {name: w for name, w in loaded.model.named_parameters() if w.requires_grad}
    assert {weight.dtype for weight in after.values()} == {torch.float32}
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_the_rounding_is_kept_where_bfloat16_is_native(wide_dir: Path, tmp_path: Path) -> None:
    loaded = qlora(wide_dir, tmp_path)
    loaded.precision = Precision(torch.bfloat16, bf16=True, device="cuda")
    with exact_adapters(loaded):
        as_trl_does(loaded.model)
    assert {w.dtype for w in loaded.model.parameters() if w.requires_grad} == {torch.bfloat16}


def test_quantised_weights_go_to_the_gpu_of_their_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """accelerate refuses to train such a model on `cuda` without a number in one of several processes."""
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 3)
    assert own_device(Precision(torch.float32, device="cuda")) == 3
    assert own_device(Precision(torch.float32, device="cpu")) == "cpu"
