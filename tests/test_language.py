"""The user's language: how texts travel and are said, and that every text of the source has its Korean words."""

from __future__ import annotations

import ast
import json
import pickle
import re
import string
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, get_args

import click
import pytest
import yaml

from seodang import language
from seodang.errors import DataError, Mistake, RecipeError
from seodang.language import Phrase, columns, joined, label, padded, read_words, say

ROOT = Path(__file__).resolve().parents[1]
SRC = ROOT / "src" / "seodang"
KOREAN = yaml.safe_load((ROOT / "data_words" / "ko.yaml").read_text(encoding="utf-8"))
TEXTS = {entry["en"]: entry["ko"] for entry in KOREAN["texts"]}
LABELS = KOREAN["labels"]


@pytest.fixture
def korean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEODANG_LANG", "ko")


# ---- which language


@pytest.mark.parametrize(
    ("variables", "spoken"),
    [
        ({}, "en"),
        ({"SEODANG_LANG": "ko"}, "ko"),
        ({"SEODANG_LANG": "KO"}, "ko"),
        ({"SEODANG_LANG": "en", "LC_ALL": "ko_KR.UTF-8"}, "en"),
        ({"SEODANG_LANG": "kr"}, "ko"),
        ({"SEODANG_LANG": "Korean"}, "ko"),
        ({"LANG": "kri_SL.UTF-8"}, "en"),
        ({"SEODANG_LANG": "", "LANG": "ko_KR.UTF-8"}, "ko"),
        ({"LANG": "ko_KR.UTF-8"}, "ko"),
        ({"LC_MESSAGES": "ko_KR.eucKR"}, "ko"),
        ({"LC_ALL": "C.UTF-8", "LANG": "ko_KR.UTF-8"}, "en"),
        ({"LC_ALL": "ko", "LANG": "en_US.UTF-8"}, "ko"),
        ({"LANG": "kok_IN.UTF-8"}, "en"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({"SEODANG_LANG": "de"}, "en"),
    ],
)
def test_the_language_is_asked_for_or_the_locales(
    variables: dict[str, str], spoken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in language.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert language.language() == spoken


# ---- how texts travel


def test_a_phrase_is_its_english_text() -> None:
    phrase = Phrase("{count} rows of {name}", count=3, name=Phrase("text"))
    assert phrase == "3 rows of text"
    assert phrase in {"3 rows of text": 1}
    assert json.dumps({"error": phrase}) == '{"error": "3 rows of text"}'
    assert (phrase.text, phrase.values["count"]) == ("{count} rows of {name}", 3)
    assert Phrase(phrase) is phrase


def test_a_phrase_survives_pickling(korean: None) -> None:
    phrase = pickle.loads(pickle.dumps(Phrase("must be {what}", what=Phrase("text"))))
    assert phrase == "must be text"
    assert say(phrase) == "텍스트만 쓸 수 있습니다"


@pytest.mark.parametrize(
    ("text", "values", "said"),
    [
        ("must be {what}", {"what": Phrase("a number")}, "숫자만 쓸 수 있습니다"),
        ("must be {what}", {"what": "a number"}, "a number만 쓸 수 있습니다"),
        ("{where}: there are no rows in the file.", {"where": "{x}.jsonl"}, "{x}.jsonl: 파일에 행이 없습니다."),
        ("nobody has translated {this}", {"this": Phrase("none")}, "nobody has translated 없음"),
        ("`heading` needs {number}: records are told apart by their headings", {},
         "`heading`에는 {number} 자리가 있어야 합니다. 제목을 보고 레코드를 구분하기 때문입니다"),
        ("a brace { and no values", {}, "a brace { and no values"),
    ],
)  # fmt: skip
def test_a_text_is_said_with_its_values_as_they_are(
    korean: None, text: str, values: dict[str, object], said: str
) -> None:
    assert say(text, **values) == said
    assert say(Phrase(text, **values)) == said


def test_in_english_nothing_is_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEODANG_LANG", "en")
    for text in [*TEXTS, *LABELS]:
        assert say(text) == text
    assert label("eval_loss_first") == "eval loss first"
    assert say(joined(" or ", ["a {x}", Phrase("text")])) == "a {x} or text"


def test_parts_and_their_separator_are_said(korean: None) -> None:
    both = joined(" or ", [Phrase("text"), Phrase("a list"), "{mine}"])
    assert both == "text or a list or {mine}"
    assert say(both) == "텍스트 또는 목록 또는 {mine}"
    assert say(joined(", ", [])) == joined(", ", []) == ""


def test_a_label_is_of_a_key(korean: None) -> None:
    assert label("eval_loss") == "남겨 둔 데이터의 손실"
    assert label("of_my_own") == "of my own"
    assert label(Phrase("source {number}", number=2)) == "원본 2"


@pytest.mark.parametrize(("text", "wide"), [("rows", 4), ("행", 2), ("데이터 준비", 11), ("⟦행⟧", 4), ("", 0)])
def test_a_syllable_takes_two_columns(text: str, wide: int) -> None:
    assert columns(text) == wide
    assert padded(text, 12) == text + " " * (12 - wide)
    assert padded(text, 0) == text


def test_the_words_lie_in_the_package_or_in_the_source_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "src" / "seodang"
    (tmp_path / "data_words").mkdir(parents=True)
    (tmp_path / "data_words" / "xx.yaml").write_text("texts: [{en: a, xx: b}]\nlabels: {}\n")
    monkeypatch.setattr(language, "files", lambda _: package)
    assert read_words.__wrapped__("xx")["texts"] == {"a": "b"}
    (package / "data_words").mkdir(parents=True)
    (package / "data_words" / "xx.yaml").write_text("texts: [{en: a, xx: c}]\nlabels: {}\n")
    assert read_words.__wrapped__("xx")["texts"] == {"a": "c"}
    monkeypatch.setattr(language, "files", lambda _: tmp_path / "site-packages" / "seodang")
    assert read_words.__wrapped__("xx") == {"texts": {}, "labels": {}}


# ---- every text of the source

TEXT_AT = {
    "SeodangError": (0,), "DataError": (0,), "TemplateError": (0,), "ModelError": (0,), "RunError": (0,),
    "CheckFailed": (0,), "RecipeError": (0, 2), "Mistake": (1,), "row_error": (1,), "ValueError": (0,),
    "Phrase": (0,), "say": (0,), "joined": (0,), "progress": (0,), "Finding": (1,), "_tell": (0,), "echo": (0,),
    "print": (0,), "__init__": (0,),
}  # fmt: skip
"""Who takes a text that a user reads → at which places among the arguments."""
APART = ("tasks",)
"""What checks packaged data; no user sees its errors."""


def has_words(text: str) -> bool:
    """Whether there is anything to say beside the values."""
    return re.search(r"[A-Za-z]", re.sub(r"\{[^{}]*\}", "", text)) is not None


class Collector(ast.NodeVisitor):
    """The texts of one module as (line, text), and its faults: texts that cannot be looked up, as (line, fault)."""

    def __init__(self, source: str) -> None:
        self.scopes: list[Any] = [ast.parse(source)]
        self.in_class = False
        self.texts: list[tuple[int, str]] = []
        self.faults: list[tuple[int, str]] = []
        self.visit(self.scopes[0])

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self.in_class = True
        self.generic_visit(node)
        self.in_class = False

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self.scopes.append(node)
        self.generic_visit(node)
        self.scopes.pop()

    def visit_Call(self, node: ast.Call) -> None:
        name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        if name in TEXT_AT and (name != "ValueError" or self.in_class):  # a validator's is shown, a function's is a bug
            for at in TEXT_AT[name]:
                for text in self.constants(node.args[at]) if at < len(node.args) else ():
                    self.take(node.lineno, text)
            for keyword in node.keywords if name != "print" else ():
                for text in self.constants(keyword.value):
                    if text is None or (" " in text and text.isascii() and has_words(text)):
                        self.faults.append((node.lineno, f"the value `{keyword.arg}` holds English that is no Phrase"))
        self.generic_visit(node)

    def take(self, line: int, text: str | None) -> None:
        if text is None:
            self.faults.append((line, "text and values are mixed: write a format and its values"))
        elif has_words(text):
            self.texts.append((line, text))

    def constants(self, node: ast.AST, depth: int = 0) -> Iterator[str | None]:
        """The texts that an expression can be; None for words that are mixed with values."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            yield from (None for part in node.values if isinstance(part, ast.Constant) and has_words(str(part.value)))
        elif isinstance(node, ast.IfExp | ast.BoolOp):
            for one in (node.body, node.orelse) if isinstance(node, ast.IfExp) else node.values:
                yield from self.constants(one, depth)
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Mod) and depth < 3:
            yield from (
                None
                for side in (node.left, node.right)
                for text in self.constants(side, depth + 1)
                if text is None or has_words(text)
            )
        elif isinstance(node, ast.Name) and depth < 3:
            for scope in reversed(self.scopes):
                values = [value for target, value in assignments(scope) if target == node.id]
                for value in values:
                    yield from self.constants(value, depth + 1)
                if values:
                    break


def assignments(scope: Any) -> Iterator[tuple[str, ast.AST]]:
    """(name, value) of what a function, or the top of a module, assigns."""
    for node in scope.body if isinstance(scope, ast.Module) else ast.walk(scope):
        for target in node.targets if isinstance(node, ast.Assign) else ():
            pairs = [(target, node.value)]
            if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                pairs = list(zip(target.elts, node.value.elts, strict=True))
            yield from ((name.id, value) for name, value in pairs if isinstance(name, ast.Name))


MODULES = [path for path in sorted(SRC.rglob("*.py")) if path.relative_to(SRC).parts[0] not in APART]


def texts_of_tables() -> Iterator[tuple[str, str]]:
    """(where, text) of the texts that stand in tables, in the page's template and in the help of the verbs."""
    from seodang.cli import cli
    from seodang.data.json_rows import FAULTS
    from seodang.tuning.specs import upstream_fields

    for page in sorted((SRC / "reports").glob("*.j2")):
        yield from ((page.name, text) for text in re.findall(r'\bsay\("([^"]+)"', page.read_text(encoding="utf-8")))
    yield from (("data/json_rows.py", text) for text in FAULTS.values())
    yield from (("upstream_fields.json", text) for text in upstream_fields()["refused"].values())
    yield from (("cli.py", text) for text in helps(cli))
    yield "errors.py", "recipe"  # the default of RecipeError
    faults = [text for text in TEXTS if text.startswith("{where}: ") and text.endswith(" {way_out}")]
    yield from (("data/reading.py", text.removesuffix(" {way_out}")) for text in faults)


def helps(command: click.Command) -> Iterator[str]:
    """The help of a verb, of its options and of the verbs below it."""
    options = [option for option in command.params if isinstance(option, click.Option)]
    yield from (one.help for one in (command, *options) if one.help)
    for below in command.commands.values() if isinstance(command, click.Group) else ():
        yield from helps(below)


@cache
def collected(path: Path) -> Collector:
    return Collector(path.read_text(encoding="utf-8"))


@cache
def texts_of_source() -> tuple[tuple[str, str], ...]:
    modules = ((f"{path.relative_to(SRC)}:{line}", text) for path in MODULES for line, text in collected(path).texts)
    return (*modules, *texts_of_tables())


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(SRC)))
def test_texts_and_values_travel_apart(module: Path) -> None:
    assert collected(module).faults == []


