"""Ids in place, for every kind of tokenizer: byte-level and SentencePiece BPE, Unigram and WordPiece."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from seodang.chats import make_chat
from seodang.encoding import IGNORED, Chat, Encoded
from seodang.errors import TemplateError
from seodang.pieces import PieceEncoder
from seodang.records import Conversation, Message
from seodang.template import MARKS
from seodang.tokenization import load_light

CHATML = (
    "{{ bos_token }}{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}{% if tools %}<tool_call>{% endif %}"
)
PLAIN = (
    "{% for m in messages %}{% if m.role == 'user' %}질문:{{ m.content }}\n답변:{% else %}{{ m.content }}</s>{% endif %}"
    "{% endfor %}"
)
WORDS = (
    "안녕", "하세요", "오늘", "은", "날씨", "가", "맑", "습니다", "네", "뭐", "일곱", "가지", "질문", "답변", "무지개", "색",
    "user", "assistant", "hello",
)  # fmt: skip
SIGNS = ".,:?!#|<>_/\n"
ANSWER = Message("assistant", "네")
KINDS = ("byte_level", "sentencepiece", "unigram", "wordpiece")


def unigram() -> Tokenizer:
    """SentencePiece's Unigram: ▁ before every text, a piece that reaches over `답변:`, bytes for what it lacks."""
    pieces = [("<unk>", 0.0), *((f"<0x{byte:02X}>", -12.0) for byte in range(256))]
    pieces += [("▁", -3.0), (":안녕", -2.0), *((sign, -6.0) for sign in SIGNS)]
    pieces += [("▁" + word, -4.0) for word in WORDS] + [(word, -4.5) for word in WORDS]
    found = Tokenizer(models.Unigram(pieces, unk_id=0, byte_fallback=True))
    found.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    found.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace(prepend_scheme="always")])
    return found


def wordpiece() -> Tokenizer:
    """BERT's: lower case, no white space, an unknown word is one token."""
    pieces = ["[UNK]", "</s>", "<s>", *WORDS, *(f"##{word}" for word in WORDS), *SIGNS.strip(), "im", "start", "end"]
    found = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]"))
    found.normalizer = normalizers.BertNormalizer(lowercase=True, strip_accents=False)
    found.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    found.decoder = decoders.WordPiece()
    return found


def made(kind: str) -> Any:
    from transformers import PreTrainedTokenizerFast

    raw = {"unigram": unigram, "wordpiece": wordpiece}[kind]()
    unknown = "<unk>" if kind == "unigram" else "[UNK]"
    return PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="</s>", bos_token="<s>", unk_token=unknown)


LOADED: dict[str, Any] = {}


def load(kind: str, request: pytest.FixtureRequest, changed: bool = False) -> Any:
    """The tokenizer of a kind; one of its own for a test that changes it."""
    if kind in LOADED and not changed:
        return LOADED[kind]
    if kind == "sentencepiece":
        found = load_light(str(request.getfixturevalue("shared_data") / "tokenizers" / "granite-7b-lab"))
    elif kind == "byte_level":
        found = load_light(str(request.getfixturevalue("tokenizer_dir")))
        found.add_special_tokens({"bos_token": "<s>", "eos_token": "</s>"})
    else:
        found = made(kind)
    found.add_tokens([AddedToken(token, special=True, normalized=False) for token in ("<|im_start|>", "<|im_end|>")])
    found.add_tokens([AddedToken("<tool_call>", special=False, normalized=False)])
    return found if changed else LOADED.setdefault(kind, found)


@pytest.fixture(params=KINDS)
def tokenizer(request: pytest.FixtureRequest) -> Any:
    """A tokenizer of each kind, with ChatML's control tokens and one that is merely added."""
    return load(request.param, request)


def chat_of(tokenizer: Any, jinja: str) -> Chat:
    tokenizer.chat_template = jinja
    return make_chat(tokenizer, "model")


def whole(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer.encode(text, add_special_tokens=False))


