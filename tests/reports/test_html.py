"""The report page: what a run says is on it, nothing else is loaded, and data stays text."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from seodang.reports import html
from seodang.reports.html import duration, number, render, share, verdict, write_report
from seodang.runs import Run

VOID = {"meta", "br", "link", "img", "input", "hr"}
EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{ 7 * 7 }}</pre></svg>"


class Page(HTMLParser):
    """The page as a list of tags and its text; fails where a tag is not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def headings(self) -> list[str]:
        names = ["What became of every row", "Metrics", "Figures", "Counted on the way", "What is trained", "Samples"]
        return [name for name in [*names, "How it was made"] if name in self.text]


@pytest.fixture
def made(tmp_path: Path) -> Callable[..., Page]:
    """Writes a run folder and its report, and gives the page."""

    def make(report: dict[str, Any], log: list[dict[str, Any]] = [], recipe: str = "", **notes: Any) -> Page:  # noqa: B006
        run = Run(tmp_path / "koalpaca-sft")
        run.path.mkdir()
        run.write_json("report.json", report)
        for entry in log:
            run.log(entry)
        if recipe:
            run.file("recipe.yaml").write_text(recipe, encoding="utf-8")
        if notes:
            run.note(**notes)
        path = write_report(run.path)
        assert path == run.path / "report.html"
        return Page(path.read_text(encoding="utf-8"))

    return make


SFT = {
    "rows": {"read": 1495, "kept": 1443, "dropped": {"no_answer": 12, "over_length": 40}},
    "metrics": {
        "loss_first": 3.41234, "loss_last": 1.6, "eval_loss_first": 3.25, "eval_loss_last": 1.75, "tokens": 1234567,
    },
    "figures": {
        "loss": [{"step": n, "loss": 3 / n} for n in range(1, 60)],
        "eval_loss": [{"step": 0, "loss": 3.25}, {"step": 59, "loss": 1.75}],
        "row_length": [10, 20, 20, 30],
        "answer_length": {"edges": [0, 8, 16], "counts": [3, 4]},
    },
    "preview": [
        {"text": "<|im_start|>", "kind": "control"}, {"text": "user\n날씨 어때?", "kind": "context"},
        {"text": "맑아요.", "kind": "trained"}, {"text": "<|im_end|>", "kind": "stop"},
    ],
}  # fmt: skip

EVALUATE = {
    "rows": {"read": 310, "kept": 300, "dropped": {"over_length": 10}},
    "verdict": "exact_match: base 0.020 → sft 0.713",
    "metrics": {
        "base": {"exact_match": 0.02, "loss": 3.2, "n": 300, "counts": {"exact_match": 300, "loss": 300},
                 "intervals": {"exact_match": [0.009, 0.043], "loss": [3.1, 3.3]},
                 "tasks": {"숫자 읽기": {"exact_match": 0.01, "n": 120},
                           "조사 고르기": {"exact_match": 0.1, "n": 80}}},
        "sft": {"exact_match": 0.713, "polite_rate": 0.84, "loss": 1.9, "n": 300,
                "counts": {"exact_match": 300, "polite_rate": 211, "loss": 300},
                "intervals": {"exact_match": [0.66, 0.762], "polite_rate": [0.78, 0.88], "loss": [1.8, 2.0]},
                "tasks": {"숫자 읽기": {"exact_match": 0.8, "n": 120},
                          "조사 고르기": {"exact_match": 0.95, "n": 80}}},
    },
    "samples": [
        {"prompt": "38을 읽어 주세요.", "reference": "삼십팔", "answers": {"base": "", "sft": "삼십팔입니다."}},
    ],
}  # fmt: skip


def test_a_training_run(made: Callable[..., Page]) -> None:
    page = made(SFT, stage="sft", state="finished", seconds=412.53, started="2026-11-20T18:04:05+00:00",
                parents=["runs/prepare"], recipe="stage: sft\nmodel: {name_or_path: x}\n")  # fmt: skip

    for text in (
        "koalpaca-sft",
        "1495 read = 1443 kept + 52 dropped (12 no_answer, 40 over_length)",
        "training loss 3.412 → 1.6 · held-out loss 3.25 → 1.75",
        "started: 2026-11-20 18:04:05 UTC",
        "took: 6 min 53 s",
        "made from: runs/prepare",
        "1,495 read = 1,443 kept + 52 dropped",
        "over_length 40 2.7 % no_answer 12 0.8 %",
        "tokens 1,234,567",
        "stage: sft model: {name_or_path: x}",
    ):
        assert text in page.text
    assert sum(tag == "svg" for tag, _ in page.tags) == 3
    assert page.headings() == ["What became of every row", "Metrics", "Figures", "What is trained", "How it was made"]
    captions = re.findall(r"loss loss eval loss|row length|answer length", page.text)
    assert captions == ["loss loss eval loss", "row length", "answer length"]


