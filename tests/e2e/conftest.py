"""Trained homes for all tests here: made once for all workers, and copied."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from shop_home import DAY, FRAUD_DAY, SMALL_FRAUD, Home, laid_over, write_stack

from resources.stack.loader import ROOT
from tests.once import Once


@pytest.fixture(scope="session", autouse=True)
def _tables_of_mlflow(mlflow_database: Path) -> Iterator[None]:
    """A copy of its tables for each database that MLflow makes in this process: its 60 migrations take seconds."""
    from mlflow.store.db import utils

    def copied(engine: Any) -> None:
        with closing(sqlite3.connect(mlflow_database)) as tables, engine.connect() as connection:
            tables.backup(connection.connection.driver_connection)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(utils, "_initialize_tables", copied)
        yield


@pytest.fixture(scope="session")
def small_stack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stack file for a shop so small that a first run takes seconds."""
    return write_stack(tmp_path_factory.mktemp("stack") / "stack.yaml")


@pytest.fixture(scope="session")
def trained(once: Once, small_stack: Path) -> Home:
    """A home after its first run, for DAY. Shared by all workers: copy it before changing it."""

    def fill(folder: Path) -> None:
        (folder / "tmp").mkdir()
        home = Home(folder / "home", small_stack)
        said = home.tessera("run", "churn_nightly", "--date", DAY.isoformat(), TMPDIR=str(folder / "tmp"))
        (folder / "card.txt").write_text(said.out)

    return Home(once.folder("trained", fill) / "home", small_stack)


@pytest.fixture(scope="session")
def trained_for_fraud(once: Once, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """The shipped shop after the first command of the README's chapter on fraud. Shared as `trained` is."""
    stack = tmp_path_factory.mktemp("fraud") / "stack.yaml"
    laid_over(ROOT / "stack.yaml", stack, {"settings": {"fraud": SMALL_FRAUD}})

    def fill(folder: Path) -> None:
        said = Home(folder / "home", stack).tessera("run", "fraud_training", "--date", FRAUD_DAY.isoformat())
        assert "leaked" not in said.err

    return Home(once.folder("trained_for_fraud", fill) / "home", stack)


@pytest.fixture
def home(trained: Home, tmp_path: Path) -> Home:
    """A trained home of the test's own."""
    return trained.copy(tmp_path / "home")


@pytest.fixture
def empty(small_stack: Path, tmp_path: Path) -> Home:
    """A home in which nothing ever ran."""
    return Home(tmp_path / "empty", small_stack)


@pytest.fixture
def file(tmp_path: Path) -> Callable[[str, str], Path]:
    """Writes a file of the test's own."""

    def write(name: str, text: str) -> Path:
        target = tmp_path / name
        target.write_text(text)
        return target

    return write
