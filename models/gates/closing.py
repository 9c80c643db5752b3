"""Conversion of any failure of a check into a reason, so that the gate stays closed instead of crashing."""

from collections.abc import Callable


def failure_of(work: Callable[[], object]) -> Exception | None:
    """Return the exception that `work` raised, else None. For third parties' models and adapters.

    Any failure of a model closes its gate; any failure of an adapter that is asked for its health is its health.
    """
    try:
        work()
    except Exception as error:  # noqa: BLE001 - a third party's code can fail in any way
        return error
    return None


def reason_of(error: Exception) -> str:
    """Return the exception as a sentence of a check: its type and what it says."""
    return f"{type(error).__name__}: {error}"
