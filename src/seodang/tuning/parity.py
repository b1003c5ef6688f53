"""The parity proof: what is trained equals, id by id, what a server makes of the same conversations.

    prove(recipe, rows)                  before anything is loaded: the rows against upstream's own render
    prove_saved(recipe, rows, folder)    after saving: the folder, read by a fresh process and by AutoTokenizer

Asked are some of the run's own training rows and a few probes. An answer is compared twice: the prompt that
`apply_chat_template(add_generation_prompt=True, sanitize_control_tokens=True)` gives is what stands before it in the
row, and the render with the answer goes on with the trained ids up to the stop. The fresh process loads the tokenizer
by its own class; AutoTokenizer, which would import torch there, reads the folder in the trainer's process.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from subprocess import SubprocessError
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from seodang.encoding import IGNORED
from seodang.errors import TemplateError
from seodang.language import Phrase
from seodang.model_template import ModelRenderer
from seodang.records import Conversation, Message, Preference
from seodang.served import GENERATION, JINJA, Asked, Read, Served, read_anew, serve

if TYPE_CHECKING:
    from seodang.data.dataset import TrainingRows
    from seodang.encoding import Chat, Encoded
    from seodang.recipe import Finetuning

TAG = "<think>"
ROWS, TURNS = 32, 4
"""At most so many training rows are asked, and of each so many answers."""
NFD = unicodedata.normalize("NFD", "한글을 풀어 쓰면 이렇게 됩니다.")
PROBES = (
    (("user", "안녕하세요?"), ("assistant", "네, 안녕하세요. 무엇을 도와드릴까요?")),
    (("user", NFD), ("assistant", NFD)),
    (("user", "하나"), ("assistant", "둘"), ("user", "셋 🙂 👨‍👩‍👧 ㅋㅋ"), ("assistant", "넷\n\n다섯")),
    (("system", "짧게 답하세요."), ("user", " 앞뒤에 빈칸 "), ("assistant", "네.")),
    (("user", "{{ x }} {% y %} 는 무엇인가요?"), ("assistant", "Jinja의 `{{ x }}`입니다.")),
    (("user", "{control} 뜻이 뭐예요?"), ("assistant", "`{stop}` 말씀이군요.")),
)
"""Conversations that every template is asked; `{control}` stands for its control tokens, typed by a user."""


Verdict: TypeAlias = Literal["equal", "equal_as_text", "by_marks"]


@dataclass(frozen=True, slots=True)
class Case:
    """One trained answer: the turns up to and with it, how many of them are the prompt, and the ids of both."""

    source: str
    turns: list[dict[str, Any]]
    asked: int
    given: list[int]
    written: list[int]
    exact_prompt: bool = True
    """Whether all before the answer was encoded as one text."""
    borders_cut: bool = False
    """Whether whole-text encoding would have merged tokens at a border of the row (`Encoded.border_cuts`)."""


def cases(rows: TrainingRows) -> list[Case]:
    """Cases of training rows, evenly spread and those with typed control strings first, then of the probes."""
    typed = [i for i, row in enumerate(rows.train) if getattr(row, "control_strings", 0)][: ROWS // 4]
    spread = [i * len(rows.train) // ROWS for i in range(ROWS)] if len(rows.train) > ROWS else range(len(rows.train))
    found = [case for i in dict.fromkeys([*typed, *spread]) for case in _row_cases(rows, i)]
    return found + [case for probe in _probes(rows.chat) for case in _probe_cases(rows.chat, probe)]


def _row_cases(rows: TrainingRows, index: int) -> list[Case]:
    row, record = rows.train[index], rows.records[index]
    if isinstance(record, Preference):
        return list(_pair_cases(rows.chat, row, record))
    assert isinstance(record, Conversation)
    return list(_answers(rows.chat, row, record))[-TURNS:]


def _turns_of(chat: Chat, row: Encoded, record: Conversation) -> list[int]:
    """The indices of the messages that are trained in this row of the conversation."""
    trained = [i for i, m in enumerate(record.messages) if m.role == "assistant" and m.trained is not False]
    examples = chat.examples(record)
    if len(examples) == 1:
        return trained
    return [turn for turn, one in zip(trained, examples, strict=True) if one.input_ids == row.input_ids][:1]


def _answers(chat: Chat, row: Encoded, record: Conversation) -> Iterator[Case]:
    spans, trained = _spans(row), _turns_of(chat, row, record)
    if len(spans) != len(trained):
        return  # two answers that nothing separates are one span
    for number, ((start, end), turn) in enumerate(zip(spans, trained, strict=True)):
        turns = _as_sent(chat, record.messages[: turn + 1])
        ids = row.input_ids[:start], row.input_ids[start:end]
        yield Case(record.source, turns, turn, *ids, exact_prompt=number == 0, borders_cut=row.border_cuts > 0)


def _spans(row: Encoded) -> list[tuple[int, int]]:
    """Where the trained stretches of a row begin and end."""
    spans, at = [], 0
    for is_trained, labels in groupby(label != IGNORED for label in row.labels):
        size = sum(1 for _ in labels)
        spans += [(at, at + size)] if is_trained else []
        at += size
    return spans


def _pair_cases(chat: Chat, row: Any, record: Preference) -> Iterator[Case]:
    for answer, ids in ((record.chosen, row.chosen), (record.rejected, row.rejected)):
        turns = _as_sent(chat, record.prompt + answer)
        yield Case(record.source, turns, len(record.prompt), row.prompt, ids, borders_cut=row.border_cuts > 0)


def _as_sent(chat: Chat, messages: Sequence[Message]) -> list[dict[str, Any]]:
    """The messages as a client sends them: without our mask, reasoning as the model's own template takes it."""
    if isinstance(chat.renderer, ModelRenderer):
        return chat.renderer.rows(messages)
    return [replace(message, trained=None).to_row() for message in messages]


