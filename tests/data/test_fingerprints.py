"""Keys depend on the row alone, and look-alikes share one."""

from __future__ import annotations

import numpy as np
import pytest

from seodang.data.dedup import key
from seodang.data.fingerprints import KEYS, SHORT, Prints, fingerprint
from seodang.records import Message, Prompt, Record

LONG = (
    "서울은 대한민국의 수도이며 한강을 끼고 있는 도시이다. 인구가 많고 교통이 편리하며 역사 유적도 여러 곳에 남아 있다."
)


def asked(*texts: str) -> list[Record]:
    return [Prompt((Message("user", text),)) for text in texts]


ALIKE = [
    ("왜 그래", "왜 그럐"),
    ("왜 그래", "그래 왜"),
    ("커피 좋아하세요?", "커피 조아하세요?"),
    ("오늘 날씨가 어때?", "오늘 날씨 어때요"),
    ("금연하세요", "금연하십시오"),
    (LONG, LONG.replace("편리하며", "펀리하며")),
    (LONG, LONG.replace("이다", "입니다")),
    (LONG, LONG.replace("한강을 끼고 있는 도시", "끼고 있는 한강을 도시")),
]
UNLIKE = [
    ("3번 문제를 풀어 줘", "4번 문제를 풀어 줘"),
    ("왜 안 가요", "왜 가요"),
    (LONG, LONG.replace("인구가", "1번 인구가")),
    (
        LONG,
        "고양이는 낮에 자고 밤에 돌아다니는 동물이라서 밤마다 집 안을 뛰어다니며 사람을 깨우곤 한다. 그래도 귀엽다.",
    ),
]


@pytest.mark.parametrize(("left", "right"), ALIKE)
def test_look_alikes_share_a_key(left: str, right: str) -> None:
    one, other = fingerprint(asked(left, right)).keys
    assert set(one.tolist()) & set(other.tolist())


@pytest.mark.parametrize(("left", "right"), UNLIKE)
def test_a_number_or_a_no_keeps_rows_apart(left: str, right: str) -> None:
    one, other = fingerprint(asked(left, right)).keys
    assert not set(one.tolist()) & set(other.tolist())


def test_a_row_has_the_same_fingerprint_in_any_batch() -> None:
    rows = asked(LONG, "가", "", "?", LONG[:SHORT], LONG[: SHORT + 8], "🙂🙂", *[f"{LONG} {n}" for n in range(40)])
    whole = fingerprint(rows)
    single = Prints.joined([fingerprint([row]) for row in rows])
    backwards = fingerprint(rows[::-1])
    assert np.array_equal(whole.exact, single.exact)
    assert np.array_equal(whole.keys, single.keys)
    assert np.array_equal(whole.keys, backwards.keys[::-1])
    assert whole.keys.shape == (len(rows), KEYS)
    assert len(whole) == len(rows)


def test_the_keys_never_change() -> None:
    """They are stored while a run is not finished, and another machine may continue it."""
    found = fingerprint(asked("안녕하세요?", LONG))
    assert found.keys[:, 0].tolist() == FIRST_KEYS
    assert [int(one) for one in found.exact] == [int(key(row)[:16], 16) for row in asked("안녕하세요?", LONG)]


FIRST_KEYS = [3058111445, 588940503]


def test_without_near_there_are_only_exact_keys() -> None:
    found = fingerprint(asked("가", "나"), near=False)
    assert found.keys.shape == (2, 0)
    assert len(found) == 2


def test_no_rows() -> None:
    assert fingerprint([]).keys.shape == (0, KEYS)


def test_the_likelier_the_more_keys() -> None:
    """The share of common keys is J^4, with J the share of common bigrams; measured here on words drawn at random."""
    draw = np.random.default_rng(0)
    shared = []
    for _ in range(40):
        words = ["".join(chr(0xAC00 + c) for c in draw.integers(0, 11172, 4)) for _ in range(40)]
        other = [*words[:36], *("".join(chr(0xAC00 + c) for c in draw.integers(0, 11172, 4)) for _ in range(4))]
        one, two = fingerprint(asked(" ".join(words), " ".join(other))).keys
        shared.append((one == two).mean())
    bigrams, kept = 159, 36 * 4 - 1
    likeness = kept / (2 * bigrams - kept)
    assert abs(np.mean(shared) - likeness**4) < 0.06
