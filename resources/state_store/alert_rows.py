"""Conversion of alerts and feedback to SQL rows and back, and their messages, shared by the database adapters."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from difflib import get_close_matches
from typing import Any

from models.alerts import Alert, Feedback
from models.errors import TesseraError, choose_from
from models.timestamps import to_datetime, to_epoch_micros

_SUGGESTED = 10

ALERT_COLUMNS = (
    "alert_id, app, day, entity_id, evidence, raised_for_us, score, highest_score, model_version, reasons, label"
)


def alert_of(row: tuple[Any, ...]) -> Alert:
    """Return the alert of a row of `ALERT_COLUMNS`."""
    name, app, day, entity, evidence, raised_for_us, score, highest, version, reasons, label = row
    return Alert(
        name,
        app,
        date.fromisoformat(day),
        entity,
        tuple(json.loads(evidence)),
        to_datetime(raised_for_us),
        score,
        highest,
        version,
        json.loads(reasons),
        label,
    )


def alert_row(alert: Alert) -> tuple[Any, ...]:
    """Return the values of `ALERT_COLUMNS`."""
    return (
        alert.alert_id,
        alert.app,
        alert.day.isoformat(),
        alert.entity_id,
        json.dumps(alert.evidence),
        to_epoch_micros(alert.raised_for),
        alert.score,
        alert.highest_score,
        alert.model_version,
        json.dumps(dict(alert.reasons)),
        alert.label,
    )


def feedback_of(row: tuple[Any, ...]) -> Feedback:
    """Build feedback from a row: evidence_id, entity_id, alert_id, label, labelled_us, who."""
    evidence, entity, alert, label, at, who = row
    return Feedback(evidence, entity, alert, label, to_datetime(at), who)


def no_such_alert(alert_id: str, known: Sequence[str]) -> TesseraError:
    """Return the error for an id that no alert has; it names known ones like it, or else the first ones."""
    named = get_close_matches(alert_id, known, n=_SUGGESTED) or known[:_SUGGESTED]
    return TesseraError(
        f"There is no alert {alert_id!r}.",
        expected=choose_from(alert_id, named),
        todo="Look at `tessera alerts`, and correct the id.",
    )


def corrected_before(alert_id: str, label: str) -> TesseraError:
    """Return the error for an alert whose label was corrected already, and would get back the one that was replaced."""
    return TesseraError(
        f"Alert {alert_id!r} was called {label} before, and that was corrected.",
        expected="one correction of an alert",
        todo="Let the source label what raised it: the latest label counts.",
    )


def bounds(first: date, last: date) -> tuple[int, int]:
    """Return the first µs of the days `first`..`last`, and the first one after them."""
    start, end = (datetime.combine(day, time(), UTC) for day in (first, last + timedelta(days=1)))
    return to_epoch_micros(start), to_epoch_micros(end)
