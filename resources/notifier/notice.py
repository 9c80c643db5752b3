"""A notice as every adapter writes it down: one JSON object."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime

from resources.notifier.port import Level


def notice_json(level: Level, subject: str, body: str, context: Mapping[str, str]) -> str:
    """One line of JSON: `at` (ISO 8601, UTC, now), `level`, `subject`, `body`, `context`."""
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    notice = {"at": at, "level": level, "subject": subject, "body": body, "context": dict(context)}
    return json.dumps(notice, ensure_ascii=False)
