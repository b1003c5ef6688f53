"""What became of every request and every record of a growing set: nothing is counted twice and nothing vanishes.

One request yields several records, so the two are counted apart: sent = answered + failed(by reason) and
parsed = kept + rejected(by reason). Text that is no record counts as a rejected one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from seodang.errors import RunError

SAMPLES_PER_REASON = 3


@dataclass(slots=True)
class Growth:
    """The ledger of `generate`. `rows` are the rejected records for dropped.jsonl, `samples` a few by reason."""

    sent: int = 0
    answered: int = 0
    failed: dict[str, int] = field(default_factory=dict)
    parsed: int = 0
    kept: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    samples: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def request(self, failed: str = "") -> None:
        """Count one request: answered, or failed for a reason."""
        self.sent += 1
        if failed:
            self.failed[failed] = self.failed.get(failed, 0) + 1
        else:
            self.answered += 1

    def keep(self, row: Mapping[str, Any]) -> None:
        """Count one record as parsed and kept."""
        self.parsed += 1
        self.kept += 1
        self._sample("kept", row)

    def reject(self, reason: str, row: Mapping[str, Any]) -> None:
        """Count one record as parsed and rejected, and keep it with its reason for dropped.jsonl."""
        self.parsed += 1
        self.rejected[reason] = self.rejected.get(reason, 0) + 1
        self.rows.append({"reason": reason, **row})
        self._sample(reason, row)

    def _sample(self, reason: str, row: Mapping[str, Any]) -> None:
        shown = self.samples.setdefault(reason, [])
        if len(shown) < SAMPLES_PER_REASON:
            shown.append(dict(row))

    def close(self) -> dict[str, Any]:
        """The entries `requests`, `records`, `rows` and `samples` of the report. Raises RunError where a sum fails."""
        failed, rejected = sum(self.failed.values()), sum(self.rejected.values())
        if self.sent != self.answered + failed or self.parsed != self.kept + rejected:
            raise RunError(
                "The ledger does not add up: requests {sent} sent, {answered} answered, {failed} failed; records "
                "{parsed} parsed, {kept} kept, {rejected} rejected. This is a bug; please report it.",
                sent=self.sent,
                answered=self.answered,
                failed=failed,
                parsed=self.parsed,
                kept=self.kept,
                rejected=rejected,
            )
        reasons = dict(sorted(self.rejected.items()))
        return {
            "rows": {"read": self.parsed, "kept": self.kept, "dropped": reasons},
            "requests": {"sent": self.sent, "answered": self.answered, "failed": dict(sorted(self.failed.items()))},
            "records": {"parsed": self.parsed, "kept": self.kept, "rejected": reasons},
            "samples": self.samples,
        }
