"""Rows with a better and a worse answer: chosen and rejected, two answers and a better id, or ranked completions."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, takewhile
from typing import Any, ClassVar, Literal, Self

from seodang.data import turns
from seodang.data.formats.delimited import layout_of, layouts, split
from seodang.data.formats.row_format import RowFormat, column_names, first_of, numbered
from seodang.data.turns import Row
from seodang.records import Conversation, Message, Preference, Record

_PROMPTS = ("prompt", "question", "query", "질문", "프롬프트")


class Pair(RowFormat):
    """A prompt with a chosen and a rejected answer: texts, turns, lists of turns, or whole transcripts."""

    makes: ClassVar[str] = "preference"

    kind: Literal["pair"] = "pair"
    prompt: str = ""
    """The column of the prompt; by default the row's own: conversations, context, instruction, prompt, question."""
    chosen: str = "chosen"
    """The column of the better answer."""
    rejected: str = "rejected"
    """The column of the worse answer."""

    def parse(self, row: Row, source: str) -> Record:
        """A Preference. Where both answers are whole conversations, the turns that they share are the prompt."""
        prompt = self._prompt(row, source)
        chosen, rejected = _transcripts(row, self.chosen, self.rejected, source) if not prompt else ((), ())
        chosen = chosen or turns.answer_of(row, self.chosen, source)
        rejected = rejected or turns.answer_of(row, self.rejected, source)
        shared = _shared(chosen, rejected)
        if shared and prompt != shared:
            prompt = shared if shared[-len(prompt) :] == prompt else prompt + shared
        if not prompt:
            raise turns.row_error(source, "the row has no `{column}`", column=self.prompt or "prompt")
        system = first_of(column_names().system, row) or "system"
        prompt = turns.with_system(prompt, row, system)
        return Preference(prompt, chosen[len(shared) :], rejected[len(shared) :], source)

    def _prompt(self, row: Row, source: str) -> tuple[Message, ...]:
        if self.prompt:
            return turns.side_of(row, self.prompt, source, "user")
        if "conversations" in row:
            return turns.turns_of(row, "conversations", source)
        context = turns.listed(row.get("context"))
        before = turns.turns_of(row, "context", source) if context else ()
        name = next((name for name in ("instruction", *_PROMPTS) if row.get(name) is not None), None)
        asked = turns.side_of(row, name, source, "user") if name else ()
        given = row.get("input", row.get("context") if context is None else None)
        if isinstance(given, str) and len(asked) == 1 and asked[0].role == "user" and asked[0].input_at is None:
            asked = (turns.question(asked[0].content, given),)
        return before + asked

    @classmethod
    def fits(cls, row: Row) -> Self | None:
        """This format, where the row has both answers."""
        return cls() if "chosen" in row and "rejected" in row else None

    @property
    def columns(self) -> frozenset[str]:
        """The columns that are read."""
        sides = {self.chosen, self.rejected, *column_names().system}
        if self.prompt:
            return frozenset(sides | {self.prompt})
        return frozenset(sides | {"conversations", "context", "instruction", "input", *_PROMPTS})


def _transcripts(row: Row, chosen: str, rejected: str, source: str) -> tuple[tuple[Message, ...], tuple[Message, ...]]:
    """Both sides as turns where both are texts with markers (Anthropic's hh-rlhf); nothing where they are not."""
    texts = [text for name in (chosen, rejected) if isinstance(text := row.get(name), str)]
    name = layout_of(texts) if len(texts) == 2 else None
    if name is None:
        return (), ()
    layout = layouts()[name]
    left, right = (split(text, layout.markers, layout.at, source) for text in texts)
    return turns.answered(left, chosen, source), turns.answered(right, rejected, source)


def _shared(chosen: tuple[Message, ...], rejected: tuple[Message, ...]) -> tuple[Message, ...]:
    """The turns with which both sides begin, short of their last answers."""
    both = zip(chosen[:-1], rejected[:-1], strict=False)
    return tuple(left for left, _ in takewhile(lambda pair: pair[0] == pair[1], both))


class Chosen(Pair):
    """The better side of a preference pair, as a conversation: SFT on `chosen`. Never found by `auto`."""

    makes: ClassVar[str] = "messages"

    kind: Literal["chosen"] = "chosen"  # type: ignore[assignment]

    def parse(self, row: Row, source: str) -> Record:
        """A Conversation of the prompt and the chosen answer."""
        pair = super().parse(row, source)
        assert isinstance(pair, Preference)
        return Conversation((*pair.prompt, *pair.chosen), source)


