"""Events as databases keep them: moments as µs since 1970, data as JSON text."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from itertools import chain

from models.erasure.tombstones import is_named_in, undeclared_fields
from models.events import Event
from models.timestamps import to_datetime


def stored_event(
    source: str, name: str, kind: str, time_us: int, subject: str, data: str, traceparent: str = ""
) -> Event:
    """Return an event as it was checked when it was published; not checked again."""
    return Event.model_construct(
        id=name,
        source=source,
        type=kind,
        time=to_datetime(time_us),
        subject=subject,
        data=json.loads(data),
        traceparent=traceparent,
    )


def now_us() -> int:
    """Return this machine's clock, µs since 1970, UTC."""
    return time.time_ns() // 1000


def names(subject: str, data: str, who: str, also: Collection[str] = ()) -> bool:
    """Return True if an event with that subject and data (JSON) names the person, in one of the fields `also` too."""
    return is_named_in(_as_json(subject, data), who, also)


def undeclared(mentions: Iterable[tuple[str, str]], letters: Iterable[str], who: str) -> Mapping[str, int]:
    """Count, per field that nothing declares, what holds the person's id there and names them nowhere else.

    Args:
        mentions: subject and data (JSON) of events.
        letters: bodies of dead letters.
        who: the person's id.
    """
    texts = chain((_as_json(subject, data) for subject, data in mentions), letters)
    return Counter(field for text in texts for field in undeclared_fields(text, who))


def _as_json(subject: str, data: str) -> str:
    return f'{{"subject": {json.dumps(subject)}, "data": {data}}}'
