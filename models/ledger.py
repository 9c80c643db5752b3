"""The append-only record of who put which model in charge, when and why."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

Action = Literal["promote", "rollback", "retire"]


class LedgerEntry(BaseModel):
    """One change of the champion. `at` is UTC; `previous` is the sha256 of the entry before, so edits show."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    app: str
    at: datetime
    action: Action
    from_version: str | None
    to_version: str | None
    why: str
    who: str
    run_id: str
    metrics: dict[str, float]
    previous: str


def champion_at(ledger: Sequence[LedgerEntry], moment: datetime) -> str | None:
    """The version that was in charge at `moment` (UTC), by the ledger; None before the first entry."""
    before = [entry for entry in ledger if entry.at <= moment]
    return before[-1].to_version if before else None