def test_every_text_has_its_korean() -> None:
    assert len(texts_of_source()) > 400
    assert [f"{where}: {text!r}" for where, text in texts_of_source() if text not in TEXTS] == []


def test_no_korean_outlives_its_text() -> None:
    used = {text for _, text in texts_of_source()}
    assert [text for text in TEXTS if text not in used] == []


def test_no_text_stands_twice() -> None:
    assert len(TEXTS) == len(KOREAN["texts"])
    assert all(entry.keys() == {"en", "ko"} for entry in KOREAN["texts"])


@pytest.mark.parametrize(
    ("source", "texts", "faults"),
    [
        ("raise DataError('{where}: no', where=x)", ["{where}: no"], 0),
        ("def f():\n    text = 'one' if x else 'two'\n    raise RunError(text)", ["one", "two"], 0),
        ("def f():\n    a, text = 1, 'one'\n    raise RunError(text, why=Phrase('two'))", ["one", "two"], 0),
        ("x = 'top'\ndef f():\n    raise RunError(x or Phrase('{p}'))", ["top"], 0),
        ("raise DataError(f'{where}: no')", [], 1),
        ("def f():\n    why = f'is {x}'\n    raise DataError('{why}', why=why)", [], 1),
        ("raise DataError('no {what}', what='such thing')", ["no {what}"], 1),
        ("raise DataError('no ' + x)", [], 1),
        ("row_error(source, f'unknown {name}')", [], 1),
        ("Mistake('a.b', 'is required')", ["is required"], 0),
        ("class A:\n    def f(self):\n        raise ValueError('shown')\nraise ValueError('a bug')", ["shown"], 0),
        ("click.echo(f'{a}: {b}'); click.echo(f'rows: {b}')", [], 1),
    ],
)
def test_the_collector_finds_what_it_looks_for(source: str, texts: list[str], faults: int) -> None:
    found = Collector(source)
    assert sorted(text for _, text in found.texts) == sorted(texts)
    assert len(found.faults) == faults


