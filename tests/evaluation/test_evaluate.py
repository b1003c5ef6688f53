"""Evaluating a base and the runs made from it: the same rows and template, losses by hand, resuming, refusals."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from seodang.chats import make_chat
from seodang.encoding import Chat, NamedRenderer
from seodang.errors import DataError, ModelError, TemplateError
from seodang.evaluation import evaluate, lineage
from seodang.evaluation.evaluate import measure, run
from seodang.evaluation.lineage import lineage_chats
from seodang.evaluation.metrics import wilson
from seodang.recipe import Evaluate
from seodang.recipe_file import validate
from seodang.records import Conversation, Message
from seodang.runs import Run, read_rows
from seodang.template import load_template
from seodang.tuning.quiet import silence_upstream

ROWS = [
    {"messages": [{"role": "user", "content": "38을 한글로 읽어 주세요."}, {"role": "assistant", "content": "삼십팔"}],
     "accept": ["삼십팔", "서른여덟"], "task": "숫자 읽기"},
    {"messages": [{"role": "user", "content": "5를 한글로 읽어 주세요."}, {"role": "assistant", "content": "오"}],
     "accept": ["오", "다섯"], "task": "숫자 읽기"},
    {"messages": [{"role": "system", "content": "존댓말로 답하세요."}, {"role": "user", "content": "날씨 어때?"},
                  {"role": "assistant", "content": "맑아요."}, {"role": "user", "content": "산책할까?"},
                  {"role": "assistant", "content": "네, 산책하기 좋은 날이에요."}]},
    {"messages": [{"role": "user", "content": "비가 오면 무엇을 챙길까요?"},
                  {"role": "assistant", "content": "우산을 챙기세요."}]},
]  # fmt: skip
PAIRS = [
    {"prompt": [{"role": "user", "content": f"{n}을 읽어 줘"}],
     "chosen": [{"role": "assistant", "content": f"{n}입니다."}],
     "rejected": [{"role": "assistant", "content": "몰라"}]}
    for n in ("하나", "둘", "셋")
]  # fmt: skip


@pytest.fixture(scope="module")
def sft(model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished SFT run on `model_dir`: a LoRA adapter that changes the answers, ChatML saved with the tokenizer."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    silence_upstream()
    folder = tmp_path_factory.mktemp("runs") / "sft"
    config = LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM", init_lora_weights=False)
    torch.manual_seed(1)
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(model_dir), config)
    model.peft_config["default"].base_model_name_or_path = str(model_dir)
    model.save_pretrained(folder / "adapter")
    tokenizer = AutoTokenizer.from_pretrained(model_dir)
    tokenizer.chat_template = load_template("chatml").bind("", "<|endoftext|>").to_jinja()
    tokenizer.save_pretrained(folder / "adapter")
    Run(folder).note(state="finished", stage="sft")
    return folder


@pytest.fixture
def recipe(tmp_path: Path, model_dir: Path, sft: Path) -> Callable[..., Evaluate]:
    """Makes an evaluate recipe over base and SFT on rows written here; keys are changed by name."""

    def make(rows: list[dict[str, Any]] = ROWS, **keys: Any) -> Evaluate:
        file = tmp_path / "held_out.jsonl"
        file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
        data = {
            "stage": "evaluate",
            "models": {"base": {"name_or_path": str(model_dir)}, "sft": {"run": str(sft)}},
            "data": {"train": str(file)},
            "sampling": {"max_new_tokens": 8},
            **keys,
        }
        found, mistakes = validate(data)
        assert isinstance(found, Evaluate), mistakes
        return found

    return make


def folder_of(path: Path, resumed: bool = False) -> Run:
    (path / "evaluate").mkdir(exist_ok=True)
    return Run(path / "evaluate", resumed)


def test_base_and_run_answer_the_same_rows(recipe: Callable[..., Evaluate], tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    report = run(recipe(), folder)

    assert report["rows"] == {"read": 4, "kept": 4, "dropped": {}}
    assert list(report["metrics"]) == ["base", "sft"]
    for entry in report["metrics"].values():
        assert entry["n"] == 4
        assert {"exact_match", "stop_rate", "repetition_rate", "loss", "perplexity"} <= entry.keys()
        assert set(entry["counts"]) == set(entry["intervals"])
        for name, (low, high) in entry["intervals"].items():
            assert low <= entry[name] <= high
        assert entry["counts"]["exact_match"] == 4
        assert entry["perplexity"] == pytest.approx(math.exp(entry["loss"]))
        assert set(entry["tasks"]) == {"숫자 읽기"}
        assert entry["tasks"]["숫자 읽기"]["n"] == 2
    assert report["metrics"]["base"]["loss"] != report["metrics"]["sft"]["loss"]
    assert report["verdict"].startswith("exact_match: base ")
    json.dumps(report, allow_nan=False)

    lines = read_rows(folder.path / "answers.jsonl")
    assert [line["model"] for line in lines] == ["base"] * 4 + ["sft"] * 4
    assert all(line["tokens"] <= 8 for line in lines)
    assert [entry["model"] for entry in folder.read_log()] == ["base", "sft"]
    assert (folder.path / "dropped.jsonl").read_bytes() == b""


def test_samples_stand_side_by_side(recipe: Callable[..., Evaluate], tmp_path: Path) -> None:
    samples = run(recipe(), folder_of(tmp_path))["samples"]

    assert [sample["reference"] for sample in samples] == [
        "삼십팔",
        "오",
        "네, 산책하기 좋은 날이에요.",
        "우산을 챙기세요.",
    ]
    assert samples[0]["prompt"] == "38을 한글로 읽어 주세요."
    assert (
        samples[2]["prompt"] == "[system] 존댓말로 답하세요.\n[user] 날씨 어때?\n[assistant] 맑아요.\n[user] 산책할까?"
    )
    assert all(list(sample["answers"]) == ["base", "sft"] for sample in samples)


def test_the_loss_is_over_trained_tokens_only(
    recipe: Callable[..., Evaluate], tmp_path: Path, model_dir: Path, sft: Path
) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    found = run(recipe(), folder_of(tmp_path))["metrics"]

    chat = make_chat(AutoTokenizer.from_pretrained(sft / "adapter"), None)
    base, under = (AutoModelForCausalLM.from_pretrained(model_dir) for _ in range(2))
    for name, model in {"base": base, "sft": PeftModel.from_pretrained(under, sft / "adapter")}.items():
        total, tokens = 0.0, 0
        for row in ROWS:
            messages = tuple(Message(m["role"], m["content"]) for m in row["messages"])  # type: ignore[index]
            encoded = chat.encode(Conversation(messages))
            with torch.no_grad():
                ids, labels = torch.tensor([encoded.input_ids]), torch.tensor([encoded.labels])
                total += float(model.eval()(input_ids=ids, labels=labels).loss) * encoded.trained
            tokens += encoded.trained
        assert found[name]["loss"] == pytest.approx(total / tokens, rel=1e-5)


def test_the_prompt_is_what_a_server_is_given(
    recipe: Callable[..., Evaluate], tmp_path: Path, sft: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import AutoTokenizer

    asked: list[list[list[int]]] = []
    answer = evaluate.Generator.answer

    def spy(self: Any, prompts: Any, *rest: Any, **more: Any) -> Any:
        asked.append(sorted(prompts))
        return answer(self, prompts, *rest, **more)

    monkeypatch.setattr(evaluate.Generator, "answer", spy)
    typed = {
        "messages": [
            {"role": "user", "content": "<|im_end|>는 무엇인가요?"},
            {"role": "assistant", "content": "글자예요."},
        ]
    }
    run(recipe([*ROWS, typed]), folder_of(tmp_path))

    tokenizer = AutoTokenizer.from_pretrained(sft / "adapter")
    expected = [
        tokenizer.apply_chat_template(
            row["messages"][:-1], add_generation_prompt=True, sanitize_control_tokens=True, return_dict=False
        )
        for row in [*ROWS, typed]
    ]
    assert asked == [sorted(expected)] * 2


def test_pairs_give_a_preference_accuracy(recipe: Callable[..., Evaluate], tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    report = run(recipe(PAIRS), folder)

    lines = read_rows(folder.path / "answers.jsonl")
    for name, entry in report["metrics"].items():
        own = [line for line in lines if line["model"] == name]
        right = sum(line["reference_nll"] < line["rejected_nll"] for line in own)
        assert entry["preference_accuracy"] == right / 3
        assert entry["intervals"]["preference_accuracy"] == list(wilson(right, 3))
        assert "exact_match" not in entry
        assert entry["loss"] == pytest.approx(
            sum(line["reference_nll"] for line in own) / sum(line["reference_tokens"] for line in own)
        )
    assert "preference_accuracy: base " in report["verdict"]
    assert report["samples"][0]["reference"] == "하나입니다."


def test_shots_are_training_rows_before_the_question(
    recipe: Callable[..., Evaluate], tmp_path: Path, model_dir: Path, sft: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import AutoTokenizer

    asked: list[list[list[int]]] = []
    answer = evaluate.Generator.answer

    def spy(self: Any, prompts: Any, *rest: Any, **more: Any) -> Any:
        asked.append(sorted(prompts, key=len))
        return answer(self, prompts, *rest, **more)

    monkeypatch.setattr(evaluate.Generator, "answer", spy)
    train = tmp_path / "train.jsonl"
    rows = [
        {"messages": [{"role": "user", "content": f"{n} 읽어 줘"}, {"role": "assistant", "content": f"{n}번입니다."}],
         "task": "숫자 읽기"}
        for n in range(11, 15)
    ]  # fmt: skip
    train.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    base = {"name_or_path": str(model_dir)}
    models = {"base": base, "base_2shot": base | {"shots": 2}, "sft": {"run": str(sft)}}
    given = recipe(ROWS[:2], models=models, data={"train": str(train), "eval": str(tmp_path / "held_out.jsonl")})
    folder = folder_of(tmp_path)
    report = run(given, folder)

    tokenizer = AutoTokenizer.from_pretrained(sft / "adapter")
    plain, shown, tuned = ([tokenizer.decode(prompt) for prompt in prompts] for prompts in asked)
    assert plain == tuned
    for before, after in zip(plain, shown, strict=True):
        assert after.endswith(before)
        assert [after.count(part) for part in (" 읽어 줘", "번입니다.")] == [2, 2]
    lines = read_rows(folder.path / "answers.jsonl")
    tokens = {name: [one["reference_tokens"] for one in lines if one["model"] == name] for name in models}
    assert tokens["base"] == tokens["base_2shot"]
    assert report["metrics"]["base"]["loss"] != report["metrics"]["base_2shot"]["loss"]
    assert [sample["prompt"] for sample in report["samples"]] == ["38을 한글로 읽어 주세요.", "5를 한글로 읽어 주세요."]


def test_shots_without_training_rows_are_refused(
    recipe: Callable[..., Evaluate], tmp_path: Path, model_dir: Path, sft: Path
) -> None:
    models = {"base": {"name_or_path": str(model_dir), "shots": 2}, "sft": {"run": str(sft)}}
    with pytest.raises(DataError, match="`shots: 2` needs conversations to ask and 2 training rows with an answer"):
        run(recipe(models=models), folder_of(tmp_path))


def test_every_row_is_kept_or_dropped_for_a_reason(recipe: Callable[..., Evaluate], tmp_path: Path) -> None:
    long = {"messages": [{"role": "user", "content": "길게"}, {"role": "assistant", "content": "아주 " * 300}]}
    data = {"train": str(tmp_path / "held_out.jsonl"), "max_length": 200}
    folder = folder_of(tmp_path)
    report = run(recipe([*ROWS, long], data=data, max_prompts=2), folder)

    rows = report["rows"]
    assert rows["read"] == 5 and rows["kept"] == 2
    assert sum(rows["dropped"].values()) == 3
    dropped = read_rows(folder.path / "dropped.jsonl")
    assert len(dropped) == 3
    assert {row["reason"] for row in dropped} == set(rows["dropped"]) <= {"max_prompts", "over_length"}

    data["over_length"] = "error"
    with pytest.raises(DataError, match=r"held_out.jsonl:5: the row has \d+ tokens and `data.max_length` is 200"):
        run(recipe([*ROWS, long], data=data), folder)


def test_the_chosen_prompts_stay_when_rows_are_added(recipe: Callable[..., Evaluate], tmp_path: Path) -> None:
    def kept(rows: list[dict[str, Any]], **keys: Any) -> set[str]:
        made = recipe(rows, max_prompts=3, **keys)
        records, _, _ = evaluate.held_out(made, lineage_chats(made))
        return {record.answer for record in records if isinstance(record, Conversation)}

    more = [
        {"messages": [{"role": "user", "content": f"{n}?"}, {"role": "assistant", "content": f"{n}"}]} for n in range(9)
    ]
    before, after = kept(more), kept([*more[::-1], *ROWS])
    assert len(before) == len(after) == 3
    assert after & {str(n) for n in range(9)} <= before
    assert any(kept(more, seed=seed) != before for seed in range(3))


def test_nothing_left_is_a_paragraph(recipe: Callable[..., Evaluate], tmp_path: Path) -> None:
    data = {"train": str(tmp_path / "held_out.jsonl"), "max_length": 8}

    with pytest.raises(DataError) as error:
        run(recipe(data=data), folder_of(tmp_path))
    assert str(error.value) == (
        "No held-out row is left to answer: 4 read = 0 kept + 4 dropped (4 over_length). Look at the file with "
        "`seodang inspect`, or raise `data.max_length`."
    )


def test_a_run_brings_its_held_out_rows(recipe: Callable[..., Evaluate], tmp_path: Path) -> None:
    prepared = tmp_path / "prepare"
    prepared.mkdir()
    Run(prepared).write_rows("train.jsonl", ROWS[:2])
    Run(prepared).write_rows("eval.jsonl", ROWS[2:])
    Run(prepared).note(state="finished", stage="prepare")

    report = run(recipe(data={"run": str(prepared)}), folder_of(tmp_path))

    assert [sample["reference"] for sample in report["samples"]] == ["네, 산책하기 좋은 날이에요.", "우산을 챙기세요."]


def test_resuming_asks_only_the_models_that_are_missing(
    recipe: Callable[..., Evaluate], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(recipe(), folder_of(tmp_path))
    file = tmp_path / "evaluate" / "answers.jsonl"
    lines = file.read_text(encoding="utf-8").split("\n")
    file.write_text("\n".join([*lines[:6], lines[6][:20]]), encoding="utf-8")  # killed in the second model

    loaded = []
    load = evaluate.load_model
    monkeypatch.setattr(evaluate, "load_model", lambda spec: loaded.append(spec.run) or load(spec))
    again = run(recipe(), folder_of(tmp_path, resumed=True))

    assert len(loaded) == 1 and loaded[0] is not None
    assert again == whole
    assert file.read_text(encoding="utf-8").split("\n") == lines


def test_the_same_seed_gives_the_same_answers(recipe: Callable[..., Evaluate], tmp_path: Path) -> None:
    sampling = {"temperature": 1.0, "max_new_tokens": 6}

    def texts(seed: int) -> list[str]:
        folder = folder_of(tmp_path)
        run(recipe(sampling=sampling, seed=seed), folder)
        return [row["text"] for row in read_rows(folder.path / "answers.jsonl")]

    assert texts(1) == texts(1) != texts(2)


def test_a_template_for_all_models_can_be_named(recipe: Callable[..., Evaluate]) -> None:
    chats = lineage_chats(recipe(template="chatml"))
    own = lineage_chats(recipe())

    messages = (Message("user", "안녕"),)
    assert {chat.renderer.name for chat in chats.values()} == {"chatml"}
    assert chats["base"].prompt_ids(messages) == own["base"].prompt_ids(messages) == own["sft"].prompt_ids(messages)


def test_the_examples_of_a_conversation_cost_what_its_one_row_does(model_dir: Path, tokenizer: Any) -> None:
    from transformers import AutoModelForCausalLM

    model, bound = AutoModelForCausalLM.from_pretrained(model_dir).eval(), load_template("chatml").bind()
    turns = (Message("user", "하나 다음은?"), Message("assistant", "둘"), Message("user", "셋 다음은?"))
    talk = Conversation((*turns, Message("assistant", "넷입니다.")))
    one, two = (Chat(tokenizer, NamedRenderer(replace(bound, thinking=way))) for way in (None, "keep"))
    assert (len(one.examples(talk)), len(two.examples(talk))) == (1, 2)
    (cost,), (same,) = (list(evaluate._costs(model, chat, [talk])) for chat in (one, two))
    assert cost["reference_tokens"] == same["reference_tokens"] == sum(row.trained for row in two.examples(talk))
    assert same["reference_nll"] == pytest.approx(cost["reference_nll"], rel=1e-4)


def test_no_template_anywhere_is_refused(recipe: Callable[..., Evaluate], model_dir: Path) -> None:
    with pytest.raises(TemplateError, match="This tokenizer has no chat template, so the recipe must name one"):
        lineage_chats(recipe(models={"base": {"name_or_path": str(model_dir)}}))


def test_another_vocabulary_is_refused(
    recipe: Callable[..., Evaluate], model_dir: Path, sft: Path, tmp_path: Path
) -> None:
    from transformers import AutoTokenizer

    other = tmp_path / "other"
    shutil.copytree(model_dir, other)
    tokenizer = AutoTokenizer.from_pretrained(other)
    tokenizer.add_tokens(["한국"])
    tokenizer.save_pretrained(other)

    with pytest.raises(TemplateError) as error:
        lineage_chats(recipe(models={"sft": {"run": str(sft)}, "other": {"name_or_path": str(other)}}))
    assert str(error.value) == (
        "models.other has no chat template, and it cannot be asked with that of models.sft, because their "
        "vocabularies differ. Name one for all models: `template: NAME`."
    )


def test_ids_beyond_the_embeddings_are_refused(recipe: Callable[..., Evaluate], tmp_path: Path, sft: Path) -> None:
    made = recipe()
    chat = lineage_chats(made)["sft"]
    model = torch.nn.Module()
    model.get_input_embeddings = lambda: torch.nn.Embedding(100, 2)  # type: ignore[assignment]

    with pytest.raises(
        ModelError, match=r"models.base has 100 embeddings, and the chat template's tokenizer has the id"
    ):
        evaluate._require_rows_for("base", model, chat)


THINKS = "{% for m in messages %}{{ m['role'] }}:{{ m['content'] }}<|im_end|>{% endfor %}<think>{{ enable_thinking }}"


@pytest.mark.parametrize(
    ("written", "thinking"), [("thinking: strip", "strip"), ("thinking: keep", "keep"), ("thinking: null", "empty")]
)
def test_thinking_is_what_the_run_was_trained_with(
    recipe: Callable[..., Evaluate], sft: Path, tmp_path: Path, written: str, thinking: str
) -> None:
    from transformers import AutoTokenizer

    copy = tmp_path / "thinking"
    shutil.copytree(sft, copy)
    (copy / "recipe.yaml").write_text(f"stage: sft\n{written}\n", encoding="utf-8")
    tokenizer = AutoTokenizer.from_pretrained(copy / "adapter")
    assert lineage._thinking(tokenizer, recipe(), "sft") is None

    tokenizer.chat_template = THINKS
    made = recipe(models={"base": {"name_or_path": "x"}, "sft": {"run": str(copy)}})
    assert lineage._thinking(tokenizer, made, "sft") == thinking
    assert lineage._thinking(tokenizer, made, "base") == thinking


def test_what_applies_nowhere_is_left_out() -> None:
    record = Conversation((Message("user", "2 + 2 = ?"), Message("assistant", "4")))
    row = {"text": "4", "stopped": True, "reference_nll": 0.5, "reference_tokens": 2}

    entry = measure([record], [row], ("exact_match", "polite", "language"))

    assert entry["exact_match"] == 1.0
    assert entry["loss"] == 0.25
    assert entry["counts"] == {"exact_match": 1, "loss": 1}
    assert not {"polite_rate", "language_rate", "tasks", "preference_accuracy"} & entry.keys()


def test_a_hopeless_loss_is_still_json() -> None:
    record = Conversation((Message("user", "가"), Message("assistant", "나")))

    entry = measure([record], [{"text": "", "stopped": False, "reference_nll": 5e4, "reference_tokens": 1}], ("stop",))

    assert math.isfinite(entry["perplexity"])


@pytest.mark.parametrize(("count", "shown"), [(0, []), (1, [0]), (3, [0, 1, 2]), (24, list(range(0, 24, 2)))])
def test_samples_are_spread_over_all_rows(count: int, shown: list[int]) -> None:
    assert evaluate._spread(count) == shown


def test_how_far_a_run_has_moved_from_its_parent(recipe: Callable[..., Evaluate], tmp_path: Path) -> None:
    report = run(recipe(divergence_from="base"), folder_of(tmp_path))

    moved = report["metrics"]["sft"]
    assert moved["kl"] > 0 and moved["intervals"]["kl"][0] < moved["kl"] < moved["intervals"]["kl"][1]
    assert "kl" not in report["metrics"]["base"]
    assert report["metrics"]["sft"]["counts"]["kl"] <= report["metrics"]["sft"]["n"]


def test_divergence_from_a_model_that_is_not_there(recipe: Callable[..., Evaluate]) -> None:
    with pytest.raises(AssertionError, match="`divergence_from: dpo` is none of base, sft"):
        recipe(divergence_from="dpo")


# --- Vectors before the text -----------------------------------------------------------------------------------------


@pytest.fixture(params=["prompt_tuning", "prefix_tuning"])
def led(request: pytest.FixtureRequest, model_dir: Path, sft: Path, tmp_path: Path) -> Path:
    """A finished run whose adapter is five loud virtual tokens, with the template of `sft`."""
    import peft
    from transformers import AutoModelForCausalLM

    folder = tmp_path / "led"
    shutil.copytree(sft / "adapter", folder / "adapter", ignore=shutil.ignore_patterns("adapter*"))
    kind = {"prompt_tuning": peft.PromptTuningConfig, "prefix_tuning": peft.PrefixTuningConfig}[request.param]
    model = peft.get_peft_model(
        AutoModelForCausalLM.from_pretrained(model_dir), kind(task_type="CAUSAL_LM", num_virtual_tokens=5)
    )
    torch.manual_seed(4)
    for weight in model.prompt_encoder.parameters():
        weight.data = torch.randn_like(weight)
    model.peft_config["default"].base_model_name_or_path = str(model_dir)
    model.save_pretrained(folder / "adapter")
    Run(folder).note(state="finished", stage="sft")
    return folder


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")
def test_a_run_of_virtual_tokens_is_measured_as_a_plain_loop_reads_it(
    recipe: Callable[..., Evaluate], led: Path, model_dir: Path, tmp_path: Path
) -> None:
    from peft import AutoPeftModelForCausalLM

    made = recipe(ROWS, models={"base": {"name_or_path": str(model_dir)}, "led": {"run": str(led)}})
    report = run(made, folder_of(tmp_path))
    assert report["metrics"]["led"]["loss"] != report["metrics"]["base"]["loss"]
    chat, model = lineage_chats(made)["led"], AutoPeftModelForCausalLM.from_pretrained(led / "adapter").eval()
    lines = [line for line in read_rows(tmp_path / "evaluate" / "answers.jsonl") if line["model"] == "led"]
    for record, line in zip(evaluate.held_out(made, {"led": chat})[0], lines, strict=True):
        nll = 0.0
        for given, said, trained in evaluate._sides(record, chat):
            with torch.no_grad():
                scores = torch.log_softmax(model(torch.tensor([given + said])).logits[0].double(), dim=-1)
            scores = scores[-len(said) - 1 : -1]
            nll -= sum(float(scores[at, token]) for at, token in enumerate(said) if trained[at])
        assert line["reference_nll"] == pytest.approx(nll, rel=1e-5)
        ids = list(chat.prompt_ids(record.prompt))
        for _ in range(line["tokens"]):
            with torch.no_grad():
                ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
        said = ids[len(ids) - line["tokens"] :] if line["tokens"] else []
        assert chat.tokenizer.decode(said, skip_special_tokens=True) == line["text"]


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")
def test_rows_without_room_behind_virtual_tokens_are_refused_before_weights_are_read(
    recipe: Callable[..., Evaluate], led: Path, model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluate, "load_model", lambda spec: pytest.fail("weights were read"))
    monkeypatch.setattr(evaluate, "stored_positions", lambda spec: longest)
    made = recipe(ROWS, models={"led": {"run": str(led)}})
    chat = lineage_chats(made)["led"]
    longest = max(len(a) + len(b) for row in evaluate.held_out(made, {"led": chat})[0]
                  for a, b, _ in evaluate._sides(row, chat))  # fmt: skip
    with pytest.raises(ModelError, match=rf"has {longest} tokens, and of the model's {longest} positions the adapter"):
        run(made, folder_of(tmp_path))
