"""Sampling from a loaded model: batches equal single rows, seeds decide alone, stops end, nothing is printed."""

from __future__ import annotations

import json
import logging
import random
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter
from transformers import GenerationConfig, GPT2Config, GPT2LMHeadModel, LlamaForCausalLM

from seodang.errors import DataError, ModelError, TemplateError
from seodang.generation import Completion, Generator, LocalCompleter, _Draw, load_completer, load_generator
from seodang.records import Message
from seodang.runs import Run, hash_text
from seodang.self_instruct.completers import Request, Sampling
from seodang.tuning.adapters import Adapter
from seodang.tuning.specs import ModelSpec

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")  # peft 0.21.2

GREEDY = Sampling(max_new_tokens=12)
WARM = Sampling(temperature=1.0, top_p=0.95, max_new_tokens=12)
TEXTS = [
    "나는",
    "오늘은 날씨가 맑아서 산책을",
    "고양이는 조용히 창밖을 보았다. 비가 오면",
    "1 2 3",
    "서울에서 부산까지",
]


@pytest.fixture(scope="module")
def rope(model_dir: Path) -> Any:
    return LlamaForCausalLM.from_pretrained(model_dir)


@pytest.fixture(scope="module")
def learned() -> Any:
    """A model with learned positions: padding shifts its answers unless position ids come from the mask."""
    torch.manual_seed(1)
    config = GPT2Config(vocab_size=640, n_embd=32, n_layer=2, n_head=4, n_positions=64, initializer_range=0.4)
    return GPT2LMHeadModel(config)


