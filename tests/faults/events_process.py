"""Publishers and consumers of one queue as processes of their own; tests start, watch and kill them.

For each line on its input (`[kind, settings, [{"do": ..., ...}, ...]]`) it forks a process per work and answers with
two lines: their process ids, and, when all have ended, their exit codes as `subprocess` gives them. The queue is
opened and used before the fork, so every child begins with its parent's; and used by the parent after it.
"""

import json
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from models.events import Event
from resources.events.port import Events
from resources.events.postgres_events import PostgresEventsConfig
from resources.events.redis_events import RedisEventsConfig
from resources.events.sqlite_events import SqliteEventsConfig

KINDS = {"sqlite": SqliteEventsConfig, "redis": RedisEventsConfig, "postgres": PostgresEventsConfig}
T = datetime(2018, 7, 25, 12, tzinfo=UTC)


def publish(events: Events, who: str, count: int, batch: int, subjects: int) -> None:
    """`count` events of its own, and as many that every publisher publishes."""
    made = [made_by(name, number, subjects) for number in range(count) for name in (who, "all")]
    for start in range(0, len(made), batch):
        events.publish(made[start : start + batch])


def made_by(who: str, number: int, subjects: int) -> Event:
    data = {"who": who, "number": number}
    return Event(id=f"{who}-{number}", source="/t", type="t", time=T, subject=f"s{number % subjects}", data=data)


def consume(events: Events, group: str, limit: int, until: int, members: int, out: str) -> None:
    """Notes each event, then settles it, until that many were published and the group has settled them all.

    The first one it keeps until all members have one: so all take part.
    """
    first = True
    while events.newest_offset() < until or events.backlog(group):
        found = events.read(group, limit=1 if first else limit, wait_seconds=0.01)
        note(out, [[one.offset, one.event.subject, one.event.id, os.getpid()] for one in found])
        while found and first and len({row[3] for row in noted(out)}) < members:
            time.sleep(0.001)
        first = first and not found
        events.acknowledge(group, [one.offset for one in found])


def hold(events: Events, group: str, limit: int, settled: int, out: str) -> None:
    """Reads, settles some, and never comes back."""
    found = events.read(group, limit=limit)
    events.acknowledge(group, [one.offset for one in found[:settled]])
    note(out, [[one.offset] for one in found])
    time.sleep(600)


def inherit_nothing(events: Events, path: str) -> None:
    """Fails if the process begins with its parent's file open."""
    inherited = [file for file in Path("/proc/self/fd").iterdir() if str(file.resolve()).startswith(path)]
    assert inherited == []
    assert events.check().ok


def open_at_once(events: Events, folder: str, start: float, rounds: int) -> None:
    """Makes queues that others of these processes make at the same moments."""
    for number in range(rounds):
        time.sleep(max(start + number * 0.02 - time.time(), 0))
        SqliteEventsConfig(path=f"{folder}/{number}.db").open().publish([made_by("all", number, 1)])


def note(out: str, rows: list[Any]) -> None:
    with Path(out).open("a") as file:
        file.write("".join(json.dumps(row) + "\n" for row in rows))


WORKS = {one.__name__: one for one in (publish, consume, hold, inherit_nothing, open_at_once)}


def noted(out: str | Path) -> list[Any]:
    """What was noted so far; a line that is being written is left out."""
    lines = Path(out).read_text().splitlines(keepends=True) if Path(out).exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def serve() -> None:
    for line in sys.stdin:
        kind, settings, works = json.loads(line)
        config: Any = KINDS[kind](**settings)
        events = config.open()
        assert events.check().ok
        children = [started(events, work) for work in works]
        assert events.check().ok
        say(children)
        say([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children])
        assert events.check().ok


def started(events: Events, work: dict[str, Any]) -> int:
    child = os.fork()
    if not child:
        code = 1
        try:
            WORKS[work.pop("do")](events, **work)
            code = 0
        finally:
            sys.stderr.flush()
            os._exit(code)
    return child


def say(numbers: list[int]) -> None:
    sys.stdout.write(f"{json.dumps(numbers)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    serve()
