"""What the doctor says of this machine, and of one that is not as it should be."""

from __future__ import annotations

from typing import Any

import pytest

from seodang import doctor
from seodang.doctor import Finding, examine


def test_a_tested_installation_is_good() -> None:
    found = {finding.subject: finding for finding in examine()}
    assert all(finding.good for finding in found.values()), [f for f in found.values() if not f.good]
    assert {"torch", "trl", "peft", "machine", "device", "dtype", "kiwipiepy"} <= set(found)
    assert "float32 weights" in found["dtype"].found or "bfloat16" in found["dtype"].found


def test_a_version_outside_the_window_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        doctor.metadata, "requires", lambda _: ["click>=99,<100", "nothing-like-it>=1", "x>1; extra == 'dev'"]
    )
    click, missing = doctor._versions()
    assert not click.good and "outside the tested window" in click.found and "pip install 'click" in click.found
    assert missing == Finding("nothing-like-it", "missing: pip install 'nothing-like-it>=1'", False)


def test_what_is_not_installed_says_what_it_is_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(_: str) -> Any:
        return None

    monkeypatch.setattr(doctor.importlib.util, "find_spec", nothing)
    assert all("not installed (" in finding.found for finding in doctor._optional())
