"""How a served model is asked: upstream's `apply_chat_template`, called in one way by chat, generation and the proof.

    prompt_ids(tokenizer, messages, thinking) what the model is given
    thinking_of(folder, tokenizer)            what the run behind a folder of weights did with the reasoning block
    require_trained_template(folder, …)       the template is the one that the run was finished with, or an error
    read_anew(folder, asked, thinking)        what a fresh process makes of conversations: `python -m seodang.served`

`folder` is where weights lie: `adapter/` or `model/` of a run, or any folder or Hub name, which knows of no run.
No torch in here, so that the fresh process starts quickly.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

from seodang import runs
from seodang.errors import SeodangError, TemplateError
from seodang.language import Phrase
from seodang.model_template import ModelRenderer, thinking_kwargs, thinks
from seodang.records import Message
from seodang.tokenization import load_light

JINJA, GENERATION = "chat_template.jinja", "generation_config.json"
Turns: TypeAlias = Sequence[Mapping[str, Any]]
Asked: TypeAlias = tuple[Turns, int]
"""Turns that end with an answer, and how many of them are the prompt."""
TIMEOUT = 600
"""Seconds for the fresh process, which needs one on an idle machine."""


def prompt_ids(tokenizer: Any, messages: Sequence[Message], thinking: str | None = None) -> list[int]:
    """What a model is given for these messages, through the chat template of its tokenizer.

    `thinking` is the recipe's, None where the template does not think.
    """
    return chat_ids(tokenizer, ModelRenderer(tokenizer, thinking).rows(messages), thinking)


def chat_ids(tokenizer: Any, turns: Turns, thinking: str | None = None, **more: Any) -> list[int]:
    """The ids of turns with the generation prompt; control strings that stand in them stay text.

    `more` goes to `apply_chat_template`. Raises jinja2's TemplateError where the template refuses the turns, ValueError
    where a control string cannot stay text.
    """
    switches = thinking_kwargs(more.get("chat_template") or tokenizer.get_chat_template(), thinking)
    options = {"add_generation_prompt": True, "sanitize_control_tokens": True, "tokenize": True, "return_dict": False}
    return list(tokenizer.apply_chat_template(list(turns), **(options | switches | more)))


def thinking_of(folder: Path | str, tokenizer: Any) -> str | None:
    """`strip`, `empty` or `keep` as the run was trained, `empty` where no run says it; None for other templates."""
    if not tokenizer.chat_template or not thinks(tokenizer.get_chat_template()):
        return None
    run = _run_of(folder)
    return str((runs.read_recipe(run) if run else {}).get("thinking") or "empty")


def _run_of(folder: Path | str) -> Path | None:
    """The run whose weights lie in this folder, or None."""
    place = Path(folder).absolute()
    return place.parent if place.name in runs.WEIGHTS and runs.manifest(place.parent) else None


def require_trained_template(folder: Path | str, tokenizer: Any) -> None:
    """Raise TemplateError where a run's chat template is no longer the one whose fingerprint its manifest holds.

    A folder of weights that belongs to no run, or to one without a fingerprint, passes.
    """
    run = _run_of(folder)
    trained = ((runs.manifest(run) if run else None) or {}).get("template", {}).get("fingerprint")
    here = runs.hash_text(tokenizer.get_chat_template()) if tokenizer.chat_template else ""
    if trained and trained != here:
        raise TemplateError(
            "The chat template of the run {run} was changed after the run was finished: it {now}, and the run's "
            "manifest says {trained}. The model answers as it was trained only to the template it was trained with. "
            "Put {file} back as it was. Where the change is meant, copy {folder} to a place outside the run and name "
            "the copy.",
            run=run,
            now=Phrase("has the fingerprint {here}", here=here[:12]) if here else Phrase("is gone"),
            trained=trained[:12],
            file=Path(folder) / JINJA,
            folder=folder,
        )


@dataclass(frozen=True, slots=True)
class Served:
    """What a reader makes of a conversation: the ids of the prompt, and of all turns; or why it refuses."""

    prompt: list[int]
    whole: list[int]
    refused: str = ""


def serve(tokenizer: Any, asked: Sequence[Asked], thinking: str | None, **more: Any) -> list[Served]:
    """What this tokenizer makes of conversations. `more` goes to `apply_chat_template`."""
    from jinja2.exceptions import TemplateError as JinjaError

    found = []
    for turns, size in asked:
        try:
            prompt = chat_ids(tokenizer, turns[:size], thinking, **more)
            whole = chat_ids(tokenizer, turns, thinking, add_generation_prompt=False, **more)
            found.append(Served(prompt, whole))
        except (JinjaError, ValueError) as error:
            found.append(Served([], [], str(error)))
    return found


@dataclass(frozen=True, slots=True)
class Read:
    """What a fresh process found in a folder: the chat template, the stop ids, and what it makes of conversations."""

    template: str
    stops: list[int | None]
    served: list[Served]


def read_anew(folder: Path, asked: Sequence[Asked], thinking: str | None) -> Read:
    """Read a folder in a process that sees the modules of this one and nothing of its memory.

    Raises OSError, subprocess.SubprocessError or ValueError where it does not answer.
    """
    paths = os.pathsep.join(path or os.getcwd() for path in sys.path)
    environment = os.environ | {"PYTHONPATH": paths, "PYTHONUTF8": "1", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-P", "-m", "seodang.served", str(folder.absolute())],
        input=json.dumps({"asked": asked, "thinking": thinking}),
        capture_output=True,
        encoding="utf-8",
        env=environment,
        timeout=TIMEOUT,
        check=True,
    )
    answer = json.loads(done.stdout)
    return Read(answer["template"], answer["stops"], [Served(**one) for one in answer["served"]])


def main() -> None:
    """The fresh process: the question is JSON on stdin, the folder is named on the command line."""
    folder, question = Path(sys.argv[1]), json.load(sys.stdin)
    try:
        tokenizer = load_light(str(folder))
    except SeodangError as error:
        sys.exit(str(error))
    served = serve(tokenizer, question["asked"], question["thinking"])
    stops = (runs.read_json(folder / GENERATION) or {}).get("eos_token_id")
    template = tokenizer.get_chat_template() if tokenizer.chat_template else ""
    print(json.dumps(asdict(Read(template, stops if isinstance(stops, list) else [stops], served))))


if __name__ == "__main__":
    main()
