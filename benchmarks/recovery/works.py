"""Commands that are killed, each with what else must be the same afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.recovery.home import AFTER, DAY, NEXT, Home, places_with

#: A customer of the small shop who has orders, features and scores.
FORGOTTEN = "u00000085"


@dataclass(frozen=True)
class Work:
    """A command.

    Attributes:
        also: what else is compared, by name.
        share: of all kills; those of short works are many.
        again: the command may have to be run twice: the first time it says what the killed one left.
    """

    name: str
    command: tuple[str, ...]
    also: Callable[[Home], dict[str, str]] = lambda _: {}
    share: float = 0.1
    again: bool = False


def _places(home: Home) -> dict[str, str]:
    return {"files with the erased id": str(places_with(home.folder, FORGOTTEN))}


def _last_action(home: Home) -> dict[str, str]:
    ledger = list(home.opened().open("registry").ledger("churn"))
    return {"last entry of the ledger": f"{ledger[-1].action} {ledger[-1].to_version}", "entries": str(len(ledger))}


def _run(job: str, day: object) -> tuple[str, ...]:
    return ("run", job, "--date", str(day))


WORKS = (
    Work("rollback", ("rollback", "churn", "--to", "1", "--why", "measured"), _last_action, 0.12),
    Work("forget", ("forget", "customer", FORGOTTEN, "--yes", "--why", "request 1"), _places, 0.12),
    Work("churn_online", _run("churn_online", DAY), share=0.1),
    Work("churn_fallback", _run("churn_fallback", NEXT), share=0.08),
    Work("churn_nightly", _run("churn_nightly", NEXT), share=0.12),
    Work("churn_training", _run("churn_training", NEXT), share=0.06),
    Work("storage_weekly", _run("storage_weekly", NEXT), share=0.06),
    Work("backfill", ("backfill", "churn_nightly", "--from", str(NEXT), "--to", str(AFTER)), share=0.04),
    Work("demand_nightly", _run("demand_nightly", NEXT), share=0.04),
)
STREAM_SHARE = 0.3
