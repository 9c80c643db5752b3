"""State of a stream that was put back, cut off or deleted, while its queue knows that everything was processed."""

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from assets.fraud.stream.processor import GROUP, FraudProcessor
from models.errors import TesseraError
from models.events import Event
from models.fraud.event_parsing import PaymentLimits
from tests.faults.fraud_stream_kills import contents, published
from tests.faults.fraud_stream_process import KEPT_DAYS, Formula, opened
from tests.forgetting_home import payment

EVENTS = [payment(number, f"c{number % 5}", amount=40.0 + number % 60) for number in range(60)]
BROKEN = Event(id="x", source="t", type=EVENTS[0].type, time=EVENTS[0].time, subject="c1", data={})


def streamed(folder: Path, *, batches: int = 100) -> None:
    """A worker that starts now processes so many batches at most."""
    events, store = opened(folder)
    worker = FraudProcessor(events, store, PaymentLimits(), keep_scores_days=KEPT_DAYS)
    for _ in range(batches):
        if not worker.process(Formula(), limit=10).events:
            return


def put_back(folder: Path) -> None:
    """The state of an earlier moment comes from a backup."""
    shutil.copy2(folder / "backup.db", folder / "stream.db")


def without_its_log(folder: Path) -> None:
    """Transactions that were not part of the file yet are lost."""
    os.truncate(folder / "stream.db-wal", (folder / "stream.db-wal").stat().st_size // 2)
    (folder / "stream.db-shm").unlink()


def deleted(folder: Path) -> None:
    for file in folder.glob("stream.db*"):
        file.unlink()


@pytest.mark.parametrize("damage", [put_back, without_its_log, deleted])
def test_what_a_store_lost_is_processed_again(damage: Callable[[Path], None], tmp_path: Path) -> None:
    once, hurt = tmp_path / "once", tmp_path / "hurt"
    for folder in (once, hurt):
        folder.mkdir()
        published(folder, [*EVENTS[:30], BROKEN, *EVENTS[30:]])
    streamed(once)
    streamed(hurt, batches=2)
    with closing(sqlite3.connect(hurt / "stream.db")) as store, closing(sqlite3.connect(hurt / "backup.db")) as backup:
        store.backup(backup)
    streamed(hurt)
    assert contents(hurt) == contents(once)
    state = {file.name: file.read_bytes() for file in hurt.glob("stream.db*")}
    for name, content in state.items():  # as a machine leaves them that loses its power
        (hurt / f"cut-{name}").write_bytes(content)
    deleted(hurt)
    for name in state:
        (hurt / f"cut-{name}").rename(hurt / name)
    damage(hurt)
    assert opened(hurt)[0].backlog(GROUP) == 0
    streamed(hurt)
    assert contents(hurt) == contents(once)
    assert opened(hurt)[0].backlog(GROUP) == 0
    assert {letter.offset for letter in opened(hurt)[0].dead_letters()} == {31}


def test_a_worker_whose_store_is_whole_reads_nothing_twice(tmp_path: Path) -> None:
    published(tmp_path, EVENTS)
    streamed(tmp_path, batches=3)
    events, store = opened(tmp_path)
    before = events.backlog(GROUP)
    FraudProcessor(events, store, PaymentLimits())
    assert (before, events.backlog(GROUP)) == (30, 30)


@pytest.mark.parametrize("name", ["events.db", "stream.db"])
def test_a_file_that_is_cut_in_half_is_named(name: str, tmp_path: Path) -> None:
    published(tmp_path, EVENTS)
    streamed(tmp_path)
    file = tmp_path / name
    with closing(sqlite3.connect(file)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    os.truncate(file, file.stat().st_size // 2)
    for log in ("-wal", "-shm"):
        file.with_name(f"{name}{log}").unlink(missing_ok=True)
    with pytest.raises(TesseraError, match=name.replace(".", "\\.")):
        streamed(tmp_path)
