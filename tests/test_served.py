"""How a served model is asked: prompts, the reasoning block, a template that was changed, a fresh process."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from seodang import runs
from seodang.errors import TemplateError
from seodang.records import Message
from seodang.served import Served, chat_ids, prompt_ids, read_anew, require_trained_template, serve, thinking_of
from seodang.template import load_template
from seodang.tokenization import load_light

JINJA = load_template("chatml").bind("", "<|endoftext|>").to_jinja()
THINKS = JINJA + "{% if enable_thinking is defined and not enable_thinking %}<think></think>{% endif %}"
ASKED = [{"role": "user", "content": "오늘 날씨가 어때요?"}]
ANSWERED = [*ASKED, {"role": "assistant", "content": "맑아요."}]


@pytest.fixture
def run(tokenizer_dir: Path, tmp_path: Path) -> Path:
    """A finished run with the files of its tokenizer, and no weights."""
    tokenizer = load_light(str(tokenizer_dir))
    tokenizer.chat_template = JINJA
    tokenizer.save_pretrained(tmp_path / "sft" / "adapter")
    (tmp_path / "sft" / "adapter" / "generation_config.json").write_text('{"eos_token_id": [1, 2]}', encoding="utf-8")
    runs.Run(tmp_path / "sft").note(state="finished", template={"fingerprint": runs.hash_text(JINJA)})
    return tmp_path / "sft"


def changed(run: Path, before: str, after: str) -> Path:
    """Change the first such text in the run's chat template."""
    file = run / "adapter" / "chat_template.jinja"
    text = file.read_text(encoding="utf-8")
    assert before in text
    file.write_text(text.replace(before, after, 1), encoding="utf-8")
    return file


# --- Prompts ---------------------------------------------------------------------------------------------------------


def test_a_prompt_is_upstreams_render_with_typed_control_strings_as_text(run: Path) -> None:
    tokenizer = load_light(str(run / "adapter"))
    ids = prompt_ids(tokenizer, [Message("user", "<|im_end|> 뜻이 뭐예요?", trained=False)])
    assert ids == tokenizer.apply_chat_template(
        [{"role": "user", "content": "<|im_end|> 뜻이 뭐예요?"}],
        add_generation_prompt=True,
        sanitize_control_tokens=True,
        return_dict=False,
    )
    assert ids.count(tokenizer.convert_tokens_to_ids("<|im_end|>")) == 1
    assert tokenizer.decode(ids) == "<|im_start|>user\n<|im_end|> 뜻이 뭐예요?<|im_end|>\n<|im_start|>assistant\n"


@pytest.mark.parametrize(("thinking", "closed"), [(None, False), ("keep", False), ("empty", True), ("strip", True)])
def test_thinking_reaches_the_template_only_where_a_run_names_it(run: Path, thinking: str | None, closed: bool) -> None:
    tokenizer = load_light(str(run / "adapter"))
    text = tokenizer.decode(chat_ids(tokenizer, ASKED, thinking, chat_template=THINKS))
    assert text.endswith("<think></think>") is closed


@pytest.mark.parametrize(
    ("thinking", "sent"), [("keep", "맑아요.|하늘을 보자."), ("empty", "맑아요.|"), ("strip", "맑아요.|")]
)
def test_reasoning_of_earlier_answers_is_sent_as_it_was_trained(run: Path, thinking: str, sent: str) -> None:
    tokenizer = load_light(str(run / "adapter"))
    tokenizer.chat_template = (
        "{% for m in messages %}[{{ m.content }}|{{ m.reasoning_content }}]{% endfor %}{{ enable_thinking }}"
    )
    answer = Message("assistant", "<think>\n하늘을 보자.\n</think>\n\n맑아요.")
    text = tokenizer.decode(prompt_ids(tokenizer, [Message("user", "날씨?"), answer, Message("user", "왜?")], thinking))
    assert text == f"[날씨?|][{sent}][왜?|]{thinking == 'keep'}"


def test_what_the_template_refuses_is_said_and_the_rest_is_served(run: Path) -> None:
    tokenizer = load_light(str(run / "adapter"))
    strange = [{"role": "narrator", "content": "그때"}, *ASKED]
    refused, fine = serve(tokenizer, [(strange, 2), (ANSWERED, 1)], None)
    assert refused == Served([], [], "No place here for a turn of the role narrator")
    assert tokenizer.decode(fine.prompt).endswith("<|im_start|>assistant\n")
    assert tokenizer.decode(fine.whole) == tokenizer.decode(fine.prompt) + "맑아요.<|im_end|>"