def _probes(chat: Chat) -> Iterator[Conversation]:
    stops, tokens = chat.renderer.stops, chat.tokenizer._get_control_tokens(chat.jinja)
    typed = {"{stop}": stops[-1], "{control}": " ".join(dict.fromkeys([*stops, *tokens[:8]]))}
    for number, turns in enumerate(PROBES, start=1):
        messages = tuple(Message(role, _filled(content, typed)) for role, content in turns)
        yield Conversation(messages, f"probe {number}")


def _filled(text: str, typed: dict[str, str]) -> str:
    for name, tokens in typed.items():
        text = text.replace(name, tokens)
    return text


def _probe_cases(chat: Chat, probe: Conversation) -> Iterator[Case]:
    try:
        examples = chat.examples(probe)
    except TemplateError:
        return  # no such turn in this template: no row of the run has one either
    for row in examples:
        yield from _answers(chat, row, probe)


def prove(recipe: Finetuning, rows: TrainingRows) -> None:
    """Raise TemplateError where upstream's own render of the template gives other ids than the rows have."""
    found = cases(rows)
    asked = [(case.turns, case.asked) for case in found]
    served = serve(rows.chat.tokenizer, asked, recipe.thinking, chat_template=rows.chat.jinja)
    _judge(rows.chat, found, served, "transformers", _NOTHING_TRAINED)


def prove_saved(recipe: Finetuning, rows: TrainingRows, folder: Path) -> dict[str, int]:
    """Read a saved folder anew and compare; returns the report's `parity`.

    `compared` answers, `equal` in every id; `equal_as_text` where a border that is cut, or a reasoning tag that the
    model writes as a token, makes other ids of one text; `by_marks` where the template's own marks say what is trained
    and no prompt is how the row begins.
    Raises TemplateError that shows both where they differ, also for the template and the stop ids.
    """
    from transformers import AutoTokenizer

    found = cases(rows)
    asked = [(case.turns, case.asked) for case in found]
    kept = Phrase(_KEPT, folder=folder)
    fresh = _ask_fresh(folder, asked, recipe.thinking, kept)
    counts = _judge(rows.chat, found, fresh.served, Phrase("a fresh process"), kept)
    auto = AutoTokenizer.from_pretrained(folder, trust_remote_code=recipe.model.trust_remote_code)
    _judge(rows.chat, found, serve(auto, asked, recipe.thinking), "AutoTokenizer", kept)
    _require_same(fresh.template.splitlines(), rows.chat.jinja.splitlines(), folder / JINJA, kept)
    _require_same(fresh.stops, list(rows.chat.stop_ids), folder / GENERATION, kept)
    return counts


_NOTHING_TRAINED = Phrase(
    "Nothing was trained. Look at the row with `seodang preview`, and try another template (`template: NAME`, with "
    "`template_override: true` where the model has one of its own)."
)
_KEPT = (
    "Nothing is lost: what was trained stays in {folder}; but the run is not finished, and no server may use it before "
    "both agree. `--resume` saves and compares again."
)


def _judge(chat: Chat, found: list[Case], served: list[Served], reader: str, outcome: Phrase) -> dict[str, int]:
    counts = {"compared": len(found), "equal": 0, "equal_as_text": 0, "by_marks": 0}
    for case, one in zip(found, served, strict=True):
        verdict = _compare(chat, case, one)
        if isinstance(verdict, Difference):
            raise _differs(chat, case, verdict, reader, outcome)
        counts[verdict] += 1
    return {name: count for name, count in counts.items() if count or name in ("compared", "equal")}


