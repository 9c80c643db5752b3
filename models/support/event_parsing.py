"""From an event to a ticket under its contract, or the reason why it cannot be one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from models.contracts import DELIVERED_ON, ORIGINAL, TICKETS
from models.contracts.checking import check_rows
from models.contracts.identifiers import NotAnIdError, id_text
from models.event_types import TICKET_OPENED
from models.events import Event
from models.text.embedder import encodable

#: An event from further in the future than that has a wrong clock.
MAX_AHEAD = timedelta(minutes=5)
_IDS = tuple(column.name for column in TICKETS.columns if column.is_id)
_TEXTS = ("channel", "text")


class Unusable(Exception):
    """The event is no ticket that can be used; the message is the reason, one sentence."""


def ticket_of(event: Event, now: datetime) -> dict[str, Any]:
    """Return the columns of the contract `tickets` of an event: its data, and its time as `opened_at`.

    Raises:
        Unusable: it is of another type, a column is missing or no text, or the contract refuses the ticket.
    """
    if event.type != TICKET_OPENED:
        raise Unusable(f"type {event.type!r} is not {TICKET_OPENED!r}")
    if event.time > now + MAX_AHEAD:
        raise Unusable(f"time {event.time:%Y-%m-%dT%H:%M:%SZ} is in the future")
    found: dict[str, Any] = {"opened_at": event.time.astimezone(UTC)}
    found |= {name: _id(event.data, name) for name in _IDS}
    found |= {name: _text(event.data, name) for name in _TEXTS}
    row = {name: found[name] for name in TICKETS.arrow_schema().names}
    delivered = {**row, DELIVERED_ON: found["opened_at"].date(), ORIGINAL: json.dumps(row, default=str)}
    schema = TICKETS.lake_schema().append(pa.field(ORIGINAL, pa.string()))
    refused = check_rows(TICKETS, pa.Table.from_pylist([delivered], schema)).quarantined.to_pylist()
    if refused:
        raise Unusable("; ".join(refused[0]["reasons"]))
    return row


def customer_of(event: Event) -> str:
    """Return the id of the customer that an event names; empty for a guest's."""
    try:
        return id_text(event.data.get("customer_id")) or ""
    except NotAnIdError:
        return ""


def _id(data: Mapping[str, Any], name: str) -> str | None:
    value = data.get(name)
    if not isinstance(value, str | int | float | None) or isinstance(value, bool):
        raise Unusable(f"{name} is {value!r:.80}, which is no id")
    try:
        return None if value is None else id_text(value)
    except NotAnIdError as error:
        raise Unusable(f"{name} is {value!r:.80}: {error}") from None


def _text(data: Mapping[str, Any], name: str) -> str | None:
    value = data.get(name)
    if not isinstance(value, str | None):
        raise Unusable(f"{name} is {value!r:.80}, which is no text")
    return None if value is None else encodable(value)
