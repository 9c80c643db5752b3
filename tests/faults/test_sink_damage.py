"""Files of published scores that are emptied, cut, lost or planted: never another set in silence, and a way back."""

import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from models.errors import TesseraError
from resources.conformance.score_sets import APP, DAY, audit_and_publish, publication, reader, some_rows
from resources.sink.delta_sink import DeltaSink

BEFORE = DAY - timedelta(days=1)


def emptied(file: Path) -> None:
    file.write_bytes(b"")


def halved(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def overwritten(file: Path) -> None:
    """The same size, other bytes."""
    content = file.read_bytes()
    middle = len(content) // 2
    file.write_bytes(content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :])


DAMAGES: dict[str, Callable[[Path], None]] = {
    "emptied": emptied,
    "halved": halved,
    "lost": Path.unlink,
    "overwritten": overwritten,
}


def _sink(folder: Path) -> DeltaSink:
    return DeltaSink(str(folder), rows_per_file=15)


def _night(sink: DeltaSink, seed: int, run_id: str) -> None:
    """What a night of DAY does with these rows."""
    sink.repair(APP)
    sink.write_attempt(APP, DAY, f"a{seed}", reader(some_rows(seed)))
    audit_and_publish(sink, publication(f"a{seed}", some_rows(seed), run_id=run_id))


def _served(sink: DeltaSink) -> tuple[str, bool] | str:
    """The attempt that is served and if it has its rows, or the command that the error names."""
    try:
        record, rows = sink.scores(APP, DAY)
        return record.attempt, rows.read_all().equals(some_rows(2))
    except TesseraError as error:
        return "tessera run churn_nightly" if "`tessera run churn_nightly" in error.todo else str(error)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An earlier day, and DAY with an older and a newer set."""
    folder = tmp_path_factory.mktemp("whole") / "scores"
    sink = _sink(folder)
    sink.write_attempt(APP, BEFORE, "a9", reader(some_rows(9)))
    audit_and_publish(sink, publication("a9", some_rows(9), day=BEFORE))
    _night(sink, 1, "one")
    _night(sink, 2, "two")
    return folder


@pytest.mark.parametrize("damage", DAMAGES)
def test_each_file_damaged_in_turn_never_serves_another_set_and_a_night_repairs_it(
    damage: str, whole: Path, tmp_path: Path
) -> None:
    names = [file.relative_to(whole) for file in sorted(whole.rglob("*")) if file.is_file() and file.suffix != ".lock"]
    assert len(names) > 15
    for number, name in enumerate(names):
        folder = tmp_path / str(number)
        shutil.copytree(whole, folder)
        DAMAGES[damage](folder / name)
        sink = _sink(folder)
        assert _served(sink) in (("a2", True), "tessera run churn_nightly"), name
        _night(sink, 2, "three")
        record, rows = sink.scores(APP, DAY)
        assert (record.attempt, rows.read_all().equals(some_rows(2))) == ("a2", True), name
        assert not [loss for loss in sink.repair(APP) if DAY.isoformat() in loss], name


def test_losses_are_told_with_the_command_that_repairs_them(whole: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(whole, tmp_path / "scores"))
    assert list(_sink(folder).repair(APP)) == []
    halved(next((folder / f"scores_{APP}" / f"day={BEFORE}").rglob("*.parquet")))
    (loss,) = _sink(folder).repair(APP)
    assert "bytes, not" in loss
    assert f"tessera run churn_nightly --date {BEFORE}" in loss


@pytest.mark.parametrize("name", ["000099.json", "000003.json", "2026-02-30/000001.json", "note.txt", "0001.json"])
def test_a_planted_file_is_never_published(name: str, whole: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(whole, tmp_path / "scores"))
    days = folder / "publications" / APP
    planted = (days if "/" in name else days / DAY.isoformat()) / name
    planted.parent.mkdir(exist_ok=True)
    shutil.copy(days / BEFORE.isoformat() / "000001.json", planted)
    sink = _sink(folder)
    assert BEFORE in sink.published_days(APP)
    assert _served(sink) in (("a2", True), "tessera run churn_nightly")
    _night(sink, 2, "three")
    assert sink.scores(APP, DAY)[1].read_all().equals(some_rows(2))
