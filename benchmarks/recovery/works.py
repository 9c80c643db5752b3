"""Commands that are killed, each with what else must be the same afterwards."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass

from benchmarks.recovery.home import DAY, NEXT, Home, places_with

#: A customer of the small shop who has orders, features and scores.
FORGOTTEN = "u00000085"


@dataclass(frozen=True)
class Work:
    """A command.

    Attributes:
        also: what else is compared, by name.
        count: kills of the 200 of the long mode; those of short works are many.
        again: the command may have to be run twice: the first time it says what the killed one left.
        before: prepares a copy of the home.
    """

    name: str
    command: tuple[str, ...]
    count: int
    also: Callable[[Home], dict[str, str]] = lambda _: {}
    again: bool = False
    before: Callable[[Home], object] = lambda _: None

    @property
    def said(self) -> str:
        """The command as a user types it."""
        return "tessera " + " ".join(self.command)


def _places(home: Home) -> dict[str, str]:
    return {"files with the erased id": str(places_with(home.folder, FORGOTTEN))}


def _last_action(home: Home) -> dict[str, str]:
    ledger = list(home.opened().open("registry").ledger("churn"))
    return {"last entry of the ledger": f"{ledger[-1].action} {ledger[-1].to_version}", "entries": str(len(ledger))}


def _rows(*queries: str) -> Callable[[Home], dict[str, str]]:
    """Digests of what queries find in the streams' database, by query."""

    def read(home: Home) -> dict[str, str]:
        with closing(sqlite3.connect(home.folder / "streams.db")) as connection:
            found = {query: connection.execute(query).fetchall() for query in queries}
        return {q: f"{len(rows)}, {hashlib.sha256(repr(rows).encode()).hexdigest()[:16]}" for q, rows in found.items()}

    return read


def _run(job: str, day: object) -> tuple[str, ...]:
    return ("run", job, "--date", str(day))


#: Payments with their scores and the alerts, but for the moments at which they were computed.
_FRAUD = (
    "SELECT transaction_id, score, model_version FROM fraud_scored ORDER BY transaction_id",
    "SELECT transaction_id, micros, cents FROM fraud_payment WHERE NOT is_seed ORDER BY transaction_id",
    "SELECT alert_id, evidence, highest_score FROM alert ORDER BY alert_id",
)
_SUPPORT = (
    "SELECT ticket_id, model_version FROM support_answer ORDER BY ticket_id",
    "SELECT ticket_id, step FROM support_step ORDER BY ticket_id, step",
)

WORKS: Sequence[Work] = (
    Work("rollback", ("rollback", "churn", "--to", "1", "--why", "measured"), 18, _last_action),
    Work("forget", ("forget", "customer", FORGOTTEN, "--yes", "--why", "request 1"), 12, _places),
    Work("churn_online", _run("churn_online", DAY), 12),
    Work("churn_fallback", _run("churn_fallback", NEXT), 14),
    Work("churn_nightly", _run("churn_nightly", NEXT), 20),
    Work("churn_training", _run("churn_training", NEXT), 8),
    Work("storage_weekly", _run("storage_weekly", NEXT), 6),
    Work("backfill", ("backfill", "churn_nightly", "--from", str(DAY), "--to", str(NEXT)), 6),
    Work("demand_nightly", _run("demand_nightly", NEXT), 8),
    Work("fraud stream", ("stream", "fraud", "--limit", "20", "--until-empty"), 12, _rows(*_FRAUD)),
    Work("fraud_training", _run("fraud_training", NEXT), 6),
    Work("fraud_nightly", _run("fraud_nightly", NEXT), 8),
    Work("support stream", ("stream", "support", "--limit", "2", "--until-empty"), 12, _rows(*_SUPPORT)),
    Work("support_nightly", _run("support_nightly", NEXT), 8),
)
#: Of the 200: kills of two workers of the fraud stream on one queue.
STREAM_COUNT = 180
