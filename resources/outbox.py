"""The outbox: a notice is stored before it is delivered, and delivered again and again until its receiver took it."""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

from filelock import FileLock, Timeout
from typing_extensions import override

from models.errors import TesseraError
from resources.health import Health
from resources.masking import masked
from resources.notifier import grouping
from resources.notifier.port import NOTICE, OWNER, ErasableNotifier, Level, Notifier
from resources.sqlite.file import SqliteFile
from resources.sqlite.vacuum import scrub

_LOGGER = logging.getLogger(__name__)
#: In a home.
FILE = "notices.db"
#: Key of a context: what the notice is of, if it is of no run (`run_id`), e.g. the deadline that passed.
OCCASION = "occasion"
#: Pauses between two tries of one notice: doubled each time, up to the longest.
_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(minutes=1), timedelta(minutes=10)
#: Acknowledged notices, and delivered ones for the record, are kept so long.
_KEPT = timedelta(days=90)
#: A process that finds another one delivering waits so long for it, and leaves its notice to the next delivery then.
_PATIENCE_SECONDS = 15.0

_TABLES = """
CREATE TABLE IF NOT EXISTS notice (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    about TEXT NOT NULL,
    level TEXT NOT NULL,
    subject TEXT NOT NULL,
    body TEXT NOT NULL,
    context TEXT NOT NULL,
    first_at TEXT NOT NULL,
    last_at TEXT NOT NULL,
    times INTEGER NOT NULL DEFAULT 1,
    tries INTEGER NOT NULL DEFAULT 0,
    next_try_at TEXT NOT NULL,
    problem TEXT NOT NULL DEFAULT '',
    failed_at TEXT NOT NULL DEFAULT '',
    delivered_at TEXT,
    acknowledged_at TEXT,
    acknowledged_by TEXT NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX IF NOT EXISTS notice_open ON notice (about) WHERE acknowledged_at IS NULL;
CREATE INDEX IF NOT EXISTS notice_waiting ON notice (next_try_at) WHERE delivered_at IS NULL;
"""
#: An occasion gives a notice once, also if a person has acknowledged it meanwhile.
_OF_OCCASION = """
SELECT 1 FROM notice
WHERE about = :about AND :occasion <> ''
    AND :occasion IN (json_extract(context, '$.run_id'), json_extract(context, '$.occasion'))
"""
_STORE = """
INSERT INTO notice (id, about, level, subject, body, context, first_at, last_at, next_try_at)
VALUES (:id, :about, :level, :subject, :body, :context, :at, :at, :at)
"""
_JOIN = """
UPDATE notice SET times = times + 1, last_at = :at, level = :level, body = :body, context = :context WHERE id = :id
"""
_SEND_AGAIN = "UPDATE notice SET delivered_at = NULL, next_try_at = ? WHERE id = ?"
_NEXT = "SELECT * FROM notice WHERE delivered_at IS NULL AND next_try_at <= :until ORDER BY number LIMIT 1"
#: Of a clock that was ahead and was set back: nothing failed later than now, and no pause is longer than the longest.
_UNWIND = """
UPDATE notice
SET failed_at = min(failed_at, :at), next_try_at = CASE WHEN next_try_at > :far THEN :at ELSE next_try_at END
WHERE delivered_at IS NULL AND (failed_at > :at OR next_try_at > :far)
"""
_PRUNE = """
DELETE FROM notice
WHERE delivered_at IS NOT NULL AND last_at < :until AND (acknowledged_at IS NOT NULL OR level = 'info')
"""


@dataclass(frozen=True)
class StoredNotice:
    """A notice in the outbox; times are UTC.

    Attributes:
        id: of the notice, 12 hexadecimal digits; a receiver finds it in the context as `notice`.
        times: it was given so often before a person acknowledged it; it is delivered once.
        tries: deliveries that failed.
        problem: why the last of them failed.
        delivered_at: None while it waits.
        acknowledged_at: when a person acknowledged it; None while it is open.
    """

    id: str
    level: Level
    subject: str
    body: str
    context: Mapping[str, str]
    first_at: datetime
    last_at: datetime
    times: int
    tries: int
    problem: str
    delivered_at: datetime | None
    acknowledged_at: datetime | None
    acknowledged_by: str

    @property
    def is_open(self) -> bool:
        """It asks a person for something, and no person has acknowledged it."""
        return self.acknowledged_at is None and self.level != "info"


