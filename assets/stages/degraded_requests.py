"""Requests that a version before the champion answers: said in each answer, and to people once."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from models.errors import TesseraError
from resources.notifier.message import message

if TYPE_CHECKING:
    from assets.stages.promotion import Unusable
    from resources.notifier.port import Notifier

_log = logging.getLogger("tessera.service")


def notes_of(version: str, problems: Sequence[Unusable]) -> list[str]:
    """Return the note that the champion does not answer; empty if it does. Reasons name files: notices have them.

    Args:
        version: that answers.
        problems: later versions, the champion first.
    """
    if not problems:
        return []
    return [f"version {problems[0].version}, the champion, cannot be used: version {version}, one before it, answers"]


def notify_degraded(notifier: Notifier, app: str, version: str, problems: Sequence[Unusable]) -> None:
    """Notify people that the champion does not answer, and which version does. Never raises: requests are answered."""
    if not problems:
        return
    subject = f"{app}: requests are answered by version {version}, the champion cannot be used"
    says = message(
        " ".join(f"Version {one.version} cannot be used: {one.why.removesuffix('.')}." for one in problems),
        published=f"Version {version} answers every request, and each answer says so.",
        command=f"tessera run {app}_training   (trains a new one)",
        section="gate",
    )
    try:
        notifier.notify("error", subject, says, {"app": app, "model": version})
    except TesseraError as error:
        _log.warning("%s; the notice was not delivered: %s", subject, error)
