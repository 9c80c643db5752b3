"""Events as databases keep them: moments as µs since 1970, data as JSON text."""

from __future__ import annotations

import json
import time

from models.erasure.tombstones import is_named_in
from models.events import Event
from models.timestamps import to_datetime


def stored_event(source: str, name: str, kind: str, time_us: int, subject: str, data: str) -> Event:
    """Return an event as it was checked when it was published; not checked again."""
    return Event.model_construct(
        id=name, source=source, type=kind, time=to_datetime(time_us), subject=subject, data=json.loads(data)
    )


def now_us() -> int:
    """Return this machine's clock, µs since 1970, UTC."""
    return time.time_ns() // 1000


def names(subject: str, data: str, who: str) -> bool:
    """Return True if an event with that subject and data (JSON) names the person."""
    return is_named_in(f'{{"subject": {json.dumps(subject)}, "data": {data}}}', who)
