"""A server of the HTTP service in a process of its own, which a test kills; and the number of effects it had."""

import asyncio
import os
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import httpx

from assets.stages.alerts import labels_since
from models.alerts import Alert
from resources.stack.loader import ROOT, Stack, load_stack
from tests.fork_server import PROCESSES

DAY = date(2026, 3, 1)
PAYMENTS = 6
#: Of ten: seconds until the kill, 1 to 60 ms; a request takes some 10 ms.
_POWERS = (-3.0, -1.2)


def opened(home: Path) -> Stack:
    """The profile `local` of a home."""
    return load_stack(ROOT / "stack.yaml", "local", str(home), os.environ)


def serve(home: Path, listening: Connection) -> None:
    """Serve the home on a free port, which is sent, until the process is killed."""
    import uvicorn

    from pipelines.service.build import build_service

    with socket.create_server(("127.0.0.1", 0)) as own:
        settings = uvicorn.Config(build_service(opened(home)), log_level="critical", lifespan="off")
        server = uvicorn.Server(settings)
        listening.send(own.getsockname()[1])
        asyncio.run(server.serve([own]))


@contextmanager
def serving(home: Path) -> Iterator["Server"]:
    """A server that is killed at the end at the latest."""
    ours, theirs = PROCESSES.Pipe()
    process = PROCESSES.Process(target=serve, args=(home, theirs), daemon=True)
    process.start()
    server = Server(process, ours.recv())
    try:
        yield server
    finally:
        server.end()


class Server:
    """A process that serves."""

    def __init__(self, process: Any, port: int) -> None:
        self._process = process
        self._client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False)

    def end(self) -> None:
        """Kill it, if it still lives."""
        self._process.kill()
        self._process.join()
        self._client.close()

    def label(self, alert: Alert, headers: Mapping[str, str] | None = None) -> Mapping[str, Any]:
        """Label an alert by a request that has the alert's id as `Idempotency-Key`, or these headers."""
        body = {"alert_id": alert.alert_id, "label": "fraud"}
        headers = {"Idempotency-Key": alert.alert_id} if headers is None else headers
        answer = self._client.post("/v1/fraud/label", json=body, headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def asked(self, alert: Alert) -> bool:
        """Label an alert; True if it answered."""
        with suppress(httpx.HTTPError):
            return bool(self.label(alert))
        return False

    def kill_after(self, seconds: float) -> threading.Thread:
        """Kill it by SIGKILL after so long, while something is asked."""

        def kill() -> None:
            time.sleep(seconds)
            self._process.kill()

        thread = threading.Thread(target=kill)
        thread.start()
        return thread


def alerts(number: int) -> list[Alert]:
    """Alerts of one day, each with as many payments."""
    at, reasons, made = datetime(2026, 3, 1, 12, tzinfo=UTC), {"amount": 1.0}, list[Alert]()
    for one in range(number):
        evidence = tuple(f"{one + 1:06}{payment:09}" for payment in range(PAYMENTS))
        id = f"fraud-20260301-u{one}"
        made.append(Alert(id, "fraud", DAY, f"u{one}", evidence, at, 0.9, 0.95, "1", reasons))
    return made


def kill_and_repeat(home: Path, kills: int, seed: int = 0) -> Counter[str]:
    """Kill a server at a random time in each of so many requests; each is repeated twice at the next server.

    Returns how many of the requests had been answered, had only had their effect, or had had none.
    """
    stack, ended, before, is_answered = opened(home), Counter[str](), None, False
    chosen = random.Random(seed)  # noqa: S311 - times of kills
    *raised, first = alerts(kills + 1)
    stack.open("alert_store").add_alerts([*raised, first])
    for alert in [*raised, None]:
        with serving(home) as server:
            _ = server.label(first, {})  # it opens its stores for this one
            if before is not None:
                repeated = server.label(before)
                ended["answered" if is_answered else "without effect" if repeated["is_new"] else "with effect"] += 1
                assert server.label(before) == repeated
            if alert is not None:
                killing = server.kill_after(10 ** chosen.uniform(*_POWERS))
                is_answered = server.asked(alert)
                killing.join()
            before = alert
    return ended


def effects(home: Path) -> tuple[Counter[tuple[str, str]], int]:
    """Labels by alert and payment, and the number of events that were published."""
    stack = opened(home)
    said = labels_since(stack.open("alert_store"), "fraud", DAY)
    return Counter((one.alert_id, one.evidence_id) for one in said), stack.open("events").newest_offset()