# --- The reasoning block ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "known"), [("thinking: keep", "keep"), ("thinking: strip", "strip"), ("", "empty")]
)
def test_a_thinking_template_is_known_by_its_run(run: Path, written: str, known: str) -> None:
    (run / "recipe.yaml").write_text(f"stage: sft\n{written}\n", encoding="utf-8")
    tokenizer = load_light(str(run / "adapter"))
    assert thinking_of(run / "adapter", tokenizer) is None
    tokenizer.chat_template = THINKS
    assert thinking_of(run / "adapter", tokenizer) == known
    assert thinking_of("some/hub-name", tokenizer) == "empty"
    tokenizer.chat_template = None
    assert thinking_of(run / "adapter", tokenizer) is None


# --- A template that was changed -------------------------------------------------------------------------------------


def test_a_template_as_it_was_trained_passes(run: Path) -> None:
    require_trained_template(run / "adapter", load_light(str(run / "adapter")))


def test_one_other_character_is_refused(run: Path) -> None:
    file = changed(run, "assistant\\n", "assistant ")
    here = runs.hash_text(file.read_text(encoding="utf-8"))
    with pytest.raises(TemplateError) as error:
        require_trained_template(run / "adapter", load_light(str(run / "adapter")))
    assert str(error.value) == (
        f"The chat template of the run {run} was changed after the run was finished: it has the fingerprint "
        f"{here[:12]}, and the run's manifest says {runs.hash_text(JINJA)[:12]}. The model answers as it was trained "
        f"only to the template it was trained with. Put {file} back as it was. Where the change is meant, copy "
        f"{run / 'adapter'} to a place outside the run and name the copy."
    )


def test_a_template_that_is_gone_is_refused(run: Path) -> None:
    (run / "adapter" / "chat_template.jinja").unlink()
    with pytest.raises(TemplateError, match="was changed after the run was finished: it is gone, and the run's"):
        require_trained_template(run / "adapter", load_light(str(run / "adapter")))


def test_a_change_that_is_meant_lives_outside_the_run(run: Path, tmp_path: Path) -> None:
    changed(run, "assistant\\n", "assistant ")
    for copy in (tmp_path / "adapter", tmp_path / "mine"):
        shutil.copytree(run / "adapter", copy)
        require_trained_template(copy, load_light(str(copy)))


@pytest.mark.parametrize("entries", [{}, {"template": {}}])
def test_a_run_without_a_fingerprint_passes(run: Path, entries: dict[str, Any]) -> None:
    changed(run, "assistant\\n", "assistant ")
    (run / "manifest.json").write_text(json.dumps({"state": "finished", **entries}), encoding="utf-8")
    require_trained_template(run / "adapter", load_light(str(run / "adapter")))


# --- The fresh process -----------------------------------------------------------------------------------------------


def test_a_fresh_process_reads_what_this_one_reads(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run.parent)
    typed = [{"role": "user", "content": "<|im_end|>🙂 한글 {{ x }}"}, ANSWERED[1]]
    asked = [(ANSWERED, 1), (typed, 1)]
    found = read_anew(Path("sft/adapter"), asked, None)
    assert found.served == serve(load_light(str(run / "adapter")), asked, None)
    assert (found.template, found.stops) == (JINJA, [1, 2])


def test_a_fresh_process_that_fails_says_why(run: Path) -> None:
    shutil.rmtree(run / "adapter")
    with pytest.raises(subprocess.CalledProcessError) as error:
        read_anew(run / "adapter", [(ANSWERED, 1)], None)
    assert "does not exist" in error.value.stderr


def test_the_fresh_process_imports_no_torch(run: Path) -> None:
    """Torch would make it take three to four times as long."""
    code = (
        "import io, sys; from seodang import served; sys.argv[1:] = [{folder!r}]; sys.stdin = io.StringIO({question!r}); "
        "served.main(); print('torch' in sys.modules, file=sys.stderr)"
    ).format(folder=str(run / "adapter"), question=json.dumps({"asked": [[ANSWERED, 1]], "thinking": None}))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=200, check=True)
    assert done.stderr == "False\n"
    assert json.loads(done.stdout)["served"][0]["prompt"]
