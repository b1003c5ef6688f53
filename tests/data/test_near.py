"""Which rows repeat which: verified, deterministic, and the same however the rows were fingerprinted."""

from __future__ import annotations

import importlib.util
import random
import sys
from pathlib import Path

import numpy as np
import pytest

from seodang.data import near
from seodang.data.agreement import same
from seodang.data.dedup import spelt
from seodang.data.fingerprints import Prints, fingerprint
from seodang.data.near import Repeats, meets, precedence, repeats
from seodang.records import Conversation, Message, Record

TOWNS = [
    "서울",
    "부산",
    "대구",
    "인천",
    "광주",
    "대전",
    "울산",
    "수원",
    "창원",
    "고양",
    "용인",
    "성남",
    "청주",
    "화성",
    "남양",
    "전주",
    "천안",
    "안산",
    "안양",
    "김해",
    "평택",
    "포항",
    "제주",
    "시흥",
]
ASKED = "{town}의 날씨와 인구, 그리고 가 볼 만한 곳을 차례대로 알려 줘"


def row(prompt: str, answer: str = "네, 알겠습니다.", source: str = "") -> Record:
    return Conversation((Message("user", prompt), Message("assistant", answer)), source)


def found(records: list[Record], **more: object) -> Repeats:
    return repeats(fingerprint(records), lambda at: spelt(records[at]), **more)  # type: ignore[arg-type]


def test_exact_and_near() -> None:
    records = [
        row("오늘 날씨 어때?"),
        row("내일 날씨 어때?"),
        row("오늘날씨 어때"),
        row("오늘 날씨는 어때요?"),
        row("오늘 날씨 어때?", "비가 옵니다."),
        row("오늘 날씨 어때요"),
    ]
    one = found(records)
    assert one.of.tolist() == [-1, -1, 0, 0, -1, 0]
    assert one.near.tolist() == [False, False, False, True, False, True]
    assert one.kept.tolist() == [True, True, False, False, True, False]
    assert found(records[:0]).of.tolist() == []


def test_slots_names_and_numbers_all_live() -> None:
    """Rows of one template differ in a word or a number; every one of them is a row."""
    records = [row(ASKED.format(town=town)) for town in TOWNS]
    records += [row(f"{n}을 한글로 읽어 주세요", f"{n}입니다.") for n in range(10, 60)]
    assert found(records).kept.all()


def test_a_duplicate_is_found_in_a_crowd_of_one_template() -> None:
    """More rows share each key than are compared with one another."""
    records = [row(f"{ASKED.format(town=town + end)}") for town in TOWNS for end in ("", "시", "역", "항", "산", "천")]
    count = len(records)
    records += [row(ASKED.format(town=town).replace("알려 줘", "알려 주세요")) for town in TOWNS]
    one = found(records)
    assert one.kept[:count].all()
    assert (~one.kept[count:]).sum() >= len(TOWNS) - 1


def test_no_chain_of_small_differences() -> None:
    """What repeats a dropped row is compared with the row that was kept, and dropped only if it repeats that one."""
    records = [
        row("이 문장을 영어로 번역해 줘"),
        row("이 문장을 영어로 번역해 주세요"),
        row("영어로 이 문장을 번역해 주세요"),
    ]
    one = found(records)
    assert one.of.tolist() == [-1, 0, 0]
    for at in np.flatnonzero(~one.kept):
        assert one.of[one.of[at]] == -1


def test_what_repeats_a_near_duplicate_exactly_repeats_what_is_kept() -> None:
    records = [row("오늘 날씨 어때?"), row("오늘 날씨는 어때요?"), row("오늘 날씨는 어때요")]
    one = found(records)
    assert one.of.tolist() == [-1, 0, 0]


KEEPS = [("first", [0]), ("longest", [2]), ("priority", [1])]


