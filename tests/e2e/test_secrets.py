"""Secrets of a profile are found in nothing that it writes or prints, and no file of a home is read as a pickle."""

import pickle
import sqlite3
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from forgetting_home import places_with
from in_process import Said, tessera
from shop_home import DAY, Home

from tests.servers.ports import free_port
from tests.servers.postgres_server import PostgresDatabase

NIGHT = ("run", "churn_nightly", "--date", (DAY + timedelta(days=1)).isoformat())
#: Part of every secret, and what is searched for.
CANARY = "canary4711"


@dataclass(frozen=True)
class Kept:
    """A home that takes secrets from the environment, its database, and their values."""

    home: Home
    database: PostgresDatabase
    secrets: Mapping[str, str]

    def says(self, *command: str, **changed: str) -> Said:
        return tessera(command, self.home.environment({**self.secrets, **changed}))


@pytest.fixture
def kept(home: Home, postgres_database: PostgresDatabase, tmp_path: Path) -> Kept:
    """Every part that takes a secret has one: Postgres that of a user of its own, all others lead nowhere."""
    database = replace(postgres_database, user=f"u_{postgres_database.database}", password=f"{CANARY}database")
    with psycopg.connect(postgres_database.url, autocommit=True) as admin:
        admin.execute(f"CREATE ROLE {database.user} SUPERUSER LOGIN PASSWORD '{database.password}'".encode())
    secrets = {
        "DATABASE_URL": database.url,
        "DATABASE_PASSWORD": database.password,
        "EVENTS_URL": f"redis://user:{CANARY}redis@127.0.0.1:{free_port()}/0",
        "HOOK": f"http://127.0.0.1:{free_port()}/{CANARY}path?token={CANARY}token",
        "KEY": f"sk-{CANARY}key",
    }
    return Kept(replace(home, stack=_with_secrets(home.stack, tmp_path / "stack.yaml", database)), database, secrets)


def _with_secrets(below: Path, file: Path, database: PostgresDatabase) -> Path:
    document = yaml.safe_load(below.read_text())
    local = document["profiles"]["local"]
    where = {"username": database.user, "hostname": database.host, "port": database.port}
    password = {"password": {"env": "DATABASE_PASSWORD"}}
    local["dagster_storage"] = {"postgres": {"postgres_db": {**where, "db_name": database.database, **password}}}
    online = {"type": "postgres", **database.online_store, "password": {"env": "ONLINE_PASSWORD"}}
    service = {"kind": "openai_compatible", "url": f"http://127.0.0.1:{free_port()}", "api_key": {"env": "KEY"}}
    local["ports"] |= {
        "notifier": {"kind": "webhook", "url": {"env": "HOOK"}, "timeout_seconds": 1},
        "events": {"kind": "redis", "url": {"env": "EVENTS_URL"}},
        "state_store": {"kind": "postgres", "url": {"env": "DATABASE_URL"}},
        "language_model": {**service, "model": "m"},
        "embedder": {**service, "model": "m", "dimension": 8},
    }
    local["ports"]["feature_store"]["online_store"] = online
    file.write_text(yaml.safe_dump(document))
    return file


def _found(kept: Kept, said: Sequence[Said]) -> list[str]:
    """Names of everything that holds a canary."""
    printed = [f"output {number}" for number, one in enumerate(said) if CANARY in one.out + one.err]
    return printed + places_with(kept.home.folder, CANARY) + _packed(kept.home.folder) + _rows(kept.database)


def _packed(folder: Path) -> list[str]:
    """SQLite databases with a cell that holds a canary once it is unpacked: Dagster packs what it knows of a job."""
    names = []
    for file in folder.rglob("*.db"):
        with closing(sqlite3.connect(file)) as database:
            tables = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            rows = (row for table in tables for row in database.execute(f"SELECT * FROM '{table}'"))  # noqa: S608
            names += [file.name for row in rows if any(CANARY in _text(cell) for cell in row)]
    return names


