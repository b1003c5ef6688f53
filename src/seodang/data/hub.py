"""Rows of a set on the Hugging Face Hub, through `datasets`: which commit was read is found out first and recorded.

`datasets` is imported only when a recipe asks for this. What can go wrong there (no network, a closed set, a set that
is a program) is one paragraph each, with the way out.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from pydantic import Field

from seodang.data.containers import Container
from seodang.data.sources import Row
from seodang.data.tables import plain
from seodang.errors import DataError
from seodang.language import Phrase
from seodang.schema import Schema

_BATCH = 1000
_PARQUET = "refs/convert/parquet"
_ANY = "Look at {url}."


class Hub(Schema):
    """A set on the Hugging Face Hub."""

    name: str = Field(min_length=1)
    """Owner and name, as in its address: `beomi/KoAlpaca-v1.1a`."""
    config: str | None = None
    """One of its subsets, where it has several."""
    split: str = "train"
    """Which part: `train`, `test`, `train[:1000]`."""
    revision: str | None = None
    """A commit, tag or branch; the newest where none is named. The commit is recorded either way."""

    @property
    def url(self) -> str:
        """Where the set is looked at."""
        return f"https://huggingface.co/datasets/{self.name}"


class HubRows:
    """The rows of a set on the Hub, at one commit."""

    unread: tuple[str, ...] = ()
    count = 1

    def __init__(self, hub: Hub, commit: str, dataset: Any) -> None:
        self.commit = commit
        """The full commit that was read."""
        self.name = f"{hub.name}@{commit[:7]}"
        self._split = hub.split if not hub.config else f"{hub.config}/{hub.split}"
        self._dataset = dataset
        told = "{name}, {split}, at commit {commit}: {rows:,} rows"
        why = Phrase(told, name=hub.name, split=self._split, commit=commit, rows=len(dataset))
        self.container = Container("hub", "", "", detail=commit, evidence={"container": why})
        self.files = Counter([self.container])

    def __iter__(self) -> Iterator[tuple[Row | DataError, str]]:
        """The rows in order; a place is the number of the row: `beomi/KoAlpaca-v1.1a@1a2b3c4/train:17`."""
        number = 0
        for batch in self._dataset.iter(_BATCH):
            for values in zip(*batch.values(), strict=True):
                number += 1
                row = {name: plain(value) for name, value in zip(batch, values, strict=True)}
                yield row, f"{self.name}/{self._split}:{number}"

    def to_report(self, container: Container) -> dict[str, Any]:
        """The set and its commit, ready for JSON."""
        return container.to_report() | {"commit": self.commit}


def open_hub(hub: Hub) -> HubRows:
    """The set at the commit that its revision names now. Raises DataError where it cannot be had."""
    try:
        import datasets
        from huggingface_hub import HfApi
    except ImportError:
        raise DataError("`hub:` needs datasets: `pip install datasets`.") from None
    try:
        commit = str(HfApi().dataset_info(hub.name, revision=hub.revision).sha)
        dataset = datasets.load_dataset(hub.name, hub.config, split=hub.split, revision=commit)
    except Exception as error:
        raise _refused(hub, error) from error
    return HubRows(hub, commit, dataset)


def _refused(hub: Hub, error: Exception) -> DataError:
    """What happened, and what to do, for whatever `datasets` and `huggingface_hub` raise."""
    what, advice = _told(hub, error)
    return DataError("hub: {name} cannot be read: {what}. {advice}", name=hub.name, what=what, advice=advice)


def _told(hub: Hub, error: Exception) -> tuple[Phrase, Phrase]:
    from huggingface_hub import errors as hub_errors

    causes = [error, *filter(None, (error.__cause__, error.__context__))]
    if any(isinstance(one, hub_errors.GatedRepoError) for one in causes) or "gated dataset" in str(error):
        advice = "Ask for access at {url}, then log in (`hf auth login`, or HF_TOKEN in the environment)."
        return Phrase("it is gated, and who asks is not on its list"), Phrase(advice, url=hub.url)
    if any(isinstance(one, hub_errors.RevisionNotFoundError) for one in causes):
        advice = Phrase("Leave `revision` out, or name one of {url}/tree/main.", url=hub.url)
        return Phrase("it has no revision `{revision}`", revision=hub.revision), advice
    if "scripts are no longer supported" in str(error):
        return Phrase("it is a program that downloads the data, and such are not run any more"), _as_parquet(hub)
    return _unfound(hub, error, causes)


def _as_parquet(hub: Hub) -> Phrase:
    if hub.revision == _PARQUET:
        return Phrase("Download its files by hand, and give them as `path`.")
    return Phrase("The Hub keeps a copy without it: `revision: {revision}`.", revision=_PARQUET)


def _unfound(hub: Hub, error: Exception, causes: list[BaseException]) -> tuple[Phrase, Phrase]:
    from datasets import exceptions
    from huggingface_hub import errors as hub_errors

    missing = (hub_errors.RepositoryNotFoundError, exceptions.DatasetNotFoundError, hub_errors.HFValidationError)
    if any(isinstance(one, missing) for one in causes):
        advice = "Look for it at {url}; a private set needs a login (`hf auth login`, or HF_TOKEN in the environment)."
        return Phrase("there is no such set, or it is private"), Phrase(advice, url=hub.url)
    if isinstance(error, exceptions.DataFilesNotFoundError):
        return Phrase("it holds no data files"), _as_parquet(hub)
    if isinstance(error, ValueError) and (choice := _choice(hub, str(error))):
        return choice
    if isinstance(error, OSError) or "offline" in str(error).lower() or "connect" in type(error).__name__.lower():
        advice = "Without a network, download it elsewhere and give its files as `path`."
        return Phrase("the Hub does not answer"), Phrase(advice)
    first = (str(error).splitlines() or [type(error).__name__])[0]
    return Phrase("{error}", error=first[:200]), Phrase(_ANY, url=hub.url)


def _choice(hub: Hub, text: str) -> tuple[Phrase, Phrase] | None:
    """The mistakes in `config` and `split`, which come with the names that there are."""
    names = Phrase("It has {names}.", names=", ".join(_names(text)) or "none")
    if "Config name is missing" in text:
        return Phrase("it has several subsets, and `config` names none"), names
    if "BuilderConfig" in text:
        return Phrase("it has no subset `{config}`", config=hub.config), names
    if "nknown split" in text or "Bad split" in text:
        return Phrase("it has no split `{split}`", split=hub.split), names
    return None


def _names(text: str) -> list[str]:
    """The names in the last list of a message."""
    lists = re.findall(r"\[([^\[\]]*)\]", text)
    return re.findall(r"['\"]?([\w./-]+)['\"]?", lists[-1]) if lists else []
