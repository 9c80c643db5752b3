"""Champions of another release: their files are whole, and they need what this release no longer computes."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

from models.errors import OtherRelease, TesseraError
from resources.registry.port import Registry

#: Nights wait as long for another candidate as scheduled training does, after the gate refused one.
RETRY_DAYS = 7


def why_outdated(registry: Registry, app: str, version: str, read: Callable[[Path], object]) -> str:
    """Return why this release cannot use a version, in words; "" if it can.

    "" as well for one that is damaged or cannot be fetched: that asks for repair, not for training, and the night falls
    back to the champion before.

    Args:
        registry: holds the version.
        app: the application.
        version: the champion.
        read: reads a package as this release does; raises `OtherRelease` where it cannot.
    """
    try:
        read(registry.fetch(app, version))
    except OtherRelease as error:
        return f"this release cannot use version {version}: {error.what.removesuffix('.')}"
    except TesseraError:
        return ""
    return ""


def this_release() -> str:
    """Return the version of this project."""
    return importlib.metadata.version("tessera")


def why_waiting(registry: Registry, app: str, because: str, day: date) -> str:
    """Return why the night of `day` trains no model anew, in words; "" if it does.

    It waits where the gate refused a candidate that this release trained for the same reason in the last `RETRY_DAYS`
    days: rows of one more day seldom change its verdict.

    Args:
        registry: holds the last verdict; one that cannot be read is none.
        app: the application.
        because: why the champion must be trained anew.
        day: partition of the run.
    """
    try:
        last = registry.last_verdict(app)
    except TesseraError:
        return ""
    if last is None or last.promotes or (last.because, last.release) != (because, this_release()):
        return ""
    again = last.day + timedelta(days=RETRY_DAYS)
    if day >= again:
        return ""
    return (
        f"{because}; the gate refused what was trained for that on {last.day}. A night trains again from {again} on, "
        f"`tessera run {app}_training` at once"
    )
