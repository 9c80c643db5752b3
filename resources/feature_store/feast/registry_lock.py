"""One writer of a registry at a time: of this machine by a file, of all machines by a lock in its Postgres."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from models.errors import TesseraError

_POLL_SECONDS = 0.05
#: Any number that others who use the database for something else do not lock, too.
_ADVISORY_LOCK = 7_355_608_112


@contextmanager
def registry_lock(folder: Path, registry: str, timeout_seconds: float) -> Iterator[None]:
    """Inside, no other process writes the registry at the URL `registry`. Re-entrant within a thread.

    In other databases than Postgres, only processes that share `folder` wait for each other.

    Raises:
        TesseraError: another process holds it for longer than `timeout_seconds`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "feast.lock", is_singleton=True)
    try:
        acquired = lock.acquire(timeout=timeout_seconds)
    except Timeout as error:
        raise _too_long(registry, timeout_seconds) from error
    with acquired:
        if lock.lock_counter == 1 and registry.startswith("postgresql"):
            with _locked_in_postgres(registry, timeout_seconds):
                yield
        else:
            yield


@contextmanager
def _locked_in_postgres(registry: str, timeout_seconds: float) -> Iterator[None]:
    from sqlalchemy import NullPool, create_engine, text

    engine = create_engine(registry, poolclass=NullPool)
    take = text("SELECT pg_try_advisory_lock(:number)").bindparams(number=_ADVISORY_LOCK)
    until = time.monotonic() + timeout_seconds
    # The lock is the connection's: it is free when this process ends, however that happens.
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        while not connection.execute(take).scalar():
            if time.monotonic() > until:
                raise _too_long(registry, timeout_seconds)
            time.sleep(_POLL_SECONDS)
        yield


def _too_long(registry: str, seconds: float) -> TesseraError:
    from sqlalchemy import make_url

    return TesseraError(
        f"Another process has been writing the registry {make_url(registry)!r} for {seconds / 60:g} minutes.",
        expected="one writer of the registry at a time",
        todo="Wait for the other run, or end it.",
    )