@dataclass(frozen=True, slots=True)
class Difference:
    """Where a reader gives other ids than were trained."""

    part: Phrase
    trained: list[int]
    served: list[int]
    refused: str = ""


def _compare(chat: Chat, case: Case, served: Served) -> Difference | Verdict:
    if served.refused:
        return Difference(Phrase("the conversation"), case.given + case.written, [], served.refused)
    by_marks = isinstance(chat.renderer, ModelRenderer) and chat.renderer.is_marked
    same_prompt = by_marks or case.given == served.prompt
    if not same_prompt and (case.exact_prompt or _shape(chat, case.given) != _shape(chat, served.prompt)):
        return Difference(Phrase("the prompt"), case.given, served.prompt)
    trained = (case.given if by_marks else served.prompt) + case.written
    ends = trained[:-1] if trained[-1] in chat.stop_ids else trained
    rest = served.whole[len(ends) :]
    exact = served.whole[: len(ends)] == ends and (rest[:1] == trained[len(ends) :] or not _text(chat, rest).strip())
    if not exact and not _reads_alike(chat, case, served.whole, (trained, ends)):
        return Difference(Phrase("the conversation" if by_marks else "the answer"), trained, served.whole)
    return "by_marks" if by_marks else "equal" if exact and same_prompt else "equal_as_text"


def _reads_alike(chat: Chat, case: Case, whole: list[int], trained: tuple[list[int], list[int]]) -> bool:
    """Whether other ids say the same where they may: at a border that is cut, and in the tags of an answer's reasoning,
    which are tokens where the model writes them and text where a client sends them. `trained` is with and without stop.
    """
    content = case.turns[-1]["content"]
    reasons = (content if isinstance(content, str) else content[0]["text"]).lstrip().startswith(TAG)
    if not reasons and not case.borders_cut:
        return False
    told = _text if reasons else _shape
    found, with_stop, ends = (told(chat, ids) for ids in (whole, *trained))
    return found.startswith(with_stop) or (found.startswith(ends) and not found[len(ends) :].strip())


def _shape(chat: Chat, ids: Sequence[int]) -> str:
    """The text of ids with every control token as its number: a typed `<|im_end|>` is another shape than the token."""
    control = set(chat.tokenizer.added_tokens_encoder.values())
    parts = []
    for is_control, group in groupby(ids, key=control.__contains__):
        run = list(group)
        parts.append(f"\0{run}\0" if is_control else _text(chat, run))
    return "".join(parts)


def _text(chat: Chat, ids: list[int]) -> str:
    return str(chat.tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False))


def _differs(chat: Chat, case: Case, found: Difference, reader: str, outcome: Phrase) -> TemplateError:
    at = _parting(found.trained, found.served)
    trained, served = [ids[max(0, at - 4) : at + 8] for ids in (found.trained, found.served)]
    return TemplateError(
        "What is trained is not what a server sends. {source}: {reader} makes other ids of {part}, from token {at} on:"
        "\n  trained: {trained} {text!r}\n  served:  {served} {other!r}\n{outcome}",
        source=case.source,
        reader=reader,
        part=found.part,
        at=at,
        trained=trained,
        text=_text(chat, trained),
        served=served,
        other=found.refused or _text(chat, served),
        outcome=outcome,
    )


def _parting(one: Sequence[Any], other: Sequence[Any]) -> int:
    """The first place at which two lists differ; the length of the shorter where it is the other's beginning."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(one), len(other)))


def _require_same(saved: list[Any], trained: list[Any], file: Path, outcome: Phrase) -> None:
    if saved == trained:
        return
    at = _parting(saved, trained)
    raise TemplateError(
        "What was saved is not what was trained. {file} differs from it:\n  trained: {trained!r}\n"
        "  saved:   {saved!r}\n{outcome}",
        file=file,
        trained=trained[at : at + 3],
        saved=saved[at : at + 3],
        outcome=outcome,
    )


def _ask_fresh(folder: Path, asked: Sequence[Asked], thinking: str | None, kept: Phrase) -> Read:
    try:
        return read_anew(folder, asked, thinking)
    except (OSError, SubprocessError, ValueError) as error:
        told = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
        raise TemplateError(
            "A fresh process could not read what was saved: {why}. {outcome}",
            why=told[-1] if told else type(error).__name__,
            outcome=kept,
        ) from error
