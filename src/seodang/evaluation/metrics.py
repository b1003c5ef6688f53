"""What a program can tell of an answer, and how sure a mean over answers is. Shared by evaluate, pairs and rewards.

A metric is a function from `Answer` to a number between 0 and 1, or None where it does not apply to that answer.
To add one: the function, and its name in `METRICS`.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from seodang.korean.register import is_polite
from seodang.korean.script import hangul_share, prose

Z95 = 1.959963984540054
"""The 97.5 % quantile of the normal distribution."""

LOOP_GRAM = 8
LOOP_WINDOW = 200
LOOP_SHARE = 0.5
LOOP_SHORTEST = 3 * LOOP_GRAM
"""In 9,361 real Korean answers these find 3, all of them loops; the next one, a timetable, has a share of 0.43."""

KOREAN_PROMPT = 0.3
"""Share of Hangul from which a prompt counts as Korean: instructions often carry an input in another language."""

_SPACE = re.compile(r"(?<=\d)\s+(?=\d)|(\s+)")
_QUOTES = dict.fromkeys(map(ord, "'\"‘’“”"))
_FINAL = " .,!?;:~…。！？、，"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model said: `stopped` is false where the token limit cut it; `accept` holds the right forms, if known."""

    text: str
    stopped: bool
    prompt: str = ""
    accept: tuple[str, ...] = ()
    token_logps: tuple[float, ...] = ()
    """The log-probability (natural) that the model gives each trained token of the right answer, in order."""


Metric: TypeAlias = Callable[[Answer], float | None]


def comparable(text: str) -> str:
    """The text as exact match sees it: NFC, no quotes, no white space except between digits, no final punctuation.

    Digits, signs and decimal points stay: `-3.5` is not `3.5`, `1 12` is not `11 2`.
    """
    plain = unicodedata.normalize("NFC", text).translate(_QUOTES).strip()
    bare = _SPACE.sub(lambda found: "" if found[1] else " ", plain)
    return bare.rstrip(_FINAL) or bare


def exact_match(answer: Answer) -> float | None:
    """1 where the answer is one of the accepted forms; None where none is known."""
    if not answer.accept:
        return None
    return float(comparable(answer.text) in {comparable(form) for form in answer.accept})


def stop(answer: Answer) -> float:
    """1 where the model ended the answer itself."""
    return float(answer.stopped)


def polite(answer: Answer) -> float | None:
    """1 where the answer ends in 존댓말, 0 in 반말; None where it has no sentence ending."""
    found = is_polite(answer.text)
    return None if found is None else float(found)


def language(answer: Answer) -> float | None:
    """Share of the answer's letters that are Hangul, where the prompt is Korean.

    Code, formulas and addresses don't count. None where the prompt is not Korean, where the answer has no letters
    ("42"), and where no accepted form has Hangul: a translation into English is not a leak.
    """
    if (_hangul(answer.prompt) or 0.0) < KOREAN_PROMPT:
        return None
    shares = [share for share in map(_hangul, answer.accept) if share is not None]
    if shares and not any(shares):
        return None
    return _hangul(answer.text)


def _hangul(text: str) -> float | None:
    return hangul_share(prose(unicodedata.normalize("NFC", text)))


def repeated_share(text: str, n: int = LOOP_GRAM) -> float:
    """Share of character n-grams that stood in the text before; white space does not count."""
    bare = "".join(text.split())
    grams = [bare[at : at + n] for at in range(len(bare) - n + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def repetition(answer: Answer) -> float:
    """1 where the answer loops: half of its 8-grams of characters stood in it before, in all of it or in its last 200.

    The last characters are looked at alone because a loop at the end of a long answer is a loop all the same.
    Answers below 24 characters cannot loop.
    """
    bare = "".join(answer.text.split())
    if len(bare) < LOOP_SHORTEST:
        return 0.0
    return float(max(repeated_share(bare), repeated_share(bare[-LOOP_WINDOW:])) >= LOOP_SHARE)


METRICS: dict[str, Metric] = {
    "exact_match": exact_match,
    "stop": stop,
    "polite": polite,
    "language": language,
    "repetition": repetition,
}
"""Metric name → function. Recipes name them; `repetition` is the one where less is better."""


def wilson(successes: float, n: int) -> tuple[float, float]:
    """The 95 % interval of a share of yes among `n` yes/no outcomes (Wilson 1927, J. Am. Stat. Assoc. 22, p. 209).

    Raises ValueError unless 0 <= successes <= n and n > 0.
    """
    if n <= 0 or not 0 <= successes <= n:
        raise ValueError(f"wilson needs 0 <= successes <= n and n > 0, got {successes} of {n}")
    share, square = successes / n, Z95 * Z95
    middle = (share + square / (2 * n)) / (1 + square / n)
    half = Z95 / (1 + square / n) * math.sqrt(share * (1 - share) / n + square / (4 * n * n))
    # at the ends rounding leaves 1e-17 where the formula gives exactly 0 or 1
    return (0.0 if successes == 0 else middle - half), (1.0 if successes == n else middle + half)


def ratio_interval(sums: Sequence[float], counts: Sequence[float]) -> tuple[float, float]:
    """The 95 % normal interval of Σ sums / Σ counts over independent rows, such as loss per token.

    The variance is the ratio estimator's (Cochran 1977, Sampling Techniques, eq. 6.13); one row has no
    spread, and gives an interval without width. Raises ValueError where nothing was counted.
    """
    total, n = sum(counts), len(counts)
    if not total:
        raise ValueError("ratio_interval needs at least one counted item")
    ratio = sum(sums) / total
    spread = sum((s - ratio * c) ** 2 for s, c in zip(sums, counts, strict=True))
    half = Z95 * math.sqrt(spread * n / (n - 1)) / total if n > 1 else 0.0
    return ratio - half, ratio + half


def summarise_values(values: Sequence[float]) -> dict[str, Any]:
    """{"mean", "low", "high", "n"} of values between 0 and 1: Wilson's interval for yes/no, else the normal one."""
    n = len(values)
    if not n:
        return {"mean": None, "low": None, "high": None, "n": 0}
    if all(value in (0.0, 1.0) for value in values):
        low, high = wilson(sum(values), n)
    else:
        low, high = ratio_interval(values, [1.0] * n)
    return {"mean": sum(values) / n, "low": max(0.0, low), "high": min(1.0, high), "n": n}


def summarise(
    answers: Sequence[Answer], metrics: Iterable[str] = tuple(METRICS), tasks: Sequence[str] = ()
) -> dict[str, Any]:
    """Metric name → {"mean", "low", "high", "n"}, n being the answers it applies to.

    With `tasks`, one name per answer, `"tasks"` holds the same per task; answers without a task are left out there.
    """
    names = tuple(metrics)
    found: dict[str, Any] = {name: _summary(name, answers) for name in names}
    kinds = sorted({task for task in tasks if task})
    if kinds:
        groups = {kind: [a for a, task in zip(answers, tasks, strict=True) if task == kind] for kind in kinds}
        found["tasks"] = {kind: _table(names, group) for kind, group in groups.items()}
    return found


def _table(names: Iterable[str], answers: Sequence[Answer]) -> Mapping[str, Any]:
    return {name: _summary(name, answers) for name in names}


def _summary(name: str, answers: Sequence[Answer]) -> dict[str, Any]:
    values = [METRICS[name](answer) for answer in answers]
    return summarise_values([value for value in values if value is not None])
