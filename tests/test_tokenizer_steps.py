"""A text's way through a tokenizer: every step is the tokenizer's own, for every kind of it, and Hangul prints whole."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import ByT5Tokenizer, PreTrainedTokenizerFast

from seodang.language import Phrase
from seodang.tokenizer_steps import decode, groups, harmless, normalised, seen, text_in_place, walk

TEXT = "국어사전에서 '똠'을 찾아 봐. 🙂"
OTHER = "네, 찾아보겠습니다."


def word_piece() -> PreTrainedTokenizerFast:
    """As BERT: lower case, `##` inside a word, [CLS] before and [SEP] after."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "국어", "##사전", "##에서", "hello", "찾아", "."]
    raw = Tokenizer(models.WordPiece({word: at for at, word in enumerate(words)}, unk_token="[UNK]"))
    raw.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    raw.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    raw.decoder = decoders.WordPiece()
    raw.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", None, [("[CLS]", 2), ("[SEP]", 3)])
    return PreTrainedTokenizerFast(tokenizer_object=raw, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]")


def unigram() -> PreTrainedTokenizerFast:
    """As SentencePiece: `▁` for a space, bytes for what is not in the vocabulary, and neither pad nor eos token."""
    pieces = [("<unk>", 0.0), ("▁국어", -1.0), ("사전", -1.0), ("에서", -1.0), ("▁찾아", -1.0), ("▁", -2.0)]
    raw = Tokenizer(models.Unigram([*pieces, *((f"<0x{at:02X}>", -9.0) for at in range(256))], 0, byte_fallback=True))
    raw.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    parts = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    raw.decoder = decoders.Sequence(parts)
    return PreTrainedTokenizerFast(tokenizer_object=raw, unk_token="<unk>")


@pytest.fixture(params=["byte_level", "unigram", "slow_bytes"])
def lossless(request: pytest.FixtureRequest, tokenizer: Any) -> Any:
    """Tokenizers that give back every text."""
    return {"byte_level": lambda: tokenizer, "unigram": unigram, "slow_bytes": ByT5Tokenizer}[request.param]()


def test_groups_hold_every_token_and_print_whole(lossless: Any) -> None:
    ids = lossless.encode(TEXT, add_special_tokens=False)
    found = list(groups(lossless, ids))
    assert [token for group in found for token in group.ids] == ids
    assert "".join(group.text for group in found) == TEXT
    assert [group.text for group in found if group.text.strip() and "\ufffd" in group.text] == []
    assert max(len(group.ids) for group in found) > 1, "a syllable is split, or this test shows nothing"
    assert [group.pieces for group in found] == [tuple(lossless.convert_ids_to_tokens(group.ids)) for group in found]


def test_syllables_that_share_a_token_stand_in_one_group(tokenizer: Any) -> None:
    """` 그` ends within a token that begins `냥`: five tokens for two syllables."""
    text = "글자도 그냥 글자"
    found = list(groups(tokenizer, tokenizer.encode(text)))
    assert "".join(group.text for group in found) == text
    assert "\ufffd" not in "".join(group.text for group in found)


def test_broken_bytes_do_not_stop_the_walk(tokenizer: Any) -> None:
    ids = tokenizer.encode("똠", add_special_tokens=False)[:-1] + tokenizer.encode(" 나는", add_special_tokens=False)
    found = list(groups(tokenizer, ids))
    assert [token for group in found for token in group.ids] == ids
    assert found[0].text == "\ufffd"
    assert found[-1].text.endswith("는")


def test_text_in_place_keeps_the_space_that_decoding_alone_loses() -> None:
    tokenizer = unigram()
    ids = tokenizer.encode("국어사전 찾아")
    assert decode(tokenizer, ids[-1:]) == "찾아"
    assert text_in_place(tokenizer, ids[:-1], ids[-1:]) == " 찾아"
    assert [group.text for group in groups(tokenizer, ids[-1:], ids[:-1])] == [" 찾아"]


def test_byte_level(tokenizer: Any) -> None:
    steps = walk(tokenizer, TEXT + "<|im_end|>", OTHER)
    assert (steps.normalizer, steps.normalized) == ("", TEXT + "<|im_end|>")
    assert steps.words == ("국어사전에서", " '", "똠", "'", "을", " 찾아", " 봐", ".", " 🙂", "<|im_end|>")
    assert steps.groups[-1].pieces == ("<|im_end|>",)
    assert (steps.before, steps.after) == ((), ())


