"""Errors of the databases behind Feast as ours: which one does not answer, and what to look at."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from models.errors import TesseraError

#: Module -> its errors for "the server cannot be reached, or does not let us in".
_ERRORS = {
    "psycopg": ("OperationalError", "InterfaceError"),
    "redis.exceptions": ("ConnectionError", "TimeoutError", "AuthenticationError", "NoPermissionError"),
    "sqlalchemy.exc": ("OperationalError", "InterfaceError", "TimeoutError"),
    "sqlite3": ("OperationalError",),
}
#: A word of the error -> what usually helps.
_TODO = {
    "ssl": "Set `sslmode: disable` under `online_store` in stack.yaml if the server has no SSL.",
    "password": "Correct user and password of the feature store in stack.yaml.",
    "auth": "Correct user and password of the feature store in stack.yaml.",
}
_ELSE = "Start the server, or correct `online_store` and `registry` of the feature store in stack.yaml."


@contextmanager
def answering() -> Iterator[None]:
    """Inside, a database that does not answer is a TesseraError.

    Raises:
        TesseraError: registry or online store cannot be reached.
    """
    try:
        yield
    except _unreachable() as error:
        lines = str(getattr(error, "orig", None) or error).strip().splitlines() or [type(error).__name__]
        says = lines[0].rstrip(".")
        todo = next((todo for word, todo in _TODO.items() if word in says.lower()), _ELSE)
        raise TesseraError(
            f"A database of the feature store does not answer: {says}.",
            expected="a reachable registry and online store",
            todo=todo,
        ) from error


def _unreachable() -> tuple[type[Exception], ...]:
    """Return the errors of those clients that are loaded: no other can have been raised."""
    loaded = {name: sys.modules[name] for name in _ERRORS if name in sys.modules}
    return tuple(getattr(module, error) for name, module in loaded.items() for error in _ERRORS[name])
