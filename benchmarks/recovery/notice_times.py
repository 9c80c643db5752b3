"""Seconds from a fault to the notice at a receiver: runs that fail or are stopped, a daemon and a worker that stand.

Commands run in this process, against a receiver over HTTP. How long a receiver waits for what came while it was down
follows from the real outbox under a clock of its own, asked once a minute as the daemon does.
"""

from __future__ import annotations

import json
import logging
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, ClassVar

from benchmarks.recovery.home import NEXT, Home, says
from models.errors import TesseraError
from resources.health import Health
from resources.home import only_one
from resources.notifier.port import Level, Notifier
from resources.outbox import Outbox
from tests.e2e.shop_home import laid_over
from tests.servers.http_thread import served

#: Minutes for which a receiver is down.
OUTAGES = (1, 5, 30, 120, 480)
_TIMES = 3
_NIGHT = ("run", "churn_nightly", "--date", str(NEXT))


@dataclass
class Noticed:
    """Times from a fault to its notice.

    Attributes:
        found_by: what looks, and how often.
        seconds: from the fault, or from when something looked, to the receiver; one of each time it was measured.
    """

    name: str
    found_by: str
    seconds: list[float] = field(default_factory=list)

    def as_json(self) -> Mapping[str, object]:
        """Plain values, for the results' file."""
        return asdict(self)


class _Receiver(BaseHTTPRequestHandler):
    """Keeps when each notice came."""

    came: ClassVar[list[tuple[float, str]]] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.came.append((time.time(), body["subject"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent."""


def notice_times(base: Home, folder: Path) -> Iterator[Noticed]:
    """Yield the measured faults."""
    with served(_Receiver) as address:
        yield _of_run("a run fails", base, folder, address, _gone(folder))
        yield _of_run("a check stops the night", base, folder, address, _strict())
        yield _of_watch("no daemon runs", base, folder, address, _nothing, "does not run")
        yield _of_watch("a worker of a stream hangs for 5 minutes", base, folder, address, _stale_beat, "hangs")
    yield from map(_after_outage, OUTAGES)


def _gone(folder: Path) -> Mapping[str, Any]:
    orders = {"location": str(folder / "no-such-folder")}
    return {"ports": {"source": {"kind": "files", "tables": {"orders": orders}}}}


def _strict() -> Mapping[str, Any]:
    return {"settings": {"ingestion": {"max_quarantined_share": 0.0001}}}


@contextmanager
def _told(base: Home, folder: Path, address: str, *changes: Mapping[str, Any]) -> Iterator[Home]:
    """A copy of the home whose notices go to the receiver."""
    home = base.copy(folder / "told")
    (home.folder / "notices.db").unlink(missing_ok=True)
    hook = {"ports": {"notifier": {"kind": "webhook", "url": address}}}
    _Receiver.came.clear()
    yield Home(home.folder, laid_over(base.stack, folder / "told.yaml", hook, *changes))
    shutil.rmtree(home.folder)


def _of_run(name: str, base: Home, folder: Path, address: str, change: Mapping[str, Any]) -> Noticed:
    found = Noticed(name, "the command at its end; `tessera dev` every 30 s")
    for _ in range(_TIMES):
        with _told(base, folder, address, change) as home:
            assert says(home, _NIGHT).code == 1
            failed = _moment_of_failure(home)
            (came,) = [at for at, subject in _Receiver.came if f"of {NEXT}" in subject]
            found.seconds.append(round(came - failed, 2))
    return found


def _moment_of_failure(home: Home) -> float:
    from dagster import RunsFilter

    from pipelines.home import dagster_instance

    with dagster_instance(home.opened()) as instance:
        (record,) = instance.get_run_records(RunsFilter(tags={"dagster/partition": str(NEXT)}), limit=1)
        return record.end_time or 0.0


def _of_watch(
    name: str, base: Home, folder: Path, address: str, before: Callable[[Home], object], subject: str
) -> Noticed:
    found = Noticed(name, "`tessera watch` every 10 minutes (deploy/tessera-watch.timer)")
    for _ in range(_TIMES):
        with _told(base, folder, address) as home:
            before(home)
            with only_one(home.opened(), "stream_support", "`tessera stream support`"):
                started = time.time()
                says(home, ("watch", *(("--expect", "dev") if before is _nothing else ())))
            found.seconds.append(round(min(at for at, told in _Receiver.came if subject in told) - started, 2))
    return found


def _nothing(_: Home) -> None:
    """Do nothing: no daemon runs anyway."""


def _stale_beat(home: Home) -> None:
    (home.folder / "heartbeats").mkdir(exist_ok=True)
    at = datetime.now(UTC) - timedelta(minutes=5, seconds=1)
    (home.folder / "heartbeats" / "stream_support.json").write_text(json.dumps({"at": at.isoformat()}))


class _Down(Notifier):
    """A receiver that answers again at some moment."""

    def __init__(self, clock: _Clock, until: datetime) -> None:
        self._clock, self._until = clock, until
        self.came: list[datetime] = []

    def notify(self, level: Level, subject: str, body: str, context: Mapping[str, str]) -> None:  # noqa: ARG002
        """Take it, or not."""
        if self._clock.now < self._until:
            raise TesseraError("It is down.", expected="an answer", todo="Wait.")
        self.came.append(self._clock.now)

    def check(self) -> Health:
        return Health(True, "a receiver")


class _Clock:
    now = datetime(2026, 3, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


def _after_outage(minutes: int) -> Noticed:
    """Return the seconds from the receiver's return until it has notices of the outage's first and last minute."""
    from tempfile import TemporaryDirectory

    clock = _Clock()
    back = clock.now + timedelta(minutes=minutes)
    receiver = _Down(clock, back)
    with TemporaryDirectory() as folder:
        logging.getLogger("resources.outbox").setLevel(logging.ERROR)
        outbox = Outbox(Path(folder) / "notices.db", receiver, clock)
        outbox.notify("error", "first", "", {})
        while len(receiver.came) < 2:
            clock.now += timedelta(minutes=1)
            if clock.now == back - timedelta(minutes=1) or (minutes == 1 and clock.now == back):
                outbox.notify("error", "last", "", {})
            outbox.deliver()
    waited = [round((at - back).total_seconds(), 1) for at in receiver.came]
    return Noticed(f"the receiver is down for {minutes} minutes", "`tessera dev` every minute", waited)


__all__ = ["Noticed", "notice_times"]