# ---- the Korean itself

ALIKE = {" and ", "a `{kind}`", "UTF-8"}
"""Texts whose Korean has no Hangul."""
BARE_JOSA = re.compile(r"\}[`'\"]*(?:은|는|이|가|을|를|과|와|으로|로|이라|라|이고|고|은데|는데)(?=[\s.,:;)]|$)")
PLAIN_END = re.compile(r"(?<![니])다\.(?=\s|$)")


def fields(text: str) -> list[tuple[str, str, str]]:
    return sorted((n, s or "", c or "") for _, n, s, c in string.Formatter().parse(text) if n is not None)


@pytest.mark.parametrize(("english", "said"), TEXTS.items(), ids=lambda text: str(text)[:30])
def test_the_korean_of_a_text(english: str, said: str) -> None:
    if "{" in english:
        assert fields(said) == fields(english)
    assert re.search("[가-힣]", said) or english in ALIKE
    assert BARE_JOSA.search(said.replace("}}", "")) is None, "a particle after a value needs both forms"
    assert PLAIN_END.search(said) is None, "sentences end in 합쇼체"
    assert english.endswith(".") <= said.endswith((".", "?"))
    assert (english[:1] == "\n") == (said[:1] == "\n") and english.count("\n") == said.count("\n")
    if english.startswith("  "):
        assert re.match(" *", said)[0] == re.match(" *", english)[0]


