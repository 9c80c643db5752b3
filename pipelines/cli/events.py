"""`tessera events`: publish events, replay the past, look at what waits and at dead letters."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import BinaryIO

import click
from opentelemetry.trace import SpanKind
from rich.table import Table

from assets.fraud import replay as payment_replay
from assets.fraud.app import FRAUD
from assets.stages.ingestion.run import ingest
from models.errors import TesseraError, choose_from
from models.events import MAX_EVENT_BYTES, Event
from models.tracing import note, span
from pipelines.cli.arguments import check_delivered, known_span, yesterday
from pipelines.cli.console import counted, err, literal, out, printable, working
from pipelines.cli.tables import print_json
from resources.events.port import DeadLetter, Events, TooFarBehind
from resources.privacy import share_as_usual
from resources.stack.loader import active_stack
from resources.stack.ports import Ports, active_ports
from resources.traces.port import recorded

_AT_ONCE = 500
_BLOCK_BYTES = 65_536
_PAUSE_SECONDS = 0.1
_SHOWN = 20
_EVERYTHING = 2**62
#: Lines that the summary names.
_NAMED = 5


def publish(file: str) -> None:
    """Publish the events of `file` (`-`: stdin), one JSON object per line; a line that is none is refused.

    Raises:
        TesseraError: the file cannot be read or holds no event at all, or the queue does not answer.
    """
    queue = active_ports().events
    with _opened(file) as stream, _Sending(queue, "publishing") as sending:
        number = 1
        for lines in _lines(stream):
            sending.send(_events(lines, sending, "stdin" if file == "-" else Path(file).name, number))
            number += len(lines)
    if sending.refused == sending.seen > 0:
        raise TesseraError(
            f"{'stdin' if file == '-' else file} holds no event: {counted(sending.refused, 'line')} refused. "
            f"The first: {sending.first_reason}",
            expected="one CloudEvent (a JSON object) per line",
            todo="Correct it (a JSON array: `jq -c '.[]' FILE` gives lines); `tessera events dead-letters` says more.",
        )
    out.print(sending.summary())


def replay(first_day: str, last_day: str, speed: float) -> None:
    """Publish the payments of some days, and their labels, as if they happened now, `speed` times as fast.

    Raises:
        TesseraError: the days or the speed make no sense, or the source delivers no payments on these days.
    """
    if not 0 <= speed < float("inf"):
        raise TesseraError(
            f"A replay cannot run at speed {speed:g}.",
            expected="a number of times faster than it happened, or 0: as fast as possible",
            todo="Correct --speed.",
        )
    stack = active_stack()
    first, last = known_span(first_day, last_day, stack)
    ports = Ports(stack)
    _ingest(ports, first, last)
    past = payment_replay.history(ports.lake, ports.engine, first, last)
    with _Sending(ports.events, f"replaying {first} to {last}") as sending:
        for events in _paced(past, speed):
            sending.send((event, "") for event in events)
    if not sending.seen:
        raise TesseraError(
            f"There are no payments from {first} to {last}.",
            expected="days on which the source delivered payments",
            todo="Choose other days.",
        )
    out.print(sending.summary())


def dead_letters(file: Path | None, *, as_json: bool = False) -> None:
    """Show the newest dead letters; all of them with `file` (JSON lines) or `as_json`.

    Raises:
        TesseraError: the file cannot be written, or the queue does not answer.
    """
    queue = active_ports().events
    letters = queue.dead_letters(limit=_EVERYTHING if file or as_json else _SHOWN + 1)
    if file is not None:
        _write(file, letters)
        out.print(f"{counted(len(letters), 'dead letter')} written to {file}.")
    elif as_json:
        print_json([*map(_row, letters)])
    elif not letters:
        out.print("There are no dead letters.")
    else:
        out.print(_table(letters[:_SHOWN]))
        if len(letters) > _SHOWN:
            out.print(f"The newest {_SHOWN}; `--out FILE` gives all.")


def status(*, as_json: bool = False) -> None:
    """Show how many events there are, and how many of them each group has not acknowledged."""
    stack = active_stack()
    queue = Ports(stack).events
    newest, groups = queue.newest_offset(), queue.groups()
    if as_json:
        groups = [{"group": group, "backlog": queue.backlog(group)} for group in groups]
        print_json({"kind": stack.kind("events"), "newest_offset": newest, "groups": groups})
        return
    out.print(f"events: {stack.kind('events')}, newest offset {newest:,}")
    if not groups:
        out.print("No group has read yet.")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("group")
    table.add_column("backlog", justify="right")
    for group in groups:
        table.add_row(literal(group), f"{queue.backlog(group):,}")
    out.print(table)


def drop(group: str, *, yes: bool) -> None:
    """Drop an abandoned group after asking: nothing is kept for it any more.

    Raises:
        TesseraError: there is no such group, no terminal to ask at, or the queue does not answer.
    """
    queue = active_ports().events
    groups = queue.groups()
    if group not in groups:
        raise TesseraError(
            f"There is no group {group!r}.", expected=choose_from(group, groups), todo="See `tessera events status`."
        )
    behind = queue.backlog(group)
    if not yes:
        _ask(group, behind)
    queue.delete_group(group)
    out.print(f"The group {group} is no more; {behind:,} events no longer wait for it.")


def _ask(group: str, behind: int) -> None:
    if not sys.stdin.isatty():
        raise TesseraError(
            f"Dropping the group {group!r} cannot be undone, and there is no terminal to ask at.",
            expected="a yes",
            todo="Pass --yes.",
        )
    click.confirm(
        f"Drop the group {printable(group)}, for which {behind:,} events wait? What reads as it begins anew", abort=True
    )


class _Sending:
    """Publishes in portions, waits when consumers do not keep up, and counts."""

    def __init__(self, queue: Events, doing: str) -> None:
        self._queue, self._doing = queue, doing
        self._status = err.status(doing)
        self._traced = ExitStack()
        self._told = False
        self.published = self.known = self.refused = 0
        self.conflicts: list[str] = []
        self.first_reason = ""

    def __enter__(self) -> _Sending:
        stack = active_stack()
        self._traced.enter_context(recorded(stack.home, stack.settings.traces))
        self._traced.enter_context(span("publish events", kind=SpanKind.PRODUCER))
        self._status.start()
        return self

    def __exit__(self, *_raised: object) -> None:
        self._status.stop()
        note(events=self.published, refused=self.refused)
        self._traced.close()

    @property
    def seen(self) -> int:
        """Events and lines so far."""
        return self.published + self.known + self.refused + len(self.conflicts)

    def send(self, events: Iterable[tuple[Event, str]]) -> None:
        """Store all of them, each given with its origin, however long that takes."""
        rest = list(events)
        size = len(rest)
        while rest:
            try:
                part = rest[:size]
                stored = self._queue.publish([one for one, _ in part], origins=[origin for _, origin in part])
            except TooFarBehind as full:
                size = full.room or self._waited(full, len(rest))
                continue
            self.published += stored
            self.known += len(part) - stored - len(stored.conflicts)
            self.conflicts += [part[at][1] or f"event {part[at][0].id}" for at in stored.conflicts]
            rest = rest[size:]
            size = len(rest)
        self._status.update(f"{self._doing}: {self.seen:,}")

    def refuse(self, body: str, reason: str) -> None:
        """Keep what is no event as a dead letter."""
        self._queue.reject_body(body, reason)
        self.refused += 1
        self.first_reason = self.first_reason or reason

    def summary(self) -> str:
        """Summary of events published, already known and rejected."""
        says = f"{self.published:,} published, {self.known:,} already there, {self.refused:,} refused."
        if self.conflicts:
            more = len(self.conflicts) - _NAMED
            named = "; ".join(self.conflicts[:_NAMED]) + (f"; and {more:,} more" if more > 0 else "")
            says += f" {len(self.conflicts):,} refused with the id of an event that has other content ({named})."
        return f"{says} See `tessera events dead-letters`." if self.refused or self.conflicts else says

    def _waited(self, full: TooFarBehind, size: int) -> int:
        """`size`, a moment later; says once why nothing moves."""
        if not self._told:
            err.print(f"Waiting for consumers: {full.what} {full.todo}")
            self._told = True
        time.sleep(_PAUSE_SECONDS)
        return size


def _events(lines: Sequence[bytes], sending: _Sending, file: str, first: int) -> Iterator[tuple[Event, str]]:
    """Yield the events of these lines with their origins; `first` is the number of the first line."""
    for number, line in enumerate(lines, first):
        if not line.strip():
            continue
        origin = f"{file}, line {number}"
        try:
            yield Event.from_json(line), origin
        except TesseraError as error:
            sending.refuse(line.decode(errors="backslashreplace"), f"{error.what.removesuffix('.')} ({origin}).")


@contextmanager
def _opened(file: str) -> Iterator[BinaryIO]:
    if file == "-":
        yield sys.stdin.buffer
        return
    try:
        stream = Path(file).open("rb")  # noqa: SIM115 - closed below
    except OSError as error:
        raise TesseraError(
            f"{file} cannot be read: {error.strerror}.",
            expected="a file with one JSON object per line, or - for stdin",
            todo="Correct FILE.",
        ) from None
    with stream:
        yield stream


def _lines(stream: BinaryIO) -> Iterator[list[bytes]]:
    """Complete lines as they come, in portions; of a line that is too long for an event, only the beginning."""
    rest = b""
    while block := _block(stream):
        *lines, rest = (rest + block).split(b"\n")
        rest = rest[: MAX_EVENT_BYTES + 1]
        yield [line[: MAX_EVENT_BYTES + 1] for line in lines]
    yield [rest]


def _block(stream: BinaryIO) -> bytes:
    """Read the available bytes without waiting for more: a pipe may be slow."""
    read = getattr(stream, "read1", stream.read)
    return read(_BLOCK_BYTES)


def _paced(events: Iterable[Event], speed: float) -> Iterator[list[Event]]:
    """Portions of `events`, each when it is due; those already due come together."""
    portion: list[Event] = []
    started = first = None
    for event in events:
        if started is None or first is None:
            started, first = time.monotonic(), event.time
        due = started + (event.time - first).total_seconds() / speed if speed else started
        if due > time.monotonic() or len(portion) == _AT_ONCE:
            if portion:
                yield portion
            portion = []
            time.sleep(max(due - time.monotonic(), 0))
        portion.append(event)
    yield portion


def _ingest(ports: Ports, first: date, last: date) -> None:
    source, lake, stack = ports.source, ports.lake, ports.stack
    check_delivered(FRAUD, stack)
    labelled = min(last + timedelta(days=payment_replay.LABEL_DAYS), yesterday())
    for table, through in (("payments", last), ("payment_labels", labelled)):
        config = stack.settings.ingestion.model_copy(update={"history_days": (through - first).days})
        with working(f"ingesting {table}"):
            ingest(table, source, lake, through, config, "tessera events replay")


def _write(file: Path, letters: Sequence[DeadLetter]) -> None:
    try:
        with file.open("w", encoding="utf-8") as stream:
            stream.writelines(json.dumps(_row(one), ensure_ascii=False) + "\n" for one in letters)
        share_as_usual(file)
    except OSError as error:
        raise TesseraError(
            f"{file} cannot be written: {error.strerror}.",
            expected="a folder that exists and may be written",
            todo="Correct --out.",
        ) from None


def _row(one: DeadLetter) -> dict[str, object]:
    """Return a dead letter for programs."""
    return {"rejected_at": one.rejected_at.isoformat(), "offset": one.offset, "reason": one.reason, "body": one.body}


def _table(letters: Sequence[DeadLetter]) -> Table:
    # Expanded, reason and body share what the other columns leave: else a long body takes all of it.
    table = Table(box=None, pad_edge=False, header_style="bold", expand=True)
    table.add_column("refused at (UTC)", no_wrap=True)
    table.add_column("offset", justify="right", no_wrap=True)
    for column in ("reason", "body"):
        table.add_column(column, overflow="ellipsis", no_wrap=column == "body", ratio=1)
    for one in letters:
        offset = "" if one.offset is None else str(one.offset)
        table.add_row(f"{one.rejected_at:%Y-%m-%d %H:%M:%S}", offset, literal(one.reason), literal(one.body))
    return table
