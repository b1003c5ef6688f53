"""Fifty-eight kinds of defect, planted at random places among clean rows: each is repaired, or dropped for its own reason.

A row that nothing was done to is written as it was. What a repair gives back must be the clean row, to the letter.
"""

from __future__ import annotations

import json
import random
import unicodedata
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from seodang import runs
from seodang.data.prepare import run
from seodang.recipe import Prepare
from seodang.runs import Run

CITIES = [
    "서울",
    "부산",
    "대구",
    "인천",
    "광주",
    "대전",
    "울산",
    "수원",
    "춘천",
    "강릉",
    "원주",
    "청주",
    "충주",
    "공주",
    "부여",
    "전주",
    "군산",
    "남원",
    "목포",
    "순천",
    "여수",
    "안동",
    "경주",
    "진주",
]
SIGHTS = [
    "시장",
    "산책길",
    "박물관",
    "공원",
    "식당",
    "도서관",
    "온천",
    "숲",
    "골목",
    "궁궐",
    "미술관",
    "서점",
    "찻집",
    "성곽",
    "들판",
    "바닷길",
    "절",
    "정원",
]
TRAITS = ["조용한", "넓은", "아담한", "오래된", "깨끗한", "붐비는", "한적한", "소박한", "화려한", "이름난", "아늑한"]
FILTERS = [
    "empty", "leftover", "prompt_equals_answer", "broken", "repeated", "hangul_share", "untranslated", "refusal",
    "ai_identity", "list_only", "mixed_register", "pii", "ends_with_colon", {"kind": "length", "max": 2000},
]  # fmt: skip
QUESTION = "세종대왕이 훈민정음을 반포한 해는 서기로 몇 년인지 쓰세요."
TIMES = 3
"""So many rows get each defect."""

Row = dict[str, Any]