def _rows(database: PostgresDatabase) -> list[str]:
    """Rows of Dagster's tables and ours that hold a canary."""
    with psycopg.connect(database.url) as connection:
        tables = connection.execute(
            "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables "
            "WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        ).fetchall()
        assert len(tables) > 20, "the night wrote somewhere else"
        found = [(table, row) for (table,) in tables for row in connection.execute(b"TABLE " + table.encode())]
    assert any("STEP_FAILURE" in _text(cell) for _, row in found for cell in row), "no step failed"
    return [f"{table}: {row}" for table, row in found if any(CANARY in _text(cell) for cell in row)]


def _text(cell: Any) -> str:
    if not isinstance(cell, bytes):
        return str(cell)
    try:
        return zlib.decompress(cell).decode("latin-1")
    except zlib.error:
        return cell.decode("latin-1")


def test_no_secret_is_written_or_printed(kept: Kept) -> None:
    """A good night, then wrong secrets: libraries quote them, some only where they are malformed."""
    right = {"ONLINE_PASSWORD": kept.database.password}
    wrong = {"ONLINE_PASSWORD": f"{CANARY} wrong", "DATABASE_URL": f"postgresql://u:{CANARY} wrong@127.0.0.1/d"}
    online = ("run", "churn_online", "--date", DAY.isoformat())
    good = [kept.says(*NIGHT, **right)]
    bad = [
        kept.says(*online, **wrong),
        kept.says("alerts", "--date", DAY.isoformat(), **wrong),
        kept.says("events", "status", **wrong),
        kept.says("notices", "--send", **wrong),
        kept.says("alert-test", **wrong),
    ]
    assert [one.code for one in good] == [0], good[0].err
    assert all(one.code for one in bad)
    assert any("{env: " in one.out + one.err for one in bad), "no library quoted a secret"
    assert _found(kept, good + bad) == []


class Planted:
    """A pickle that leaves a file where it is loaded."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[Path, ...]]:
        return Path.touch, (self.trace,)


_UNPICKLED: list[object] = []
_WATCHED = [False]


def _watch(
    event: str, given: tuple[object, ...], watched: list[bool] = _WATCHED, found: list[object] = _UNPICKLED
) -> None:
    """Note what a pickle names; the defaults outlive the module, which is emptied before the process ends."""
    if watched[0] and event == "pickle.find_class":
        found.append(given)


@contextmanager
def _no_unpickling() -> Iterator[None]:
    """Fail if anything that a pickle names is looked up meanwhile: by pickle, joblib, cloudpickle, dill or torch."""
    if not hasattr(sys, "_tessera_watches_pickles"):
        sys.addaudithook(_watch)  # it stays until the process ends
        sys._tessera_watches_pickles = True  # type: ignore[attr-defined]
    _UNPICKLED.clear()
    _WATCHED[0] = True
    try:
        yield
    finally:
        _WATCHED[0] = False
    assert _UNPICKLED == []


def test_pickles_in_every_folder_of_a_home_are_never_read(home: Home, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    content = pickle.dumps(Planted(trace))
    with pytest.raises(AssertionError), _no_unpickling():
        pickle.loads(content)  # noqa: S301 - shows that the watch works
    trace.unlink()
    # A package with a file that was added is refused by that file's name: tests/unit/training/test_package.py.
    packages = {path.parent for path in home.folder.rglob("manifest.json")}
    folders = [home.folder, *(path for path in home.folder.rglob("*") if path.is_dir() and path not in packages)]
    for folder in folders:
        for name in ("model.pkl", "planted.joblib", "data.pt", "result", "python_model.pkl"):
            (folder / name).write_bytes(content)
    assert len(folders) > 100
    with _no_unpickling():
        home.tessera(*NIGHT)
        home.tessera("run", "churn_online", "--date", DAY.isoformat())
    assert not trace.exists()


#: Store of a home -> a command that reads it.
READERS = {
    "lake": NIGHT,
    "mlflow": ("rollback", "churn"),
    "scores": ("scores", "churn", "--date", DAY.isoformat(), "--out", "scores.csv"),
    "feast": ("run", "churn_online", "--date", DAY.isoformat()),
    "dagster": NIGHT,
}


def test_a_pickle_in_place_of_a_file_is_never_loaded(trained: Home, tmp_path: Path) -> None:
    """A store that is nothing but pickles ends a command in a sentence."""
    trace = tmp_path / "trace"
    content = pickle.dumps(Planted(trace))
    for store, command in READERS.items():
        home = trained.copy(tmp_path / store)
        for file in [path for path in (home.folder / store).rglob("*") if path.is_file()]:
            file.write_bytes(content)
        with _no_unpickling():
            said = tessera(command, home.environment(), tmp_path)
        assert said.code in (1, 2), store
        assert "Traceback" not in said.out + said.err, store
    assert not trace.exists()
