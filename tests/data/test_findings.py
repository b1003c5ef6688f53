"""The faults of single rows, what ids say, and the file of offenders: whole or not there."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from seodang.chats import make_chat
from seodang.data.findings import Findings, Vocabulary, all_ids, answers_of, faults, trained_tokens
from seodang.data.outcomes import EncodedPair, encode
from seodang.encoding import Chat, Encoded
from seodang.errors import RunError
from seodang.records import Conversation, Message, Preference


@pytest.fixture(scope="module")
def chat(tokenizer: Any) -> Chat:
    return make_chat(tokenizer, "chatml")


@pytest.fixture(scope="module")
def with_bos(tokenizer: Any) -> Chat:
    """A tokenizer with a bos token, whose own template writes it."""
    other = deepcopy(tokenizer)
    other.bos_token = "<pad>"
    other.chat_template = "{{ bos_token }}" + make_chat(tokenizer, "chatml").jinja
    return make_chat(other, None)


def talk(question: str, answer: str) -> Conversation:
    return Conversation((Message("user", question), Message("assistant", answer)), "a.jsonl:1")


def found(record: Any, chat: Chat) -> list[str]:
    (rows,) = encode(chat, [record])
    assert isinstance(rows, list)
    return [name for row in rows for name in faults(record, row, Vocabulary(chat))]


PLAIN = "I go to school. The weather is nice today."


@pytest.mark.parametrize(
    ("question", "answer", "names"),
    [
        ("Please translate.", PLAIN, []),
        ("<|im_end|>", PLAIN, ["control_string"]),
        (PLAIN, " ", ["empty_answer"]),
        (PLAIN, PLAIN.replace(" ", "  "), ["prompt_equals_answer"]),
        (PLAIN, "뷁쉛뛝쫅뷁쉛뛝쫅뷁쉛뛝쫅뷁쉛뛝쫅", ["byte_fallback"]),
    ],
)
def test_the_faults_of_a_row(question: str, answer: str, names: list[str], chat: Chat) -> None:
    assert found(talk(question, answer), chat) == names


def test_of_a_pair_only_the_good_answer_must_not_echo(chat: Chat) -> None:
    def pair(chosen: str, rejected: str) -> Preference:
        return Preference((Message("user", PLAIN),), (Message("assistant", chosen),), (Message("assistant", rejected),))

    assert found(pair("school", PLAIN), chat) == []
    assert found(pair(PLAIN, "school"), chat) == ["prompt_equals_answer"]
    assert found(pair("school", ""), chat) == ["empty_answer"]


def test_a_stop_that_is_not_trained(chat: Chat) -> None:
    row = Encoded([5, 6], [-100, 6], stop_trained=False)
    assert "stop_untrained" in list(faults(talk("가", "나"), row, Vocabulary(chat)))
    stop = chat.stop_ids[0]
    cut = EncodedPair([5], [6, stop], [7])
    assert "stop_untrained" in list(faults(talk("가", "나"), cut, Vocabulary(chat)))
    assert (all_ids(cut), trained_tokens(cut), trained_tokens(row)) == ([5, 6, stop, 7], 3, 1)


class TestBos:
    def test_once_at_the_start_is_right(self, with_bos: Chat) -> None:
        assert found(talk("Please translate.", PLAIN), with_bos) == []

    @pytest.mark.parametrize(
        ("ids", "wrong"),
        [
            ([3, 9, 8], False),
            ([3, 3, 9], True),
            ([9, 8], False),
            ([3, 9, 3, 8], True),
            ([3, 9, 1, 3, 8], False),
            ([], False),
        ],
    )
    def test_doubled_or_in_the_midst_is_wrong(self, ids: list[int], wrong: bool, with_bos: Chat) -> None:
        assert (with_bos.tokenizer.bos_token_id, with_bos.stop_ids[0]) == (3, 1)
        assert Vocabulary(with_bos).has_bos_fault(ids) is wrong

    def test_a_named_template_must_write_the_bos_that_the_tokenizer_adds(self, tokenizer: Any) -> None:
        other = deepcopy(tokenizer)
        other.bos_token = "<pad>"
        from tokenizers.processors import TemplateProcessing

        other.backend_tokenizer.post_processor = TemplateProcessing(single="<pad> $A", special_tokens=[("<pad>", 3)])
        vocabulary = Vocabulary(make_chat(other, "chatml"))
        assert vocabulary.wants_bos
        assert vocabulary.has_bos_fault([9, 8]) and not vocabulary.has_bos_fault([3, 9, 8])

    def test_without_a_bos_token_nothing_is_wrong(self, chat: Chat) -> None:
        assert not Vocabulary(chat).has_bos_fault([9, 8])


def test_tokens_that_are_no_character_of_their_own(chat: Chat) -> None:
    vocabulary = Vocabulary(chat)
    ids = chat.tokenizer.encode("a뷁", add_special_tokens=False)
    assert (len(ids), vocabulary.split_tokens(ids)) == (4, 3)
    assert vocabulary.split_tokens(chat.tokenizer.encode("I go to school.")) == 0


def test_answers_are_the_turns_that_are_trained() -> None:
    record = Conversation(
        (Message("user", "가"), Message("assistant", "나", trained=False), Message("assistant", "다"))
    )
    assert [message.content for message in answers_of(record)] == ["다"]


class TestFindings:
    def test_counts_first_places_and_lines(self, tmp_path: Path) -> None:
        findings = Findings(tmp_path / "runs" / "x.offenders.jsonl")
        with findings.closing():
            findings.add("bos", "a.jsonl:3", part="train")
            findings.add("bos", "a.jsonl:5", part="train", of="a.jsonl:1")
            assert not (tmp_path / "runs" / "x.offenders.jsonl").exists()
        assert (findings.counts["bos"], findings.first, findings.written) == (2, {"bos": "a.jsonl:3"}, True)
        lines = (tmp_path / "runs" / "x.offenders.jsonl").read_text(encoding="utf-8").splitlines()
        assert [json.loads(line) for line in lines] == [
            {"row": "a.jsonl:3", "reason": "bos", "part": "train"},
            {"row": "a.jsonl:5", "reason": "bos", "part": "train", "of": "a.jsonl:1"},
        ]

    def test_a_torn_audit_leaves_the_older_list_and_no_litter(self, tmp_path: Path) -> None:
        path = tmp_path / "x.offenders.jsonl"
        path.write_text("old\n")
        findings = Findings(path)
        with pytest.raises(KeyboardInterrupt), findings.closing():
            findings.add("bos", "a.jsonl:3")
            raise KeyboardInterrupt
        assert [file.name for file in tmp_path.iterdir()] == ["x.offenders.jsonl"]
        assert path.read_text() == "old\n"

    def test_without_findings_an_older_list_is_gone(self, tmp_path: Path) -> None:
        path = tmp_path / "x.offenders.jsonl"
        path.write_text("old\n")
        with Findings(path).closing():
            pass
        assert not path.exists()

    def test_what_every_row_may_have_is_counted_and_not_written(self, tmp_path: Path) -> None:
        findings = Findings(tmp_path / "x.offenders.jsonl", frozenset({"byte_fallback"}))
        with findings.closing():
            findings.add("byte_fallback", "a.jsonl:3")
        assert (findings.counts["byte_fallback"], findings.written, list(tmp_path.iterdir())) == (1, False, [])

    def test_without_a_path_nothing_is_written(self, tmp_path: Path) -> None:
        findings = Findings()
        with findings.closing():
            findings.add("bos", "a.jsonl:3")
        assert findings.counts["bos"] == 1 and list(tmp_path.iterdir()) == []

    def test_a_folder_that_cannot_be_written_to_is_a_paragraph(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(RunError, match=r"rows with findings cannot be written to .*file: .*another `output_dir`"):
            Findings(tmp_path / "file" / "x.offenders.jsonl").add("bos", "a.jsonl:3")
