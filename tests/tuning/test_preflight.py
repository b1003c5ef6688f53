"""tuning/preflight.py: what files, configs and installed packages decide before a weight is read."""

from __future__ import annotations

import importlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seodang import runs
from seodang.data.audit import check
from seodang.errors import ModelError, RecipeError
from seodang.recipe import STAGES
from seodang.recipe_file import from_dict
from seodang.tuning import preflight
from seodang.tuning.adapters import Full, Lora
from seodang.tuning.preflight import (
    problems_before_loading,
    require_mixture,
    require_positions,
    require_reporter,
    stored_modules,
    stored_parameters,
    stored_positions,
)
from seodang.tuning.specs import ModelSpec, Place, Training, locate

ROWS = [{"instruction": f"{n} 다음 수는 무엇인가요?", "output": f"{n + 1}입니다."} for n in range(6)]
PAIRS = [{"prompt": f"{n}번 문제의 답은?", "chosen": "네, 맞습니다.", "rejected": "몰라요."} for n in range(6)]


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Any]:
    """A recipe over a few rows of its stage."""

    def made(stage: str, model: dict[str, Any], **more: Any) -> Any:
        rows = {"dpo": PAIRS, "pretrain": [{"text": "서당 개 삼 년이면 풍월을 읊는다."}]}.get(stage, ROWS)
        file = tmp_path / f"{stage}.jsonl"
        file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
        template = {} if stage == "pretrain" else {"template": "chatml"}
        return from_dict({"stage": stage, "model": model, "data": {"train": str(file)}} | template | more)

    return made


@pytest.fixture
def parent(model_dir: Path, tmp_path: Path) -> Path:
    """A finished run with an adapter, as far as its files say."""
    folder = tmp_path / "parent"
    shutil.copytree(
        model_dir, folder / "adapter", ignore=shutil.ignore_patterns("config.json", "*.safetensors", "generation*")
    )
    (folder / "adapter" / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(model_dir)}))
    runs.write_text(folder / runs.MANIFEST, json.dumps({"state": "finished", "stage": "sft"}))
    return folder


@pytest.fixture
def whole(model_dir: Path, tmp_path: Path) -> Path:
    """A finished run of whole weights."""
    folder = tmp_path / "whole"
    shutil.copytree(model_dir, folder / "model")
    runs.write_text(folder / runs.MANIFEST, json.dumps({"state": "finished", "stage": "pretrain"}))
    return folder


def without(monkeypatch: pytest.MonkeyPatch, *missing: str) -> None:
    """This machine as if these packages were not installed, and all others were."""
    monkeypatch.setattr(preflight, "find_spec", lambda name: None if name in missing else object())


# --- What `check` says -----------------------------------------------------------------------------------------------

REQUIRED = (
    r"adapter: is required, because .* brings none to continue. Write for example `adapter: \{kind: lora, r: 16\}`"
)


