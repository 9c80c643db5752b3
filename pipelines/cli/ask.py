"""`tessera ask`: triage of one ticket, by the same composition as at night."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from assets.support.answering import Answered, answer, is_known
from assets.support.app import SUPPORT
from assets.support.stream import read_again, stored_answer
from models.errors import TesseraError
from pipelines.cli.console import err, listing, literal, out
from pipelines.cli.tables import print_json
from resources.account import on_account_of
from resources.layout import check_existing
from resources.stack.loader import active_stack
from resources.stack.ports import Ports


def ask(text: str, customer: str | None, order: str | None, at: str | None, *, as_json: bool) -> None:
    """Show intent, articles, answer or hand-off with its reasons, cost and the time of each step.

    Raises:
        TesseraError: the text is empty, `at` is no moment, or there is no champion that can be used.
    """
    stack = active_stack()
    check_existing(stack.home)
    ports = Ports(stack)
    with on_account_of(SUPPORT.name):
        found = answer(ports, stack.settings, text, customer, order, _moment(at))
    if customer and not is_known(ports.lake, customer):
        says = f"No table of the lake knows a customer {customer!r}: there is no history. Upper and lower case count."
        err.print(literal(says, "yellow"))
    if as_json:
        print_json(found.as_json())
        return
    out.print(listing(("what", "value"), lines_of(found)))
    steps = [(name, f"{ms:.1f}", f"{eur:.6f}") for name, ms, eur in found.steps]
    out.print(listing(("step", "ms", "EUR"), steps))


def show_stored(ticket: str, beside: str | None, *, as_json: bool) -> None:
    """Show what the stream answered to a ticket.

    Raises:
        TesseraError: it answered no such ticket, or a text to ask is given, too.
    """
    stack = active_stack()
    check_existing(stack.home)
    if beside:
        raise TesseraError(
            f"`--ticket {ticket}` shows a stored answer, and {beside!r} is given, too.",
            expected="either a text to ask, or `--ticket ID` alone",
            todo="Leave one of them out.",
        )
    found = stored_answer(Ports(stack).state_store, ticket)
    if found is None:
        raise TesseraError(
            f"The stream answered no ticket {ticket!r}.",
            expected="a ticket of the last 30 days whose event was read",
            todo="Run `tessera stream support --until-empty`, or look at `tessera events dead-letters`.",
        )
    if as_json:
        print_json({**found, "context": json.loads(found["context"])})
        return
    out.print(listing(("what", "value"), lines_of(read_again(found))))
    out.print(listing(("step", "state"), [(one["step"], one["state"]) for one in found["steps"]]))


def _moment(at: str | None) -> datetime:
    if at is None:
        return datetime.now(UTC)
    try:
        found = datetime.fromisoformat(at)
    except ValueError:
        raise TesseraError(
            f"{at!r} is no moment.", expected="a moment as 2026-03-01T12:30:00, UTC", todo="Correct `--at`."
        ) from None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def lines_of(found: Answered) -> Iterator[tuple[str, Any]]:
    """Yield what is shown of an answer, by name."""
    row = found.row
    yield "language", f"{row['language']} by default" if found.is_in_another_language else row["language"]
    yield "intent", f"{row['intent']} ({row['confidence']:.0%}, by {row['intent_by'] or 'none'})"
    urgency = "unknown" if row["urgency"] is None else f"{row['urgency']:.0%}"
    yield "urgency, sentiment", f"{urgency}, {row['sentiment']:+.2f}"
    for article in found.articles:
        yield "article", f"{article['id']}: {article['title']} ({article['language']})"
    if row["handed_off"]:
        yield "hand-off", literal("; ".join(row["reasons"]), "yellow")
        yield from _draft(found.context)
    else:
        yield "answer", row["answer"]
    yield "cites", ", ".join(row["cited"]) or "nothing"
    for note in row["notes"]:
        yield "note", note
    if found.steps:
        calls = f"{found.calls:g} call{'' if found.calls == 1 else 's'}"
        yield "cost", f"{found.spent_eur:.6f} EUR for {calls}, {found.ms:.0f} ms"
    yield "version", f"{found.version} of support, index version {found.index_version}"


def _draft(context: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    if context["draft"]:
        yield "draft for the person", context["draft"]
