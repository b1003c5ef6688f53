"""The sums of a growing set hold, and a broken one is never written."""

from __future__ import annotations

import pytest

from seodang.errors import RunError
from seodang.self_instruct.ledger import Growth


def _grown() -> Growth:
    ledger = Growth()
    for failed in ("", "", "prompt_too_long", "not_recorded", "prompt_too_long"):
        ledger.request(failed)
    for number in range(5):
        ledger.keep({"source": f"generate:{number:06d}"})
    for reason in ("not_novel", "parse", "not_novel"):
        ledger.reject(reason, {"raw": reason})
    return ledger


def test_requests_and_records_are_counted_apart() -> None:
    report = _grown().close()
    assert report["requests"] == {"sent": 5, "answered": 2, "failed": {"not_recorded": 1, "prompt_too_long": 2}}
    assert report["records"] == {"parsed": 8, "kept": 5, "rejected": {"not_novel": 2, "parse": 1}}
    assert report["rows"] == {"read": 8, "kept": 5, "dropped": {"not_novel": 2, "parse": 1}}


def test_one_request_may_yield_kept_and_rejected_records() -> None:
    ledger = Growth()
    ledger.request()
    ledger.keep({})
    ledger.reject("parse", {})
    report = ledger.close()
    assert report["requests"]["sent"] == 1
    assert report["records"]["parsed"] == 2


def test_every_rejected_record_is_kept_with_its_reason_and_some_are_shown() -> None:
    ledger = _grown()
    assert [row["reason"] for row in ledger.rows] == ["not_novel", "parse", "not_novel"]
    assert {reason: len(rows) for reason, rows in ledger.close()["samples"].items()} == {
        "kept": 3,
        "not_novel": 2,
        "parse": 1,
    }


def test_nothing_is_an_empty_ledger() -> None:
    assert Growth().close() == {
        "rows": {"read": 0, "kept": 0, "dropped": {}},
        "requests": {"sent": 0, "answered": 0, "failed": {}},
        "records": {"parsed": 0, "kept": 0, "rejected": {}},
        "samples": {},
    }


@pytest.mark.parametrize("name", ["sent", "answered", "parsed", "kept"])
def test_a_sum_that_does_not_hold_is_an_error(name: str) -> None:
    ledger = _grown()
    setattr(ledger, name, getattr(ledger, name) + 1)
    with pytest.raises(RunError, match=r"The ledger does not add up: requests . sent, . answered, 3 failed"):
        ledger.close()
