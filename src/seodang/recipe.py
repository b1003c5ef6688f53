"""The grammar: one class per stage. One recipe is one stage; a project is a folder of numbered recipes.

To add a stage: a class here and in the union at the bottom, a doer with `run(recipe, run)`, an entry in `STAGES`.
A key has one path in YAML, in Python, in overrides, in errors, in the saved file and in the reference.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self, get_args

from pydantic import Field, field_validator, model_validator

from seodang.data.dedup import Decontaminate, Dedup
from seodang.data.filters import Empty, Filter
from seodang.data.specs import Check, PromptData, Source, TextData, TrainData
from seodang.evaluation.metrics import METRICS
from seodang.language import Phrase
from seodang.schema import Schema
from seodang.self_instruct.completers import Completer, Local, Sampling
from seodang.self_instruct.novelty import Novelty
from seodang.tuning.adapters import Adapter, Method
from seodang.tuning.launch import Launch
from seodang.tuning.losses import Loss, Sigmoid
from seodang.tuning.specs import AnsweringTraining, FreshModel, ModelSpec, Pretraining, Training

STAGES = {
    "prepare": "seodang.data.prepare",
    "tokenizer": "seodang.tuning.tokenizer",
    "pretrain": "seodang.tuning.pretrain",
    "sft": "seodang.tuning.sft",
    "generate": "seodang.self_instruct.generate",
    "pairs": "seodang.self_instruct.pairs",
    "dpo": "seodang.tuning.dpo",
    "evaluate": "seodang.evaluation.evaluate",
}
"""Stage name → the module whose `run(recipe, run)` does it."""


class Stage(Schema):
    """What every stage has."""

    stage: str
    seed: int = Field(42, ge=0)
    output_dir: str = ""
    """The run folder; `runs/<folder>/<file>` of the recipe where it is not given."""

    @model_validator(mode="before")
    @classmethod
    def _own_defaults(cls, data: Any) -> Any:
        """A stage's own defaults (a smaller learning rate, hotter sampling) stay where a part is written in part."""
        if not isinstance(data, dict):
            return data
        parts = {name: field.default for name, field in cls.model_fields.items() if isinstance(field.default, Schema)}
        given = {name: part for name, part in parts.items() if isinstance(data.get(name), dict)}
        return data | {name: part.model_dump(exclude_unset=True) | data[name] for name, part in given.items()}


class Prepare(Stage):
    """Files in any known format → train.jsonl, eval.jsonl, dropped.jsonl."""

    stage: Literal["prepare"]
    sources: tuple[Source, ...] = Field(min_length=1)
    normalize: bool = True
    """NFC on Hangul, line ends, outer white space; the zero-width space U+200B and the byte-order mark U+FEFF are
    removed, the joiners ZWJ and ZWNJ kept. Every repair is counted."""
    filters: tuple[Filter, ...] = (Empty(),)
    """Reasons to drop a row, asked in this order."""
    dedup: Dedup | None = Dedup()
    """Duplicates by the whole conversation, exact and near, over all sources; `null` keeps them."""
    decontaminate: Decontaminate | None = None
    """Evaluation files whose questions must not be trained on."""
    eval: float = Field(0.02, ge=0, lt=1)
    """Share of the rows of every source that is held out, chosen by the hash of their prompt, so that adding rows
    reshuffles nothing; near-duplicates of a held-out prompt are held out with it."""
    allow_licenses: tuple[str, ...] | None = None
    """Rows under another licence than these are dropped as `license`; sets that state none are under `unknown`."""
    processes: int | None = Field(None, ge=1)
    """How many processes repair and judge; `null` is one for each processor, at most 8. The rows are the same."""
    shuffle_answers: bool = False
    """A control: the training conversations exchange their last answers, so that form is all there is to learn
    (Hewitt and Liang 2019, arXiv:1909.03368)."""

    @model_validator(mode="after")
    def _one_comparison(self) -> Self:
        whole = self.decontaminate is not None and self.decontaminate.on == "conversation"
        if whole and not (self.dedup and self.dedup.near and self.dedup.on == "conversation"):
            raise ValueError(
                "`decontaminate.on: conversation` compares what `dedup` compares; write `dedup: {on: conversation, "
                "near: true}`, or `decontaminate.on: prompt`"
            )
        return self