@pytest.mark.parametrize("stage", ["sft", "dpo"])
@pytest.mark.parametrize(
    ("model", "more", "text"),
    [
        ({"name_or_path": "BASE"}, {}, REQUIRED),
        ({"run": "WHOLE"}, {}, REQUIRED),
        ({"run": "PARENT", "merge": True}, {}, "adapter: is required, because a merged parent brings none to continue"),
        ({"run": "PARENT"}, {"adapter": "lora"}, "parent/adapter is an adapter already. Leave `adapter` out to continue"),
        ({"run": "WHOLE", "merge": True}, {"adapter": "lora"}, "trained whole weights; leave `merge` out"),
        ({"name_or_path": "BASE", "quantization": "nf4"}, {"adapter": "full"}, "`full` trains every weight, and nf4"),
        ({"name_or_path": "BASE"}, {"adapter": {"kind": "lora", "target_modules": ["c_attn"]}},
         "adapter.target_modules: `c_attn` names no module of .*, so nothing of that name would be trained. Its modules "
         "are down_proj, embed_tokens, gate_proj, k_proj, o_proj, q_proj, up_proj, v_proj; `all-linear`"),
        ({"run": "PARENT", "merge": True}, {"adapter": {"kind": "lora", "target_modules": ["q_proj", "k_porj"]}},
         "adapter.target_modules: `k_porj` names no module"),
        ({"name_or_path": "BASE"}, {"adapter": {"kind": "lora", "modules_to_save": ["wte"]}},
         "adapter.modules_to_save: `wte` names no module of .* Its modules are .*embed_tokens"),
        ({"name_or_path": "BASE"}, {"adapter": {"kind": "ia3", "target_modules": ["k_proj"],
                                                "feedforward_modules": ["fc2"]}},
         "adapter.feedforward_modules: `fc2` names no module of"),
        ({"name_or_path": "BASE"}, {"adapter": {"kind": "vera", "target_modules": ["query"]}},
         "adapter.target_modules: `query` names no module of"),
        ({"name_or_path": "BASE", "quantization": "nf4"}, {"adapter": {"kind": "lora", "init_lora_weights": "olora"}},
         "adapter: `init_lora_weights: olora` moves a part of the weights into the adapter"),
        ({"name_or_path": "BASE/config.json"}, {"adapter": "lora"}, "config.json is a file, not a folder"),
        ({"name_or_path": "/no/such/model"}, {"adapter": "lora"}, "The model path /no/such/model does not exist"),
    ],
)  # fmt: skip
def test_the_check_refuses_what_the_run_would_refuse(
    stage: str, model: dict[str, Any], more: dict[str, Any], text: str,
    write: Callable[..., Any], model_dir: Path, parent: Path, whole: Path,
) -> None:  # fmt: skip
    given = {name: _place(value, model_dir, parent, whole) for name, value in model.items()}
    with pytest.raises(ModelError, match=text) as caught:
        check(write(stage, given, **more))
    assert "\n\n" not in str(caught.value)


def _place(value: Any, model_dir: Path, parent: Path, whole: Path) -> Any:
    for name, path in (("BASE", model_dir), ("PARENT", parent), ("WHOLE", whole)):
        value = value.replace(name, str(path)) if isinstance(value, str) else value
    return value


@pytest.mark.parametrize("stage", ["sft", "dpo"])
@pytest.mark.parametrize(
    ("model", "more"),
    [
        ({"name_or_path": "BASE"}, {"adapter": "lora"}),
        ({"name_or_path": "BASE"}, {"adapter": "full"}),
        ({"name_or_path": "BASE"}, {"adapter": {"kind": "lora", "target_modules": ["q_proj", "mlp.up_proj"]}}),
        ({"run": "PARENT"}, {}),
        ({"run": "PARENT", "merge": True}, {"adapter": "lora"}),
        ({"run": "WHOLE"}, {"adapter": "full"}),
        ({"name_or_path": "BASE", "quantization": "nf4"}, {"adapter": "lora"}),
    ],
)
def test_the_check_lets_through_what_the_run_takes(
    stage: str, model: dict[str, Any], more: dict[str, Any],
    write: Callable[..., Any], model_dir: Path, parent: Path, whole: Path,
) -> None:  # fmt: skip
    given = {name: _place(value, model_dir, parent, whole) for name, value in model.items()}
    check(write(stage, given, **more)).require()


