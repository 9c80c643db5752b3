"""Workers of the fraud stream as processes of their own, with a model that needs no training: killed by tests.

For each line `FOLDER LIMIT` on its input it forks a worker and answers with two lines: the worker's process id, and,
when that has ended, its exit code as `subprocess` gives it. Forked, because importing everything takes seconds.
"""

import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from assets.fraud.stream.processor import FraudProcessor
from models.features.fraud_definitions import FEATURES
from models.fraud.event_parsing import PaymentLimits
from resources.events.sqlite_events import SqliteEvents
from tests.fraud_store import FraudStore

_AMOUNT, _RATIO, _RISK = (FEATURES.index(name) for name in ("amount", "amount_over_mean_30d", "terminal_risk_30d"))

#: Of the days before the newest payment, so many can be looked at afterwards.
KEPT_DAYS = 60


class Formula:
    """A score by hand, so that many payments raise alerts."""

    version = "formula"
    threshold = 0.5

    def scores(self, rows: Sequence[Sequence[float]]) -> Sequence[float]:
        return [1 / (1 + math.exp(3 - row[_AMOUNT] / 60 - row[_RATIO] / 2 - 9 * row[_RISK])) for row in rows]

    def reasons(self, row: Sequence[float]) -> dict[str, float]:
        return {"amount": row[_AMOUNT] / 60, "terminal_risk_30d": 9 * row[_RISK]}


def opened(folder: Path, *, lease_seconds: float = 0.2) -> tuple[SqliteEvents, FraudStore]:
    return (
        SqliteEvents(folder / "events.db", lease_seconds, 10**9),
        FraudStore(folder / "stream.db"),
    )


def work(folder: Path, limit: int) -> int:
    """Number of events, after none is left that can be read."""
    events, store = opened(folder)
    stream, done = FraudProcessor(events, store, PaymentLimits(), keep_scores_days=KEPT_DAYS), 0
    while events.backlog("fraud"):
        done += stream.process(Formula(), limit=limit, wait_seconds=0.05).events
    return done


def serve() -> None:
    for line in sys.stdin:
        folder, limit = line.split()
        child = os.fork()
        if not child:
            work(Path(folder), int(limit))
            os._exit(0)
        say(child)
        say(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


def say(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    serve()