def test_what_is_trained_is_coloured(made: Callable[..., Page]) -> None:
    page = made(SFT)

    kinds = [attrs["class"] for tag, attrs in page.tags if tag in ("span", "mark") and attrs.get("class") in
             ("trained", "stop", "control", "context")]  # fmt: skip
    assert kinds == ["trained", "stop", "control", "context", "control", "context", "trained", "stop"]
    assert "<|im_start|> user 날씨 어때? 맑아요. <|im_end|>" in page.text


def test_several_preview_rows(made: Callable[..., Page]) -> None:
    page = made({"preview": [[{"text": "하나", "kind": "trained"}], [{"text": "둘", "kind": "context"}, {}]]})

    assert sum(attrs.get("class") == "card text" for _, attrs in page.tags) == 2


def test_an_evaluation(made: Callable[..., Page]) -> None:
    page = made(EVALUATE)

    for text in (
        "exact_match: base 0.020 → sft 0.713",
        "metric, with its 95 % interval base · n 300 sft · n 300",
        "exact match 2.0 % 0.9 – 4.3 71.3 % 66.0 – 76.2",
        "polite rate – 84.0 % 78.0 – 88.0 · n 211",
        "loss 3.2 3.1 – 3.3 1.9 1.8 – 2",
        "exact match by task base sft 조사 고르기 n 80 10.0 % 95.0 % 숫자 읽기 n 120 1.0 % 80.0 %",
        "prompt 38을 읽어 주세요. reference 삼십팔 base (nothing) sft 삼십팔입니다.",
    ):
        assert text in page.text
    bars = [attrs["style"] for tag, attrs in page.tags if tag == "i" and "left:" in str(attrs.get("style"))]
    assert len(bars) == 3
    assert re.fullmatch(r"left: 66.0%; width: 10\.\d+%", str(bars[1]))


def test_the_ledgers_of_a_generating_run(made: Callable[..., Page]) -> None:
    rejected = {"not_novel": 80, "empty": 40}
    page = made(
        {
            "rows": {"read": 220, "kept": 100, "dropped": rejected},
            "requests": {"sent": 60, "answered": 58, "failed": {"prompt_too_long": 2}},
            "records": {"parsed": 220, "kept": 100, "rejected": rejected},
            "seeds": {"read": 175, "kept": 175, "dropped": {}},
            "samples": {"kept": [{"messages": [{"role": "user", "content": "책을 추천해 주세요."}]}],
                        "empty": [{"text": "조각"}, {"number": 3}, "줄"]},
            "stopped_by": "target",
        }
    )  # fmt: skip

    assert "60 sent = 58 answered + 2 failed" in page.text
    assert "175 read = 175 kept + 0 dropped" in page.text
    assert "parsed" not in page.text, "records say the same as rows"
    assert "not_novel 80 36.4 % empty 40 18.2 %" in page.text
    assert 'kept user 책을 추천해 주세요. empty 조각 {"number": 3} 줄' in page.text
    assert "stopped by: target" in page.text


def test_the_sources_of_a_prepared_set(made: Callable[..., Page]) -> None:
    sources = [
        {
            "source": f"{name}.jsonl",
            "container": "JSON lines",
            "encoding": "utf-8",
            "format": {"kind": "alpaca"},
            "rows": {"read": 10, "kept": kept, "dropped": {"empty": 10 - kept}},
        }
        for name, kept in (("하나", 9), ("둘", 8))
    ]
    page = made({"rows": {"read": 20, "kept": 17, "dropped": {"empty": 3}}, "sources": sources, "repairs": {"nfc": 4}})

    assert "하나.jsonl JSON lines utf-8 10 read = 9 kept + 1 dropped" in page.text
    assert "둘.jsonl JSON lines utf-8 10 read = 8 kept + 2 dropped" in page.text
    assert "Counted on the way repairs nfc 4" in page.text


def test_the_log_is_drawn_where_there_are_no_figures(made: Callable[..., Page]) -> None:
    log = [{"step": n, "loss": 2 / n, "learning_rate": 1e-4, "grad_norm": 1.0} for n in range(1, 9)]
    page = made({}, [*log, {"step": 8, "eval_loss": 0.5}, {"step": 9, "loss": None}, {"loss": 3}])

    assert page.headings() == ["Figures"]
    assert "loss loss eval loss" in page.text
    assert "grad" not in page.text


def test_a_run_that_says_nothing(made: Callable[..., Page]) -> None:
    page = made({})

    assert page.headings() == []
    assert "koalpaca-sft" in page.text