@pytest.mark.parametrize(("keep", "kept"), KEEPS)
def test_which_one_stays(keep: near.Keep, kept: list[int]) -> None:
    records = [row("날씨 어때?", "맑아요."), row("날씨는 어때?", "맑아요."), row("날씨 어때요?", "맑습니다.")]
    order = precedence(keep, lengths=[4, 4, 5], priorities=[0, 5, 1])
    assert np.flatnonzero(found(records, order=order).kept).tolist() == kept


def test_among_equals_the_first_stays() -> None:
    for keep in ("first", "longest", "priority"):
        assert precedence(keep, [3, 3, 3], [1, 1, 1]).tolist() == [0, 1, 2]  # type: ignore[arg-type]


def shuffled_words(count: int) -> list[Record]:
    draw = random.Random(3)
    words = ["나는", "내가", "어제", "오늘", "학교에", "집에", "빨리", "갔다", "갔어요", "친구와", "친구랑"]
    return [
        row(" ".join(draw.choices(words, k=draw.randint(2, 5))), draw.choice(["네.", "네", "아니요."]))
        for _ in range(count)
    ]


def test_batches_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    records = shuffled_words(300)
    whole = found(records)
    parts = Prints.joined([fingerprint(records[at : at + 7]) for at in range(0, len(records), 7)])
    monkeypatch.setattr(near, "_PART", 500)
    other = repeats(parts, lambda at: spelt(records[at]))
    assert whole.of.tolist() == other.of.tolist()
    assert 0 < whole.near.sum() < 300


def test_every_repeat_is_verified() -> None:
    records = shuffled_words(300)
    one = found(records)
    for at in np.flatnonzero(one.near):
        assert same(spelt(records[one.of[at]]), spelt(records[at]))
        assert one.of[at] != at


def test_nearly_all_pairs_that_say_the_same_are_found() -> None:
    """Every pair by brute force, against what the fingerprints bring together."""
    records = shuffled_words(300)
    one = found(records)
    texts = [spelt(record) for record in records]
    kept = np.flatnonzero(one.kept)
    missed = [(a, b) for at, a in enumerate(kept) for b in kept[at + 1 :] if same(texts[a], texts[b])]
    assert len(missed) <= 0.02 * len(records)


def test_without_keys_only_exact_repeats_are_found() -> None:
    records = [row("오늘 날씨 어때?"), row("오늘 날씨는 어때"), row("오늘 날씨 어때")]
    assert repeats(fingerprint(records, near=False), str).of.tolist() == [-1, -1, 0]


def test_meets() -> None:
    known = [row("날씨 어때?"), row("이름이 뭐야?"), row("이름이 뭐야")]
    asked = [row("이름이 뭐야!"), row("나이가 몇이야?"), row("날씨는 어때요?"), row("날씨 어때")]
    texts, others = [spelt(one) for one in known], [spelt(one) for one in asked]

    def agree(one: int, other: int) -> bool:
        return same(texts[one], others[other])

    assert meets(fingerprint(known), fingerprint(asked), agree).tolist() == [1, -1, 0, 0]
    unseen = np.array([True, True, False, True])
    assert meets(fingerprint(known), fingerprint(asked), agree, unseen).tolist() == [1, -1, -1, 0]
    assert meets(fingerprint([]), fingerprint(asked), agree).tolist() == [-1] * 4
    assert meets(fingerprint(known), fingerprint([]), agree).tolist() == []


def test_planted_pairs_of_public_sets(shared_data: Path) -> None:
    """Six kinds of change make duplicates and four do not; the benchmark has 2,000 pairs and says more."""
    path = Path(__file__).resolve().parents[2] / "benchmarks" / "duplicates.py"
    spec = importlib.util.spec_from_file_location("duplicates", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["duplicates"] = module
    spec.loader.exec_module(module)
    kinds = module.planted(shared_data / "ko", 500, seed=0, show=0)
    assert all(kinds[kind]["called"] >= 0.9 for kind in module.DUPLICATES), kinds
    assert sum(kinds[kind]["called"] for kind in module.DUPLICATES) / 6 >= 0.97, kinds
    assert all(kinds[kind]["called"] <= 0.02 for kind in module.DIFFERENT), kinds