class Tokenizer(Stage):
    """Train a byte-level BPE tokenizer on text."""

    stage: Literal["tokenizer"]
    data: TextData
    vocab_size: int = Field(8000, ge=300)
    merge_within: Literal["word", "character"] = "word"
    """`character`: a Hangul syllable is one token, always the same one, and so is a space; small models learn letters,
    numbers and particles from these."""
    template: str | None = None
    """A name in data_templates/ whose control tokens become single tokens and whose Jinja is saved."""
    special_tokens: tuple[str, ...] = ()
    """Further single tokens."""


class Pretrain(Stage):
    """Causal language modelling on plain text, from nothing or continuing a model."""

    stage: Literal["pretrain"]
    model: FreshModel | ModelSpec
    data: TextData
    training: Pretraining = Pretraining()
    launch: Launch | None = None
    """Training in several processes; unset trains in one."""

    @field_validator("model", mode="before")
    @classmethod
    def _which(cls, value: Any) -> Any:
        if isinstance(value, dict):
            kind = FreshModel if "config" in value else ModelSpec
            return kind.model_validate(value)
        return value


class Finetuning(Stage):
    """What `sft` and `dpo` share: a model, its template, the rows, and what is trained of it."""

    model: ModelSpec
    template: str | None = None
    """`model` (the default where the tokenizer has a chat template), a name in data_templates/, or a path."""
    template_override: bool = False
    """Train a named template although the model has another one of its own."""
    thinking: Literal["strip", "empty", "keep"] | None = None
    """Required where the template thinks: what becomes of the reasoning block."""
    data: TrainData
    adapter: Adapter | None = None
    """Unset continues the adapter of `model.run`; with `model.merge` it is a fresh one on the merged parent."""
    launch: Launch | None = None
    """Training in several processes; unset trains in one."""
    check: Check = Check()


class SFT(Finetuning):
    """Supervised fine-tuning of a causal model on conversations, through TRL's SFTTrainer."""

    stage: Literal["sft"]
    reads: ClassVar[str] = "messages"

    training: AnsweringTraining = AnsweringTraining()

    @field_validator("training")
    @classmethod
    def _known_eval_metrics(cls, value: AnsweringTraining) -> AnsweringTraining:
        _known(dict.fromkeys(value.eval_metrics, 1.0))
        return value


class DPO(Finetuning):
    """Preference tuning from an SFT run, which is also the reference, through TRL's DPOTrainer."""

    stage: Literal["dpo"]
    reads: ClassVar[str] = "preference"

    loss: Loss = Sigmoid()
    training: Training = Training(learning_rate=5e-6)

    @field_validator("adapter")
    @classmethod
    def _starts_as_the_reference(cls, value: Adapter | None) -> Adapter | None:
        if isinstance(value, Method) and value.starts_apart:
            raise ValueError(
                "must start as its reference, and this one answers otherwise than the parent before the first step; "
                "write `lora`"
            )
        return value

    @field_validator("data")
    @classmethod
    def _pairs_are_whole(cls, value: TrainData) -> TrainData:
        if value.over_length == "split_turns":
            raise ValueError(
                "`over_length: split_turns` is for conversations; of a pair only the prompt can be cut "
                "(`truncate_prompt`)"
            )
        if value.trained_turns != "every":
            raise ValueError("`trained_turns` is for conversations; of a pair both answers are trained whole")
        return value


class InContext(Schema):
    """How many examples stand in a generator's prompt (Wang et al. 2023, arXiv:2212.10560: 6 + 2)."""

    seeds: int = Field(6, ge=0)
    machine: int = Field(2, ge=0)