def test_every_backticked_key_is_kept() -> None:
    def keys(text: str) -> set[str]:
        return {key for key in re.findall(r"`([^`{} ]+)`", text) if not key.isupper() and key not in TEXTS}

    lost = {english: keys(english) - keys(said) for english, said in TEXTS.items()}
    assert {english: gone for english, gone in lost.items() if gone} == {}


def test_reasons_and_metrics_have_their_labels() -> None:
    from seodang.data import batches, deciding, filters, mixing, reading
    from seodang.data.decontaminate import CONTAMINATED
    from seodang.evaluation.metrics import METRICS
    from seodang.self_instruct import completers, novelty, pairs, prompts

    kinds = [kind.model_fields["kind"].default for kind in get_args(get_args(filters.Filter)[0])]
    reasons = {kind for kind in kinds if kind not in ("length",)} | {"too_short", "too_long"}
    reasons |= {reading.UNREADABLE, reading.MALFORMED, completers.TOO_LONG, completers.NOT_RECORDED}
    reasons |= {deciding.DUPLICATE, deciding.NEAR_DUPLICATE, batches.LICENSE, CONTAMINATED, mixing.LEFT_OUT}
    reasons |= {mixing.OVER_CAP}
    reasons |= {prompts.PARSE, prompts.TRUNCATED, prompts.LABEL_TWICE, prompts.NO_INSTRUCTION, prompts.NO_OUTPUT}
    reasons |= {pairs.NO_SCORE, pairs.NONE_STOPPED, pairs.SAME_TEXT, pairs.ALL_EQUAL, pairs.NO_MARGIN, pairs.OVER_MAX}
    reasons |= {pairs.NO_PROMPT, novelty.UNSCORABLE, novelty.NOT_NOVEL, *METRICS}
    reasons |= {"stop_rate", "polite_rate", "language_rate", "repetition_rate"}  # evaluate imports torch
    assert [reason for reason in sorted(reasons) if reason.replace("_", " ") not in LABELS] == []
    assert [key for key, text in LABELS.items() if not re.search("[가-힣]", text)] == []