class BetterId(RowFormat):
    """Two answers and the number of the better one (PKU-SafeRLHF and its translations)."""

    makes: ClassVar[str] = "preference"

    kind: Literal["better_id"] = "better_id"
    prompt: str = "prompt"
    """The column of the prompt."""
    responses: tuple[str, str] = ("response_0", "response_1")
    """The columns of the answers 0 and 1."""
    better: str = "better_response_id"
    """The column of the better answer's number; `safer_response_id` prefers what harms less."""

    def parse(self, row: Row, source: str) -> Record:
        """A Preference."""
        prompt = turns.side_of(row, self.prompt, source, "user")
        number = row.get(self.better)
        if number not in (0, 1, "0", "1") or isinstance(number, bool):
            told = "`{column}` must be 0 or 1, got {got!r}"
            raise turns.row_error(source, told, column=self.better, got=number)
        better = int(number)
        chosen, rejected = (turns.answer_of(row, self.responses[at], source) for at in (better, 1 - better))
        return Preference(prompt, chosen, rejected, source)

    @classmethod
    def fits(cls, row: Row) -> Self | None:
        """This format with the row's own column names; a translation before its original."""
        known = column_names()
        prompt = first_of(known.prompt, row)
        pairs = ((name.format(n=0), name.format(n=1)) for name in known.response)
        both = next((pair for pair in pairs if pair[0] in row and pair[1] in row), None)
        if prompt is None or both is None or "better_response_id" not in row:
            return None
        return cls(prompt=prompt, responses=both)

    @property
    def columns(self) -> frozenset[str]:
        """The columns that are read."""
        return frozenset({self.prompt, *self.responses, self.better})


class Ranked(RowFormat):
    """A prompt with numbered completions and their ranks, 0 being the best (KoChatGPT's reward data)."""

    makes: ClassVar[str] = "preference"

    kind: Literal["ranked"] = "ranked"
    pairs: Literal["best_worst", "all"] = "best_worst"
    """One pair of a row, its best and its worst completion; or one of every two completions."""

    def expand(self, row: Row, source: str) -> Iterator[tuple[Row, str]]:
        """With `pairs: all` a row of two completions for every two of the row."""
        found, ranks = _ranked(row)
        if self.pairs == "best_worst" or len(found) != len(ranks):
            yield row, source
            return
        twos = list(combinations(range(len(found)), 2))
        for (left, right), place in numbered(twos, source):
            two = {"completion_0": found[left], "completion_1": found[right], "ranking": [ranks[left], ranks[right]]}
            yield {"prompt": row.get("prompt")} | two, place

    def parse(self, row: Row, source: str) -> Record:
        """A Preference of the best and the worst completion."""
        prompt = turns.side_of(row, "prompt", source, "user")
        found, ranks = _ranked(row)
        if len(found) < 2 or len(found) != len(ranks) or not all(type(rank) is int for rank in ranks):
            told = "`ranking` must hold a rank for each of the {count} completions, got {got}"
            raise turns.row_error(source, told, count=len(found), got=row.get("ranking"))
        best, worst = min(ranks), max(ranks)
        if best == worst:
            raise turns.row_error(source, "`ranking` ranks all completions alike")
        names = (f"completion_{ranks.index(best)}", f"completion_{ranks.index(worst)}")
        chosen, rejected = (turns.answer_of(row, name, source) for name in names)
        return Preference(prompt, chosen, rejected, source)

    @classmethod
    def fits(cls, row: Row) -> Self | None:
        """This format, where the row has a prompt, completions and a list of ranks."""
        has_all = "prompt" in row and "completion_0" in row and turns.listed(row.get("ranking")) is not None
        return cls() if has_all else None

    @property
    def columns(self) -> frozenset[str]:
        """The columns that are read."""
        return frozenset({"prompt", "ranking", *(f"completion_{number}" for number in range(16))})


def _ranked(row: Row) -> tuple[list[Any], list[Any]]:
    """The completions in the order of their numbers, and their ranks."""
    names = takewhile(lambda name: name in row, (f"completion_{number}" for number in range(16)))
    return [row[name] for name in names], turns.listed(row.get("ranking")) or []