class Generate(Stage):
    """Self-instruct: grow a seed set with a model's own proposals."""

    stage: Literal["generate"]
    seeds: Source
    """The human tasks that every prompt is drawn from."""
    completer: Completer = Local()
    """Which model proposes."""
    prompt: str = "self_instruct_ko"
    """A file in data_templates/prompts/."""
    in_context: InContext = InContext()
    target: int = Field(100, ge=1)
    """Records to keep."""
    max_requests: int = Field(1000, ge=1)
    """The budget: no more than so many requests are sent."""
    requests_per_round: int = Field(8, ge=1)
    """A round's prompts are drawn from the state at the end of the previous one."""
    sampling: Sampling = Sampling(temperature=0.8, top_p=0.95, max_new_tokens=512)
    filters: tuple[Filter, ...] = (Empty(),)
    novelty: Novelty = Novelty()
    verify: Literal["count", "require"] | None = None
    """What programs say by the kinds of checkable task in data_tasks/: `count` how many kept answers are right, or
    `require` it, dropping what is wrong or of no known kind."""


class Pairs(Stage):
    """Several answers per prompt from one model, kept as a preference pair only with a margin by a checkable score."""

    stage: Literal["pairs"]
    model: ModelSpec
    data: PromptData
    """The prompts: conversations (their answer is the reference) or prompts alone."""
    samples_per_prompt: int = Field(4, ge=2)
    max_prompts: int | None = Field(None, ge=1)
    score: dict[str, float] = {"exact_match": 1.0, "stop": 1.0}
    """Metric name → weight; an answer's score is the weighted mean of those that apply."""
    margin: float = Field(0.2, gt=0)
    """Smallest difference of scores between chosen and rejected."""
    sampling: Sampling = Sampling(temperature=0.9, top_p=0.95, max_new_tokens=256)
    batch_size: int = Field(16, ge=1)
    """Answers written at once."""

    @field_validator("sampling")
    @classmethod
    def _differing_answers(cls, value: Sampling) -> Sampling:
        if value.temperature == 0:
            raise ValueError("`temperature` must be above 0: greedy answers are all the same, so there is no pair")
        return value

    @field_validator("score")
    @classmethod
    def _known_metrics(cls, value: dict[str, float]) -> dict[str, float]:
        return _known(value)


class Candidate(ModelSpec):
    """A model to evaluate, and how it is asked."""

    shots: int = Field(0, ge=0)
    """Worked examples before every question: training rows, of the same task where rows name theirs."""


class Evaluate(Stage):
    """Held-out prompts answered by several models of one lineage, side by side."""

    stage: Literal["evaluate"]
    models: dict[str, Candidate] = Field(min_length=1)
    """Column name → model, in the order of the table: base, sft, dpo."""
    template: str | None = None
    """Unset: each run's own; a model that has none answers with that of the first run which has one."""
    data: PromptData
    """Conversations; the last answer is the reference. A run's eval.jsonl is used where it has one."""
    max_prompts: int | None = Field(None, ge=1)
    metrics: tuple[str, ...] = tuple(METRICS)
    divergence_from: str | None = None
    """A column: every other model's KL divergence from it is measured on samples of its own, in nats per answer."""
    sampling: Sampling = Sampling(temperature=0.0, max_new_tokens=256)
    batch_size: int = Field(16, ge=1)
    """Prompts answered at once."""

    @model_validator(mode="after")
    def _known_column(self) -> Self:
        if self.divergence_from is not None and self.divergence_from not in self.models:
            text, names = "`divergence_from: {given}` is none of {names}", ", ".join(self.models)
            raise ValueError(Phrase(text, given=self.divergence_from, names=names))
        return self

    @field_validator("metrics")
    @classmethod
    def _known_metrics(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_known(dict.fromkeys(value, 1.0)))


def _known(names: dict[str, float]) -> dict[str, float]:
    unknown = [name for name in names if name not in METRICS]
    if unknown:
        unknown_names, known_names = ", ".join(unknown), ", ".join(METRICS)
        raise ValueError(Phrase("unknown metric {names} (known: {known})", names=unknown_names, known=known_names))
    return names


Recipe = Annotated[
    Prepare | Tokenizer | Pretrain | SFT | Generate | Pairs | DPO | Evaluate,
    Field(discriminator="stage"),
]


def stage_class(name: str) -> type[Stage]:
    """The recipe class of a stage."""
    classes: tuple[type[Stage], ...] = get_args(get_args(Recipe)[0])
    return next(kind for kind in classes if name in get_args(kind.model_fields["stage"].annotation))
