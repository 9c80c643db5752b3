"""`tessera stream support`: a worker that answers tickets as their events come."""

from __future__ import annotations

import time
from contextlib import suppress

from assets.support.answering import Answered
from assets.support.app import SUPPORT
from assets.support.stream import TicketCounts, TicketProcessor, TicketReader
from models.errors import TesseraError
from pipelines.cli.console import counted, err, out, say
from pipelines.cli.stopping import Stopped, stopped_by_signals
from pipelines.stream_metrics import StreamMetrics
from resources.heartbeat import Pulse
from resources.home import only_one
from resources.log_lines import configure_logs
from resources.stack.loader import active_stack
from resources.stack.ports import Ports
from resources.traces.port import recorded

LOCK = "stream_support"
_WAIT_SECONDS = 0.5


def stream_tickets(limit: int, *, until_empty: bool) -> None:
    """Answer tickets until a signal stops it (Ctrl-C, SIGTERM), or with `until_empty` until no event waits.

    Raises:
        Stopped: a signal came before the queue was empty, where that is the end.
        TesseraError: no champion that can be used, another worker in this home, or a part of the stack that does not
            answer.
    """
    stack = active_stack()
    ports = Ports(stack)
    configure_logs(stack.settings.logs)
    totals = TicketCounts()
    with (
        only_one(stack, LOCK, "`tessera stream support`"),
        recorded(stack.home, stack.settings.traces),
        stopped_by_signals() as stop,
    ):
        pulse = Pulse(stack.home, LOCK)
        pulse.beat()
        reader, worker = TicketReader(ports, stack.settings), TicketProcessor(ports)
        metrics = StreamMetrics(stack.home, SUPPORT.name)
        say(f"answering with version {reader.version}; Ctrl-C ends it after the batch")
        while not stop.is_set():
            pulse.beat()
            _follow(reader)
            started = time.perf_counter()
            done = worker.process(reader, limit=limit, wait_seconds=0 if until_empty else _WAIT_SECONDS)
            if done.events:
                metrics.add(time.perf_counter() - started, processed=done.events, refused=done.refused)
            metrics.write()
            for ticket in done.tickets:
                _say(ticket)
            done.tickets = []
            totals.add(done)
            if until_empty and not done.events:
                break
        metrics.write(now=True)
    out.print(summary(totals))
    if until_empty and stop.signal:
        raise Stopped(stop.signal)


def summary(totals: TicketCounts) -> str:
    """Return what a worker did, in one sentence."""
    says = (
        f"{counted(totals.events, 'event')}: {counted(totals.answered, 'ticket')} read, {totals.again:,} known before, "
        f"{counted(totals.refused, 'event')} refused (`tessera events dead-letters`)"
    )
    dropped = f", {totals.forgotten:,} dropped because their customers were forgotten" if totals.forgotten else ""
    return f"{says}{dropped}."


def _follow(reader: TicketReader) -> None:
    try:
        if reader.follow():
            say(f"answering with version {reader.version} and the newest articles now")
    except TesseraError as error:
        say(f"{error} Version {reader.version} goes on answering.")


def _say(ticket: Answered) -> None:
    """Show a ticket to a person who looks, and to no log: logs outlive those they name."""
    if err.is_terminal:
        with suppress(KeyError):
            what = "to a person" if ticket.row["handed_off"] else "answered"
            err.print(f"ticket {ticket.row['ticket_id']}  {ticket.row['intent']}  {what}  {ticket.ms:.0f} ms")
