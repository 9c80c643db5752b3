"""Events as databases keep them: moments as µs since 1970, data as JSON text."""

from __future__ import annotations

import json
import time

from models.erasure.tombstones import is_named_in
from models.events import Event
from models.timestamps import moment


def stored_event(source: str, name: str, kind: str, time_us: int, subject: str, data: str) -> Event:
    """An event as it was checked when it was published; not checked again."""
    return Event.model_construct(
        id=name, source=source, type=kind, time=moment(time_us), subject=subject, data=json.loads(data)
    )


def now_us() -> int:
    """This machine's clock, µs since 1970, UTC."""
    return time.time_ns() // 1000


def names(subject: str, data: str, who: str) -> bool:
    """Whether an event of that subject, with that data (JSON), names somebody."""
    return is_named_in(f'{{"subject": {json.dumps(subject)}, "data": {data}}}', who)
