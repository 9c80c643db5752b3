"""`tessera notices` and `tessera alert-test`: notices that are open or wait, and a test that they arrive."""

import getpass
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime

from models.errors import TesseraError
from pipelines.cli.console import listing, literal, out
from pipelines.cli.hints import runnable
from pipelines.cli.tables import print_json
from resources.notifier.port import OWNER
from resources.outbox import Outbox, StoredNotice
from resources.stack.ports import active_ports

_STYLES = {"error": "red", "warning": "yellow", "info": ""}


def notices(id: str | None, *, include_all: bool, as_json: bool) -> int:
    """Print open notices, or one of them whole; 1 if an error is open, else 0."""
    outbox = active_ports().notifier
    found = outbox.notices() if include_all or id else outbox.notices(only="open")
    if id:
        found = [_named(outbox, id)]
    if as_json:
        print_json([{**asdict(notice), "context": dict(notice.context)} for notice in found])
    elif id:
        _print_whole(found[0])
    else:
        _print_table(found, include_all=include_all)
    return int(any(notice.is_open and notice.level == "error" for notice in found))


def acknowledge(id: str | None, who: str | None, *, every: bool) -> None:
    """Close one notice, or all that are open: what they are about is a new notice when it happens again.

    Raises:
        TesseraError: no notice is named, or there is no open one of that id.
    """
    outbox = active_ports().notifier
    if not id and not every:
        raise TesseraError("No notice is named.", expected="an ID, or --all", todo="List them with `tessera notices`.")
    ids = [notice.id for notice in outbox.notices(only="open")] if every else [str(id)]
    closed = outbox.acknowledge(ids, who or getpass.getuser())
    for notice in closed:
        out.print(f"{notice.id} is acknowledged: {notice.subject}")
    if not closed:
        out.print("No notice is open.")


def send() -> int:
    """Deliver what waits now; 1 if something still waits, else 0."""
    outbox = active_ports().notifier
    waiting = len(outbox.notices(only="waiting"))
    left = outbox.deliver(now=True)
    out.print(f"{waiting - left} notices delivered, {left} wait.")
    for notice in outbox.notices(only="waiting")[:1]:
        out.print(literal(f"  {notice.problem or 'another process delivers'}", "yellow"))
    return int(left > 0)


def alert_test() -> None:
    """Deliver a notice that says it is a test.

    Raises:
        TesseraError: it was not delivered.
    """
    ports = active_ports()
    sent = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC, profile {ports.stack.name}, home {ports.stack.home}"
    ports.notifier.try_out("Tessera: a test notice", f"Notices arrive here. Sent {sent}. Nothing needs to be done.")
    out.print(f"A test notice was delivered by {ports.stack.kind('notifier')!r}: {ports.notifier.check().says}.")


def _named(outbox: Outbox, id: str) -> StoredNotice:
    known = {notice.id: notice for notice in outbox.notices()}
    if id not in known:
        raise TesseraError(
            f"There is no notice {id!r}.", expected="an ID of `tessera notices --all`", todo="Correct the ID."
        )
    return known[id]


def _print_table(found: Sequence[StoredNotice], *, include_all: bool) -> None:
    if not found:
        out.print("No notice." if include_all else "No notice is open.")
        return
    columns = (
        "id",
        "since",
        "times",
        "level",
        "subject",
        "owner",
        "delivered",
        *(("acknowledged",) if include_all else ()),
    )
    out.print(listing(columns, (_cells(notice, include_all=include_all) for notice in reversed(found))))
    out.print(runnable("One of them whole: `tessera notices ID`; done with it: `tessera notices ID --acknowledge`."))


def _cells(notice: StoredNotice, *, include_all: bool) -> list[object]:
    delivered = f"{notice.delivered_at:%Y-%m-%d %H:%M}" if notice.delivered_at else "waits"
    cells: list[object] = [
        notice.id,
        f"{notice.first_at:%Y-%m-%d %H:%M}",
        notice.times,
        literal(notice.level, _STYLES[notice.level]),
        notice.subject,
        notice.context.get(OWNER, ""),
        delivered if notice.delivered_at else literal(delivered, "yellow"),
    ]
    return [*cells, notice.acknowledged_by] if include_all else cells


def _print_whole(notice: StoredNotice) -> None:
    out.print(literal(f"{notice.level}: {notice.subject}", _STYLES[notice.level]))
    for line in notice.body.splitlines():
        out.print(runnable(line))
    times = f", {notice.times} times until {notice.last_at:%Y-%m-%d %H:%M}" if notice.times > 1 else ""
    out.print(f"first {notice.first_at:%Y-%m-%d %H:%M} UTC{times}")
    if notice.delivered_at:
        out.print(f"delivered {notice.delivered_at:%Y-%m-%d %H:%M}")
    else:
        out.print(literal(f"waits, {notice.tries} failed deliveries: {notice.problem}", "yellow"))
    if notice.acknowledged_at:
        out.print(f"acknowledged by {notice.acknowledged_by} {notice.acknowledged_at:%Y-%m-%d %H:%M}")
    for name, value in notice.context.items():
        out.print(f"  {name}: {value}")
