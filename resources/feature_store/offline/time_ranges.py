"""Time ranges of a history that can match entity rows: rows outside are never read or sorted."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from models.timestamps import to_datetime, to_epoch_micros

DAY_US = 86_400_000_000
#: More ranges than these are read as one: a condition of many parts costs more than it saves.
_MOST = 32
_FIRST = to_epoch_micros(datetime.min.replace(tzinfo=UTC))

Range = tuple[datetime | None, datetime]
"""First (None: no limit) and last moment, both included."""


def wanted(days: Iterable[int], last_us: int, max_age_us: int | None) -> Sequence[Range]:
    """Ranges of time that hold every event which is not too old for some entity row, in order, without overlap.

    Args:
        days: on which there are entity rows, counted from 1970.
        last_us: moment of the last entity row, µs.
        max_age_us: an event older than this is unknown; None: it never is.
    """
    if max_age_us is None:
        return [(None, to_datetime(last_us))]
    ranges = _merged((day * DAY_US - max_age_us, (day + 1) * DAY_US - 1) for day in sorted(days))
    if len(ranges) > _MOST:
        ranges = [(ranges[0][0], ranges[-1][1])]
    return [(to_datetime(first) if first > _FIRST else None, to_datetime(min(last, last_us))) for first, last in ranges]


def _merged(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Those that touch, as one; they come sorted."""
    found: list[tuple[int, int]] = []
    for first, last in ranges:
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], last)
        else:
            found.append((first, last))
    return found
