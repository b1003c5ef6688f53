"""Previews as HTML: every span is there and nothing in it is markup, what is torn is left out, a notebook can show it."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest

from seodang.reports.preview import notebook, steps, views
from seodang.tokenizer_steps import walk

EVIL = "<script>alert(1)</script>{{ 7 * 7 }}\" onload='x'"
SPANS = [
    {"text": "<|im_start|>", "kind": "control", "ids": [0]},
    {"text": "user\n날씨 어때?", "kind": "context", "ids": [5, 6]},
    {"text": "맑아\n요.", "kind": "trained", "ids": [7, 8, 9]},
    {"text": "<|im_end|>", "kind": "stop", "ids": [1]},
]


class Page(HTMLParser):
    """The tags of a fragment with their attributes, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.data: list[str] = []
        self.feed(html)
        self.text = " ".join("".join(self.data).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.data.append(data)


def test_every_span_is_there_with_its_kind_and_its_ids() -> None:
    page = Page(notebook({"facts": {"source": "a.jsonl:1"}, "views": [{"spans": SPANS}]}))
    kinds = [(tag, attrs["class"], attrs["title"]) for tag, attrs in page.tags if "title" in attrs]
    assert kinds == [
        ("span", "control", "0"), ("span", "context", "5 6"), ("mark", "trained", "7 8 9"), ("mark", "stop", "1"),
    ]  # fmt: skip
    assert "source: a.jsonl:1" in page.text
    assert "<|im_start|>user 날씨 어때?맑아↵ 요.<|im_end|>" in page.text


def test_headings_and_notes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEODANG_LANG", "ko")
    shown = {"views": [{"title": "as it is trained here", "notes": ["the same tokens get a loss"], "spans": SPANS}]}
    page = Page(notebook(shown))
    assert "여기서 학습하는 그대로" in page.text
    assert ("div", {"class": "seodang", "lang": "ko"}) in page.tags
    assert [tag for tag, _ in page.tags].count("li") == 1


def test_the_steps_of_a_text(tokenizer: Any) -> None:
    found = walk(tokenizer, "똠 <b>굵게</b>", "네")
    page = Page(notebook({"steps": found.to_row()}))
    assert "b" not in [tag for tag, attrs in page.tags if attrs] and "text똠 <b>굵게</b>" in page.text
    assert [tag for tag, _ in page.tags].count("th") == 7
    groups = [attrs for _, attrs in page.tags if attrs.get("class") == "group"]
    assert len(groups) == len(found.groups) + len(found.words or ())
    cells = [attrs["class"] for _, attrs in page.tags if attrs.get("class") in ("cell", "padding")]
    assert cells.count("padding") == sum(row.count(0) for row in found.batch.mask)  # type: ignore[union-attr]
    assert "unchanged, this tokenizer has no normaliser" in page.text


def test_text_is_never_markup(tokenizer: Any) -> None:
    evil = [{"text": EVIL, "kind": EVIL, "ids": [EVIL]}]
    shown = {
        "facts": {EVIL: EVIL},
        "views": [{"title": EVIL, "notes": [EVIL], "spans": evil}],
        "steps": walk(tokenizer, EVIL, EVIL).to_row(),
    }
    page = Page(notebook(shown))
    assert not {"script", "img"} & {tag for tag, _ in page.tags}
    assert not [attrs for _, attrs in page.tags if any(name.startswith("on") for name in attrs)]
    assert page.text.count("<script>alert(1)</script>") >= 5
    assert "49" not in re.sub(r"\d{3,}", "", page.text.split("pieces and ids")[0])


@pytest.mark.parametrize(
    ("shown", "rows"),
    [
        ({"views": [{"spans": SPANS}, {"spans": SPANS}]}, 2),
        (SPANS, 1),
        ([SPANS, SPANS], 2),
        (None, 0), ("x", 0), ([3], 0), ({"views": 3}, 0), ({"views": [3, None]}, 0),
    ],
)  # fmt: skip
def test_older_reports_and_torn_ones(shown: Any, rows: int) -> None:
    assert len(views(shown)) == rows


@pytest.mark.parametrize("torn", [{"views": [{"spans": [3, {}], "notes": 3}]}, {"views": [{}]}])
def test_what_is_missing_in_a_view_is_left_out(torn: Any) -> None:
    assert Page(notebook(torn)).tags
    assert steps(torn) is None
    assert steps({"steps": {"text": "가"}}) is None


def test_a_fragment_loads_nothing_and_styles_only_itself() -> None:
    html = notebook({"views": [{"spans": SPANS}]})
    assert not re.search(r"https?:|@import|url\(|<script", html)
    rules = re.findall(r"^(\.[^{]+)\{", html.split("<style>")[1].split("</style>")[0], re.MULTILINE)
    assert rules and all(rule.startswith((".seodang", ".steps", ".group", ".padding")) for rule in rules)