# ---- said in earnest


def test_an_error_is_said_when_it_is_shown(korean: None) -> None:
    error = DataError("{where}: there are no rows in the file.", where="{seed}.jsonl")
    assert str(error) == "{seed}.jsonl: 파일에 행이 없습니다."
    assert error.phrase == error.args[0] == "{seed}.jsonl: there are no rows in the file."


def test_a_recipe_error_is_said_line_by_line(korean: None) -> None:
    guess = Phrase(", did you mean `{near}`?", near="lora_alpha")
    mistakes = [Mistake("adapter.lora_alfa", Phrase("unknown key{guess}", guess=guess), 9), Mistake("model", "{own}")]
    assert str(RecipeError("recipes/{x}.yaml", mistakes)) == (
        "recipes/{x}.yaml: 레시피 내용이 올바르지 않습니다.\n"
        "  adapter.lora_alfa: 모르는 키입니다. 혹시 `lora_alpha`인가요?  (9번째 줄)\n"
        "  model: {own}"
    )


RECIPE = """\
stage: sft
model: {name_or_path: base, dtype: fp16, attn_implementation: flash}
data: {train: 5, max_length: yes please, over_length: drpo}
adapter: {kind: lora, r: 0, target_modules: {}, lora_alfa: 3}
lora_rank: 8
training:
  learning_rate: true
  num_train_epochs: 0
  eval_steps: 1.5
  optim: adam_torch
  extra: {seed: 1, bf16: true, logging_step: 5, weight_decay: 1, adam_beta1: big}
seed: 1
seed: 2
"""


def test_every_mistake_of_a_recipe_is_said(korean: None, tmp_path: Path) -> None:
    from seodang.recipe_file import load_recipe

    (tmp_path / "sft.yaml").write_text(RECIPE)
    with pytest.raises(RecipeError) as error:
        load_recipe(tmp_path / "sft.yaml", ["nothing", "data.max_length=[", "colour=1"])
    _, *lines = str(error.value).splitlines()
    assert len(lines) == 18
    for line in lines:
        text = line.partition(": ")[2] or line
        assert re.search("[가-힣]", text), line
        assert not re.search(r"\b(?:must|unknown|got|known|line|mean|is|not)\b", text), line


def test_what_is_written_stays_english(korean: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from seodang.cli import main

    monkeypatch.chdir(tmp_path)
    rows = [{"instruction": f"{n}?", "output": f"{n}입니다."} for n in range(5)] + [{"instruction": "?", "output": ""}]
    lines = [json.dumps(row, ensure_ascii=False) for row in rows] + ["{torn"]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines))
    (tmp_path / "p.yaml").write_text("stage: prepare\nsources: [{path: rows.jsonl, on_error: skip}]\noutput_dir: out\n")
    monkeypatch.setattr(sys, "argv", ["seodang", "run", "p.yaml"])
    main()

    written = {path.name: path.read_text(encoding="utf-8") for path in (tmp_path / "out").glob("*.json*")}
    dropped = [json.loads(line) for line in written["dropped.jsonl"].splitlines()]
    assert [row["error"] for row in dropped] == [
        "rows.jsonl:6: the row has no answer: `output` is empty.",
        "rows.jsonl:7: the line is not valid JSON: a column name in double quotes must stand at 'torn'.",
    ]
    report = json.loads(written["report.json"])
    assert report["warnings"][0].startswith("No row is held out: `eval: 0.02` of 5 rows")
    assert report["sources"][0]["evidence"] == "alpaca (6 of 6 rows fit)"
    assert not re.search("[가-힣]", written["manifest.json"] + written["report.json"])


