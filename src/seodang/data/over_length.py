"""Rows longer than the recipe allows: what of them is kept, without ever cutting an answer.

A conversation is a head (the system turn, and whatever stands before the first question) and exchanges: a question and
everything up to the next one. Two ways to make it fit, both of which give turns that a template renders whole, so that
no control token and no stop is cut:

    shortened   the oldest exchanges go, then the beginning of the question that is left; the head stays
    parted      neighbouring exchanges form parts that fit, each after the head, each ending in an answer
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise

from seodang.records import Message, instruct

Turns = tuple[Message, ...]
Fits = Callable[[Turns], bool]

WORD_WITHIN = 32
"""A text is cut at the next white space, if there is some within so many characters."""
_SPACE = re.compile(r"\s+")
_JOINERS = "\u200d"
_NEVER_FIRST = ("\u1160", "\u11ff")
"""Vowels and final consonants of conjoining jamo: a syllable written in parts is not cut between them."""


def exchanges(messages: Sequence[Message]) -> tuple[Turns, list[Turns]]:
    """The head of a conversation and its exchanges; joined they are the conversation."""
    starts: list[int] = []
    answered = True
    for index, message in enumerate(messages):
        if message.role == "user" and answered:
            starts.append(index)
            answered = False
        answered = answered or message.role == "assistant"
    if len(starts) > 1 and not answered:
        starts.pop()  # a question at the end that nobody answers stays with the answer before it
    borders = [*starts, len(messages)]
    return tuple(messages[: borders[0]]), [tuple(messages[start:end]) for start, end in pairwise(borders)]


def shortened(messages: Sequence[Message], fits: Fits) -> Turns | None:
    """The turns without their oldest exchanges, and without the beginning of the question that is left.

    None where not even the last answer fits after a word of its question, or no turn that is left is trained.
    """
    head, rest = exchanges(messages)

    def without(oldest: int) -> Turns:
        return head + tuple(message for turns in rest[oldest:] for message in turns)

    fewest = bisect_left(range(len(rest)), True, key=lambda oldest: fits(without(oldest)))
    if fewest < len(rest):
        return without(fewest) if trains(without(fewest)) else None
    return _shorter_question(head, rest[-1], fits) if rest and trains(rest[-1]) else None


def _shorter_question(head: Turns, exchange: Turns, fits: Fits) -> Turns | None:
    """The longest end of the question with which everything fits."""
    question, answers = exchange[0], exchange[1:]
    lengths = range(1, len(question.input or question.content))

    def too_long(keep: int) -> bool:
        shorter = _end_of(question, keep)
        return shorter is not None and not fits((*head, shorter, *answers))

    shorter = _end_of(question, bisect_left(lengths, True, key=too_long))
    return (*head, shorter, *answers) if shorter else None


def _end_of(question: Message, keep: int) -> Message | None:
    """The question with at most the last `keep` characters; of an instruction with an input, those of the input."""
    if question.input:
        end = cut(question.input, keep)
        shorter = instruct(question.instruction, end)
        return replace(question, content=shorter.content, input_at=shorter.input_at) if end else None
    end = cut(question.content, keep)
    return replace(question, content=end) if end else None


def cut(text: str, keep: int) -> str:
    """At most the last `keep` characters, from the beginning of a word, or at least of a character as it is seen."""
    start = max(0, len(text) - keep)
    if start and not text[start - 1].isspace():
        space = _SPACE.search(text, start, start + WORD_WITHIN)
        start = space.end() if space else start
    while start < len(text) and start and _continues(text, start):
        start += 1
    return text[start:].lstrip() if start else text


def _continues(text: str, at: int) -> bool:
    """Whether the character at `at` belongs to the one before it."""
    char = text[at]
    is_mark = unicodedata.category(char).startswith("M") or "\U0001f3fb" <= char <= "\U0001f3ff"
    is_jamo = _NEVER_FIRST[0] <= char <= _NEVER_FIRST[1]
    return is_mark or is_jamo or char in _JOINERS or text[at - 1] in _JOINERS


def parted(messages: Sequence[Message], fits: Fits) -> tuple[list[Turns], list[Turns]]:
    """(parts that fit, parts that do not): each the head and neighbouring exchanges, as many as fit together.

    A part in which no turn is trained is neither: there is nothing to learn from it alone.
    """
    head, rest = exchanges(messages)
    good: list[Turns] = []
    lost: list[Turns] = []
    current = good  # where the exchange before this one went: after one that is lost a new part begins
    for exchange in rest:
        if good and current is good and fits(good[-1] + exchange):
            good[-1] += exchange
        else:
            current = good if fits(head + exchange) else lost
            current.append(head + exchange)
    return [turns for turns in good if trains(turns)], [turns for turns in lost if trains(turns)]


def trains(messages: Sequence[Message]) -> bool:
    """Whether any of these turns is trained."""
    return any(message.role == "assistant" and message.trained is not False for message in messages)
