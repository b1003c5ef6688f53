"""A set on the Hub is read at one commit, and what can go wrong is one paragraph with the way out. No network."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import datasets
import httpx2 as httpx
import huggingface_hub
import pytest
from datasets import Dataset
from datasets.exceptions import DataFilesNotFoundError, DatasetNotFoundError
from huggingface_hub import errors

from seodang.data.hub import Hub, open_hub
from seodang.data.reading import read_records
from seodang.data.specs import Source
from seodang.data.survey import named, open_source
from seodang.errors import DataError

COMMIT = "1a2b3c4d5e6f7a8b9c0d1e2f3a4b5c6d7e8f9a0b"
ROWS = [
    {"instruction": "수도는?", "output": "서울입니다.", "url": "https://kin.example/1"},
    {"instruction": "강은?", "output": "한강입니다.", "url": "https://kin.example/2"},
]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The Hub with one set: what is asked of it is kept."""
    seen: dict[str, Any] = {}

    def info(self: Any, name: str, revision: str | None = None) -> Any:
        seen.update(info=(name, revision))
        return SimpleNamespace(sha=COMMIT)

    def load(name: str, config: str | None = None, *, split: str, revision: str) -> Dataset:
        seen.update(load=(name, config, split, revision))
        return Dataset.from_list(ROWS)

    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", info)
    monkeypatch.setattr(datasets, "load_dataset", load)
    return seen


def test_reads_the_commit_that_the_revision_names(asked: dict[str, Any]) -> None:
    found = open_hub(Hub(name="beomi/KoAlpaca-v1.1a", config="default", revision="main"))
    assert asked == {
        "info": ("beomi/KoAlpaca-v1.1a", "main"),
        "load": ("beomi/KoAlpaca-v1.1a", "default", "train", COMMIT),
    }
    assert list(found) == [(row, f"beomi/KoAlpaca-v1.1a@1a2b3c4/default/train:{at}") for at, row in enumerate(ROWS, 1)]
    assert found.commit == COMMIT


def test_the_commit_is_in_the_report(asked: dict[str, Any]) -> None:
    source = Source(hub={"name": "beomi/KoAlpaca-v1.1a"})  # type: ignore[arg-type]
    assert named([source]) == [(source, "beomi/KoAlpaca-v1.1a")]
    reading = open_source(source, "beomi/KoAlpaca-v1.1a")
    assert [item.place for item in reading.items] == [f"beomi/KoAlpaca-v1.1a@1a2b3c4/train:{at}" for at in (1, 2)]
    told = reading.to_report()
    assert (told["container"], told["commit"]) == ("hub", COMMIT)
    assert told["decided_by"]["container"] == f"beomi/KoAlpaca-v1.1a, train, at commit {COMMIT}: 2 rows"
    assert read_records(open_hub(Hub(name="a/b"))).decision.format.kind == "alpaca"


def failing(error: type[errors.HfHubHTTPError], status: int) -> errors.HfHubHTTPError:
    request = httpx.Request("GET", "https://huggingface.co/api/datasets/a/b")
    return error("no", response=httpx.Response(status, request=request))


def chained(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


GATED = (
    "it is gated, and who asks is not on its list. Ask for access at https://huggingface.co/datasets/a/b, then log in"
)
MISSING = (
    "there is no such set, or it is private. Look for it at https://huggingface.co/datasets/a/b; a private set needs"
)
SCRIPT = "it is a program that downloads the data, and such are not run any more. The Hub keeps a copy without it: `revision: refs/convert/parquet`."
REFUSED = [
    (failing(errors.GatedRepoError, 403), GATED),
    (chained(DatasetNotFoundError("Dataset 'a/b' is a gated dataset on the Hub."), failing(errors.GatedRepoError, 403)), GATED),
    (failing(errors.RepositoryNotFoundError, 404), MISSING),
    (DatasetNotFoundError("Dataset 'a/b' doesn't exist on the Hub or cannot be accessed."), MISSING),
    (errors.HFValidationError("Repo id must be in the form 'repo_name' or 'namespace/repo_name'"), MISSING),
    (failing(errors.RevisionNotFoundError, 404), "it has no revision `v9`. Leave `revision` out, or name one of"),
    (RuntimeError("Dataset scripts are no longer supported, but found nsmc.py"), SCRIPT),
    (DataFilesNotFoundError("No (supported) data files found in a/b"), "it holds no data files. The Hub keeps a copy"),
    (errors.OfflineModeIsEnabled("Cannot reach https://huggingface.co: offline mode is enabled."), "the Hub does not answer. Without a network,"),
    (failing(errors.HfHubHTTPError, 500), "the Hub does not answer. Without a network, download it elsewhere"),
    (httpx.ConnectError("nodename nor servname provided"), "the Hub does not answer."),
    (
        ValueError("Config name is missing.\nPlease pick one among the available configs: ['nli', 'sts']\nExample of usage:\n\t`x`"),
        "it has several subsets, and `config` names none. It has nli, sts.",
    ),
    (ValueError("BuilderConfig 'ko' not found. Available: ['default', 'ko-en']"), "it has no subset `ko`. It has default, ko-en."),
    (ValueError('Unknown split "dev". Should be one of [\'train\', \'test\'].'), "it has no split `dev`. It has train, test."),
    (KeyError("something\nelse"), "'something\\nelse'. Look at https://huggingface.co/datasets/a/b."),
]  # fmt: skip


@pytest.mark.parametrize(("error", "text"), REFUSED)
@pytest.mark.parametrize("where", ["info", "load"])
def test_what_goes_wrong_is_one_paragraph(
    monkeypatch: pytest.MonkeyPatch, asked: dict[str, Any], error: Exception, text: str, where: str
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    if where == "info":
        monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", fail)
    else:
        monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(DataError) as caught:
        open_hub(Hub(name="a/b", config="ko", split="dev", revision="v9"))
    assert str(caught.value).startswith(f"hub: a/b cannot be read: {text}")
    assert "\n" not in str(caught.value)


def test_a_script_without_a_copy(monkeypatch: pytest.MonkeyPatch, asked: dict[str, Any]) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("Dataset scripts are no longer supported, but found nsmc.py")

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(DataError, match=r"Download its files by hand, and give them as `path`\."):
        open_hub(Hub(name="a/b", revision="refs/convert/parquet"))