def test_normalisers_words_and_special_tokens() -> None:
    text = unicodedata.normalize("NFD", "국어사전에서") + " HELLO."
    steps = walk(word_piece(), text, "찾아")
    assert steps.normalizer == "NFC, Lowercase"
    assert steps.normalized == "국어사전에서 hello."
    assert steps.words == ("국어사전에서", "hello", ".")
    assert [group.pieces for group in steps.before + steps.after] == [("[CLS]",), ("[SEP]",)]
    assert [group.text for group in steps.groups] == ["국어", "사전", "에서", " hello", "."]


def test_an_added_token_is_cut_out_before_anything_is_normalised() -> None:
    tokenizer = word_piece()
    tokenizer.add_tokens("<TOOL>")
    steps = walk(tokenizer, "Hello <TOOL> Hello", "")
    assert steps.words == ("hello", "<TOOL>", "hello")
    assert "<TOOL>" in steps.normalized


def test_a_slow_tokenizer_shows_what_it_can() -> None:
    steps = walk(ByT5Tokenizer(), TEXT, OTHER)
    assert not ByT5Tokenizer().is_fast
    assert (steps.normalizer, steps.normalized, steps.words) == (None, TEXT, None)
    assert steps.groups[0].text == "국" and len(steps.groups[0].ids) == 3
    assert [group.text for group in steps.after] == ["</s>"]


def test_the_batch_is_the_one_a_training_gets(tokenizer: Any) -> None:
    from seodang.tuning.loop import collator

    batch = walk(tokenizer, TEXT, OTHER).batch
    rows = [{"input_ids": ids, "labels": ids} for ids in map(tokenizer.encode, (TEXT, OTHER))]
    trained = collator(tokenizer)(rows)
    assert batch is not None and (batch.pad, batch.pad_id) == ("<pad>", 3)
    assert [list(row) for row in batch.ids] == trained["input_ids"].tolist()
    assert [list(row) for row in batch.mask] == trained["attention_mask"].tolist()
    assert batch.mask[1][-1] == 0


def test_the_eos_token_fills_up_where_there_is_no_pad_token(tokenizer_dir: Path) -> None:
    tokenizer = PreTrainedTokenizerFast.from_pretrained(tokenizer_dir)
    tokenizer.pad_token = None
    batch = walk(tokenizer, TEXT, "네").batch
    assert batch is not None and batch.pad == "<|endoftext|>"
    assert set(batch.ids[1][sum(batch.mask[1]) :]) == {tokenizer.eos_token_id}
    assert walk(unigram(), TEXT, OTHER).batch is None


@pytest.mark.parametrize("text", ["", " ", "\n", "\x00", "\ufffd", "가" * 300, "👨‍👩‍👧", "{{ x }}"])
def test_any_text_can_be_walked(lossless: Any, text: str) -> None:
    steps = walk(lossless, text, "")
    assert [token for group in steps.groups for token in group.ids] == lossless.encode(text, add_special_tokens=False)


def test_steps_as_json(tokenizer: Any) -> None:
    row = walk(tokenizer, TEXT, OTHER).to_row()
    assert json.loads(json.dumps(row)) == row
    assert row["groups"][0]["text"] == "국"


@pytest.mark.parametrize(
    ("name", "text", "result", "said"),
    [
        (None, "가", "가", "inside a slow tokenizer's own code, not to be seen apart"),
        ("", "가", "가", "unchanged, this tokenizer has no normaliser"),
        ("NFC", "가", "가", "unchanged by NFC"),
        ("NFC, Lowercase", "가 B", "가 b", "가␣b  (by NFC, Lowercase)"),
    ],
)
def test_what_the_normaliser_did(name: str | None, text: str, result: str, said: str) -> None:
    found = normalised(name, text, result)
    assert isinstance(found, Phrase) and found == said


@pytest.mark.parametrize(
    ("change", "text", "result"),
    [
        (seen, "가 나\n다\t라\r", "가␣나↵다⇥라␍"),
        (seen, "가\u200b나\x9b\u202e", "가\\u200b나\\x9b\\u202e"),
        (harmless, "가 나\n\x1b[31m\x9b\u200b", "가 나\n\\x1b[31m\\x9b\u200b"),
    ],
)
def test_nothing_hides_and_nothing_steers_a_terminal(change: Callable[[str], str], text: str, result: str) -> None:
    assert change(text) == result
