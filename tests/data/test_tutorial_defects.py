"""Ten defects of a well-known way to prepare Korean instruction data, each as a test that `prepare` does not have it.

The way is that of the tutorial LEE-hyeon0771/instruction_dataset: columns renamed by position, turns taken by two
delimiters, files merged with pandas, tokens counted on raw strings. The tests are numbered as these defects are.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Rows = list[dict[str, Any]]
Prepared = Callable[..., tuple[Rows, Rows, dict[str, Any]]]


@pytest.fixture
def prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Prepared:
    """Runs `seodang run` on files: returns the rows kept, the rows dropped, and the report."""
    from seodang.cli import cli

    monkeypatch.chdir(tmp_path)

    def run(*files: str, on_error: str = "stop") -> tuple[Rows, Rows, dict[str, Any]]:
        sources = "".join(f"  - {{path: {json.dumps(name)}, on_error: {on_error}}}\n" for name in files)
        Path("p.yaml").write_text(f"stage: prepare\nsources:\n{sources}eval: 0\noutput_dir: out\n", encoding="utf-8")
        cli(["run", "p.yaml"], standalone_mode=False)
        capsys.readouterr()
        report = json.loads(Path("out/report.json").read_text(encoding="utf-8"))
        rows = report["rows"]
        assert rows["read"] == rows["kept"] + sum(rows["dropped"].values())
        return read_lines("out/train.jsonl"), read_lines("out/dropped.jsonl"), report

    return run


def read_lines(name: str) -> Rows:
    path = Path(name)
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def write(name: str, rows: Rows) -> str:
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    Path(name).write_text(text, encoding="utf-8")
    return name


def said(row: dict[str, Any]) -> list[tuple[str, str]]:
    return [(message["role"], message["content"]) for message in row["messages"]]


ONE = [("user", "봄에는 무엇을 심나요?"), ("assistant", "상추를 심습니다.")]
TWO = [*ONE, ("user", "여름에는요?"), ("assistant", "가을배추를 준비합니다.")]


def delimited(turns: list[tuple[str, str]]) -> str:
    return "".join(f"### {'Human' if role == 'user' else 'Assistant'}: {text}" for role, text in turns)


def sharegpt(turns: list[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"from": "human" if role == "user" else "gpt", "value": text} for role, text in turns]


def test_1_delimited_sets_are_read_at_all(prepared: Prepared) -> None:
    """There: an AttributeError for every set whose turns stand in one text."""
    kept, _, _ = prepared(write("guanaco.jsonl", [{"text": delimited(ONE)}]))
    assert [said(row) for row in kept] == [ONE]


def test_2_the_number_of_columns_decides_nothing(prepared: Prepared) -> None:
    """There: three columns were taken for instruction, output and input, whatever was in them."""
    rows = [{"split": "train", "text": delimited(ONE), "id": 1}]
    others = [{"id": "a", "conversations": sharegpt(TWO), "split": "train"}]
    kept, _, report = prepared(write("guanaco.jsonl", rows), write("share.jsonl", others))
    assert [said(row) for row in kept] == [ONE, TWO]
    assert [source["format"]["kind"] for source in report["sources"]] == ["delimited", "sharegpt"]


def test_3_every_turn_is_kept(prepared: Prepared) -> None:
    """There: the last pair of a list, the first pair of a text."""
    rows = [{"conversations": sharegpt(TWO)}]
    other = [
        ("user", "안녕하세요?"),
        ("assistant", "안녕하세요!"),
        ("user", "이름이 뭐예요?"),
        ("assistant", "서당이에요."),
    ]
    kept, _, _ = prepared(write("share.jsonl", rows), write("guanaco.jsonl", [{"text": delimited(other)}]))
    assert [said(row) for row in kept] == [TWO, other]


def test_4_the_time_grows_with_the_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There: a data frame made anew for each row, so that the time grew with the square of the rows."""
    from seodang.data.reading import open_records

    monkeypatch.chdir(tmp_path)
    many = [{"conversations": sharegpt([("user", f"{n}번째 물음"), ("assistant", f"{n}번째 답")])} for n in range(8000)]
    few, all_of_them = write("few.jsonl", many[:1000]), write("many.jsonl", many)

    def seconds(name: str) -> float:
        start = time.perf_counter()
        assert all(item.reason for item in open_records(name).items)
        return time.perf_counter() - start

    assert min(seconds(all_of_them) for _ in range(3)) < 24 * min(seconds(few) for _ in range(3)), "8 would be linear"


def test_5_lists_out_of_parquet_are_lists(prepared: Prepared) -> None:
    """There: they arrived as arrays, were taken for no lists, and the rows became empty without a word."""
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.Table.from_pylist([{"conversations": sharegpt(ONE)}, {"conversations": sharegpt(TWO)}])
    pyarrow.parquet.write_table(table, "share.parquet")
    kept, _, _ = prepared("share.parquet")
    assert [said(row) for row in kept] == [ONE, TWO]


def test_5_rows_of_a_data_frame_are_read_too() -> None:
    from seodang.data.formats import decide
    from seodang.records import Conversation

    numpy = pytest.importorskip("numpy")
    row = {"conversations": numpy.array(sharegpt(TWO), dtype=object)}
    record = decide([row]).parse(row, "frame:1")
    assert isinstance(record, Conversation)
    assert [(message.role, message.content) for message in record.messages] == TWO


