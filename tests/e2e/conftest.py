"""Trained homes for all tests here: made once for all workers, and copied."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from shop_home import DAY, YOUNG, YOUNG_DAY, Home, write_stack

from tests.once import Once


@pytest.fixture(scope="session")
def small_stack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stack file for a shop so small that a first run takes seconds."""
    return write_stack(tmp_path_factory.mktemp("stack") / "stack.yaml")


@pytest.fixture(scope="session")
def young_stack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stack file for that shop when it was four months old."""
    return write_stack(tmp_path_factory.mktemp("young") / "stack.yaml", YOUNG)


@pytest.fixture(scope="session")
def trained(once: Once, small_stack: Path) -> Home:
    """A home after its first run, for DAY. Shared by all workers: copy it before changing it."""
    return _first_run(once, "trained", small_stack, DAY)


@pytest.fixture(scope="session")
def young(once: Once, young_stack: Path) -> Home:
    """The home of the young shop after its first run, for YOUNG_DAY. Shared by all workers, too."""
    return _first_run(once, "young", young_stack, YOUNG_DAY)


def _first_run(once: Once, name: str, stack: Path, day: date) -> Home:
    def fill(folder: Path) -> None:
        (folder / "tmp").mkdir()
        home = Home(folder / "home", stack)
        said = home.tessera("run", "churn_nightly", "--date", day.isoformat(), TMPDIR=str(folder / "tmp"))
        (folder / "card.txt").write_text(said.out)

    return Home(once.folder(name, fill) / "home", stack)


@pytest.fixture
def home(trained: Home, tmp_path: Path) -> Home:
    """A trained home of the test's own."""
    return trained.copy(tmp_path / "home")


@pytest.fixture
def young_home(young: Home, tmp_path: Path) -> Home:
    """A home of the young shop of the test's own."""
    return young.copy(tmp_path / "young")


@pytest.fixture
def empty_young(young_stack: Path, tmp_path: Path) -> Home:
    """A home of the young shop in which nothing ever ran."""
    return Home(tmp_path / "empty-young", young_stack)


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
