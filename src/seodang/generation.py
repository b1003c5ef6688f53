"""The one way to sample from a loaded causal model: chat, generate, pairs and evaluate all go through here.

Every answer has random numbers of its own, drawn from its seed, so it does not depend on the rows it was batched with
(beyond the rounding of padded matrix products). Nothing is taken from a model's own generation_config: a hidden
`top_k` or `repetition_penalty` there would make two runs incomparable.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList, StoppingCriteria, StoppingCriteriaList
from transformers.generation import RepetitionPenaltyLogitsProcessor, TemperatureLogitsWarper, TopPLogitsWarper

from seodang.errors import DataError, ModelError
from seodang.runs import hash_file, hash_text, read_json
from seodang.self_instruct.completers import TOO_LONG, Request, Response, Sampling
from seodang.served import prompt_ids, thinking_of
from seodang.tuning.model import load_model, positions_of, virtual_tokens
from seodang.tuning.quiet import quiet_peft
from seodang.tuning.specs import ModelSpec, locate


@dataclass(frozen=True, slots=True)
class Completion:
    """What a model said after one prompt.

    `ids` are the generated tokens before the stop token and `text` is what they decode to, special tokens left out;
    a stop string cuts `text` only. `stopped` is false where `max_new_tokens` or the model's length ended the answer.
    """

    text: str
    ids: tuple[int, ...]
    stopped: bool


class Generator:
    """Answers prompts with one loaded model.

    `stop_ids` end an answer; `batch_size` prompts of like length are answered at once.
    """

    streamer: Any = None
    """A transformers streamer that is given every token as it comes; prompts must then come one by one."""

    def __init__(self, model: Any, tokenizer: Any, stop_ids: Sequence[int], batch_size: int = 16) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.stop_ids = tuple(stop_ids)
        self.batch_size = batch_size
        positions = positions_of(model)
        self.max_length = None if positions is None else positions - virtual_tokens(model)
        """How many tokens prompt and answer may have together; None where the model does not say."""
        self.pads = not _has_embedded_prompt(model)

    def room(self, prompt: Sequence[int], sampling: Sampling) -> int:
        """How many tokens may follow this prompt: `max_new_tokens`, or what the model's length leaves."""
        left = sampling.max_new_tokens if self.max_length is None else self.max_length - len(prompt)
        return max(0, min(left, sampling.max_new_tokens))

    def answer(
        self,
        prompts: Sequence[Sequence[int]],
        sampling: Sampling,
        seed: int | Sequence[int],
        stop: Sequence[str] = (),
    ) -> list[Completion]:
        """One completion per prompt (token ids), in the order given.

        `seed` is one number for all, or one per prompt; `stop` are strings that end an answer as a stop token does.
        A prompt that leaves the model no room gets an empty completion that has not stopped. Raises DataError for a
        prompt without tokens.
        """
        if any(not prompt for prompt in prompts):
            raise DataError("A prompt has no tokens, so there is nothing to continue. Give it at least one message.")
        seeds = (
            [f"{seed}:{row}" for row in range(len(prompts))] if isinstance(seed, int) else [str(one) for one in seed]
        )
        found = [Completion("", (), False)] * len(prompts)
        with _ready(self.model):
            for room, rows in self._batches(prompts, sampling):
                processors = _processors(sampling, [random.Random(seeds[row]) for row in rows])
                ids = self._continue([prompts[row] for row in rows], room, processors, stop)
                for row, line in zip(rows, ids, strict=True):
                    found[row] = self._completion(line, stop)
        return found

    def _batches(self, prompts: Sequence[Sequence[int]], sampling: Sampling) -> Iterator[tuple[int, list[int]]]:
        """(room, rows): rows of like length, the longest first, so that a lack of memory shows at once.

        Rows with less room than others are apart: past its length a model with learned positions has no position.
        Where nothing may be padded, so are rows of another length.
        """
        rooms = [self.room(prompt, sampling) for prompt in prompts]
        order = sorted(range(len(prompts)), key=lambda row: (-rooms[row], -len(prompts[row]), row))
        kinds = {row: (rooms[row], None if self.pads else len(prompts[row])) for row in order if rooms[row]}
        for (room, _), rows in groupby(kinds, key=kinds.__getitem__):
            alike = list(rows)
            for start in range(0, len(alike), self.batch_size):
                yield room, alike[start : start + self.batch_size]

    def _continue(
        self, prompts: list[Sequence[int]], room: int, processors: LogitsProcessorList, stop: Sequence[str]
    ) -> list[list[int]]:
        """Generated ids per row, still with what follows the stop.

        Padding is on the left and is the row's own first token: the mask hides it from the model, and a repetition
        penalty, which reads ids and no mask, meets no token that the row does not have.
        """
        width = max(len(prompt) for prompt in prompts)
        rows = [[prompt[0]] * (width - len(prompt)) + list(prompt) for prompt in prompts]
        mask = [[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts]
        device = self.model.device
        watch = [_StopText(self.tokenizer, stop, width)] if stop else []
        with quiet_peft():
            made = self.model.generate(
                input_ids=torch.tensor(rows, device=device),
                attention_mask=torch.tensor(mask, device=device),
                generation_config=self._config(room),
                logits_processor=processors,
                stopping_criteria=StoppingCriteriaList(watch),
                streamer=self.streamer,
            )
        continued: list[list[int]] = made[:, width:].tolist()
        return continued

    def _config(self, room: int) -> GenerationConfig:
        """Greedy in upstream's eyes: where answers are sampled, `_Draw` has made the choice before."""
        stop = list(self.stop_ids)
        return GenerationConfig(
            max_new_tokens=room,
            do_sample=False,
            use_cache=True,
            eos_token_id=stop or None,
            pad_token_id=(stop or [0])[0],
        )

    def _completion(self, ids: list[int], stop: Sequence[str]) -> Completion:
        end = next((at for at, token in enumerate(ids) if token in self.stop_ids), None)
        kept = ids if end is None else ids[:end]
        text = self.tokenizer.decode(kept, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        cut = min((at for at in map(text.find, stop) if at >= 0), default=None)
        return Completion(text if cut is None else text[:cut], tuple(kept), end is not None or cut is not None)


def _has_embedded_prompt(model: Any) -> bool:
    """Whether PEFT puts embeddings before a row: before its padding, and it drops the positions that leave that out.

    A padded row would be read at other positions than it was trained at (peft 0.21.2, PeftModelForCausalLM.
    prepare_inputs_for_generation). The vectors of prefix tuning lie in the cache, and positions reach the model.
    """
    return hasattr(model, "peft_config") and model.active_peft_config.peft_type == "PROMPT_TUNING"


class _Draw(LogitsProcessor):
    """Draws a token per row by inverse CDF, with that row's own random numbers, and leaves no other choice."""

    supports_continuous_batching = False

    def __init__(self, streams: Sequence[random.Random]) -> None:
        self.streams = streams

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        below = scores.softmax(-1).cumsum(-1)
        # The last millionth is cut off: rounded up to the sum itself, it would draw a token of probability 0.
        drawn = [stream.random() * (1 - 1e-6) for stream in self.streams]
        heights = torch.tensor(drawn, dtype=below.dtype, device=below.device).unsqueeze(1) * below[:, -1:]
        chosen = torch.searchsorted(below, heights, right=True)
        return torch.full_like(scores, -torch.inf).scatter_(1, chosen, 0.0)


class _StopText(StoppingCriteria):
    """Ends a row once a stop string stands in what it has generated."""

    def __init__(self, tokenizer: Any, stop: Sequence[str], width: int) -> None:
        self.tokenizer = tokenizer
        self.stop = tuple(stop)
        self.width = width
        # A token holds at least one byte, so a string that the newest token completes lies within so many tokens.
        self.window = max(len(text.encode()) for text in stop) + 1

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **_: Any) -> torch.Tensor:
        tails = input_ids[:, max(self.width, input_ids.shape[1] - self.window) :].tolist()
        texts = self.tokenizer.batch_decode(tails, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        ended = [any(stop in text for stop in self.stop) for text in texts]
        return torch.tensor(ended, dtype=torch.bool, device=input_ids.device)


def _processors(sampling: Sampling, streams: Sequence[random.Random]) -> LogitsProcessorList:
    found: list[LogitsProcessor] = []
    if sampling.repetition_penalty != 1:
        found.append(RepetitionPenaltyLogitsProcessor(float(sampling.repetition_penalty)))
    if sampling.temperature:
        found.append(TemperatureLogitsWarper(float(sampling.temperature)))
        if sampling.top_p < 1:
            found.append(TopPLogitsWarper(sampling.top_p))
        found.append(_Draw(streams))
    return LogitsProcessorList(found)


@contextmanager
def _ready(model: Any) -> Iterator[None]:
    """Evaluation mode, and no generation_config of the model's own: upstream fills unset keys from it, and warns."""
    holders = [model, model.get_base_model()] if hasattr(model, "get_base_model") else [model]
    configs = [holder.generation_config for holder in holders]
    training = [module for module in model.modules() if module.training]
    model.eval()
    for holder in holders:
        holder.generation_config = GenerationConfig()
    try:
        yield
    finally:
        for holder, config in zip(holders, configs, strict=True):
            holder.generation_config = config
        for module in training:
            module.training = True


def load_generator(spec: ModelSpec, batch_size: int = 16) -> Generator:
    """Load a recipe's model to answer with; it stops where its run, its files and its tokenizer say so."""
    loaded = load_model(spec)
    own = read_json(Path(locate(spec).tokenizer) / "generation_config.json")
    ids = loaded.model.generation_config.eos_token_id if own is None else own.get("eos_token_id")
    stop_ids = [*(ids if isinstance(ids, list) else [ids]), loaded.tokenizer.eos_token_id]
    known = dict.fromkeys(token for token in stop_ids if token is not None)
    return Generator(loaded.model, loaded.tokenizer, tuple(known), batch_size)


class LocalCompleter:
    """A loaded model as a completer: texts are continued, messages go through the tokenizer's chat template."""

    def __init__(self, generator: Generator, name: str, chats: bool, thinking: str | None = None) -> None:
        self.generator = generator
        self.name = name
        self.chats = chats
        self.thinking = thinking
        """Where the template thinks: `keep` lets the model reason, anything else opens an answer without it."""

    def complete(self, requests: Sequence[Request]) -> list[Response]:
        """One response per request, in order; a prompt that fills the model's length fails with `prompt_too_long`."""
        found = []
        for _, alike in groupby(requests, key=lambda request: (request.sampling, request.stop)):
            found += self._complete(list(alike))
        return found

    def _complete(self, requests: list[Request]) -> list[Response]:
        sampling, stop = requests[0].sampling, requests[0].stop
        prompts = [self._ids(request) for request in requests]
        made = self.generator.answer(prompts, sampling, [request.seed for request in requests], stop)
        return [
            Response(request.key, done.text, done.stopped, "" if self.generator.room(prompt, sampling) else TOO_LONG)
            for request, prompt, done in zip(requests, prompts, made, strict=True)
        ]

    def _ids(self, request: Request) -> list[int]:
        tokenizer = self.generator.tokenizer
        if isinstance(request.prompt, str):
            # Control strings within the text are examples' content: only a template places control tokens.
            return list(tokenizer(request.prompt, split_special_tokens=True)["input_ids"])
        return prompt_ids(tokenizer, request.prompt, self.thinking)


def load_completer(spec: ModelSpec, batch_size: int = 16, style: str | None = None) -> LocalCompleter:
    """A recipe's model as a completer; `style` is `chat`, `continue`, or what the tokenizer's template allows.

    Raises ModelError where chat turns are asked of a tokenizer without a chat template.
    """
    generator = load_generator(spec, batch_size)
    template = generator.tokenizer.chat_template
    if style == "chat" and not template:
        raise ModelError(
            "The tokenizer of {model} has no chat template, so it cannot answer chat turns. Name a run that was tuned "
            "with a template, or a chat model.",
            model=spec.run or spec.name_or_path,
        )
    place = locate(spec)
    thinking = thinking_of(place.adapter or place.base, generator.tokenizer)
    name = f"{spec.run or spec.name_or_path}@{hash_text(f'{_identity(spec)}{template}{thinking}')[:12]}"
    return LocalCompleter(generator, name, bool(template) if style is None else style == "chat", thinking)


def _identity(spec: ModelSpec) -> str:
    """What tells one model from another: the recipe's words for it, and the content of weights that lie here."""
    place = locate(spec)
    folder = place.adapter or Path(place.base)
    weights = sorted(folder.glob("*.safetensors")) if folder.is_dir() else []
    return "\n".join([spec.model_dump_json(), *map(hash_file, weights)])
