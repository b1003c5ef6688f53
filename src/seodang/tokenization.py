"""Tokenizers without torch: the class that tokenizer_config.json names, imported by name from transformers.

Never AutoTokenizer, which imports torch; never a bare tokenizer.json, whose ids differ for Llama-type tokenizers in
transformers 5 (a Metaspace pre-tokeniser takes the normaliser's place). Every doer that trains compares what is loaded
here with AutoTokenizer and stops on a difference.
"""

from __future__ import annotations

import json
import re
import socket
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

from seodang.errors import ModelError, TemplateError
from seodang.language import Phrase
from seodang.packaged import model_path

PROBES = (
    "안녕하세요.", " 앞에 빈칸", "뒤에 빈칸 ", "줄\n바꿈", "\n\n두 줄", "ㅋㅋㅋ 자모", "가\u200b나",
    "똠방각하 펲시콜라",
    "漢字와 한글",
    "I go to school.", " leading", "tabs\tand  spaces", "3.14 + 2 = 5.14", "1,000원", "🙂 이모지 👨‍👩‍👧",
    "### 질문: 무엇?\n\n### 답변:", "<|im_start|>user\n안녕<|im_end|>\n", "{bos}시작{eos}", "{{ x }} {% y %}",
    "가나다ABC123",
)  # fmt: skip
"""Twenty strings on which two tokenizers must agree; `{bos}` and `{eos}` stand for the tokenizer's own."""

RESERVED = re.compile(
    r"[<\[]\|?(?:reserved_special_token|reserved|unused|unused_token|extra|extra_token|dummy|placeholder|special)"
    r"_?(\d+)\|?[>\]]",
    re.IGNORECASE,
)
"""How tokenizers call the entries that they keep for later use."""


def _config(folder: Path) -> dict[str, Any]:
    path = folder / "tokenizer_config.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise ModelError("{path} is not JSON: {why}", path=path, why=error) from None
    return found if isinstance(found, dict) else {}


def local_folder(name_or_path: str, revision: str | None = None) -> Path:
    """The folder with a tokenizer's files: the path itself, or a snapshot of its files on the Hub."""
    folder = Path(model_path(name_or_path))
    if folder.is_dir():
        return folder
    if folder.exists():
        raise ModelError(
            "The model path {path} is a file, not a folder. Name the folder that holds config.json, the weights and "
            "the tokenizer.",
            path=name_or_path,
        )
    if name_or_path.startswith((".", "/", "~")) or name_or_path.count("/") > 1:
        raise ModelError(
            "The model path {path} does not exist (looked from {here}). Check the spelling; a relative path starts at "
            "the working directory, one that starts with `./` in a recipe at the recipe's folder.",
            path=name_or_path,
            here=Phrase("the working directory"),
        )
    return _hub_snapshot(name_or_path, revision)