def test_6_no_file_is_lost_in_a_merge(prepared: Prepared) -> None:
    """There: one step wrote a JSON array, the next read JSON lines, and what failed was printed and left out."""
    Path("array.json").write_text(json.dumps([{"instruction": "하나?", "output": "첫째입니다."}]), encoding="utf-8")
    lines = write("lines.jsonl", [{"instruction": "둘?", "output": "둘째입니다."}])
    kept, _, report = prepared("array.json", lines)
    assert [row["messages"][1]["content"] for row in kept] == ["첫째입니다.", "둘째입니다."]
    assert [source["rows"]["kept"] for source in report["sources"]] == [1, 1]


def test_6_a_file_that_cannot_be_read_stops_the_merge(prepared: Prepared) -> None:
    from seodang.errors import DataError

    Path("torn.jsonl").write_text('{"instruction": "하나?", "outp', encoding="utf-8")
    with pytest.raises(DataError, match=r"torn\.jsonl:1"):
        prepared(write("lines.jsonl", [{"instruction": "둘?", "output": "둘째입니다."}]), "torn.jsonl")


CONTAINERS = [
    # (name, bytes): what the file is says its content
    (
        "lines.json",
        '{"instruction": "하나?", "output": "첫째입니다."}\n{"instruction": "둘?", "output": "둘째입니다."}\n'.encode(),
    ),
    (
        "array.jsonl",
        '[{"instruction": "하나?", "output": "첫째입니다."},\n {"instruction": "둘?", "output": "둘째입니다."}]'.encode(),
    ),
    ("table.csv", "instruction,output\r\n하나?,첫째입니다.\r\n둘?,둘째입니다.\r\n".encode("cp949")),
    ("table.tsv", "instruction\toutput\n하나?\t첫째입니다.\n둘?\t둘째입니다.\n".encode("utf-8-sig")),
    (
        "utf16.jsonl",
        '{"instruction": "하나?", "output": "첫째입니다."}\n{"instruction": "둘?", "output": "둘째입니다."}\n'.encode(
            "utf-16"
        ),
    ),
]


@pytest.mark.parametrize(("name", "content"), CONTAINERS, ids=[name for name, _ in CONTAINERS])
def test_7_content_decides_and_not_the_extension(prepared: Prepared, name: str, content: bytes) -> None:
    """There: the ending of the name, and neither CSV, nor TSV, nor any encoding but UTF-8."""
    Path(name).write_bytes(content)
    kept, _, _ = prepared(name)
    assert [said(row) for row in kept] == [
        [("user", "하나?"), ("assistant", "첫째입니다.")],
        [("user", "둘?"), ("assistant", "둘째입니다.")],
    ]


def test_8_a_url_is_no_input(prepared: Prepared) -> None:
    """There: KoAlpaca-v1.1a's third column was renamed to `input`, and it holds addresses."""
    row = {"instruction": "봄에는 무엇을 심나요?", "output": "상추를 심습니다.", "url": "https://kin.example/1"}
    kept, _, report = prepared(write("koalpaca.jsonl", [row]))
    assert [said(one) for one in kept] == [ONE]
    assert "kin.example" not in json.dumps(kept[0]["messages"])
    assert report["sources"][0]["evidence"] == "alpaca (1 of 1 rows fit; not read: url)"


def test_9_no_input_is_none_and_every_row_knows_where_it_is_from(prepared: Prepared) -> None:
    """There: null inputs, empty answers and duplicates went through, and nothing said where a row was from."""
    row = {"instruction": "봄에는 무엇을 심나요?", "output": "상추를 심습니다."}
    rows = [row | {"input": given} for given in (None, "", "입력없음")] + [row | {"output": " "}]
    kept, dropped, report = prepared(write("rows.jsonl", rows), on_error="skip")
    assert [said(one) for one in kept] == [ONE]
    assert "input_at" not in kept[0]["messages"][0]
    assert kept[0]["source"] == "rows.jsonl:1"
    assert report["rows"] == {"read": 4, "kept": 1, "dropped": {"duplicate": 2, "malformed": 1}}
    assert [one["source"] for one in dropped] == ["rows.jsonl:2", "rows.jsonl:3", "rows.jsonl:4"]


def test_10_tokens_are_counted_with_the_template(prepared: Prepared, tokenizer_dir: Path, tokenizer: Any) -> None:
    """There: the raw texts alone, so that `max_length` was chosen too short by the template and its control tokens."""
    from seodang.chats import make_chat
    from seodang.data.dataset import collect
    from seodang.data.specs import TrainData
    from seodang.tokenization import load_light

    prepared(write("rows.jsonl", [{"instruction": "봄에는 무엇을 심나요?", "output": "상추를 심습니다."}]))
    chat = make_chat(load_light(str(tokenizer_dir)), "chatml")
    (row,) = collect(TrainData(run="out"), chat, "messages").train
    raw = sum(len(tokenizer(text)["input_ids"]) for _, text in ONE)
    control = sum(token in tokenizer.added_tokens_decoder for token in row.input_ids)
    assert control >= 4
    assert len(row.input_ids) > raw + control