def test_a_folder_without_any_file(tmp_path: Path) -> None:
    assert Page(write_report(tmp_path).read_text(encoding="utf-8")).headings() == []


@pytest.mark.parametrize(
    "report",
    [
        {"rows": [], "metrics": [], "samples": 3, "preview": "x", "sources": {}},
        {"rows": {"read": 1}, "metrics": {"base": {}}, "samples": [None, 3, {"answers": 3}], "preview": [3]},
        {"figures": {"loss": [{"step": "x", "loss": 1}], "a": [], "b": ["x"], "c": {"edges": []}, "d": None}},
        {"metrics": {"base": {"exact_match": None, "loss": "nan", "n": 0}, "steps": None}, "sources": [3, 4]},
        {"rows": {"read": 0, "kept": 0, "dropped": {}}},
    ],
)
def test_what_is_not_as_expected_is_left_out(made: Callable[..., Page], report: dict[str, Any]) -> None:
    made(report)


def test_data_is_text_everywhere(made: Callable[..., Page]) -> None:
    report = {
        "verdict": EVIL,
        "rows": {"read": 2, "kept": 1, "dropped": {EVIL: 1}},
        EVIL: {"read": 3, "kept": 2, "dropped": {"x": 1}},
        "repairs": {EVIL: 1},
        "stopped_by": EVIL,
        "metrics": {EVIL: {EVIL: 0.5, "n": 1, "tasks": {EVIL: {EVIL: 1, "n": 1}}}, f"{EVIL}2": EVIL},
        "figures": {EVIL: [{"step": 1, EVIL: 2.0, "y": 1.0}]},
        "preview": [{"text": EVIL, "kind": EVIL}],
        "samples": [
            {"prompt": EVIL, "reference": EVIL, "answers": {EVIL: EVIL}},
            {"messages": [{"role": EVIL, "content": EVIL}]},
        ],
    }
    page = made(report, recipe=EVIL, stage=EVIL, state=EVIL, parents=[EVIL])

    assert not {"script", "img"} & {tag for tag, _ in page.tags}
    assert not [attrs for _, attrs in page.tags if any(name.startswith("on") for name in attrs)]
    assert page.text.count("<script>alert(1)</script>") >= 20
    assert "49" not in page.text


def test_a_run_may_have_any_name(tmp_path: Path) -> None:
    (tmp_path / "<b>한글 & co").mkdir()
    page = Page(write_report(tmp_path / "<b>한글 & co").read_text(encoding="utf-8"))

    assert "<b>한글 & co" in page.text


def test_half_a_surrogate_pair_does_not_stop_the_report(made: Callable[..., Page]) -> None:
    page = made({"samples": [{"prompt": "가\ud83d", "answers": {"sft": "나"}}]}, stage="evaluate")

    assert "가?" in page.text


def test_nothing_is_loaded_from_elsewhere() -> None:
    text = render("x", SFT | EVALUATE, {"stage": "sft"}, [], "stage: sft")
    page = Page(text)

    allowed = {"http://www.w3.org/1999/xlink", "http://www.w3.org/2000/svg"}
    assert set(re.findall(r"https?://[^\"' )<]+", text)) <= allowed
    assert not [attrs for _, attrs in page.tags if {"src", "srcset", "href"} & attrs.keys()]
    assert not re.search(r"@import|url\((?!#)", text)
    policy = next(attrs["content"] for _, attrs in page.tags if attrs.get("http-equiv") == "Content-Security-Policy")
    assert policy == "default-src 'none'; style-src 'unsafe-inline'"


def test_it_follows_theme_and_width() -> None:
    text = render("x", SFT, {}, [], "")

    assert "@media (prefers-color-scheme: dark)" in text
    assert 'name="viewport" content="width=device-width, initial-scale=1"' in text
    root, dark = (set(re.findall(r"(--[\w-]+):", block)) for block in re.findall(r":root \{(.*?)\}", text, re.DOTALL))
    assert root == dark, "a colour has one value only"
    assert set(re.findall(r"var\((--[\w-]+)\)", text)) <= root