@pytest.mark.parametrize("stage", ["sft", "dpo"])
def test_a_parent_that_is_not_made_yet_decides_nothing_and_a_tracker_does(
    stage: str, write: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(check(write(stage, {"run": str(tmp_path / "none")})).pending) == 1
    without(monkeypatch, "wandb")
    with pytest.raises(RecipeError, match="`wandb` is not installed"):
        check(write(stage, {"run": str(tmp_path / "none")}, training={"report_to": "wandb"}))


@pytest.mark.parametrize(
    ("model", "text"),
    [
        ({"name_or_path": "BASE", "quantization": "nf4"}, "model: `pretrain` trains every weight, so it needs whole"),
        ({"run": "PARENT"}, "write `merge: true` to train on from a run with an adapter"),
        ({"name_or_path": "BASE/config.json"}, "config.json is a file, not a folder"),
    ],
)
def test_pretraining_needs_whole_weights(
    model: dict[str, Any], text: str, write: Callable[..., Any], model_dir: Path, parent: Path, whole: Path
) -> None:
    given = {name: _place(value, model_dir, parent, whole) for name, value in model.items()}
    with pytest.raises(ModelError, match=text):
        check(write("pretrain", given))
    for fine in ({"name_or_path": str(model_dir)}, {"run": str(whole)}, {"run": str(parent), "merge": True}):
        check(write("pretrain", fine))


def test_a_model_from_nothing_has_no_files_to_ask(write: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    fresh = {"config": {"model_type": "llama"}, "tokenizer": "runs/not-made-yet"}
    problems_before_loading(write("pretrain", fresh))
    without(monkeypatch, "trackio")
    with pytest.raises(RecipeError, match="`trackio` is not installed"):
        problems_before_loading(write("pretrain", fresh, training={"report_to": "trackio"}))


# --- Packages --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "missing", "text"),
    [
        ("wandb", ["wandb"], "training.report_to: `wandb` is not installed. Run `pip install wandb`, or write `none`."),
        ("trackio", ["trackio"], "Run `pip install trackio`"),
        ("tensorboard", ["tensorboard", "tensorboardX"], "Run `pip install tensorboard`"),
    ],
)
def test_a_tracker_without_its_package_is_refused(
    wanted: str, missing: list[str], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = Training.model_validate({"report_to": wanted})
    without(monkeypatch, *missing)
    with pytest.raises(RecipeError) as caught:
        require_reporter(training)
    assert text in str(caught.value)
    without(monkeypatch, *missing[1:])
    require_reporter(training)
    require_reporter(Training())


@pytest.mark.parametrize("stage", ["sft", "dpo", "pretrain"])
def test_a_run_refuses_the_tracker_before_it_reads_anything(
    stage: str, write: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = write(stage, {"name_or_path": "/no/such/model"}, training={"report_to": "wandb"})
    doer = importlib.import_module(STAGES[stage])
    without(monkeypatch, "wandb")
    with pytest.raises(RecipeError, match="`wandb` is not installed"):
        doer.run(recipe, runs.Run(tmp_path))


@pytest.mark.parametrize(
    ("spec", "missing", "text"),
    [
        ({"quantization": "nf4"}, ["bitsandbytes"],
         "model.quantization: nf4 weights need bitsandbytes, which is not installed. Run `pip install bitsandbytes`"),
        ({"quantization": "int8"}, ["bitsandbytes"], "int8 weights need bitsandbytes"),
        ({"attn_implementation": "flash_attention_2"}, ["flash_attn", "kernels"],
         "model.attn_implementation: `flash_attention_2` needs the package flash-attn, which is not installed. Run "
         "`pip install flash-attn`, or write `sdpa`."),
        ({"attn_implementation": "flash_attention_3"}, ["flash_attn_interface", "kernels"], "the package flash-attn-3"),
        ({"attn_implementation": "flash_attention_4"}, ["flash_attn", "kernels"], "the package flash-attn-4"),
        ({"attn_implementation": "kernels-community/flash-attn2"}, ["kernels"], "needs the package kernels"),
    ],
)  # fmt: skip
def test_a_package_that_the_model_needs_is_named(
    spec: dict[str, Any], missing: list[str], text: str, model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = ModelSpec.model_validate({"name_or_path": str(model_dir)} | spec)
    without(monkeypatch, *missing)
    with pytest.raises(ModelError) as caught:
        require_mixture(given, locate(given), Lora())
    assert text in str(caught.value)
    without(monkeypatch)
    require_mixture(given, locate(given), Lora())


def test_a_flash_kernel_of_the_hub_stands_in_for_the_package(model_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = ModelSpec(name_or_path=str(model_dir), attn_implementation="flash_attention_2")
    without(monkeypatch, "flash_attn")
    require_mixture(given, locate(given), Lora())


@pytest.mark.parametrize("name", ["eager", "sdpa", "flex_attention"])
def test_what_upstream_computes_itself_needs_no_package(
    name: str, model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = ModelSpec(name_or_path=str(model_dir), attn_implementation=name)
    without(monkeypatch, "flash_attn", "flash_attn_interface", "kernels", "bitsandbytes")
    require_mixture(given, locate(given), Full())


# --- Names of modules ------------------------------------------------------------------------------------------------


def test_the_modules_of_a_base_are_those_that_are_loaded(model_dir: Path) -> None:
    from transformers import AutoModelForCausalLM

    loaded = AutoModelForCausalLM.from_pretrained(model_dir)
    stored = stored_modules(locate(ModelSpec(name_or_path=str(model_dir))))
    matrices = {name for name, module in loaded.named_modules() if getattr(module, "weight", None) is not None
                and module.weight.ndim == 2 and name != "lm_head"}  # fmt: skip
    assert {name for name, is_matrix in stored.items() if is_matrix} - {"lm_head"} == matrices
    assert stored["model.layers.0.input_layernorm"] is False and stored["model.layers.0"] is False


def test_a_model_in_several_files_is_read_whole(model_dir: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    parts = tmp_path / "parts"
    AutoModelForCausalLM.from_pretrained(model_dir).save_pretrained(parts, max_shard_size="50KB")
    assert len(list(parts.glob("*.safetensors"))) > 1
    whole = stored_modules(Place(str(model_dir), None, ""))
    assert stored_modules(Place(str(parts), None, "")) == whole != {}
    next(parts.glob("*.safetensors")).unlink()
    assert stored_modules(Place(str(parts), None, "")) == {}


@pytest.mark.parametrize("base", ["team/not-on-this-disk", "no/name/at/all"])
def test_a_base_that_is_not_on_disk_is_left_to_the_run(base: str) -> None:
    place = Place(base, None, base)
    assert stored_modules(place) == {}
    require_mixture(ModelSpec(name_or_path=base), place, Lora(target_modules=("anything",)))
    require_mixture(ModelSpec(name_or_path=base), place, Lora(target_modules="anything"))
    assert stored_positions(ModelSpec(name_or_path=base)) is None
    assert stored_parameters(ModelSpec(name_or_path=base)) == 0


def test_a_base_in_the_cache_of_the_hub_is_on_disk(
    model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "models--team--model"
    shutil.copytree(model_dir, cache / "snapshots" / "abc")
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text("abc")
    monkeypatch.setattr("huggingface_hub.file_download.constants.HF_HUB_CACHE", str(tmp_path))
    assert stored_modules(Place("team/model", None, "")) == stored_modules(Place(str(model_dir), None, ""))
    assert stored_positions(ModelSpec(name_or_path="team/model")) == 2048


def test_parameters_are_counted_on_disk(model_dir: Path) -> None:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(model_dir)
    assert stored_parameters(ModelSpec(name_or_path=str(model_dir))) == model.num_parameters()


def test_torn_weights_and_mixtures_of_experts_decide_nothing(tmp_path: Path) -> None:
    import numpy
    from safetensors.numpy import save_file

    torn, experts = tmp_path / "torn", tmp_path / "experts"
    for folder in (torn, experts):
        folder.mkdir()
    (torn / "model.safetensors").write_bytes(b"no weights")
    matrix = numpy.zeros((2, 2), dtype=numpy.float32)
    save_file({"model.layers.0.mlp.experts.0.w1.weight": matrix}, experts / "model.safetensors")
    for folder in (torn, experts, tmp_path):
        assert stored_modules(Place(str(folder), None, "")) == {}


@pytest.mark.parametrize("name", sorted(preflight.RENAMED))
def test_a_model_whose_modules_are_renamed_while_it_loads_decides_nothing(
    name: str, model_dir: Path, tmp_path: Path
) -> None:
    from transformers.conversion_mapping import get_checkpoint_conversion_mapping

    assert get_checkpoint_conversion_mapping(name)
    shutil.copytree(model_dir, tmp_path / "model")
    (tmp_path / "model" / "config.json").write_text(json.dumps({"model_type": name}), encoding="utf-8")
    assert stored_modules(Place(str(tmp_path / "model"), None, "")) == {}


@pytest.mark.parametrize(
    "targets",
    [
        "all-linear", "All-Linear", r".*\.(q|v)_proj", r"model\.layers\.\d\.mlp\.up_proj", ("q_proj",),
        ("self_attn.q_proj", "model.layers.0.mlp.up_proj"), ("base_model.model.layers.1.mlp.down_proj",),
        ("embed_tokens",),
    ],
)  # fmt: skip
def test_targets_that_are_there_are_taken(targets: Any, model_dir: Path) -> None:
    spec = ModelSpec(name_or_path=str(model_dir))
    require_mixture(spec, locate(spec), Lora(target_modules=targets))


@pytest.mark.parametrize(
    ("targets", "text"),
    [
        (("proj",), "`proj` names no module"),
        (("query", "q_proj", "value"), "`query`, `value` names no module"),
        (("lm_head", "q_proj"), r"adapter.target_modules: the output layer \(lm_head\) cannot be adapted"),
        ("lm_head", r"the output layer \(lm_head\) cannot be adapted"),
        ("q_proj", r"q_proj as a text is a pattern for a module's whole path, and none of .* is called so. Write a list "
         r"of names: `target_modules: \[q_proj\]`"),
        ("*_proj", r"\*_proj is no regular expression \(nothing to repeat"),
    ],
)  # fmt: skip
def test_targets_that_match_nothing_are_named(targets: Any, text: str, model_dir: Path) -> None:
    spec = ModelSpec(name_or_path=str(model_dir))
    with pytest.raises(ModelError, match=text):
        require_mixture(spec, locate(spec), Lora(target_modules=targets))


# --- Positions -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "wanted"),
    [
        ({"max_position_embeddings": 128}, 128),
        ({"n_positions": 1024}, 1024),
        ({"max_position_embeddings": 4, "text_config": {"max_position_embeddings": 64}}, 64),
        ({"model_type": "bloom"}, None),
        ({"max_position_embeddings": None}, None),
    ],
)
def test_positions_are_read_from_the_config(config: dict[str, Any], wanted: int | None, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    assert stored_positions(ModelSpec(name_or_path=str(tmp_path))) == wanted


def test_positions_of_a_run_are_those_of_its_base(parent: Path, whole: Path) -> None:
    assert stored_positions(ModelSpec(run=str(parent))) == 2048
    assert stored_positions(ModelSpec(run=str(whole))) == 2048


def test_a_row_longer_than_the_positions_is_refused() -> None:
    require_positions(8, 8)
    require_positions(None, 10**6)
    with pytest.raises(ModelError, match="The longest row has 9 tokens, and the model has 8 positions. Set `data.max_"):
        require_positions(8, 9)
    require_positions(8, 5, taken=3)
    with pytest.raises(ModelError, match="has 6 tokens, and of the model's 8 positions the adapter takes 3 "):
        require_positions(8, 6, taken=3)


@pytest.mark.parametrize("stage", ["sft", "dpo"])
def test_the_check_refuses_rows_longer_than_the_positions(
    stage: str, write: Callable[..., Any], model_dir: Path, tmp_path: Path
) -> None:
    short = tmp_path / "short"
    shutil.copytree(model_dir, short)
    config = json.loads((short / "config.json").read_text(encoding="utf-8"))
    (short / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 12}), encoding="utf-8")
    with pytest.raises(ModelError, match=r"The longest row has \d+ tokens, and the model has 12 positions"):
        check(write(stage, {"name_or_path": str(short)}, adapter="lora"))
    if stage == "sft":  # `dpo` has no prompt tuning
        with pytest.raises(ModelError, match=r"of the model's 12 positions the adapter takes 7"):
            check(
                write(stage, {"name_or_path": str(short)}, adapter={"kind": "prompt_tuning", "num_virtual_tokens": 7})
            )


@pytest.mark.parametrize("stage", ["sft", "dpo", "pretrain"])
def test_a_length_that_is_written_fits_the_positions_whatever_the_rows_are(
    stage: str, write: Callable[..., Any], model_dir: Path, tmp_path: Path
) -> None:
    short = tmp_path / "short"
    shutil.copytree(model_dir, short)
    config = json.loads((short / "config.json").read_text(encoding="utf-8"))
    (short / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 300}), encoding="utf-8")
    adapter: dict[str, Any] = {} if stage == "pretrain" else {"adapter": "lora"}

    def asking(length: int | None) -> Any:
        plain = write(stage, {"name_or_path": str(short)}, **adapter).model_dump(exclude_unset=True)
        return from_dict(plain | {"data": plain["data"] | ({} if length is None else {"max_length": length})})

    with pytest.raises(RecipeError, match=r"data.max_length: is 301, and the model has 300 positions for a row"):
        problems_before_loading(asking(301))
    problems_before_loading(asking(300))
    problems_before_loading(asking(None))  # the default asks for nothing: there the rows decide