def clean_rows() -> list[Row]:
    """432 rows of two templates, no two alike; some with an input, code, a list with words, or a line of dialogue."""
    found = []
    for number, (city, sight) in enumerate((city, sight) for city in CITIES for sight in SIGHTS):
        trait, other = TRAITS[number % 11], TRAITS[(number // 11) % 11]
        answer = (
            f"{city}의 {sight}은 {trait} 편입니다. 아침 {number % 5 + 6}시에 문을 열고, 주말에는 손님이 많습니다.\n"
            f"둘러보는 데 {number % 50 + 20}분쯤 걸리며, '{other}' 곳이라는 평이 있습니다."
        )
        given = f"참고: {city} 관광 안내 {number + 1}쪽, 카페·식당 소개와 A/S 창구" if number % 3 == 0 else ""
        found.append({"instruction": f"{city}의 {sight}에 대해 알려 주세요.", "input": given, "output": answer})
    return found


@dataclass(frozen=True)
class Defect:
    """What is done to a row, and what must become of it."""

    name: str
    plant: Callable[[Row], Any]
    reason: str = ""
    """Why it is dropped; empty where it must come back clean."""
    repair: str = ""
    """What is counted on the way, a word for each time; nothing where the format alone takes care of it."""


def out(change: Callable[[str], str]) -> Callable[[Row], Row]:
    """A change of the answer."""
    return lambda row: row | {"output": change(row["output"])}


def says(text: str) -> Callable[[Row], Row]:
    """Another answer."""
    return lambda row: row | {"output": text}


def without(column: str) -> Callable[[Row], Row]:
    """A row that lacks a column."""
    return lambda row: {name: value for name, value in row.items() if name != column}


def read_as(codec: str) -> Callable[[str], str]:
    """Text whose UTF-8 was read as something else."""
    return lambda text: text.encode().decode(codec)


REPAIRED = [
    Defect("NFD", out(lambda t: unicodedata.normalize("NFD", t[:2]) + t[2:]), repair="hangul_nfc hangul_nfc"),
    Defect("zero-width space", out(lambda t: t.replace("편입", "편\u200b입")), repair="zero_width"),
    Defect("byte-order mark", out(lambda t: t.replace("아침", "\ufeff아침")), repair="zero_width"),
    Defect("soft hyphen", out(lambda t: t.replace("손님", "손\xad님")), repair="zero_width"),
    Defect("joiner between letters", out(lambda t: t.replace("손님", "손\u200d님")), repair="zero_width"),
    Defect("no-break space", out(lambda t: t.replace(" 편", "\xa0편")), repair="space"),
    Defect("ideographic space", out(lambda t: t.replace(" 편", "\u3000편")), repair="space"),
    Defect("thin space", out(lambda t: t.replace(" 편", "\u2009편")), repair="space"),
    Defect("CRLF", out(lambda t: t.replace("\n", "\r\n")), repair="line_end"),
    Defect("line separator", out(lambda t: t.replace("\n", "\u2028")), repair="line_end"),
    Defect("vertical tab", out(lambda t: t.replace("\n", "\x0b")), repair="line_end"),
    Defect("white space around", out(lambda t: f"\n {t}  "), repair="outer_space"),
    Defect("full-width comma", out(lambda t: t.replace("열고,", "열고，")), repair="full_width"),
    Defect("full-width digits", out(lambda t: t.replace("6시", "６시").replace("7시", "７시").replace("8시", "８시")
           .replace("9시", "９시").replace("10시", "１０시")), repair="full_width"),
    Defect("HTML entity", out(lambda t: t.replace("'", "&#39;", 1)), repair="html_entity"),
    Defect("named entity", out(lambda t: t.replace(" 편", "&nbsp;편")), repair="html_entity space"),
    Defect("escaped entity", out(lambda t: t.replace("'", "&amp;#39;", 1)), repair="html_entity"),
    Defect("control character", out(lambda t: t.replace("손님", "손\x08님")), repair="control"),
    Defect("half of a surrogate pair", out(lambda t: t.replace("손님", "손\ud83d님")), repair="control"),
    Defect("icon of a web font", out(lambda t: t.replace(" 편", "\uf00d 편")), repair="private_use"),
    Defect("UTF-8 read as Latin-1", out(read_as("latin-1")), repair="mojibake"),
    Defect("CP949 read as Latin-1", out(lambda t: t.encode("cp949").decode("latin-1")), repair="mojibake"),
    Defect("leftover before", out(lambda t: f"### 답변: {t}"), repair="leftover"),
    Defect("leftover behind", out(lambda t: f"{t}<|endoftext|>"), repair="leftover"),
    Defect("role before", out(lambda t: f"<bot> {t}"), repair="leftover"),
    Defect("null input", lambda row: row | {"input": row["input"] or None}),
    Defect("입력없음", lambda row: row | {"input": row["input"] or "입력없음"}),
    Defect("<noinput>", lambda row: row | {"input": row["input"] or "<noinput>"}),
    Defect("provenance columns", lambda row: row | {"url": "https://kin.example/1", "__index_level_0__": 7}),
]  # fmt: skip

DROPPED = [
    Defect("broken JSON", lambda row: json.dumps(row, ensure_ascii=False)[:-9], "unreadable"),
    Defect("no object", lambda row: json.dumps([row["output"]], ensure_ascii=False), "unreadable"),
    Defect("bytes that are no UTF-8", lambda row: json.dumps(row, ensure_ascii=False).encode("cp949"), "unreadable"),
    Defect("no answer column", without("output"), "malformed"),
    Defect("null answer", lambda row: row | {"output": None}, "malformed"),
    Defect("empty answer", says(" "), "malformed"),
    Defect("answer is a list", lambda row: row | {"output": [row["output"]]}, "malformed"),
    Defect("invisible answer", says("\u200b\u200b"), "empty", "zero_width zero_width"),
    Defect("template instead of an answer", says("### 답변:"), "empty", "leftover"),
    Defect("answer repeats the prompt", lambda row: row | {"input": "", "output": row["instruction"]}, "prompt_equals_answer"),
    Defect("next turn in the answer", out(lambda t: f"{t}\n### 질문: 또 있나요?\n### 답변: 없습니다."), "leftover"),
    Defect("replacement character", out(lambda t: t.replace("손님", "손\ufffd")), "broken"),
    Defect("code that is never closed", out(lambda t: f"{t}\n```python\nprint(1)"), "broken"),
    Defect("sentence in a loop", out(lambda t: " ".join([t.split(".")[0] + "."] * 12)), "repeated"),
    Defect("word in a loop", out(lambda t: t + " 그래서" * 30), "repeated"),
    Defect("Chinese answer", says("这里的市场早上六点开门,周末的时候客人很多,请大家早一点过来参观。"), "hangul_share"),
    Defect("English answer", says("It opens at six in the morning and is crowded with visitors on weekends."), "hangul_share"),
    Defect("half English", out(lambda t: f"{t}\nPlease visit the official website for more details about the opening hours"
           " and the admission fee, which may change without notice."), "untranslated"),
    Defect("refusal", says("죄송하지만 그 요청에는 답변을 드릴 수 없습니다."), "refusal"),
    Defect("another's name", out(lambda t: f"저는 OpenAI에서 만든 ChatGPT입니다. {t}"), "ai_identity"),
    Defect("bare list", says("1. 시장\n2. 박물관\n3. 공원\n4. 온천"), "list_only"),
    Defect("mixed register", out(lambda t: f"{t} 나도 거기 가 봤어. 진짜 좋았어. 너도 꼭 가 봐."), "mixed_register"),
    Defect("mobile number", out(lambda t: f"{t} 예약은 010-2345-6789로 하세요."), "pii"),
    Defect("resident number", out(lambda t: f"{t} 담당자는 900101-1234568입니다."), "pii"),
    Defect("e-mail", out(lambda t: f"{t} 문의는 hong.gildong@seodang.kr로 보내세요."), "pii"),
    Defect("card number", out(lambda t: f"{t} 카드 4111-1111-1111-1111로 결제했습니다."), "pii"),
    Defect("breaks off at a colon", says("다음과 같은 곳이 있습니다:"), "ends_with_colon"),
    Defect("too long", out(lambda t: t + "".join(f" {n}번째 골목도 볼만합니다." for n in range(200))), "too_long"),
    Defect("question of an evaluation", lambda row: row | {"instruction": QUESTION, "input": ""}, "in_evaluation"),
]  # fmt: skip


def repeated(rows: list[Row], draw: random.Random) -> list[tuple[str, Row]]:
    """Rows that repeat clean ones: to the letter, in spacing and punctuation, in a particle."""
    found = []
    for _ in range(TIMES):
        one, two, three = draw.sample(rows, 3)
        found.append(("duplicate", one))
        spaced = {"instruction": two["instruction"].replace(" ", "  ").rstrip("."), "output": two["output"] + " "}
        found.append(("duplicate", two | spaced))
        found.append(("near_duplicate", three | {"output": three["output"].replace("문을 열고", "문 열고")}))
    return found


@dataclass
class Planted:
    """The lines of a file, and what must become of each (by its number from 1)."""

    lines: list[bytes]
    kept: dict[int, Row]
    dropped: dict[int, str]
    repairs: Counter[str]


def planted(seed: int) -> Planted:
    """Clean rows with every defect at TIMES random places, and repeated rows at the end."""
    draw, rows = random.Random(seed), clean_rows()
    places = draw.sample(range(len(rows)), TIMES * len(REPAIRED + DROPPED))
    kept, dropped, repairs = dict(enumerate(rows, 1)), dict[int, str](), Counter[str]()
    found: list[Any] = list(rows)
    for at, place in enumerate(places):
        defect = (REPAIRED + DROPPED)[at // TIMES]
        found[place] = defect.plant(rows[place])
        if defect.reason:
            dropped[place + 1] = defect.reason
            del kept[place + 1]
        repairs.update(defect.repair.split())
    untouched = [row for place, row in enumerate(rows) if place not in places]
    for reason, row in repeated(untouched, draw):
        found.append(row)
        dropped[len(found)] = reason
        repairs["outer_space"] += row["output"].endswith(" ")
    return Planted([line_of(one) for one in found], kept, dropped, repairs)


def line_of(row: Any) -> bytes:
    if isinstance(row, bytes):
        return row
    if isinstance(row, str):
        return row.encode()
    text = json.dumps(row, ensure_ascii=False)
    return (
        text if text.isprintable() or not any("\ud800" <= c <= "\udfff" for c in text) else json.dumps(row)
    ).encode()


def written(row: Row) -> list[dict[str, Any]]:
    """The messages of a clean row."""
    question = {"role": "user", "content": row["instruction"]}
    if row["input"]:
        question |= {"content": f"{row['instruction']}\n\n{row['input']}", "input_at": len(row["instruction"]) + 2}
    return [question, {"role": "assistant", "content": row["output"]}]


@pytest.mark.parametrize("seed", [1, 2])
def test_every_defect_is_met_and_no_clean_row_is_lost(tmp_path: Path, seed: int) -> None:
    case = planted(seed)
    (tmp_path / "rows.jsonl").write_bytes(b"\n".join(case.lines) + b"\n")
    asked = {"instruction": QUESTION, "output": "1446년"}
    (tmp_path / "eval.jsonl").write_text(json.dumps(asked, ensure_ascii=False) + "\n", encoding="utf-8")
    recipe = {
        "stage": "prepare",
        "sources": [{"path": str(tmp_path / "rows.jsonl"), "on_error": "skip"}],
        "filters": FILTERS,
        "decontaminate": {"files": [str(tmp_path / "eval.jsonl")]},
        "eval": 0,
        "processes": 1,
    }
    (tmp_path / "run").mkdir()
    report = run(Prepare.model_validate(recipe), Run(tmp_path / "run"))
    rows = {name: runs.read_rows(tmp_path / "run" / name) for name in (runs.TRAIN, runs.DROPPED)}
    assert {number(row): row["reason"] for row in rows[runs.DROPPED]} == case.dropped
    assert {number(row): row["messages"] for row in rows[runs.TRAIN]} == {n: written(r) for n, r in case.kept.items()}
    assert report["rows"]["dropped"] == dict(sorted(Counter(case.dropped.values()).items()))
    # of broken encodings every damaged piece of a text is counted
    assert report["repairs"].pop("mojibake") > case.repairs.pop("mojibake") == 2 * TIMES
    assert report["repairs"] == dict(sorted(case.repairs.items()))


def number(row: Row) -> int:
    return int(row["source"].rpartition(":")[2])


def test_there_are_forty_kinds_and_more() -> None:
    names = [one.name for one in REPAIRED + DROPPED]
    assert len(set(names)) == len(names) >= 40


def test_clean_rows_are_kept_as_they_are(tmp_path: Path) -> None:
    rows = clean_rows()
    assert len({row["instruction"] for row in rows}) == len(rows) == 432
    assert all(one.plant(rows[0]) != rows[0] for one in DROPPED)