def is_on_disk(name_or_path: str, revision: str | None = None) -> bool:
    """Whether a model's config.json can be read without the network: in its folder, or in the cache of the Hub."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    if Path(model_path(name_or_path)).is_dir():
        return True
    try:
        return isinstance(try_to_load_from_cache(name_or_path, "config.json", revision=revision), str)
    except HFValidationError:
        return False


@lru_cache
def hub_answers(seconds: float = 3.0) -> bool:
    """Whether the Hub can be reached, asked once: upstream tries again and again for twenty seconds before it gives up.

    Behind a proxy only the proxy could say, so there it is taken to be reachable.
    """
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return False
    address = urlsplit(constants.ENDPOINT)
    if getproxies():
        return True
    try:
        socket.create_connection((address.hostname or "", address.port or 443), timeout=seconds).close()
    except OSError:
        return False
    return True


def _hub_snapshot(name: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError

    patterns = ["tokenizer*", "special_tokens_map.json", "chat_template*", "*.model", "vocab*", "merges.txt"]
    patterns.append("config.json")
    try:
        here = not hub_answers()
        return Path(snapshot_download(name, revision=revision, allow_patterns=patterns, local_files_only=here))
    except (HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError, OSError, ValueError) as error:
        raise ModelError(
            "The model {name} is neither a folder here nor reachable on the Hub ({why}). Check the name, log in where "
            "it is gated (`HF_TOKEN`), or download it and give its path.",
            name=name,
            why=type(error).__name__,
        ) from None


def load_light(name_or_path: str, revision: str | None = None) -> Any:
    """The tokenizer of a folder or Hub name, without torch. Raises ModelError where there is none."""
    folder = local_folder(name_or_path, revision)
    if not any((folder / name).exists() for name in ("tokenizer.json", "tokenizer_config.json", "tokenizer.model")):
        raise ModelError(
            "{path} holds no tokenizer (no tokenizer.json, tokenizer_config.json or tokenizer.model). Name the folder "
            "of a model with its tokenizer.",
            path=name_or_path,
        )
    return _named_class(folder).from_pretrained(folder)


def _named_class(folder: Path) -> Any:
    import transformers

    name = _config(folder).get("tokenizer_class") or "PreTrainedTokenizerFast"
    if name.removesuffix("Fast") == "LlamaTokenizer" and _is_byte_level(folder):
        name = "PreTrainedTokenizerFast"  # as AutoTokenizer does: LlamaTokenizer would put Metaspace in its place
    for candidate in (name, name.removesuffix("Fast"), "PreTrainedTokenizerFast"):
        found = getattr(transformers, candidate, None)
        if found is not None:
            return found
    raise ModelError("{path} names an unknown tokenizer class `{name}`.", path=folder, name=name)


def _is_byte_level(folder: Path) -> bool:
    path = folder / "tokenizer.json"
    if not path.exists():
        return False
    return '"ByteLevel"' in json.dumps(json.loads(path.read_text(encoding="utf-8")).get("pre_tokenizer"))


def probe_ids(tokenizer: Any) -> list[list[int]]:
    """The ids of the twenty probe strings, without added special tokens."""
    bos, eos = tokenizer.bos_token or "", tokenizer.eos_token or ""
    texts = [probe.replace("{bos}", bos).replace("{eos}", eos) for probe in PROBES]
    return [tokenizer.encode(text, add_special_tokens=False) for text in texts]


def compare(light: Any, auto: Any) -> None:
    """Raise TemplateError where the audit's tokenizer and the trainer's would give other ids."""
    if len(light) != len(auto):
        raise TemplateError(
            "The tokenizer has {auto} entries as AutoTokenizer loads it and {light} as its own class does. The audit "
            "would describe a run that does not happen; save it anew with `save_pretrained` and use that folder.",
            auto=len(auto),
            light=len(light),
        )
    for text, ours, theirs in zip(PROBES, probe_ids(light), probe_ids(auto), strict=True):
        if ours != theirs:
            raise TemplateError(
                "The tokenizer's own class ({light}) and AutoTokenizer ({auto}) give different ids for {text!r}. The "
                "audit would describe a run that does not happen; save the tokenizer anew with `save_pretrained`.",
                light=type(light).__name__,
                auto=type(auto).__name__,
                text=text,
            )


def added_bos(tokenizer: Any) -> str:
    """The bos token where the tokenizer itself puts one before a text, else an empty string."""
    bos = tokenizer.bos_token
    ids = tokenizer.encode("가", add_special_tokens=True) if bos else []
    return str(bos) if ids and ids[0] == tokenizer.bos_token_id else ""


def reserved_tokens(tokenizer: Any) -> list[str]:
    """Entries that a tokenizer keeps for later use, by its numbers: `<|reserved_special_token_0|>`, `<unused0>`, …"""
    found = [(int(match.group(1)), name) for name in tokenizer.get_vocab() if (match := RESERVED.fullmatch(name))]
    return [name for _, name in sorted(found)]


def missing_tokens(tokenizer: Any, tokens: tuple[str, ...]) -> list[str]:
    """Those of `tokens` that are not each one token of this tokenizer."""
    known = tokenizer.added_tokens_encoder
    return [token for token in tokens if token not in known]
