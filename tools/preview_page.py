"""Write docs/preview.md: what `seodang preview` prints for conversations of Korean model families, as it prints it.

python tools/preview_page.py            write it
python tools/preview_page.py --check    end with 1 where the page is not what the command prints

The families' own tokenizers are not needed: a small one is made here, the same every time, with the control tokens of
the template, a token per syllable of the conversation, and bytes for everything else.
"""

from __future__ import annotations

import contextlib
import difflib
import io
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from seodang.template import load_template

TARGET = Path(__file__).resolve().parents[1] / "docs" / "preview.md"

TALK = [
    {"role": "system", "content": "존댓말로 짧게 답하세요."},
    {"role": "user", "content": "김장 배추는 언제 절이는 게 좋아요?"},
    {"role": "assistant", "content": "담그기 하루 전 저녁에 절이시면 됩니다."},
    {"role": "user", "content": "소금은 얼마나 넣어요?"},
    {"role": "assistant", "content": "배추 무게의 십 분의 일쯤 넣으세요."},
]
TYPED = [
    {"role": "user", "content": "[|endofturn|]는 무슨 뜻이에요?"},
    {"role": "assistant", "content": "한 차례가 끝났다는 표시입니다."},
]
HEAD = """\
# What is trained, token by token

<!-- Made by tools/preview_page.py from what the command prints; edit the tool, then `make generated`. -->

`seodang preview RECIPE` shows one training row as the trainer will get it. On a terminal it is in colour: what is
trained on green, a stop token that is trained on yellow, control tokens of the context in cyan, everything else dim; a
trained line end is marked `↵`. Elsewhere, as on this page, it is plain text, and what is trained stands in ⟦ ⟧.

| option | what it shows |
| --- | --- |
| `--row SOURCE` | the row with this source (`seed.jsonl:17`) instead of the first |
| `--ids` | every token's id; tokens that print a character only together stand together |
| `--beside trl` | the same row as a bare `trl sft` would train it, and what differs |
| `--steps` | the row's question on its way through the tokenizer, slow ones too; `--text TEXT` walks another text |

In Python `seodang.preview(data, model, template=…, beside="trl")` gives the same as an object: print it, or let a
notebook show it in colour. The report of every `sft` and `dpo` run has it too.

The conversation below is the same for every family. The tokenizer is a small one made for this page, so ids and counts
are not the family's; the layout and what is trained are.
"""

FAMILIES = {
    "EXAONE 3": (
        "exaone3",
        {},
        "A user turn has no end token, and the answer follows its tag directly. The answer ends in `[|endofturn|]`, "
        "which is trained; the line end after it belongs to the next turn.",
    ),
    "EXAONE 4": (
        "exaone4",
        {"thinking": "empty"},
        "Every turn ends in `[|endofturn|]`. With `thinking: empty` an empty reasoning block stands before every "
        "answer, as the served model gets it with reasoning off.",
    ),
    "HyperCLOVA X": (
        "hyperclovax",
        {},
        "The list of tools and the system turn are always there, empty or not. An answer ends in two tokens, and both "
        "are trained. A server stops at the second; at `<|im_end|>` it would cut off a tool call.",
    ),
}


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD, *_sections()])


def _sections() -> Iterator[str]:
    for family, (template, keys, text) in FAMILIES.items():
        yield from (f"## {family}", "", text, "", _printed(template, TALK, keys=keys), "")
    yield from ("## The ids", "", IDS, "", _printed("koalpaca", TALK[1:3], "--ids"), "")
    yield from (
        "## Beside TRL",
        "",
        BESIDE,
        "",
        _printed("exaone3", TYPED, "--beside", "trl", "--ids", has_template=True),
        "",
    )
    yield from ("## A text's steps", "", STEPS, "", _printed("exaone3", TALK, "--steps", "--text", "똠얌은 얼마예요?"))


IDS = """\
KoAlpaca's answers are trained with a space after the colon, while the prompt that a server sends ends in `### 답변:`.
So the space is the first thing that the model writes, and it is trained."""

BESIDE = """\
A user has typed a control string. Here it stays text. A bare `trl sft` makes the control token of it, which ends the
turn in the middle of the question, and trains every token of the row, the question's too."""

STEPS = """\
`똠` is not in this tokenizer's vocabulary: its three bytes are three tokens, which print as one syllable."""


def _printed(
    template: str, talk: list[dict[str, str]], *options: str, keys: Any = None, has_template: bool = False
) -> str:
    """The command and what it prints, as a block of the page."""
    recipe = {
        "stage": "sft",
        "model": {"name_or_path": "tokenizer"},
        "template": template,
        "data": {"train": "rows.jsonl"},
        "adapter": "lora",
    }
    with TemporaryDirectory() as folder, contextlib.chdir(folder):
        tokenizer(template, has_template).save_pretrained("tokenizer")
        Path("rows.jsonl").write_text(json.dumps({"messages": talk}, ensure_ascii=False) + "\n", encoding="utf-8")
        Path(f"{template}.yaml").write_text(json.dumps(recipe | (keys or {})), encoding="utf-8")
        printed = _run(["preview", f"{template}.yaml", *options])
    shown = " ".join(f"'{option}'" if " " in option else option for option in options)
    return f"```text\n$ seodang preview {template}.yaml {shown}".rstrip() + f"\n{printed.rstrip()}\n```"


def _run(arguments: list[str]) -> str:
    from seodang.cli import cli

    out = io.StringIO()
    before, os.environ["SEODANG_LANG"] = os.environ.get("SEODANG_LANG"), "en"
    try:
        with contextlib.redirect_stdout(out):
            cli(arguments, standalone_mode=False)
    finally:
        os.environ.pop("SEODANG_LANG")
        os.environ |= {} if before is None else {"SEODANG_LANG": before}
    return out.getvalue()


def tokenizer(template: str, has_template: bool = False) -> Any:
    """A byte-level tokenizer with the template's control tokens; nothing is learnt, so it is the same everywhere."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    layer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    text = "".join(turn["content"] for turn in TALK + TYPED)
    parts = [layer.pre_tokenize_str(one)[0][0] for one in sorted(set(text)) if len(one.encode()) == 3]
    merges = list(dict.fromkeys(pair for one in parts for pair in ((one[0], one[1]), (one[:2], one[2]))))
    entries = [*sorted(pre_tokenizers.ByteLevel.alphabet()), *("".join(pair) for pair in merges)]
    raw = Tokenizer(models.BPE({entry: at for at, entry in enumerate(entries)}, merges))
    raw.pre_tokenizer, raw.decoder = layer, decoders.ByteLevel()
    found = load_template(template)
    raw.add_special_tokens([*found.control, "<|endoftext|>"])
    eos = found.control[-1] if template in ("exaone3", "hyperclovax") else "<|endoftext|>"
    made = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token=eos)
    made.chat_template = found.bind("", eos).to_jinja() if has_template else None
    return made


def main(arguments: list[str]) -> int:
    """Write the page, or with --check compare it. Returns the exit status."""
    new = page()
    if "--check" not in arguments:
        TARGET.write_text(new, encoding="utf-8", newline="\n")
        return 0
    old = TARGET.read_text(encoding="utf-8") if TARGET.exists() else ""
    if old == new:
        return 0
    lines = difflib.unified_diff(old.splitlines(True), new.splitlines(True), "docs/preview.md", "the command", n=0)
    sys.stdout.writelines(lines)
    print("docs/preview.md is not what `seodang preview` prints. Run `make generated`.", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
