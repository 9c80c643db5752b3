"""Dagster's own part of the folder that holds everything a profile makes."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import dagster as dg
import yaml

from models.errors import TesseraError
from pipelines.masked_events import mask_events
from pipelines.storage_speed import kept_engines, read_migrations_once
from resources.home import writable_home
from resources.masking import remember
from resources.stack.loader import ROOT, Stack

#: Dagster's tag of the code location whose jobs' pages list a run: a run launched in process lacks it.
CODE_LOCATION_TAGS = {".dagster/repository": "__repository__@tessera"}
#: SQLAlchemy 2.1 takes plain `postgresql://` for psycopg 3, which refuses what Dagster's client sends.
_DRIVER = "postgresql+psycopg2"


def dagster_home(stack: Stack) -> Path:
    """Return a DAGSTER_HOME inside the profile's home: the project's dagster.yaml with absolute folders.

    For the default profile these are the folders that a bare `dagster dev` in the project uses too, so that runs
    of the command line, of the UI and of the schedule are in one list.
    """
    folder = writable_home(stack) / "dagster"
    folder.mkdir(exist_ok=True)
    settings = yaml.safe_load((ROOT / "dagster.yaml").read_text())
    settings["storage"] = _storage(stack.dagster_storage or settings.get("storage", {"sqlite": {}}), folder)
    settings["local_artifact_storage"]["config"]["base_dir"] = str(folder)
    settings["compute_logs"]["config"]["base_dir"] = str(folder / "logs")
    text = "# Written from the project's dagster.yaml with absolute folders; edit that file instead.\n"
    text += yaml.safe_dump(settings, sort_keys=False)
    file = folder / "dagster.yaml"
    if not file.exists() or file.read_bytes() != text.encode():
        beside = file.with_suffix(f".{os.getpid()}")
        beside.write_text(text)
        beside.replace(file)
    return folder


def _remember_secrets(values: Any) -> None:
    """Keep what Dagster itself takes from the environment out of texts, as what the profile's ports take."""
    if not isinstance(values, Mapping):
        return
    name = values.get("env")
    if isinstance(name, str) and name in os.environ:
        remember(name, os.environ[name])
    for value in values.values():
        _remember_secrets(value)


def _storage(given: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return `storage` for Dagster: SQLite files are in `folder`, and Postgres is asked through the driver that works.

    Raises:
        TesseraError: Postgres' client is not installed, or the address names another one.
    """
    (kind, values), *_ = given.items()
    _remember_secrets(values)
    if kind == "sqlite":
        return {kind: {**values, "base_dir": str(folder)}}
    if kind != "postgres":
        return {**given}
    if find_spec("dagster_postgres") is None:
        raise TesseraError(
            "Dagster's storage is Postgres, and dagster-postgres is not installed.",
            expected="what requirements/postgres.lock lists",
            todo="Run `.venv/bin/pip install --no-deps --require-hashes -r requirements/postgres.lock`.",
        )
    if "postgres_db" in values:
        return {kind: {**values, "postgres_db": {"scheme": _DRIVER, **values["postgres_db"]}}}
    url = values.get("postgres_url")
    name = url.get("env", "") if isinstance(url, Mapping) else ""
    address = os.environ.get(name, "") if name else str(url)
    if address and not address.startswith(f"{_DRIVER}://"):
        raise TesseraError(
            f"Dagster's storage, {name or '`dagster_storage.postgres.postgres_url`'}, does not begin with {_DRIVER}://.",
            expected=f"{_DRIVER}://user:password@host/database: Dagster's client is psycopg2",
            todo="Correct it, or use `postgres_db` with username, password, hostname and db_name.",
        )
    return {**given}


@contextmanager
def dagster_instance(stack: Stack) -> Iterator[dg.DagsterInstance]:
    """Dagster's instance of the profile's home.

    Raises:
        TesseraError: its storage is misconfigured, not installed, or does not answer.
    """
    folder = dagster_home(stack)
    os.environ["DAGSTER_HOME"] = str(folder)
    read_migrations_once()
    with _opened(folder) as instance, kept_engines(instance):
        mask_events(instance)
        yield instance


def _refusals_of_postgres() -> list[type[Exception]]:
    """Return the error of Dagster's Postgres client, if it was imported."""
    utils = sys.modules.get("dagster_postgres.utils")
    return [utils.DagsterPostgresException] if utils is not None else []


def _opened(folder: Path) -> dg.DagsterInstance:
    from sqlalchemy.exc import SQLAlchemyError

    try:
        return dg.DagsterInstance.get()
    except (dg.DagsterError, SQLAlchemyError, OSError, *_refusals_of_postgres()) as error:
        cause = error.__cause__ or error
        reason = (str(cause).splitlines() or [type(cause).__name__])[0]
        raise TesseraError(
            f"Dagster's storage does not work: {reason}",
            expected="a storage that answers, as `storage` of a dagster.yaml describes it",
            todo=f"Correct `dagster_storage` in stack.yaml or the project's dagster.yaml ({folder}/dagster.yaml is "
            "written from them).",
        ) from error