@pytest.fixture(params=["rope", "learned"])
def model(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


@pytest.fixture
def prompts(tokenizer: Any) -> list[list[int]]:
    return [tokenizer.encode(text) for text in TEXTS]


@pytest.mark.parametrize("sampling", [GREEDY, WARM, Sampling(max_new_tokens=12, repetition_penalty=1.4)])
def test_a_batch_equals_its_rows_alone(model: Any, tokenizer: Any, prompts: list[Any], sampling: Sampling) -> None:
    batched = Generator(model, tokenizer, [2], batch_size=5).answer(prompts, sampling, [7] * 5)
    alone = Generator(model, tokenizer, [2], batch_size=1).answer(prompts, sampling, [7] * 5)
    assert batched == alone
    assert len({done.ids for done in batched}) > 1


def test_padding_is_a_token_that_the_row_has(rope: Any, tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Upstream's repetition penalty reads ids and no mask: a pad token would be made less likely, or the stop."""
    given: list[list[int]] = []
    plain = rope.generate
    monkeypatch.setattr(rope, "generate", lambda **k: given.extend(k["input_ids"].tolist()) or plain(**k))
    Generator(rope, tokenizer, [2]).answer([[9, 8, 7, 6], [5, 4]], GREEDY, 0)
    assert given == [[9, 8, 7, 6], [5, 5, 5, 4]]


def test_greedy_is_the_argmax_of_plain_forwards(model: Any, tokenizer: Any, prompts: list[Any]) -> None:
    for prompt, done in zip(prompts, Generator(model, tokenizer, []).answer(prompts, GREEDY, 0), strict=True):
        ids = list(prompt)
        for _ in range(GREEDY.max_new_tokens):
            with torch.no_grad():
                ids.append(int(model.eval()(torch.tensor([ids])).logits[0, -1].argmax()))
        assert done == Completion(tokenizer.decode(ids[len(prompt) :], skip_special_tokens=True),
                                  tuple(ids[len(prompt) :]), False)  # fmt: skip


def test_order_and_batch_size_change_nothing(rope: Any, tokenizer: Any, prompts: list[Any]) -> None:
    seeds = [11, 12, 13, 14, 15]
    forward = Generator(rope, tokenizer, [2], batch_size=2).answer(prompts, WARM, seeds)
    backward = Generator(rope, tokenizer, [2], batch_size=3).answer(prompts[::-1], WARM, seeds[::-1])
    assert forward == backward[::-1]


def test_the_seed_alone_decides(rope: Any, tokenizer: Any, prompts: list[Any]) -> None:
    generator = Generator(rope, tokenizer, [2])
    torch.manual_seed(1)
    first = generator.answer(prompts, WARM, 3)
    torch.manual_seed(2)
    random.seed(2)
    assert generator.answer(prompts, WARM, 3) == first
    assert generator.answer(prompts, WARM, 4) != first
    assert generator.answer(prompts, GREEDY, 3) == generator.answer(prompts, GREEDY, 4)


def test_the_global_random_state_is_left_alone(rope: Any, tokenizer: Any, prompts: list[Any]) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    Generator(rope, tokenizer, [2]).answer(prompts, WARM, 3)
    assert torch.equal(torch.rand(3), expected)


def test_one_seed_for_all_still_gives_equal_prompts_different_answers(rope: Any, tokenizer: Any) -> None:
    prompt = tokenizer.encode("나는 아침에")
    assert len({done.ids for done in Generator(rope, tokenizer, []).answer([prompt] * 4, WARM, 0)}) == 4


def test_draws_follow_the_probabilities() -> None:
    wanted = torch.tensor([0.5, 0.0, 0.3, 0.2])
    rows = 4000
    scores = wanted.log().repeat(rows, 1)
    drawn = _Draw([random.Random(row) for row in range(rows)])(torch.zeros(rows, 1), scores).argmax(-1).tolist()
    counts = Counter(drawn)
    assert counts[1] == 0
    for token, share in enumerate(wanted.tolist()):
        assert abs(counts[token] / rows - share) < 0.03


class _Highest(random.Random):
    def random(self) -> float:
        return 1 - 2**-53


def test_the_highest_draw_never_takes_an_impossible_token() -> None:
    scores = torch.tensor([[0.0, 1.0, -torch.inf, -torch.inf]])
    assert _Draw([_Highest()])(torch.zeros(1, 1), scores).argmax().item() == 1


def test_top_p_leaves_only_the_likeliest(rope: Any, tokenizer: Any, prompts: list[Any]) -> None:
    narrow = Sampling(temperature=1.0, top_p=1e-6, max_new_tokens=12)
    generator = Generator(rope, tokenizer, [2])
    assert generator.answer(prompts, narrow, 1) == generator.answer(prompts, GREEDY, 1)


def test_a_stop_token_ends_an_answer_and_is_not_part_of_it(rope: Any, tokenizer: Any, prompts: list[Any]) -> None:
    free = Generator(rope, tokenizer, []).answer(prompts, GREEDY, 0)
    stop = free[1].ids[4]
    ended = Generator(rope, tokenizer, [599, stop]).answer(prompts, GREEDY, 0)
    first = free[1].ids.index(stop)
    assert ended[1] == Completion(tokenizer.decode(free[1].ids[:first]), free[1].ids[:first], True)
    for before, after in zip(free, ended, strict=True):
        assert after.stopped == (stop in before.ids)
        assert after.ids == before.ids[: len(after.ids)]


def test_a_stop_string_cuts_the_text(rope: Any, tokenizer: Any, prompts: list[Any]) -> None:
    free = Generator(rope, tokenizer, [2]).answer(prompts, GREEDY, 0)
    stop = free[2].text[5:8]
    ended = Generator(rope, tokenizer, [2]).answer(prompts, GREEDY, 0, stop=("결코 없음", stop))
    assert ended[2].text == free[2].text[: free[2].text.index(stop)]
    assert ended[2].stopped
    assert len(ended[2].ids) <= len(free[2].ids)
    assert [done.stopped for done in ended] == [stop in done.text or done.stopped for done in free]


def test_special_tokens_are_no_text(tokenizer: Any, rope: Any) -> None:
    ids = [
        *tokenizer.encode("안녕"),
        tokenizer.convert_tokens_to_ids("<|im_start|>"),
        *tokenizer.encode("하세요"),
        2,
        9,
    ]
    assert Generator(rope, tokenizer, [2])._completion(ids, ()) == Completion("안녕하세요", tuple(ids[:-2]), True)


def test_a_models_own_settings_do_not_leak_in(rope: Any, tokenizer: Any, prompts: list[Any]) -> None:
    plain = Generator(rope, tokenizer, [2]).answer(prompts, GREEDY, 0)
    kept = rope.generation_config
    own = GenerationConfig(
        do_sample=True, temperature=0.6, top_k=3, repetition_penalty=3.0, max_length=20, eos_token_id=9
    )
    try:
        rope.generation_config = own
        assert Generator(rope, tokenizer, [2]).answer(prompts, GREEDY, 0) == plain
        assert rope.generation_config is own
    finally:
        rope.generation_config = kept


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
def test_an_adapter_answers_and_keeps_its_bases_settings(model_dir: Path, tokenizer: Any, prompts: list[Any]) -> None:
    from peft import LoraConfig, get_peft_model

    base = LlamaForCausalLM.from_pretrained(model_dir)
    own = base.generation_config
    plain = Generator(base, tokenizer, [2]).answer(prompts, GREEDY, 0)
    torch.manual_seed(0)
    adapted = get_peft_model(base, LoraConfig(task_type="CAUSAL_LM", init_lora_weights=False))
    changed = Generator(adapted, tokenizer, [2]).answer(prompts, GREEDY, 0)
    assert changed != plain
    assert base.generation_config is own
    with adapted.disable_adapter():
        assert Generator(adapted, tokenizer, [2]).answer(prompts, GREEDY, 0) == plain


def test_every_modules_mode_comes_back(rope: Any, tokenizer: Any, prompts: list[Any]) -> None:
    rope.train()
    rope.model.norm.eval()
    before = [module.training for module in rope.modules()]
    Generator(rope, tokenizer, [2]).answer(prompts[:1], GREEDY, 0)
    assert [module.training for module in rope.modules()] == before
    rope.eval()


def test_the_mode_comes_back_after_an_error(rope: Any, tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rope.train()
    own = rope.generation_config
    monkeypatch.setattr(rope, "generate", lambda **_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        Generator(rope, tokenizer, [2]).answer([[5]], GREEDY, 0)
    assert rope.training
    assert rope.generation_config is own
    rope.eval()


def test_nothing_is_printed(
    learned: Any,
    tokenizer: Any,
    prompts: list[Any],
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    logger = logging.getLogger("transformers")
    propagate, logger.propagate = logger.propagate, True
    try:
        long = Sampling(temperature=0.7, top_p=0.9, max_new_tokens=200)
        Generator(learned, tokenizer, [2]).answer([*prompts, [5] * 60], long, 0, stop=("끝",))
    finally:
        logger.propagate = propagate
    assert capfd.readouterr() == ("", "")
    assert caplog.text == ""


def test_the_models_length_bounds_the_answer_not_the_batch(learned: Any, tokenizer: Any) -> None:
    generator = Generator(learned, tokenizer, [], batch_size=8)
    rows = [[5] * 60, [6] * 10, [7] * 64, [8] * 70, [9] * 58]
    done = generator.answer(rows, GREEDY, 0)
    assert [len(one.ids) for one in done] == [4, 12, 0, 0, 6]
    assert done[2] == Completion("", (), False)
    assert [generator.room(row, GREEDY) for row in rows] == [4, 12, 0, 0, 6]


def test_a_model_without_a_length_has_room_for_all(learned: Any, tokenizer: Any) -> None:
    generator = Generator(learned, tokenizer, [])
    generator.max_length = None
    assert generator.room([5] * 1000, GREEDY) == 12


def test_nothing_asked_is_nothing_answered(rope: Any, tokenizer: Any) -> None:
    assert Generator(rope, tokenizer, [2]).answer([], GREEDY, 0) == []


def test_a_prompt_without_tokens_is_refused(rope: Any, tokenizer: Any) -> None:
    with pytest.raises(DataError, match="A prompt has no tokens"):
        Generator(rope, tokenizer, [2]).answer([[5], []], GREEDY, 0)


JINJA = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture
def chat_dir(model_dir: Path, tmp_path: Path) -> Path:
    """The tiny model with a chat template and stop ids of its own."""
    from transformers import AutoTokenizer

    folder = tmp_path / "chat"
    shutil.copytree(model_dir, folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = JINJA
    tokenizer.save_pretrained(folder)
    config = {"eos_token_id": tokenizer.convert_tokens_to_ids("<|im_end|>"), "transformers_version": "5.23.0"}
    (folder / "generation_config.json").write_text(json.dumps(config))
    return folder


def test_a_loaded_generator_stops_where_its_files_say(chat_dir: Path, model_dir: Path, tokenizer: Any) -> None:
    end, eos = (tokenizer.convert_tokens_to_ids(token) for token in ("<|im_end|>", "<|endoftext|>"))
    assert load_generator(ModelSpec(name_or_path=str(chat_dir))).stop_ids == (end, eos)
    (chat_dir / "generation_config.json").write_text(json.dumps({"eos_token_id": [end, 7]}))
    assert load_generator(ModelSpec(name_or_path=str(chat_dir))).stop_ids == (end, 7, eos)
    assert load_generator(ModelSpec(name_or_path=str(model_dir))).stop_ids == (eos,)


def _ask(completer: LocalCompleter, *prompts: Any, sampling: Sampling = WARM) -> list[Request]:
    return [Request(prompt, sampling, seed, model=completer.name) for seed, prompt in enumerate(prompts)]


def test_messages_are_given_as_the_served_model_reads_them(chat_dir: Path) -> None:
    completer = load_completer(ModelSpec(name_or_path=str(chat_dir)))
    tokenizer = completer.generator.tokenizer
    typed = (Message("user", "<|im_end|> 이 뭐예요?"),)
    (request,) = _ask(completer, typed)
    wanted = tokenizer.apply_chat_template(
        [m.to_row() for m in typed], add_generation_prompt=True, sanitize_control_tokens=True, return_dict=False
    )
    assert completer._ids(request) == wanted
    assert completer._ids(request).count(tokenizer.convert_tokens_to_ids("<|im_end|>")) == 1


@pytest.mark.parametrize(
    ("said", "opened"), [("keep", "<think>"), ("empty", "<think></think>"), (None, "<think></think>")]
)
def test_a_thinking_template_is_asked_as_its_run_was_trained(
    chat_dir: Path, tmp_path: Path, said: str | None, opened: str
) -> None:
    thinking = "<think>{% if not enable_thinking %}</think>{% endif %}{% endif"
    (chat_dir / "chat_template.jinja").write_text(JINJA.rpartition("{% endif")[0] + thinking + " %}")
    run = tmp_path / "sft"
    shutil.copytree(chat_dir, run / "model")
    (run / "manifest.json").write_text('{"state": "finished", "stage": "sft"}')
    (run / "recipe.yaml").write_text(f"thinking: {said}\n" if said else "stage: sft\n")
    completer = load_completer(ModelSpec(run=str(run)))
    text = completer.generator.tokenizer.decode(completer._ids(_ask(completer, (Message("user", "물음"),))[0]))
    assert text.rpartition("assistant\n")[2] == opened


def test_a_run_whose_template_was_changed_answers_nothing(chat_dir: Path, tmp_path: Path) -> None:
    run = tmp_path / "sft"
    shutil.copytree(chat_dir, run / "model")
    Run(run).note(state="finished", stage="sft", template={"fingerprint": hash_text(JINJA)})
    assert load_completer(ModelSpec(run=str(run))).chats
    (run / "model" / "chat_template.jinja").write_text(JINJA + " ", encoding="utf-8")
    for spec in (ModelSpec(run=str(run)), ModelSpec(name_or_path=str(run / "model"))):
        with pytest.raises(TemplateError, match=f"The chat template of the run {run} was changed after the run"):
            load_completer(spec)


def test_control_strings_in_a_continued_text_stay_text(chat_dir: Path) -> None:
    completer = load_completer(ModelSpec(name_or_path=str(chat_dir)), style="continue")
    assert not completer.chats
    ids = completer._ids(_ask(completer, "과제 1\n지시: <|im_end|> 을 설명하세요")[0])
    assert completer.generator.tokenizer.convert_tokens_to_ids("<|im_end|>") not in ids


def test_requests_are_answered_in_order_each_by_its_own_sampling(chat_dir: Path) -> None:
    completer = load_completer(ModelSpec(name_or_path=str(chat_dir)), batch_size=2)
    turns = [(Message("user", text),) for text in TEXTS]
    short = Sampling(max_new_tokens=3)
    requests = [*_ask(completer, *turns), *_ask(completer, *turns[:2], sampling=short)]
    answers = completer.complete(requests)
    assert [answer.key for answer in answers] == [request.key for request in requests]
    assert answers == [completer.complete([request])[0] for request in requests]
    assert completer.complete([]) == []


def test_a_prompt_that_fills_the_model_fails(chat_dir: Path) -> None:
    completer = load_completer(ModelSpec(name_or_path=str(chat_dir)))
    completer.generator.max_length = 20
    long, short = completer.complete(_ask(completer, (Message("user", "가" * 50),), (Message("user", "1"),)))
    assert (long.text, long.stopped, long.failed) == ("", False, "prompt_too_long")
    assert short.failed == ""


def test_chat_turns_need_a_chat_template(model_dir: Path) -> None:
    assert not load_completer(ModelSpec(name_or_path=str(model_dir))).chats
    with pytest.raises(ModelError, match="has no chat template, so it cannot answer chat turns"):
        load_completer(ModelSpec(name_or_path=str(model_dir)), style="chat")


def test_the_name_changes_with_weights_and_template(chat_dir: Path) -> None:
    spec = ModelSpec(name_or_path=str(chat_dir))
    name = load_completer(spec).name
    assert name == load_completer(spec).name
    assert name.startswith(f"{chat_dir}@")
    (chat_dir / "chat_template.jinja").write_text(JINJA + " ")
    retold = load_completer(spec).name
    weights = chat_dir / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(bytes(data))
    assert len({name, retold, load_completer(spec).name}) == 3


# --- Vectors before the text -----------------------------------------------------------------------------------------


@pytest.fixture(params=["prompt_tuning", "prefix_tuning"])
def led(request: pytest.FixtureRequest, model_dir: Path, learned: Any) -> Any:
    """A model with learned positions, and one with rotary ones, behind loud virtual tokens."""
    return lambda kind: with_virtual_tokens(request.param, model_dir if kind == "rope" else learned)


def with_virtual_tokens(kind: str, base: Any) -> Any:
    import copy

    import peft

    config: Any = TypeAdapter(Adapter).validate_python({"kind": kind, "num_virtual_tokens": 5})
    plain = LlamaForCausalLM.from_pretrained(base) if isinstance(base, Path) else copy.deepcopy(base)
    torch.manual_seed(4)
    model = peft.get_peft_model(plain, config.to_peft(1))
    for weight in model.prompt_encoder.parameters():
        weight.data = torch.randn_like(weight)
    return model


@pytest.mark.parametrize("kind", ["rope", "learned"])
def test_behind_virtual_tokens_a_batch_is_the_argmax_of_plain_forwards(
    kind: str, led: Any, tokenizer: Any, prompts: list[Any]
) -> None:
    """Padded, the rows of prompt tuning would be read at positions which they were not trained at."""
    model = led(kind)
    batched = Generator(model, tokenizer, [], batch_size=5).answer([*prompts, prompts[0]], GREEDY, 0)
    assert batched[0] == batched[-1]
    for prompt, done in zip(prompts, batched, strict=False):
        ids = list(prompt)
        for _ in range(GREEDY.max_new_tokens):
            with torch.no_grad():
                ids.append(int(model.eval()(torch.tensor([ids])).logits[0, -1].argmax()))
        assert done.ids == tuple(ids[len(prompt) :])


def test_virtual_tokens_take_room(led: Any, tokenizer: Any) -> None:
    generator = Generator(led("learned"), tokenizer, [])
    assert generator.max_length == 64 - 5
    assert [generator.room([5] * length, GREEDY) for length in (40, 50, 59)] == [12, 9, 0]
    full, none = generator.answer([[5] * 50, [5] * 59], GREEDY, 0)
    assert (len(full.ids), none) == (9, Completion("", (), False))


def test_rows_of_one_length_still_go_together(led: Any, tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model, sizes = led("rope"), []
    plain = model.generate
    monkeypatch.setattr(model, "generate", lambda **k: sizes.append(tuple(k["input_ids"].shape)) or plain(**k))
    Generator(model, tokenizer, []).answer([[5, 6], [7, 8, 9], [9, 8], [4, 5, 6]], GREEDY, 0)
    padded = model.active_peft_config.peft_type == "PREFIX_TUNING"
    assert sizes == ([(4, 3)] if padded else [(2, 3), (2, 2)])
