"""Timestamps as whole numbers of microseconds: exact, and ordered like the timestamps."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_epoch_micros(at: datetime) -> int:
    """Convert a timestamp with a time zone to µs since 1970, UTC."""
    return (at - _EPOCH) // _MICROSECOND


def to_datetime(at: int) -> datetime:
    """Convert µs since 1970 to a timestamp in UTC: the inverse of `to_epoch_micros`."""
    return _EPOCH + timedelta(microseconds=at)