def test_the_command_line_speaks_korean(
    korean: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from seodang.cli import cli

    monkeypatch.chdir(tmp_path)
    rows = [{"instruction": f"{n}?", "output": f"{n}입니다."} for n in range(5)] + [{"instruction": "?", "output": ""}]
    (tmp_path / "rows.jsonl").write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows))
    (tmp_path / "p.yaml").write_text("stage: prepare\nsources: [{path: rows.jsonl, on_error: skip}]\noutput_dir: out\n")
    cli(["run", "p.yaml"], standalone_mode=False)
    assert capsys.readouterr().out.splitlines() == [
        "== p.yaml → out",
        "점검 (prepare):",
        "  읽는 것    rows.jsonl",
        "  원본 1     rows.jsonl: 6행, alpaca (6행 가운데 6행이 맞음). 읽을 수 없어 버리는 행 1개, 그 첫째: "
        "rows.jsonl:6: 이 행에 답변이 없습니다. `output` 열: 비어 있음.",
        "   행: 6 읽음 = 5 남김 + 1 버림 (1 malformed)",
        "   train: 5",
        "   eval: 0",
        "   repairs: 0",
        "   prompts_with_several_answers: 0",
        "   주의: 남겨 둔 행이 없습니다. `eval: 0.02`, 전체 5행인데 프롬프트의 해시로 하나도 뽑히지 않았습니다. "
        "이대로는 처음 보는 행의 손실을 잴 수 없습니다. `eval`을 올리거나 `eval: 0`을 적으세요.",
        "   보고서: out/report.html",
    ]
    cli(["run", "p.yaml"], standalone_mode=False)
    assert "   이미 끝났고 바뀐 것이 없어서 건너뜁니다" in capsys.readouterr().out


def test_inspect_speaks_korean(korean: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from seodang.cli import cli

    rows = [{"instruction": f"{n}?", "output": f"{n}입니다."} for n in range(5)]
    (tmp_path / "rows.jsonl").write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows))
    cli(["inspect", str(tmp_path / "rows.jsonl")], standalone_mode=False)
    said = capsys.readouterr().out
    assert "  파일 구조   JSON Lines(한 줄에 한 행): 첫 줄이 온전한 JSON 객체\n  인코딩      utf-8: " in said
    assert "\n  행          5\n" in said
    assert "  끝맺음      존댓말 5 (답변의 문장 끝맺음, 일부를 뽑아서 봄)" in said
    assert "결함\n  찾은 것 없음" in said


@pytest.mark.parametrize(
    ("spoken", "help_text"), [("ko", "레시피를 점검한 다음 실행합니다."), ("en", "Check a recipe, then do it;")]
)
def test_help_is_in_the_users_language(spoken: str, help_text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEODANG_LANG", spoken)
    monkeypatch.setenv("PYTHONIOENCODING", "utf-8")
    command = [sys.executable, "-m", "seodang", "run", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=60, check=True)
    assert help_text in " ".join(done.stdout.split())


def test_the_glossary_has_a_sentence_for_every_term() -> None:
    text = (ROOT / "docs" / "용어.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:2] == "| "]
    rows = [row for row in rows if row[0] not in ("영어", "---")]
    assert len(rows) >= 50
    assert [row for row in rows if len(row) != 3 or not row[2].endswith("니다.")] == []
    assert len({row[0] for row in rows}) == len(rows)
