"""One trained home for all tests here; each worker copies it, whoever comes first trains it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock
from shop_home import DAY, Home, write_stack


@pytest.fixture(scope="session")
def small_stack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stack file for a shop so small that a first run takes seconds."""
    return write_stack(tmp_path_factory.mktemp("stack") / "stack.yaml")


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, small_stack: Path, worker_id: str) -> Home:
    """A home after its first run, for DAY. Shared by all workers: copy it before changing it."""
    place = tmp_path_factory.getbasetemp()
    folder = (place if worker_id == "master" else place.parent) / "trained"
    home = Home(folder / "home", small_stack)
    with FileLock(folder.with_suffix(".lock")):
        if not (folder / "card.txt").exists():
            (folder / "tmp").mkdir(parents=True)
            said = home.tessera("run", "churn_nightly", "--date", DAY.isoformat(), TMPDIR=str(folder / "tmp"))
            (folder / "card.txt").write_text(said.out)
    return home


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
