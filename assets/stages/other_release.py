"""Champions of another release: their files are whole, and they need what this release no longer computes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from models.errors import OtherRelease, TesseraError
from resources.registry.port import Registry


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
