"""Notifications of new alerts, and of a champion that does not score, from a worker, a catch-up run or the service."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from assets.fraud.training import APP
from models.alerts import Alert
from models.errors import TesseraError
from resources.notifier.port import Notifier

if TYPE_CHECKING:
    from assets.fraud.stream.champion import FraudChampion


def notify_alert(notifier: Notifier, alert: Alert) -> str:
    """Notify people of an alert; return the error if that failed, else "". Never raises: the stream continues."""
    context = {"app": APP, "alert": alert.alert_id, "model": alert.model_version}
    body = f"Payment {alert.evidence[0]} at {alert.raised_for:%Y-%m-%d %H:%M:%S} UTC scored {alert.score:.3f}."
    body += f" Why: {', '.join(alert.why)}." if alert.why else ""
    try:
        # Keep customer ids out of the subject: it is logged. They belong into the context.
        notifier.notify("warning", f"fraud alert of {alert.day}", body, context)
    except TesseraError as error:
        return f"The notice of alert {alert.alert_id} was not delivered: {error.what}"
    return ""


def notify_refused(notifier: Notifier, champion: FraudChampion) -> None:
    """Notify people that the champion does not score, and which version does. Never raises: the stream continues."""
    subject = f"{APP}: version {champion.version} goes on scoring, the newest champion is refused"
    with suppress(TesseraError):  # the log says it already, and a notifier must not stop a stream
        notifier.notify("error", subject, champion.note, {"app": APP, "model": champion.version})
