"""Stage `tokenizer`: train a byte-level BPE tokenizer on text (Sennrich et al. 2016; bytes as in GPT-2).

Every text is representable and comes back unchanged: there is no normaliser and no unknown token. Digits stand alone,
so that numbers are read digit by digit. Both steps have their counterpart in GGUF, so the tokenizer can be exported.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from typing import Any

from seodang.data.texts import read_texts
from seodang.errors import Mistake, RecipeError
from seodang.language import Phrase
from seodang.progress import progress
from seodang.recipe import Tokenizer
from seodang.runs import DROPPED, Run
from seodang.template import load_template

EOS, PAD = "<|endoftext|>", "<|pad|>"
BYTES = 256


def run(recipe: Tokenizer, folder: Run) -> dict[str, Any]:
    """Train the tokenizer and write `tokenizer/`; returns the report. Raises RecipeError where it is too small."""
    jinja, control = _template(recipe)
    specials = tuple(dict.fromkeys((EOS, PAD, *control, *recipe.special_tokens)))
    if recipe.vocab_size < len(specials) + BYTES:
        text = "must be at least {least}: {bytes} bytes and {specials} special tokens, got {got}"
        counts = {"least": len(specials) + BYTES, "bytes": BYTES, "specials": len(specials)}
        raise RecipeError("The recipe", [Mistake("vocab_size", Phrase(text, **counts, got=recipe.vocab_size))])
    texts = read_texts(recipe.data)
    tokenizer = train_bpe(texts.train, recipe.vocab_size, specials, recipe.merge_within)
    tokenizer.chat_template = jinja
    _save(tokenizer, folder)
    folder.write_rows(DROPPED, texts.ledger.rows)
    metrics = {"vocab_size": len(tokenizer), "special_tokens": len(specials), **density(tokenizer, texts.train)}
    metrics |= {f"eval_{name}": value for name, value in density(tokenizer, texts.eval).items()}
    return {"rows": texts.ledger.close(), "metrics": metrics}


def _template(recipe: Tokenizer) -> tuple[str | None, tuple[str, ...]]:
    """The Jinja to save, and the control tokens that must be single tokens."""
    if recipe.template is None:
        return None, ()
    bound = load_template(recipe.template).bind("", EOS)
    return bound.to_jinja(), bound.control


def train_bpe(texts: Sequence[str], vocab_size: int, specials: Sequence[str], merge_within: str = "word") -> Any:
    """A PreTrainedTokenizerFast of at most `vocab_size` entries: specials, the 256 bytes, then merges by frequency.

    With `merge_within="character"` no token is longer than a character: there merges are learnt from single ones.
    """
    from tokenizers import Regex, decoders, models, pre_tokenizers, trainers
    from tokenizers import Tokenizer as RawTokenizer
    from transformers import PreTrainedTokenizerFast

    raw = RawTokenizer(models.BPE())
    digits, words = pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)
    as_used = pre_tokenizers.Sequence([digits, words])
    characters = pre_tokenizers.Split(Regex(r"\X"), "isolated"), pre_tokenizers.ByteLevel(False, use_regex=False)
    raw.pre_tokenizer = as_used if merge_within == "word" else pre_tokenizers.Sequence(list(characters))
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=2,
        special_tokens=list(specials),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    raw.train_from_iterator(_watched(texts), trainer, length=len(texts))
    raw.pre_tokenizer = as_used
    extra = [token for token in specials if token not in (EOS, PAD)]
    return PreTrainedTokenizerFast(tokenizer_object=raw, eos_token=EOS, pad_token=PAD, extra_special_tokens=extra)


def _watched(texts: Sequence[str]) -> Iterator[str]:
    with progress("reading texts", len(texts)) as advance:
        for text in texts:
            yield text
            advance(1)


def density(tokenizer: Any, texts: Sequence[str]) -> dict[str, float | int]:
    """UTF-8 bytes, characters and white-space-separated words per token, and texts that do not come back unchanged."""
    if not texts:
        return {}
    encoded = tokenizer(list(texts), add_special_tokens=False, split_special_tokens=True)["input_ids"]
    tokens = sum(map(len, encoded))
    back = tokenizer.batch_decode(encoded, clean_up_tokenization_spaces=False)
    return {
        "bytes_per_token": round(sum(len(text.encode("utf-8", "surrogatepass")) for text in texts) / tokens, 4),
        "characters_per_token": round(sum(map(len, texts)) / tokens, 4),
        "tokens_per_word": round(tokens / max(1, sum(len(text.split()) for text in texts)), 4),
        "changed_texts": sum(text != other for text, other in zip(texts, back, strict=True)),
    }


def _save(tokenizer: Any, folder: Run) -> None:
    unfinished, target = folder.file(".tokenizer.unfinished"), folder.file("tokenizer")
    shutil.rmtree(unfinished, ignore_errors=True)
    tokenizer.save_pretrained(unfinished)
    shutil.rmtree(target, ignore_errors=True)
    os.replace(unfinished, target)
