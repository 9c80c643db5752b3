"""Alerts of an application with what people have not labelled yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from assets.stages.operation import WrongRequest
from models.alerts import Alert, Feedback
from resources.alert_store.port import AlertStore

#: Days that one request may ask for.
LONGEST_DAYS = 366
#: Later than any clock.
_EVER = date(9999, 1, 1)


@dataclass(frozen=True)
class ListedAlert:
    """An alert, and how much of its evidence has no label: some may have joined it since it was labelled."""

    alert: Alert
    unlabelled: int


def listed_alerts(store: AlertStore, app: str, first: date, last: date) -> Sequence[ListedAlert]:
    """Return the alerts of these days: by day, then the highest score first."""
    found = store.find(app, first, last)
    labels = labels_since(store, app, found[0].day) if found else ()
    said = {(one.alert_id, one.evidence_id) for one in labels}
    return [ListedAlert(one, sum((one.alert_id, id) not in said for id in one.evidence)) for one in found]


def labels_since(store: AlertStore, app: str, day: date) -> Sequence[Feedback]:
    """Return every label of evidence of that day and later ones."""
    # Evidence may lie ahead of this machine's clock by minutes, and a label by days if the clock was set back.
    return store.feedback(app, day - timedelta(days=1), _EVER)


def moment_of_label(store: AlertStore, alert: Alert, now: datetime) -> datetime:
    """Return `now`, or the microsecond after the alert's last label if the clock was set back: the latest counts."""
    before = [one.labelled_at for one in labels_since(store, alert.app, alert.day) if one.alert_id == alert.alert_id]
    return max(now, max(before) + timedelta(microseconds=1)) if before else now


def check_days(first: date, last: date | None) -> date:
    """Return the last day that is asked for, the first if none is named.

    Raises:
        WrongRequest: it comes before the first, or too long after it.
    """
    end = last or first
    if not 0 <= (end - first).days < LONGEST_DAYS:
        raise WrongRequest(
            f"The days {first} to {end} cannot be asked for.",
            expected=f"1 to {LONGEST_DAYS} days, the first one first",
            todo="Correct `first` and `last`.",
        )
    return end
