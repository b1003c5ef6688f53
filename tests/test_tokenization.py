"""The torch-free tokenizer: the class its config names, equal to AutoTokenizer, refusals as paragraphs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from seodang.errors import ModelError, TemplateError
from seodang.tokenization import PROBES, added_bos, compare, load_light, missing_tokens, probe_ids, reserved_tokens


def test_the_light_tokenizer_gives_the_ids_of_auto_tokenizer(tokenizer_dir: Path, tokenizer: Any) -> None:
    compare(load_light(str(tokenizer_dir)), tokenizer)


def test_granite_is_loaded_by_its_own_class(shared_data: Path) -> None:
    from transformers import AutoTokenizer

    folder = shared_data / "tokenizers" / "granite-7b-lab"
    light = load_light(str(folder))
    assert type(light).__name__ == "LlamaTokenizer"
    compare(light, AutoTokenizer.from_pretrained(folder))


GRANITE = {
    "<|user|>안녕": ([32002, 31734, 238, 136, 152], [32002, 29871, 31734, 238, 136, 152]),
    "<|user|>\n하나": ([32002, 13, 30944, 31207], [32002, 29871, 13, 30944, 31207]),
    " leading": ([8236], [29871, 8236]),
}


@pytest.mark.parametrize("text", GRANITE)
def test_a_bare_tokenizer_json_would_have_given_other_ids(shared_data: Path, text: str) -> None:
    from transformers import PreTrainedTokenizerFast

    folder = shared_data / "tokenizers" / "granite-7b-lab"
    both = load_light(str(folder)), PreTrainedTokenizerFast.from_pretrained(folder)
    assert tuple(found.encode(text, add_special_tokens=False) for found in both) == GRANITE[text]


@pytest.mark.parametrize(
    ("entries", "found"),
    [
        (["<unused10>", "<unused9>", "<unused>"], ["<unused9>", "<unused10>"]),
        (["[unused3]", "▁unused", "[UNK]"], ["[unused3]"]),
        (["<|extra_0|>", "<|endoftext|>", "<extra_id_0>"], ["<|extra_0|>"]),
        (["<SPECIAL_20>", "<|reserved_200|>", "<|dummy_3|>"], ["<|dummy_3|>", "<SPECIAL_20>", "<|reserved_200|>"]),
        (["가", "1", "<|user|>"], []),
    ],
)
def test_reserved_entries_are_known_by_their_names(entries: list[str], found: list[str]) -> None:
    assert reserved_tokens(SimpleNamespace(get_vocab=lambda: dict.fromkeys(entries, 0))) == found


def test_loading_imports_no_torch(tokenizer_dir: Path) -> None:
    code = (
        "import sys; from seodang.tokenization import load_light; "
        f"load_light({str(tokenizer_dir)!r}); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_difference_names_the_string(tokenizer: Any, tokenizer_dir: Path) -> None:
    other = load_light(str(tokenizer_dir))
    other.backend_tokenizer.pre_tokenizer = None
    with pytest.raises(TemplateError, match="give different ids for '"):
        compare(other, tokenizer)


def test_another_size_is_said(tokenizer: Any, tokenizer_dir: Path) -> None:
    other = load_light(str(tokenizer_dir))
    other.add_tokens(["새토큰"])
    with pytest.raises(TemplateError, match="has 600 entries as AutoTokenizer loads it and 601"):
        compare(other, tokenizer)


def test_a_llama_class_over_byte_level_pieces_is_read_as_auto_tokenizer_reads_it(
    tokenizer_dir: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "llama3-like"
    shutil.copytree(tokenizer_dir, folder)
    config = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(config | {"tokenizer_class": "LlamaTokenizerFast"}))
    assert type(load_light(str(folder))).__name__ != "LlamaTokenizer"
    assert probe_ids(load_light(str(folder))) == probe_ids(load_light(str(tokenizer_dir)))


def test_a_path_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"The model path .*nowhere does not exist"):
        load_light(str(tmp_path / "nowhere"))


def test_a_path_that_is_a_file(tokenizer_dir: Path) -> None:
    with pytest.raises(ModelError, match=r"The model path .*tokenizer.json is a file, not a folder. Name the folder"):
        load_light(str(tokenizer_dir / "tokenizer.json"))


def test_a_hub_name_that_cannot_be_reached_is_a_paragraph() -> None:
    with pytest.raises(ModelError, match="neither a folder here nor reachable on the Hub"):
        load_light("nobody/nothing-at-all")


def test_a_folder_without_a_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds no tokenizer"):
        load_light(str(tmp_path))


def test_a_config_that_is_not_json(tokenizer_dir: Path, tmp_path: Path) -> None:
    folder = tmp_path / "broken"
    shutil.copytree(tokenizer_dir, folder)
    (folder / "tokenizer_config.json").write_text("{")
    with pytest.raises(ModelError, match="tokenizer_config.json is not JSON"):
        load_light(str(folder))


def test_there_are_twenty_probes_and_they_differ() -> None:
    assert len(set(PROBES)) == len(PROBES) == 20


def test_bos_only_where_the_tokenizer_puts_one(tokenizer: Any) -> None:
    assert added_bos(tokenizer) == ""


def test_missing_tokens(tokenizer: Any) -> None:
    assert missing_tokens(tokenizer, ("<|im_end|>", "<|eot_id|>")) == ["<|eot_id|>"]


def test_whether_the_hub_answers_is_asked_once_and_briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    from seodang import tokenization

    asked: list[Any] = []

    def refuse(address: Any, timeout: float) -> Any:
        asked.append((address, timeout))
        raise OSError

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "https://hub.example")
    monkeypatch.setattr(tokenization, "getproxies", dict)
    monkeypatch.setattr(tokenization.socket, "create_connection", refuse)
    tokenization.hub_answers.cache_clear()
    try:
        assert not tokenization.hub_answers() and not tokenization.hub_answers()
        with pytest.raises(ModelError, match="neither a folder here nor reachable on the Hub"):
            tokenization.local_folder("nobody/nothing")
        assert asked == [(("hub.example", 443), 3.0)]
    finally:
        tokenization.hub_answers.cache_clear()


@pytest.mark.parametrize(("proxies", "answers"), [({"https": "http://proxy:1"}, True)])
def test_a_proxy_is_taken_to_reach_the_hub(proxies: Any, answers: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    from seodang import tokenization

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(tokenization, "getproxies", lambda: proxies)
    tokenization.hub_answers.cache_clear()
    try:
        assert tokenization.hub_answers() is answers
    finally:
        tokenization.hub_answers.cache_clear()


def test_what_is_on_disk_needs_no_network(model_dir: Path) -> None:
    from seodang.tokenization import is_on_disk

    assert is_on_disk(str(model_dir)) and is_on_disk("seodang-starter")
    assert not is_on_disk("nobody/nothing") and not is_on_disk("/no/such/folder")
