"""The error tree. Every error is one clear paragraph: what is wrong, where, and what to do.

    SeodangError            a user's mistake or a broken input; the command line prints it and exits with 2
    ├── RecipeError         a recipe or an override is not valid; carries every mistake at once
    ├── DataError           a file or a row is not what the stage reads; names file:row
    ├── TemplateError       a chat template, or a tokenizer that cannot carry it
    ├── ModelError          a model, an adapter or a parent run that cannot be loaded
    ├── RunError            a run folder that is in use, finished, changed or cannot be resumed
    └── CheckFailed         the audit found a broken threshold; exits with 1

To add one: derive it here with the standard-library error it stands for, draw it above, and test its text.
The text is a format string and its values stay apart (`DataError("{where}: no answer", where=...)`), so that
braces in a user's data are never read as a format and the paragraph can be said in another language (language.py).
A value that is itself a piece of English is a `Phrase`.
"""

from __future__ import annotations

from dataclasses import dataclass

from seodang.language import Phrase, joined, say


class SeodangError(Exception):
    """A mistake that the user can mend. `str(error)` is the paragraph to show, in the user's language."""

    exit_code = 2

    def __init__(self, text: str, /, **values: object) -> None:
        self.text = text
        self.values = values
        super().__init__(str(self.phrase))

    def __str__(self) -> str:
        return say(self.phrase)

    @property
    def phrase(self) -> Phrase:
        """The paragraph as a phrase: English where it is written down, and said where it is shown."""
        return Phrase(self.text, **self.values)


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake in a recipe: the dotted key path, what is wrong with it, and the line where it stands."""

    path: str
    text: str
    line: int | None = None

    def __str__(self) -> str:
        return say(self.phrase)

    @property
    def phrase(self) -> Phrase:
        """Path, text and line as a phrase; so is the text."""
        head = Phrase("{path}: {text}", path=self.path, text=Phrase(self.text)) if self.path else Phrase(self.text)
        return Phrase("{mistake}  (line {line})", mistake=head, line=self.line) if self.line else head


class RecipeError(SeodangError, ValueError):
    """A recipe, or a template file, that is not valid. `mistakes` holds all of them."""

    def __init__(self, name: str, mistakes: list[Mistake], what: str = "recipe") -> None:
        self.name = name
        self.mistakes = mistakes
        lines = joined("\n", (Phrase("  {mistake}", mistake=mistake.phrase) for mistake in mistakes))
        text = "{name} is not a valid {what}:\n{lines}"
        super().__init__(text, name=Phrase(name), what=Phrase(what), lines=lines)


class DataError(SeodangError, ValueError):
    """A file or row that cannot be read as what the stage needs."""


class TemplateError(SeodangError, ValueError):
    """A chat template that does not exist, contradicts the model's own, or does not fit the tokenizer."""


class ModelError(SeodangError, ValueError):
    """A model, adapter or parent run that cannot be used as asked."""


class RunError(SeodangError, RuntimeError):
    """A run folder that cannot be written to as asked."""


class CheckFailed(SeodangError, RuntimeError):
    """The audit found problems beyond the recipe's thresholds."""

    exit_code = 1