class Outbox(ErasableNotifier):
    """A notifier that loses nothing while its receiver is down, and sends what is the same only once.

    Two notices are about the same if they name a fault in common (`grouping`), or else have subject, application and
    alert in common; while the first is not acknowledged, the second only counts, and one occasion (a run, a deadline)
    counts once. What makes an open notice more urgent is sent again, with the same id. A process that dies between a
    delivery and its record delivers the notice once more, with the same id.

    Args:
        file: SQLite database; made by the first notice.
        receiver: delivers.
        clock: now, in UTC.
        owner_of: names who acts on notices of an application ("": of none), as their context names it; None: no owner
            is named.
    """

    def __init__(
        self,
        file: Path,
        receiver: Notifier,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        owner_of: Callable[[str], str] | None = None,
    ) -> None:
        todo = "Repair the folder; a damaged file may be removed, and its notices are lost then."
        self._file = SqliteFile(file, _TABLES + grouping.TABLE, "The notices", todo)
        self.receiver, self._clock, self._owner_of = receiver, clock, owner_of

    @override
    def notify(self, level: Level, subject: str, body: str, context: Mapping[str, str]) -> None:
        subject, body = masked(subject), masked(body)
        context = {name: masked(value) for name, value in context.items()}
        at = self._clock()
        if self._owner_of is not None:
            context = {OWNER: self._owner_of(context.get("app", "")), **context}
        about, occasion = grouping.keys_of(subject, context), context.get("run_id") or context.get(OCCASION, "")
        row = {
            "id": sha256(f"{about} {at.isoformat()}".encode()).hexdigest()[:12],
            "about": about[0],
            "level": level,
            "subject": subject,
            "body": body,
            "context": json.dumps(dict(context), ensure_ascii=False),
            "at": _text(at),
        }
        with self._database() as database:
            database.execute("BEGIN IMMEDIATE")
            # What several processes see of a run, or of a night that is late, is one notice.
            seen = f"{occasion} {subject}" if occasion else ""
            if grouping.FAULT in context:
                if grouping.was_told(database, about, seen):
                    return
                grouping.remember(database, about, seen, self._stored(database, about, row))
            elif database.execute(_OF_OCCASION, {"about": about[0], "occasion": occasion}).fetchone():
                return
            else:
                self._stored(database, about, row)
            database.execute(_PRUNE, {"until": _text(at - _KEPT)})
        self.deliver()

    def _stored(self, database: sqlite3.Connection, about: Sequence[str], row: dict[str, Any]) -> str:
        """Store a notice, or let it join the open one of the same fault; return the id."""
        before = grouping.open_notice(database, about)
        if before is None:
            database.execute(_STORE, row)
            return row["id"]
        body, level = grouping.joined(before, row["level"], row["subject"], row["body"])
        context = row["context"] if row["subject"] == before["subject"] else before["context"]
        database.execute(_JOIN, row | {"id": before["id"], "body": body, "level": level, "context": context})
        if grouping.is_more_urgent(level, before["level"]):
            database.execute(_SEND_AGAIN, (row["at"], before["id"]))
        return before["id"]

    def deliver(self, *, now: bool = False) -> int:
        """Deliver what waits, oldest first; return how many still wait.

        The first failure ends it, and nothing is tried for a minute: each further notice would wait for a receiver that
        is down. A notice that the receiver refuses is tried less and less often, so that others get past it.

        Args:
            now: try everything that waits, however short ago the last failure was.
        """
        if not self._file.exists():
            return 0
        try:
            with FileLock(f"{self._file.path}.lock", timeout=_PATIENCE_SECONDS):
                while (notice := self._due(now=now)) and self._delivered(notice):
                    pass
        except Timeout:
            _LOGGER.info("Another process delivers notices.")
        with self._database() as database:
            (waiting,) = database.execute("SELECT count(*) FROM notice WHERE delivered_at IS NULL").fetchone()
        return int(waiting)

    def notices(self, only: str = "") -> Sequence[StoredNotice]:
        """Return stored notices, oldest first.

        Args:
            only: `waiting` (not delivered) or `open` (not acknowledged by a person); empty: all.
        """
        if not self._file.exists():
            return ()
        with self._database() as database:
            found = [_notice(row) for row in database.execute("SELECT * FROM notice ORDER BY number")]
        if only == "waiting":
            return [notice for notice in found if notice.delivered_at is None]
        return [notice for notice in found if notice.is_open] if only == "open" else found

    def acknowledge(self, ids: Sequence[str], who: str) -> Sequence[StoredNotice]:
        """Close open notices; what they are about is a new notice when it happens again. Those closed are returned.

        Raises:
            TesseraError: there is no open notice of that id.
        """
        closed = {notice.id: notice for notice in self.notices(only="open")}
        if unknown := [id for id in ids if id not in closed]:
            raise TesseraError(
                f"There is no open notice {unknown[0]!r}.",
                expected=f"one of {', '.join(closed)}" if closed else "an open notice; there is none",
                todo="List them with `tessera notices`.",
            )
        with self._database() as database:
            database.executemany(
                "UPDATE notice SET acknowledged_at = ?, acknowledged_by = ? WHERE id = ?",
                [(_text(self._clock()), who, id) for id in ids],
            )
        return [closed[id] for id in ids]

    @override
    def forget(self, is_named: Callable[[str], bool]) -> int:
        stored = [notice.id for notice in self.notices() if any(map(is_named, notice.context.values()))]
        if stored:
            with self._database() as database:
                database.executemany("DELETE FROM notice WHERE id = ?", [(id,) for id in stored])
                grouping.remember(database, (), "", "")
            with closing(self._file.connect()) as database:
                scrub(database)
        kept = self.receiver.forget(is_named) if isinstance(self.receiver, ErasableNotifier) else 0
        return max(len(stored), kept)

    @override
    def check(self) -> Health:
        health = self.receiver.check()
        waiting = self.notices(only="waiting")
        if not health.ok or not waiting:
            return health
        return Health(
            False,
            f"{health.says}; {len(waiting)} notices wait since {waiting[0].first_at:%Y-%m-%d %H:%M}"
            + (f": {waiting[0].problem}" if waiting[0].problem else ""),
            "Repair the receiver, then `tessera notices --send`.",
        )

    def try_out(self, subject: str, body: str) -> None:
        """Deliver a notice that is not stored, to see that notices arrive.

        Raises:
            TesseraError: it could not be delivered.
        """
        self.receiver.notify("info", subject, body, {})

    def _due(self, *, now: bool) -> StoredNotice | None:
        at = self._clock()
        with self._database() as database:
            database.execute(_UNWIND, {"at": _text(at), "far": _text(at + _LONGEST_PAUSE)})
            (failed,) = database.execute("SELECT max(failed_at) FROM notice WHERE delivered_at IS NULL").fetchone()
            if not now and failed and failed > _text(at - _FIRST_PAUSE):
                return None
            until = _text(datetime.max.replace(tzinfo=UTC) if now else at)
            row = database.execute(_NEXT, {"until": until}).fetchone()
        return None if row is None else _notice(row)

    def _delivered(self, notice: StoredNotice) -> bool:
        try:
            self.receiver.notify(notice.level, notice.subject, notice.body, {**notice.context, NOTICE: notice.id})
        except TesseraError as error:
            at, pause = self._clock(), min(_FIRST_PAUSE * 2 ** min(notice.tries, 10), _LONGEST_PAUSE)
            changes = "tries = tries + 1, problem = ?, failed_at = ?, next_try_at = ?"
            self._record(changes, masked(error.what), _text(at), _text(at + pause), notice.id)
            _LOGGER.warning("%s It waits in the outbox and is delivered later.", error.what)
            return False
        self._record("delivered_at = ?, problem = ''", _text(self._clock()), notice.id)
        return True

    def _record(self, changes: str, *values: str) -> None:
        with self._database() as database:
            database.execute(f"UPDATE notice SET {changes} WHERE id = ?", values)  # noqa: S608 - ours

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection whose rows have names; its changes are durable at the end of the block, or undone."""
        with self._file.open() as database:
            database.row_factory = sqlite3.Row
            yield database


def outbox_of(home: Path, receiver: Notifier, owner_of: Callable[[str], str]) -> Outbox:
    """Return the outbox of a home; `owner_of` gives the owner of an application."""
    return Outbox(home / FILE, receiver, owner_of=owner_of)


def _text(at: datetime) -> str:
    """Return a time as text that sorts as times do."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def _notice(row: sqlite3.Row) -> StoredNotice:
    return StoredNotice(
        id=row["id"],
        level=cast(Level, row["level"]),
        subject=row["subject"],
        body=row["body"],
        context=cast(dict[str, str], json.loads(row["context"])),
        first_at=datetime.fromisoformat(row["first_at"]),
        last_at=datetime.fromisoformat(row["last_at"]),
        times=row["times"],
        tries=row["tries"],
        problem=row["problem"],
        delivered_at=_time(row["delivered_at"]),
        acknowledged_at=_time(row["acknowledged_at"]),
        acknowledged_by=row["acknowledged_by"],
    )


def _time(text: Any) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
