"""Keys pass over spacing and sentence punctuation, and over nothing that carries meaning."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seodang.data.dedup import Dedup, DedupIndex, canonical, held_out, key
from seodang.records import Conversation, Labelled, Message, Preference, Prompt, Text, Unpaired
from seodang.schema import check_schema

SAME = [
    ("안녕 하세요.", "안녕하세요!"),
    ("안녕하세요~", "안녕하세요"),
    ("사과, 배, 감", "사과 배 감"),
    ("사과·배", "사과, 배"),
    ("좋아요… 정말", "좋아요 정말"),
    ("'서울'은 어디?", "“서울”은 어디"),
    ("3 - 2는?", "3-2는"),
    ("3 + 5 = ?", "3+5="),
    ("제 1 장", "제1장"),
    ("네, 3개요.", "네 3개요"),
    ("Hello, world.", "Hello world"),
    ("ChatGPT 는 무엇?", "ChatGPT는 무엇인가".removesuffix("인가")),
    ("첫 줄\n둘째 줄", "첫 줄 둘째 줄"),
    ("1.", "1"),
]

DIFFERENT = [
    ("1.5 + 2", "15 + 2"),
    ("-5와 3", "5와 3"),
    ("3-2는?", "32는?"),
    ("3. 5개", "35개"),
    ("3. 5개", "3.5개"),
    ("1 2", "12"),
    ("1,000원", "1000원"),
    ("10:30", "1030"),
    ("3~5명", "35명"),
    ("~5명", "5명"),
    ("3·1 운동", "31 운동"),
    ("3/4", "34"),
    ("값은 .5다", "값은 5다"),
    ("값은.5다", "값은5다"),
    ("5!은?", "5은?"),
    ("n!의 값", "n의 값"),
    ("f'(x)를 구해라", "f(x)를 구해라"),
    ("x != 3", "x = 3"),
    ("(1+2)*3", "1+2*3"),
    ("50%", "50"),
    ("±3", "3"),
    ("−5", "5"),
    ("#3", "3"),
    ("C++", "C"),
    ("A와 B", "a와 b"),
    ("now here", "nowhere"),
    ("나는 5. 그는 3", "나는 53"),
    ("38을 한글로 읽어 주세요", "47을 한글로 읽어 주세요"),
    ("갔다", "갔니"),
]


@pytest.mark.parametrize(("left", "right"), SAME)
def test_spacing_and_sentence_punctuation_do_not_count(left: str, right: str) -> None:
    assert canonical(left) == canonical(right)


@pytest.mark.parametrize(("left", "right"), DIFFERENT)
def test_digits_signs_points_and_operators_count(left: str, right: str) -> None:
    assert canonical(left) != canonical(right)


@given(st.lists(st.sampled_from(["가", "나다", "라마바", "12", "3.5", "abc", "+", "-"]), max_size=8), st.randoms())
def test_more_space_changes_nothing(words: list[str], random) -> None:  # type: ignore[no-untyped-def]
    wide = "".join(word + random.choice([" ", "  ", "\n", " \t"]) for word in words)
    assert canonical(wide) == canonical(" ".join(words))


@given(st.text(alphabet="가나 12.,-+!?~·'\"abc\n"))
def test_every_digit_and_sign_survives(text: str) -> None:
    kept = canonical(text)
    for mark in "12+-":
        assert kept.count(mark) == text.count(mark)


USER, OTHER = Message("user", "수도는?"), Message("user", "강은?")
SEOUL, BUSAN = Message("assistant", "서울입니다."), Message("assistant", "부산입니다.")

RECORDS = [
    Conversation((USER, SEOUL)),
    Conversation((USER, BUSAN)),
    Conversation((OTHER, SEOUL)),
    Conversation((Message("system", "짧게."), USER, SEOUL)),
    Conversation((USER, SEOUL, OTHER, BUSAN)),
    Preference((USER,), (SEOUL,), (BUSAN,)),
    Preference((USER,), (BUSAN,), (SEOUL,)),
    Prompt((USER,)),
    Prompt((OTHER,)),
    Text("수도는?"),
    Labelled("수도는?", 1),
    Labelled("수도는?", 0),
    Unpaired((USER,), (SEOUL,), True),
    Unpaired((USER,), (SEOUL,), False),
]


def test_the_key_is_the_whole_conversation() -> None:
    keys = [key(record) for record in RECORDS]
    assert len(set(keys)) == len(keys)
    assert all(len(one) == 32 for one in keys)


def test_source_and_task_are_not_part_of_the_key() -> None:
    plain = Conversation((USER, SEOUL))
    assert key(plain) == key(Conversation((USER, SEOUL), "b.jsonl:9", accept=("서울",), task="capital"))


def test_a_turn_is_not_the_same_text_in_another_turn() -> None:
    """Where one turn ends and the next begins, and whose turn it is, count."""
    one = Conversation((Message("user", "가"), Message("assistant", "나다")))
    two = Conversation((Message("user", "가나"), Message("assistant", "다")))
    three = Conversation((Message("assistant", "가"), Message("user", "나다")))
    assert len({key(one), key(two), key(three)}) == 3


PARTS = [
    ("prompt", Conversation((USER, SEOUL)), Conversation((USER, BUSAN)), True),
    ("prompt", Conversation((USER, SEOUL)), Conversation((OTHER, SEOUL)), False),
    ("answer", Conversation((USER, SEOUL)), Conversation((OTHER, SEOUL)), True),
    ("answer", Conversation((USER, SEOUL)), Conversation((USER, BUSAN)), False),
    ("prompt", Conversation((USER, SEOUL)), Preference((USER,), (SEOUL,), (BUSAN,)), True),
    ("prompt", Conversation((USER, SEOUL)), Prompt((USER,)), True),
    ("prompt", Labelled("수도는?", 1), Labelled("수도는?", 0), True),
]


@pytest.mark.parametrize(("on", "left", "right", "equal"), PARTS)
def test_parts(on, left, right, equal) -> None:  # type: ignore[no-untyped-def]
    assert (key(left, on) == key(right, on)) is equal


def test_the_index_names_the_first_of_its_kind() -> None:
    index = DedupIndex()
    assert index.add(Conversation((USER, SEOUL), "a.jsonl:1")) is None
    assert index.add(Conversation((USER, BUSAN), "a.jsonl:2")) is None
    assert index.add(Conversation((Message("user", "수도는 ?"), SEOUL), "b.jsonl:7")) == "a.jsonl:1"
    by_prompt = DedupIndex("prompt")
    assert by_prompt.add(Conversation((USER, SEOUL))) is None
    assert by_prompt.add(Conversation((USER, BUSAN))) == "an earlier row"


def _many(count: int) -> list[Conversation]:
    return [
        Conversation((Message("user", f"{n}에 7을 더하면?"), Message("assistant", f"{n + 7}"))) for n in range(count)
    ]


def test_the_held_out_share_is_about_what_is_asked() -> None:
    found = Counter(held_out(record, 0.1) for record in _many(4000))
    assert 330 < found[True] < 470
    assert not any(held_out(record, 0.0) for record in _many(50))
    assert all(held_out(record, 1.0) for record in _many(50))


def test_a_larger_share_holds_out_the_same_rows_and_more() -> None:
    small = {r.messages[0].content for r in _many(2000) if held_out(r, 0.05)}
    large = {r.messages[0].content for r in _many(2000) if held_out(r, 0.2)}
    assert small < large


def test_rows_with_one_prompt_stay_on_one_side() -> None:
    """Two answers to one prompt, and the preference pair on it: none leaks what the other holds out."""
    for number in range(200):
        user = Message("user", f"{number}층에는 무엇이 있나요?")
        records = [
            Conversation((user, SEOUL)),
            Conversation((user, BUSAN)),
            Preference((user,), (SEOUL,), (BUSAN,)),
            Prompt((user,)),
        ]
        assert len({held_out(record, 0.5) for record in records}) == 1


def test_in_a_recipe() -> None:
    assert check_schema(Dedup, {"on": "prompt"}) == (Dedup(on="prompt"), [])
    found, mistakes = check_schema(Dedup, {"on": "instruction"})
    assert found is None
    assert "must be one of 'conversation', 'prompt', 'answer'" in str(mistakes[0])
