"""Notifications of new alerts, from a worker or a catch-up run."""

from assets.fraud.training import APP
from models.alerts import Alert
from models.errors import TesseraError
from resources.notifier.port import Notifier


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