def trained(row: Encoded) -> list[int]:
    return [label for label in row.labels if label != IGNORED]


TALK = Conversation((Message("user", "무지개는 몇 가지 색?"), Message("assistant", "일곱 가지 펲시 색입니다.")))
GOLDEN: dict[str, tuple[list[int], list[int]]] = {
    "byte_level": (
        [600, 0, 366, 85, 202, 171, 383, 545, 266, 254, 284, 261, 107, 233, 431, 545, 260, 229, 235, 34, 1, 202, 0,
         337, 568, 202, 262, 124, 310, 113, 431, 545, 224, 173, 240, 114, 314, 254, 260, 229, 235, 316, 231, 296, 17,
         1],
        [262, 124, 310, 113, 431, 545, 224, 173, 240, 114, 314, 254, 260, 229, 235, 316, 231, 296, 17, 1],
    ),
    "sentencepiece": (
        [1, 32005, 1792, 13, 31716, 30811, 31789, 31081, 29871, 238, 173, 138, 29871, 30903, 30811, 29871, 239, 134,
         140, 29973, 32006, 13, 32005, 465, 22137, 13, 31153, 237, 182, 180, 29871, 30903, 30811, 29871, 240, 145,
         181, 30889, 29871, 239, 134, 140, 239, 161, 136, 31063, 30709, 29889, 32006],
        [31153, 237, 182, 180, 29871, 30903, 30811, 29871, 240, 145, 181, 30889, 29871, 239, 134, 140, 239, 161, 136,
         31063, 30709, 29889, 32006],
    ),
    "unigram": (
        [309, 311, 287, 270, 304, 236, 139, 149, 257, 236, 171, 136, 282, 286, 262, 312, 257, 270, 311, 288, 270, 300,
         282, 257, 238, 143, 179, 237, 140, 157, 286, 237, 159, 134, 236, 140, 137, 236, 140, 165, 259, 312],
        [300, 282, 257, 238, 143, 179, 237, 140, 157, 286, 237, 159, 134, 236, 140, 137, 236, 140, 165, 259, 312],
    ),
    "wordpiece": (
        [2, 55, 19, 0, 0, 14, 18, 44, 56, 55, 20, 13, 14, 0, 0, 41, 56],
        [13, 14, 0, 0, 41, 56],
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_golden_ids(kind: str, request: pytest.FixtureRequest) -> None:
    row = chat_of(load(kind, request), CHATML).encode(TALK)
    assert (row.input_ids, trained(row)) == GOLDEN[kind]


PLACES = [
    ("<|im_start|>assistant\n", "안녕 하세요<|im_end|>"),
    ("### 답변:", " 일곱 가지"),
    ("### 답변:", "일곱 가지"),
    ("가", "나다"),
    ("뭐<|im_end|>", "\n<|im_start|>user\n뭐"),
    ("답변:\n", "\n똠방각하 네"),
    ("펲", "똠"),
    ("답변: ", "일곱 가지"),
    ("A ", "bc"),
]


@pytest.mark.parametrize(("before", "text"), PLACES)
def test_a_piece_has_the_ids_that_it_has_in_the_whole_text(tokenizer: Any, before: str, text: str) -> None:
    placed = PieceEncoder(tokenizer, CHATML).encode(text, before)
    both = whole(tokenizer, before) + placed.ids
    assert placed.cut == (both != whole(tokenizer, before + text))
    if type(tokenizer.backend_tokenizer.model) is not models.WordPiece:  # which has one token for all unknown words
        assert tokenizer.decode(both) == tokenizer.decode(whole(tokenizer, before + text))


@pytest.mark.parametrize(("before", "text"), PLACES)
def test_offsets_without_their_space_mislead_nobody(request: pytest.FixtureRequest, before: str, text: str) -> None:
    tokenizer = load("byte_level", request, changed=True)
    tokenizer.backend_tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    placed = PieceEncoder(tokenizer, CHATML).encode(text, before)
    both = whole(tokenizer, before) + placed.ids
    assert placed.cut == (both != whole(tokenizer, before + text))
    assert placed.cut == (before == "답변: ")  # the space and the first byte of the syllable are one token
    assert tokenizer.decode(both) == before + text


def test_a_token_over_the_border_is_cut_and_counted(request: pytest.FixtureRequest) -> None:
    tokenizer = load("unigram", request)
    chat = chat_of(tokenizer, PLAIN)
    row = chat.encode(Conversation((Message("user", "뭐"), Message("assistant", "안녕 하세요"))))
    assert row.border_cuts == 1
    assert tokenizer.convert_ids_to_tokens(whole(tokenizer, "답변:안녕")) == ["▁답변", ":안녕"]
    assert tokenizer.convert_ids_to_tokens(trained(row)) == ["안녕", "▁하세요", "</s>"]
    plain = chat.encode(Conversation((Message("user", "뭐"), ANSWER)))
    assert plain.border_cuts == 0
    assert tokenizer.convert_ids_to_tokens(trained(plain)) == ["네", "</s>"]


def test_a_word_that_goes_on_goes_on_in_wordpiece(request: pytest.FixtureRequest) -> None:
    tokenizer = load("wordpiece", request)
    placed = PieceEncoder(tokenizer, CHATML).encode("하세요", "안녕")
    assert tokenizer.convert_ids_to_tokens(placed.ids) == ["##하세요"]


def test_an_unknown_word_over_the_border_does_not_swallow_the_answer(request: pytest.FixtureRequest) -> None:
    tokenizer = load("wordpiece", request)
    placed = PieceEncoder(tokenizer, CHATML).encode("뭐 네", "펲")
    assert tokenizer.convert_ids_to_tokens(placed.ids) == ["뭐", "네"]
    assert placed.cut


@pytest.mark.parametrize("answer", ["똠방각하", "펲", "👨‍👩‍👧 가족", "\u1112\u1161\u11ab글"])
def test_a_syllable_in_several_tokens_is_given_or_trained_as_one(tokenizer: Any, answer: str) -> None:
    row = chat_of(tokenizer, PLAIN).encode(Conversation((Message("user", answer), Message("assistant", answer))))
    start = next(index for index, label in enumerate(row.labels) if label != IGNORED)
    assert trained(row) == row.input_ids[start:]
    halves = [tokenizer.decode(ids) for ids in (row.input_ids[:start], row.input_ids[start:])]
    assert not any("\ufffd" in half for half in halves)


@pytest.mark.parametrize("typed", ["", "<s>", "</s><s>"])
def test_bos_stands_once_and_a_typed_one_is_text(tokenizer: Any, typed: str) -> None:
    row = chat_of(tokenizer, CHATML).encode(Conversation((Message("user", f"뭐 {typed}"), ANSWER)))
    assert row.input_ids[0] == tokenizer.bos_token_id
    assert row.input_ids.count(tokenizer.bos_token_id) == 1
    assert row.control_strings == typed.count("<")


# ---- typed control strings: the oracle is transformers


def oracle(chat: Chat, messages: tuple[Message, ...], **more: Any) -> list[int]:
    rows, options = [message.to_row() for message in messages], {"return_dict": False, **more}
    return list(chat.tokenizer.apply_chat_template(rows, **options))


TYPED = ["<|im_end|>", "<|im_start|>", "<tool_call>", "</s>", "<s>"]
CONTENT = st.lists(st.sampled_from([*TYPED, "안녕", " ", "\n", "ㅋ", "펲", "hello", "🙂", ":"]), min_size=1, max_size=6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("template", ["model", "chatml", "koalpaca"])
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(question=CONTENT.map("".join), answer=CONTENT.map("".join))
def test_rows_are_what_transformers_makes_of_them(
    kind: str, template: str, question: str, answer: str, request: pytest.FixtureRequest
) -> None:
    tokenizer = load(kind, request)
    chat = chat_of(tokenizer, CHATML) if template == "model" else make_chat(tokenizer, template, override=True)
    tokenizer.chat_template = chat.jinja
    last = (Message("user", "뭐"), ANSWER)
    talk = (Message("user", question), Message("assistant", answer), *last)
    row = chat.encode(Conversation(talk))
    prompt = oracle(chat, talk[:1], add_generation_prompt=True, sanitize_control_tokens=True)
    assert chat.prompt_ids(talk[:1]) == prompt == row.input_ids[: len(prompt)]
    if not row.border_cuts:
        every = oracle(chat, talk, sanitize_control_tokens=True)
        assert row.input_ids == every[: len(row.input_ids)]
    if not any(token in question + answer for token in TYPED):
        assert prompt == oracle(chat, talk[:1], add_generation_prompt=True)
    names = [token for token in tokenizer._get_control_tokens(chat.jinja) if token != tokenizer.unk_token]
    control = set(tokenizer.convert_tokens_to_ids(names))
    clean = chat.encode(Conversation(last * 2))
    for ours, theirs in ((row.input_ids, clean.input_ids), (trained(row), trained(clean))):
        assert [token for token in ours if token in control] == [token for token in theirs if token in control]
    assert row.labels[-1] == chat.stop_ids[0]
    assert (row.control_strings > 0) == any(token in question + answer for token in names)


def test_control_strings_are_counted_special_and_merely_added(tokenizer: Any) -> None:
    chat = chat_of(tokenizer, CHATML)
    row = chat.encode(
        Conversation((Message("user", "<tool_call> <|im_end|>"), Message("assistant", "<s>네<tool_call>")))
    )
    assert row.control_strings == 4
    assert tokenizer.convert_tokens_to_ids("<tool_call>") not in row.input_ids


def test_marks_that_a_user_types_forge_nothing(tokenizer: Any) -> None:
    chat = chat_of(tokenizer, CHATML)
    forged = Conversation((Message("user", f"{MARKS[0]}뭐{MARKS[1]}"), ANSWER))
    plain = Conversation((Message("user", "뭐"), ANSWER))
    assert chat.encode(forged).input_ids == chat.encode(plain).input_ids
    assert chat.encode(forged).control_strings == 0


def test_a_token_that_plain_text_makes_cannot_be_kept_as_text(request: pytest.FixtureRequest) -> None:
    tokenizer = load("byte_level", request, changed=True)
    tokenizer.add_tokens([AddedToken("!", special=True, normalized=False)])
    chat = chat_of(tokenizer, CHATML)
    talks = [
        Conversation((Message("user", text), ANSWER), f"seed.jsonl:{n}") for n, text in enumerate(("뭐", "뭐!", "네"))
    ]
    with pytest.raises(TemplateError, match=r"seed\.jsonl:1: The control string '!' cannot be kept as text"):
        chat.encode(talks[1])
    one, wrong, other = chat.encode_many(talks)
    assert isinstance(wrong, TemplateError)
    assert (one, other) == (chat.examples(talks[0]), chat.examples(talks[2]))


# ---- what the tokenizer does to text


def test_a_tokenizer_that_gives_text_back_needs_no_note(tokenizer: Any) -> None:
    note = PieceEncoder(tokenizer, CHATML).note
    assert (note is None) == (type(tokenizer.backend_tokenizer.model) is not models.WordPiece)


def test_a_tokenizer_that_lowers_case_trains_the_ids_that_it_writes(request: pytest.FixtureRequest) -> None:
    tokenizer = load("wordpiece", request)
    chat = chat_of(tokenizer, CHATML)
    row = chat.encode(Conversation((Message("user", "뭐"), Message("assistant", "Hello  안녕"))))
    assert trained(row) == whole(tokenizer, "hello 안녕<|im_end|>")
    assert tokenizer.decode(trained(row)) == "hello 안녕 <|im_end|>"
    assert [note for note in chat.notes if note.startswith("the tokenizer writes '")]
