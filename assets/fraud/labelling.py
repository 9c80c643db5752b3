"""The label of an alert: kept with it, and published to the stream, one event for each of its payments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from assets.stages.alerts import labels_since, moment_of_label
from models.alerts import Alert, Feedback
from models.errors import TesseraError
from models.fraud.alerts import Verdict
from resources.alert_store.port import AlertStore
from resources.events.port import Events


@dataclass(frozen=True)
class Labelled:
    """An alert with its label.

    Attributes:
        alert: as it is now.
        is_new: it had no label, or another one.
        published: events that the stream did not have yet.
    """

    alert: Alert
    is_new: bool
    published: int


def label_alert(store: AlertStore, queue: Events, alert_id: str, verdict: Verdict, who: str) -> Labelled:
    """Return the alert after it was labelled and the stream knows; the same again completes what was interrupted.

    Raises:
        TesseraError: no such alert, a second correction, or a queue that is not ready.
    """
    before = store.alerts([alert_id]).get(alert_id)
    now = datetime.now(UTC)
    at = now if before is None or before.label in (None, verdict) else moment_of_label(store, before, now)
    alert = store.answer(alert_id, verdict, who=who, at=at)
    said = [one for one in labels_since(store, alert.app, alert.day) if one.alert_id == alert_id]
    sent = _publish(queue, said, alert, verdict)
    return Labelled(alert, before is None or before.label != verdict, sent)


def _publish(queue: Events, said: Sequence[Feedback], alert: Alert, verdict: Verdict) -> int:
    """Return number of events that were not there yet."""
    from models.fraud.labels import event_of

    try:
        return queue.publish([event_of(one) for one in said])
    except TesseraError as error:
        raise TesseraError(
            f"{alert.alert_id} is labelled {verdict}, but the stream was not told: {error.what}",
            expected=error.expected,
            todo=f"{error.todo} Then run `tessera alerts label {alert.alert_id} {verdict}` again: it completes this.",
        ) from error
