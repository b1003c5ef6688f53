"""What a recipe says about its rows: where they come from, how they are cut, and what the audit lets pass. Light."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from seodang.data.formats import Auto, Format
from seodang.data.hub import Hub
from seodang.language import Phrase
from seodang.schema import Schema


class Check(Schema):
    """Thresholds of the audit; beyond one of them `check` ends with 1 and `run` does not start.

    A share is of the rows that are kept, where nothing else is said. Nothing is allowed of what cannot be meant, a
    little of what real files hold a little of, and up to half of what the recipe asks for.
    """

    max_drop_ratio: float = Field(0.5, ge=0, le=1)
    """Largest share of the rows read that may be dropped. Above half, `data.max_length` or the file is another one
    than was meant."""
    min_stop_ratio: float = Field(0.99, ge=0, le=1)
    """Smallest share of rows whose trained answers all end in a trained stop token. A template writes it always or
    never, and without it a model does not stop."""
    max_truncated_ratio: float = Field(0.5, ge=0, le=1)
    """Largest share of rows that lost the beginning of their prompt (`data.over_length: truncate_prompt`)."""
    max_bos_ratio: float = Field(0.0, ge=0, le=1)
    """Largest share of rows that begin without the bos token which the tokenizer puts before a text, or with two of
    them. It is the template's doing, so it is a mistake in one row as in all."""
    max_control_ratio: float = Field(0.01, ge=0, le=1)
    """Largest share of rows in which a control string is typed (`<|im_end|>`). It stays text in training, but more than
    a few are the leftovers of another format, and servers read them as what they are not."""
    max_empty_ratio: float = Field(0.0, ge=0, le=1)
    """Largest share of rows with a trained answer that says nothing: it teaches to say nothing."""
    max_echo_ratio: float = Field(0.005, ge=0, le=1)
    """Largest share of rows whose answer is the turn before it. One in two hundred is small talk (안녕하세요 to
    안녕하세요); more is a column taken twice."""
    max_equal_ratio: float = Field(0.005, ge=0, le=1)
    """Largest share of the pairs read whose chosen and rejected answer are one. They are dropped; public sets hold
    about one in two thousand."""
    max_duplicate_ratio: float = Field(0.02, ge=0, le=1)
    """Largest share of training rows that repeat an earlier one, by the whole conversation as `prepare` compares it,
    which drops them. Public sets hold up to one in sixty."""
    max_leak_ratio: float = Field(0.0, ge=0, le=1)
    """Largest share of held-out rows whose prompt is trained on: each flatters the held-out loss."""
    max_byte_ratio: float = Field(1.0, ge=0, le=1)
    """Largest share of rows of whose tokens most are bytes of split characters. An old tokenizer writes all Korean so:
    it trains rightly, only slowly. Lower it where the tokenizer knows the language and broken text is feared."""
    min_chars_per_token: float = Field(0.1, ge=0)
    """Fewest characters per trained token, over all answers. A character has four bytes at most, so that even answers
    of one character reach 0.15 with their stop; less means that little but control tokens is trained."""


class Source(Schema):
    """One input of `prepare`: files from elsewhere, or the rows of another run."""

    path: str | None = None
    """A file, a folder, a glob (`data/**/*.json`) or a zip archive; one that starts with `./` is relative to the
    recipe."""
    run: str | None = None
    """A finished run whose train.jsonl is read."""
    hub: Hub | None = None
    """A set on the Hugging Face Hub: `{name: beomi/KoAlpaca-v1.1a, split: train}`."""
    format: Format = Auto()
    """How a row is written; `auto` decides from evidence over many rows and says so."""
    on_error: Literal["stop", "skip"] = "stop"
    """A row that cannot be read stops the run with file:row, or is dropped and counted."""
    name: str | None = None
    """What the set is called (`beomi/KoAlpaca-v1.1a`); a set on the Hub has its own name. Of a known set, licence and
    upstream are filled in, and every row carries them."""
    revision: str | None = None
    """Which version of the set the file is: a commit, a date."""
    license: str | None = None
    """Its licence by the Hub's name (`cc-by-sa-4.0`), where the table of known sets is silent or wrong."""
    upstream: tuple[str, ...] = ()
    """What the set was made from, the nearest first: sets, models, sites."""

    priority: int = 0
    """Of duplicates in several sources, that of the highest is kept where `dedup.keep` is `priority`."""
    weight: float = Field(1.0, ge=0, le=100)
    """How often a training row is written: 1 once; 0.3 three rows in ten, chosen by content hash; 2.5 every row twice
    and half of them a third time."""
    max_rows: int | None = Field(None, ge=1)
    """At most so many training rows, chosen by content hash, before `weight`."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if sum(given is not None for given in (self.path, self.run, self.hub)) != 1:
            raise ValueError("give one of `path`, `run` and `hub`")
        return self


class TextData(Schema):
    """Plain text for tokenizers and pretraining: JSONL rows with `text`, or a .txt file with a text per line."""

    train: str
    eval: float = Field(0.02, ge=0, lt=1)
    """Share of texts held out by content hash."""
    max_length: int = Field(512, ge=8)
    """Tokens per training row; documents are cut into rows of this length."""


class RowData(Schema):
    """Which rows: a run's train.jsonl and eval.jsonl, or files from elsewhere in any format `prepare` reads."""

    run: str | None = None
    train: str | None = None
    eval: str | float | None = None
    """A file, or the share of `train` held out by content hash. With `run` its eval.jsonl is used."""
    format: Format = Auto()
    """How the rows of `train` and `eval` are written. A run's files need no format."""
    max_length: int = Field(1024, ge=8)
    """Longest row in tokens."""
    on_error: Literal["stop", "skip"] = "stop"
    """A row that cannot be read stops the run with file:row, or is dropped and counted."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.run is None) == (self.train is None):
            raise ValueError("give `run` or `train`, one of the two")
        if self.run and self.eval is not None:
            raise ValueError("`eval` belongs to `train`; a run brings its own eval.jsonl")
        if isinstance(self.eval, float) and not 0 <= self.eval < 1:
            raise ValueError(Phrase("`eval` as a share must be 0 or more and below 1, got {got}", got=self.eval))
        return self


class PromptData(RowData):
    """Rows whose prompts a model answers."""

    over_length: Literal["drop", "error"] = "drop"
    """What happens to a longer row: dropped and counted, or the run stops."""


class TrainData(RowData):
    """Rows to train on."""

    over_length: Literal["drop", "truncate_prompt", "split_turns", "error"] = "drop"
    """What happens to a longer row: dropped and counted; its oldest turns go, then the beginning of what is left of the
    prompt; a conversation becomes several rows of whole turns; or the run stops. An answer is never cut."""
    trained_turns: Literal["every", "last"] = "every"
    """Which assistant turns of a conversation are trained, where a message does not say `trained` itself."""
