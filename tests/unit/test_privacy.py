"""What lies in a home belongs to its user alone, whatever the umask."""

import os
import stat
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from models.events import Event
from pipelines.cli.tables import write_table
from resources.home import only_one
from resources.privacy import close_to_others, create_privately
from resources.stack.loader import ROOT, load_stack

DAY = date(2026, 3, 1)


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def readable_by_others(folder: Path) -> list[str]:
    return [str(path) for path in (folder, *folder.rglob("*")) if stat.S_IMODE(path.lstat().st_mode) & 0o077]


def test_everything_that_is_made_in_a_home_is_private(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    assert readable_by_others(home)
    stack = load_stack(ROOT / "stack.yaml", "local", str(home), {})
    create_privately()
    with only_one(stack, "run", "a test"):
        rows = pa.table({"day": pa.array([DAY]), "email": ["ann@example.org"]})
        stack.open("lake").replace("customers", rows, by="day", first=DAY, last=DAY)
        stack.open("notifier").notify("info", "subject", "body", {})
        event = {"id": "1", "source": "/t", "type": "payment", "subject": "ann@example.org"}
        stack.open("events").publish(
            [Event.model_validate({**event, "time": datetime(2026, 3, 1, tzinfo=UTC), "data": {}})]
        )
        assert len(list(home.rglob("*"))) > 8
        assert readable_by_others(home) == []


def test_a_file_that_a_user_asks_for_has_the_permissions_of_the_users_umask(tmp_path: Path) -> None:
    os.umask(0o027)
    create_privately()
    write_table(pa.table({"a": [1]}), tmp_path / "out.csv")
    assert stat.S_IMODE((tmp_path / "out.csv").stat().st_mode) == 0o640


def test_a_folder_that_everybody_shares_is_left_alone(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    close_to_others(tmp_path)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o1777
    close_to_others(tmp_path / "missing")