def test_the_same_run_gives_the_same_page() -> None:
    assert render("x", SFT, {}, [], "") == render("x", json.loads(json.dumps(SFT)), {}, [], "")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"), (7, "7"), (1234567, "1,234,567"), (3.0, "3"), (0.123456, "0.1235"), (12.3456, "12.35"),
        (0.00001234, "1.234e-05"), (12345.678, "12,345.7"), (-2.5, "-2.5"), (float("inf"), "inf"), (1e20, "1e+20"),
        (True, "True"), ("nan", "nan"), (None, "None"),
    ],
)  # fmt: skip
def test_numbers_for_eyes(value: Any, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.0 s"), (4.24, "4.2 s"), (60, "1 min 0 s"), (412.53, "6 min 53 s"), (3599.9, "1 h 0 min"),
     (12000, "3 h 20 min")],
)  # fmt: skip
def test_durations_for_eyes(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(("value", "text"), [(0, "0.0 %"), (0.7125, "71.2 %"), (1.0, "100.0 %")])
def test_shares_for_eyes(value: float, text: str) -> None:
    assert share(value) == text


@pytest.mark.parametrize(
    ("report", "text"),
    [
        ({}, ""),
        ({"verdict": "grew by 100"}, "grew by 100"),
        ({"rows": {"read": 2, "kept": 2, "dropped": {}}}, "2 read = 2 kept + 0 dropped (none)"),
        ({"metrics": {"loss_first": 3.0, "loss_last": 1.5}}, "training loss 3 → 1.5"),
        ({"metrics": {"loss_first": 3.0}}, ""),
        ({"metrics": {"eval_loss_first": "nan", "eval_loss_last": 1}}, ""),
        ({"metrics": [1]}, ""),
    ],
)
def test_the_verdict(report: dict[str, Any], text: str) -> None:
    assert verdict(report) == text


@pytest.mark.parametrize(
    ("name", "expected"),
    [("exact_match", True), ("stop_rate", True), ("preference_accuracy", True), ("loss", False), ("n", False)],
)
def test_which_metrics_are_shares(name: str, expected: bool) -> None:
    assert html.is_share(name) is expected


@pytest.mark.parametrize(
    ("row", "turns"),
    [
        ({"messages": [{"role": "user", "content": "가"}, {"role": "assistant", "content": "나"}]},
         [("user", "가"), ("assistant", "나")]),
        ({"prompt": [{"role": "user", "content": "가"}], "chosen": [{"role": "assistant", "content": "나"}],
          "rejected": [{"role": "assistant", "content": "다"}]}, 
         [("user", "가"), ("chosen", "나"), ("rejected", "다")]),
        ({"text": "가나"}, [("", "가나")]),
        ({"a": 1}, [("", '{"a": 1}')]),
        ("가", [("", "가")]),
    ],
)  # fmt: skip
def test_rows_are_shown_as_turns(row: Any, turns: list[tuple[str, str]]) -> None:
    assert html._turns(row) == turns


KOREAN_HEADINGS = ["행별 처리 결과", "지표", "그림", "무엇을 학습하는가", "보기", "어떻게 만들었는가"]


def test_the_page_is_korean_where_korean_is_spoken(
    made: Callable[..., Page], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEODANG_LANG", "ko")
    samples = {"over_length": [{"messages": [{"role": "user", "content": "loss"}]}]}
    page = made(SFT | {"samples": samples}, recipe="stage: sft\n", state="finished", stage="sft", seconds=75.0)

    assert ("html", {"lang": "ko"}) in page.tags
    assert [name for name in KOREAN_HEADINGS if name not in page.text] == []
    assert page.headings() == []
    assert "sft 끝남 koalpaca-sft" in page.text
    assert (
        "1495 읽음 = 1443 남김 + 52 버림 (12 no_answer, 40 over_length) · 학습 손실 3.412 → 1.6 · "
        "남겨 둔 데이터의 손실 3.25 → 1.75"
    ) in page.text
    assert "걸린 시간: 1분 15초" in page.text
    assert "1,495 읽음 = 1,443 남김 + 52 버림 이유 버림 비율 길이 초과 (over_length) 40 2.7 %" in page.text
    assert "길이 초과 (over_length) 사용자 loss" in page.text  # what a row says is data
    assert "손실 손실 남겨 둔 데이터의 손실" in page.text  # the figure and its legend
    svg = (tmp_path / "koalpaca-sft" / "report.html").read_text(encoding="utf-8")
    assert ">스텝</text>" in svg and ">개수</text>" in svg and ">step</text>" not in svg


def test_the_page_says_en_where_english_is_spoken(made: Callable[..., Page]) -> None:
    assert ("html", {"lang": "en"}) in made({"rows": SFT["rows"]}).tags


@pytest.mark.parametrize(
    ("key", "english", "korean"),
    [
        ("over_length", "over_length", "길이 초과 (over_length)"),
        ("empty", "empty", "비어 있음 (empty)"),
        ("my_own", "my_own", "my_own"),
    ],
)
def test_a_reason_keeps_its_key(key: str, english: str, korean: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert html.reason(key) == english
    monkeypatch.setenv("SEODANG_LANG", "ko")
    assert html.reason(key) == korean
