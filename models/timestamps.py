"""Moments as whole numbers: exact, and ordered like the moments."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def micros(at: datetime) -> int:
    """µs since 1970 of a moment that names its zone."""
    return (at - _EPOCH) // _MICROSECOND


def moment(at: int) -> datetime:
    """The moment, UTC, so many µs after 1970 began: the inverse of `micros`."""
    return _EPOCH + timedelta(microseconds=at)
