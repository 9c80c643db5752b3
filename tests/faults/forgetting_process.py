"""Processes of `test_forgetting_crashes`.

One forgets `forgetting_home.ID` in a home and kills itself with SIGKILL right before a change of one kind to the disk;
others write meanwhile what they had read before.
"""

import functools
import os
import signal
from pathlib import Path
from typing import Any

from forgetting_home import (
    CONFIG,
    FIRST,
    ID,
    LAST,
    HighAmounts,
    OnlineFile,
    features,
    opened,
    payment,
    training_rows,
    worker,
)

from assets.maintenance.erasure import forget
from assets.maintenance.erasure_journal import ErasureJournal
from assets.stages.ingestion import completeness_log as ingestion_record
from assets.stages.ingestion.run import ingest
from models.errors import TesseraError
from resources.conformance.score_sets import APP, reader, score_rows
from resources.events.sqlite_events import SqliteEvents
from resources.lake import removal, transactions
from resources.lake.delta import DeltaLake
from resources.notifier.log import LogNotifier
from resources.sink.delta_sink import DeltaSink
from resources.sink.publication_log import PublicationLog
from resources.sink.score_table import ScoreTable
from resources.state_store.sqlite_state_store import SqliteStateStore
from resources.tombstones import TombstoneFolder


class Steps:
    """Counts changes, and ends the process right before the `nth` change of kind `last` (empty: never)."""

    def __init__(self, last: str, nth: int) -> None:
        self.done: list[str] = []
        self._last, self._nth = last, nth

    def watch(self, owner: Any, name: str) -> None:
        """Count calls of `owner.name`."""
        real, place = getattr(owner, name), f"{owner.__name__.rpartition('.')[2]}.{name}"

        @functools.wraps(real)
        def counted(*args: Any, **kwargs: Any) -> Any:
            self.step(place)
            return real(*args, **kwargs)

        setattr(owner, name, counted)

    def step(self, name: str) -> None:
        """One change is about to happen."""
        if name == self._last and self.done.count(name) == self._nth:
            os.kill(os.getpid(), signal.SIGKILL)
        self.done.append(name)


def watched(last: str, nth: int) -> Steps:
    """Every way in which forgetting changes the disk, wrapped."""
    steps = Steps(last, nth)
    places: list[tuple[Any, str]] = [
        (TombstoneFolder, "_write"),
        (ErasureJournal, "_write"),
        (OnlineFile, "forget"),
        (removal, "write_part"),
        (transactions, "_transact"),
        (DeltaLake, "vacuum"),
        (ingestion_record, "_write"),
        (DeltaSink, "_write_files"),
        (ScoreTable, "commit"),
        (PublicationLog, "append"),
        (ScoreTable, "remove"),
        (ScoreTable, "remove_unreferenced"),
        (SqliteEvents, "_forget_letters"),
        (SqliteEvents, "_scrub"),
        (SqliteStateStore, "erase"),
        (LogNotifier, "forget"),
        (Path, "unlink"),
    ]
    for owner, name in places:
        steps.watch(owner, name)
    return steps


def forget_watched(folder: Path, last: str, nth: int, said: Path) -> None:
    """Forget, and write down what was changed."""
    steps = watched(last, nth)
    forget(opened(folder), folder, "customer", ID, why="asked for it", who="ana")
    steps.step("end")
    said.write_text(" ".join(steps.done))


def write_stubbornly(folder: Path, said: Path, enough: Path, *, as_worker: bool) -> None:
    """Write again and again what was read before anybody was forgotten, ingest every day anew, and publish payments.

    A worker scores them, too, which holds in memory what it read before.
    """
    parts = opened(folder)
    old, rows = features(LAST), score_rows([0.1, 0.2, 0.3, 0.4, 0.5])
    trained = training_rows(LAST, old["customer_id"].to_pylist())
    stream = worker(parts) if as_worker else None
    parts.events.publish([payment(100, ID, amount=1.0)])
    if stream:
        stream.process(HighAmounts(), limit=3)
    said.write_text("ready")
    after = 0
    for number in range(9):
        after += enough.exists()  # two rounds more, each a whole one
        if after > 2:
            break
        parts.events.publish([payment(101 + number, ID)])
        if stream:
            stream.process(HighAmounts(), limit=3)
        parts.lake.replace("churn_features", old.slice(number % 2), by="feature_date", first=LAST, last=LAST)
        parts.lake.replace("churn_training_set", trained.slice(number % 2), by="as_of", first=LAST, last=LAST)
        ingest("orders", parts.source, parts.lake, FIRST if number % 2 else LAST, CONFIG, f"run {number}")
        try:
            parts.sink.write_attempt(APP, LAST, f"b{number}", reader(rows))
        except TesseraError as error:
            if "An entity was forgotten" not in str(error):
                raise
