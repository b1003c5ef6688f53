"""What becomes of every row: kept, made to fit or dropped, and never an answer without its stop."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from seodang.chats import make_chat
from seodang.data.outcomes import EncodedPair, Outcome, encode, length_of, outcomes
from seodang.data.specs import TrainData
from seodang.encoding import IGNORED, Chat
from seodang.errors import TemplateError
from seodang.records import Conversation, Message, Preference

LIMIT = 96


@pytest.fixture(scope="module")
def chat(tokenizer: Any) -> Chat:
    return make_chat(tokenizer, "chatml")


def turns(*contents: str, system: str = "") -> dict[str, Any]:
    roles = ["user", "assistant"] * len(contents)
    first = [{"role": "system", "content": system}] if system else []
    return {"messages": first + [{"role": r, "content": c} for r, c in zip(roles, contents, strict=False)]}


def settled(tmp_path: Path, chat: Chat, rows: list[Any], reads: str = "messages", **data: Any) -> list[Outcome]:
    file = tmp_path / "a.jsonl"
    lines = (row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows)
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return list(outcomes(TrainData(train=str(file), **{"max_length": LIMIT} | data), chat, reads))


def decoded(chat: Chat, row: Any) -> tuple[str, str]:
    """What is given and what is trained."""
    trained = [token for token, label in zip(row.input_ids, row.labels, strict=True) if label != IGNORED]
    return chat.tokenizer.decode(row.input_ids), chat.tokenizer.decode(trained)


SHORT = turns("가", "나")
LONG_QUESTION = turns("긴 이야기가 있습니다. " * 30 + "이것은 무엇인가요?", "책입니다.", system="짧게")
LONG_ANSWER = turns("길다", "아주 긴 대답 " * 50)
TALK = turns(*(f"{n}번째로 묻는 말" if n % 2 == 0 else f"{n}번째 대답" for n in range(12)), system="짧게")


class TestTrainedTurns:
    @pytest.mark.parametrize(
        ("which", "flags", "expected"),
        [
            ("every", [None, None, None], "하나<|im_end|>둘<|im_end|>셋<|im_end|>"),
            ("last", [None, None, None], "셋<|im_end|>"),
            ("last", [None, True, None], "둘<|im_end|>셋<|im_end|>"),
            ("every", [None, False, None], "하나<|im_end|>셋<|im_end|>"),
        ],
    )
    def test_the_recipe_says_which_and_a_message_overrules_it(
        self, tmp_path: Path, chat: Chat, which: str, flags: list[bool | None], expected: str
    ) -> None:
        row = turns("일", "하나", "이", "둘", "삼", "셋", system="숫자를 읽어 주세요.")
        for message, flag in zip(row["messages"][2::2], flags, strict=True):
            message |= {} if flag is None else {"trained": flag}
        (found,) = settled(tmp_path, chat, [row], trained_turns=which)
        assert decoded(chat, found.kept[0][1])[1] == expected


class TestReasons:
    def test_every_row_comes_out_once_with_its_reason(self, tmp_path: Path, chat: Chat) -> None:
        lonely = {"messages": [{"role": "assistant", "content": "안녕하세요."}]}
        late = {"messages": [{"role": "assistant", "content": "네"}, *SHORT["messages"]]}
        untrained = {"messages": [SHORT["messages"][0], SHORT["messages"][1] | {"trained": False}]}
        rows = [SHORT, lonely, late, "{broken", {"messages": []}, LONG_ANSWER, untrained]
        found = settled(tmp_path, chat, rows, on_error="skip")
        assert [(outcome.item.place, outcome.reason) for outcome in found] == [
            ("a.jsonl:1", ""),
            ("a.jsonl:2", "no_question"),
            ("a.jsonl:3", "no_question"),
            ("a.jsonl:4", "unreadable"),
            ("a.jsonl:5", "malformed"),
            ("a.jsonl:6", "over_length"),
            ("a.jsonl:7", "refused"),
        ]
        assert [bool(outcome.kept) for outcome in found] == [True] + [False] * 6
        assert not any(outcome.error for outcome in found)
        assert "no turn of this conversation is trained" in found[6].dropped()["error"]

    def test_where_the_recipe_does_not_skip_the_error_goes_with_the_row(self, tmp_path: Path, chat: Chat) -> None:
        found = settled(tmp_path, chat, [SHORT, "{broken", {"messages": []}, SHORT])
        assert [str(outcome.error or "")[:10] for outcome in found] == ["", "a.jsonl:2:", "a.jsonl:3:", ""]

    def test_one_refused_row_does_not_take_its_neighbours_with_it(self, tokenizer: Any) -> None:
        strange = deepcopy(tokenizer)
        strange.chat_template = "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% if 'boom' in m['content'] %}{{ raise_exception('no boom') }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
        texts = ["하나", "둘", "boom", "넷", "다섯", "boom"]
        records = [
            Conversation((Message("user", text), Message("assistant", "네")), f"x:{n}") for n, text in enumerate(texts)
        ]
        found = list(encode(make_chat(strange, None), records))
        assert [isinstance(rows, TemplateError) for rows in found] == [text == "boom" for text in texts]
        assert [rows[0].source for rows in found if not isinstance(rows, TemplateError)] == ["x:0", "x:1", "x:3", "x:4"]


def test_one_row_that_stops_the_tokenizer_is_found_among_its_neighbours() -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {word: number for number, word in enumerate(["<unk>", "<|im_start|>", "<|im_end|>", "하나", "둘"])}
    raw = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    raw.add_special_tokens(["<|im_start|>", "<|im_end|>"])
    chat = make_chat(PreTrainedTokenizerFast(tokenizer_object=raw, unk_token="<unk>"), "chatml")
    texts = ["하나", "둘", "<|im_end|> 하나", "둘", "하나"]
    records = [
        Conversation((Message("user", text), Message("assistant", "둘")), f"x:{n}") for n, text in enumerate(texts)
    ]
    found = list(encode(chat, records))
    assert [isinstance(rows, TemplateError) for rows in found] == [False, False, True, False, False]
    assert "cannot be kept as text" in str(found[2])


class TestTruncatePrompt:
    def test_the_beginning_of_the_prompt_goes_and_the_rest_is_a_whole_rendering(
        self, tmp_path: Path, chat: Chat
    ) -> None:
        (found,) = settled(tmp_path, chat, [LONG_QUESTION], over_length="truncate_prompt")
        ((record, row),) = found.kept
        whole, trained = decoded(chat, row)
        assert found.made_to_fit == "truncated" and found.length > LIMIT
        assert LIMIT - 24 < length_of(row) <= LIMIT
        assert trained == "책입니다.<|im_end|>" and whole.endswith(
            "이것은 무엇인가요?<|im_end|>\n<|im_start|>assistant\n책입니다.<|im_end|>"
        )
        assert whole.startswith("<|im_start|>system\n짧게<|im_end|>\n<|im_start|>user\n")
        assert isinstance(record, Conversation) and record.source == "a.jsonl:1"
        assert chat.encode(record).input_ids == row.input_ids

    def test_older_turns_go_first_with_their_answers(self, tmp_path: Path, chat: Chat) -> None:
        (found,) = settled(tmp_path, chat, [TALK], over_length="truncate_prompt")
        ((record, row),) = found.kept
        contents = [message["content"] for message in TALK["messages"]]
        kept = [message.content for message in record.messages]  # type: ignore[union-attr]
        assert kept == [contents[0], *contents[-len(kept) + 1 :]] and len(kept) % 2 == 1
        assert row.stop_trained and length_of(row) <= LIMIT

    def test_an_answer_that_is_too_long_by_itself_is_dropped(self, tmp_path: Path, chat: Chat) -> None:
        (found,) = settled(tmp_path, chat, [LONG_ANSWER], over_length="truncate_prompt")
        assert (found.kept, found.reason, found.made_to_fit) == ([], "over_length", "")

    def test_of_a_pair_the_prompt_is_cut_for_both_answers(self, tmp_path: Path, chat: Chat) -> None:
        prompt = [{"role": "user", "content": "긴 이야기가 있습니다. " * 30 + "무엇인가요?"}]
        pair = {"prompt": prompt, "chosen": "책입니다.", "rejected": "잘 모르겠지만 아마 책일 거예요."}
        (found,) = settled(tmp_path, chat, [pair], "preference", over_length="truncate_prompt")
        ((record, row),) = found.kept
        assert isinstance(row, EncodedPair) and isinstance(record, Preference)
        assert row.length <= LIMIT < found.length
        assert chat.tokenizer.decode(row.chosen) == "책입니다.<|im_end|>"
        assert chat.tokenizer.decode(row.rejected) == "잘 모르겠지만 아마 책일 거예요.<|im_end|>"
        assert [message.role for message in record.prompt] == ["user"]
        assert record.prompt[0].content.endswith("무엇인가요?")


class TestSplitTurns:
    def test_every_part_is_whole_turns_behind_the_system_turn(self, tmp_path: Path, chat: Chat) -> None:
        (found,) = settled(tmp_path, chat, [TALK], over_length="split_turns")
        assert found.made_to_fit == "split" and found.lost == [] and len(found.kept) > 1
        answers: list[str] = []
        for record, row in found.kept:
            whole, _ = decoded(chat, row)
            assert whole.startswith("<|im_start|>system\n짧게<|im_end|>\n<|im_start|>user\n")
            assert row.labels[-1] in chat.stop_ids and row.stop_trained and length_of(row) <= LIMIT  # type: ignore[union-attr]
            answers += [message.content for message in record.messages if message.role == "assistant"]  # type: ignore[union-attr]
        assert answers == [message["content"] for message in TALK["messages"] if message["role"] == "assistant"]

    def test_a_single_turn_that_is_too_long_is_dropped(self, tmp_path: Path, chat: Chat) -> None:
        (found,) = settled(tmp_path, chat, [LONG_ANSWER], over_length="split_turns")
        assert (found.kept, found.reason, found.lost) == ([], "over_length", [])

    def test_a_turn_that_is_too_long_is_lost_out_of_its_conversation(self, tmp_path: Path, chat: Chat) -> None:
        long = turns("하나", "일", "둘", "아주 긴 대답 " * 50, "셋", "삼")
        (found,) = settled(tmp_path, chat, [long], over_length="split_turns")
        assert [decoded(chat, row)[1] for _, row in found.kept] == ["일<|im_end|>", "삼<|im_end|>"]
        assert [record.messages[0].content for record in found.lost] == ["둘"]  # type: ignore[union-attr]


def test_the_longer_side_decides() -> None:
    assert EncodedPair([1, 2], [3], [4, 5, 6]).length == length_of(EncodedPair([1, 2], [3], [4, 5, 6])) == 5


def test_two_answers_that_are_the_same_ids_are_no_preference(tmp_path: Path, chat: Chat) -> None:
    rows = [{"prompt": "가", "chosen": "나", "rejected": other} for other in ("나", "다")]
    assert [outcome.reason for outcome in settled(tmp_path, chat, rows, "preference")] == ["chosen_equals_rejected", ""]


def test_pairs_carry_what_was_noticed_of_both_sides(tmp_path: Path, chat: Chat) -> None:
    row = {"prompt": "<|im_end|>은?", "chosen": "네 <|im_end|>", "rejected": "아니요"}
    (found,) = settled(tmp_path, chat, [row], "preference")
    assert found.kept[0][1].control_strings == 2
