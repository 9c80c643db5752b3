"""Scores and records that were damaged after a night: the next night says so, and the day is published again."""

import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
import scoring_world
from scoring_world import DAY, World

from models.errors import TesseraError

NEXT = DAY + timedelta(days=1)


def halved(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


#: Pattern of the file below the sink's folder, and what happens to it.
DAMAGES: dict[str, tuple[str, Callable[[Path], object]]] = {
    "half a Parquet file": (f"scores_churn/day={DAY}/**/*.parquet", halved),
    "a truncated publication record": (f"publications/churn/{DAY}/*.json", halved),
    "a lost publication record": (f"publications/churn/{DAY}/*.json", Path.unlink),
}


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with published scores of DAY; copy it."""
    world = scoring_world.made(tmp_path_factory.mktemp("world") / "home")
    assert world.run().success
    world.features(NEXT)
    return world.folder


@pytest.fixture
def world(snapshot: Path, tmp_path: Path) -> World:
    return World(Path(shutil.copytree(snapshot, tmp_path / "home")))


def told_losses(world: World) -> list[str]:
    return [notice["body"] for notice in world.notices() if DAY.isoformat() in notice["body"]]


def damage(world: World, name: str) -> None:
    pattern, happens = DAMAGES[name]
    (file,) = (world.folder / "scores").glob(pattern)
    happens(file)


@pytest.mark.parametrize("name", DAMAGES)
def test_the_next_night_names_the_loss_and_the_day_is_published_again(name: str, world: World) -> None:
    whole = world.sink.published("churn", DAY).digest
    damage(world, name)
    with pytest.raises(TesseraError, match=rf".*`tessera run churn_nightly --date {DAY}`"):
        world.sink.scores("churn", DAY)[1].read_all()

    for nights in (1, 2):
        assert world.run(day=NEXT).success
        assert world.sink.published("churn", NEXT).degradation == "fresh"
        told = told_losses(world)
        assert len(told) == nights, "until the day is published again"
        assert f"`tessera run churn_nightly --date {DAY}` publishes {DAY} again" in told[-1]

    assert world.run(day=DAY).success
    published, rows = world.sink.scores("churn", DAY)
    assert published.digest == whole
    assert rows.read_all().num_rows == scoring_world.CUSTOMERS
    assert [loss for loss in world.sink.repair("churn") if DAY.isoformat() in loss] == []


def test_an_entry_of_the_table_s_log_is_made_anew_from_the_files(world: World) -> None:
    halved(max((world.folder / "scores" / "scores_churn" / "_delta_log").glob("*.json")))
    assert world.run(day=NEXT).success
    assert world.sink.scores("churn", DAY)[1].read_all().num_rows == scoring_world.CUSTOMERS
    (notice,) = world.notices()
    assert "It is made anew from the files that are found." in notice["body"]


def test_a_truncated_verdict_is_given_anew(world: World) -> None:
    halved(max((world.folder / "scores" / "audits" / "churn" / DAY.isoformat()).glob("*.json")))
    before = world.sink.published("churn", DAY)
    assert world.run(day=DAY).success
    assert world.sink.published("churn", DAY) == before
    assert world.sink.draft("churn", DAY).passed
