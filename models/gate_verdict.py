"""The last verdict of the gate on a candidate, kept so that nights without training can show it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime

from pydantic import BaseModel, ConfigDict


class GateVerdict(BaseModel):
    """One verdict of the gate.

    Attributes:
        app: the application.
        day: partition of the training run.
        at: time of the verdict (UTC).
        run_id: the Dagster run, if any.
        version: of the candidate in the registry; None if the registry refused its package.
        candidate: name of its trainer.
        checks: number of checks that were made.
        reasons: check that failed -> its words; empty if the candidate passed.
        renewal: verdict on the champion's own settings trained on newer rows, where they were evaluated, too.
        instead_of: verdict on the merge that the candidate is the best part of, where the merge is no better.
        because: why the champion had to be trained anew; "" where it had not.
        release: version of this project that trained the candidate; "" in a verdict that is older than the field.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    app: str
    day: date
    at: datetime
    run_id: str
    version: str | None
    candidate: str
    checks: int
    reasons: Mapping[str, str]
    renewal: GateVerdict | None = None
    instead_of: GateVerdict | None = None
    because: str = ""
    release: str = ""

    @property
    def passed_checks(self) -> int:
        """Number of checks that the candidate passed."""
        return self.checks - len(self.reasons)

    @property
    def passed(self) -> bool:
        """True if at least one check was made and all passed."""
        return self.checks > 0 and not self.reasons

    @property
    def promotes(self) -> bool:
        """True if the candidate or the renewal passed, and is in the registry."""
        own = self.passed and self.version is not None
        return own or (self.renewal is not None and self.renewal.promotes)

    def sentence(self) -> str:
        """Return day, version, passed checks and reasons, e.g. for a card."""
        words = f"{self.day}: {self._in_short()}"
        if self.instead_of is not None:
            words += f"; it stands in for {self.instead_of._in_short()}"
        if self.renewal is not None:
            words += f"; the champion's settings on newer rows: {self.renewal._in_short()}"
        return words

    def _in_short(self) -> str:
        named = f"version {self.version}" if self.version else "not registered"
        words = f"{self.candidate} ({named}) passed {self.passed_checks} of {self.checks} checks"
        stopped = "; ".join(f"{check}: {says}" for check, says in self.reasons.items())
        return f"{words}, stopped by {stopped}" if stopped else words
