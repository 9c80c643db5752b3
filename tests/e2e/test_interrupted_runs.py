"""Runs that are killed, that meet each other, on damage, and nights without orders: what is published stays right."""

import json
import os
import time
from datetime import date, timedelta
from pathlib import Path

import pytest
from forked import Forked
from shop_home import DAY, Home, ended

from pipelines.home import dagster_home

NEXT = DAY + timedelta(days=1)
NIGHTLY = ("run", "churn_nightly", "--date")


def kill_once_there(process: Forked, folder: Path) -> None:
    """Kills the process with SIGKILL once `folder` has a new file: the same place of the work on any machine."""
    before = files(folder)
    while process.poll() is None and not files(folder) - before:
        time.sleep(0.02)
    process.kill()
    process.communicate(timeout=60)
    assert process.returncode == -9, f"it ended before it wrote to {folder}"


def files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()} if folder.exists() else set()


def test_killed_first_runs_leave_nothing_wrong_behind(empty: Home, trained: Home) -> None:
    """Killed while it ingests, right before it trains, and then left alone: the bytes of an undisturbed home."""
    for table in ("orders", "churn_training_set"):
        kill_once_there(empty.fork(*NIGHTLY, DAY.isoformat()), empty.folder / "lake" / table)
        assert empty.published(DAY) is None
    empty.tessera(*NIGHTLY, DAY.isoformat())
    assert empty.digest(DAY) == trained.digest(DAY)
    assert empty.published(DAY).rows == trained.published(DAY).rows


@pytest.fixture(scope="module")
def undisturbed(trained: Home, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home in which two Dagster processes ran NEXT at once: they share no lock of the command line."""
    home = trained.copy(tmp_path_factory.mktemp("undisturbed") / "home")
    launch = ("launch", "--job", "churn_nightly", "--partition", NEXT.isoformat())
    instance = {"DAGSTER_HOME": str(dagster_home(home.opened()))}
    both = [home.fork(*launch, program="dg", **instance) for _ in range(2)]
    for process in both:
        ended(process)
    return home


def test_dagster_runs_at_once_publish_one_set(undisturbed: Home) -> None:
    assert len(undisturbed.opened().open("sink").history("churn", NEXT)) == 1
    assert undisturbed.published(NEXT).degradation == "fresh"


def test_a_night_that_is_killed_and_stopped_by_bad_rows_publishes_the_same_bytes_in_the_end(
    home: Home, undisturbed: Home, tmp_path: Path
) -> None:
    kill_once_there(home.fork(*NIGHTLY, NEXT.isoformat()), home.folder / "lake/orders")
    _stopped_by_bad_rows(home, tmp_path)
    kill_once_there(home.fork(*NIGHTLY, NEXT.isoformat()), home.folder / "lake/churn_features")
    assert home.published(NEXT) is None
    assert home.digest(DAY) == undisturbed.digest(DAY)
    # What was put aside is not lost, and a limit that fits lets the same day through.
    home.tessera(*NIGHTLY, NEXT.isoformat())
    assert home.published(NEXT).degradation == "fresh"
    assert home.digest(NEXT) == undisturbed.digest(NEXT)


def _stopped_by_bad_rows(home: Home, folder: Path) -> None:
    """A night under a limit that its refused rows exceed ends before it writes features."""
    strict = home.with_stack(folder / "strict.yaml", {"settings": {"ingestion": {"max_quarantined_share": 0.0001}}})
    card = strict.tessera(*NIGHTLY, NEXT.isoformat(), code=1).out
    assert "quarantined_share" in card
    assert strict.published(NEXT) is None
    lake = strict.opened().open("lake")
    assert NEXT not in lake.days("churn_features")
    assert NEXT in lake.days("orders")
    kept_aside: date = max(lake.days("quarantine_orders"))
    assert kept_aside == NEXT
    strict.tessera("quarantine", "orders", "--date", NEXT.isoformat())


def test_the_night_after_a_damage_publishes_what_an_undamaged_home_does(home: Home, undisturbed: Home) -> None:
    lake = home.opened().open("lake")
    for table, day in (("orders", DAY - timedelta(days=20)), ("churn_features", DAY)):
        (file,) = (Path(name) for name in lake.files(table, first=day, last=day))
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    for table in ("orders", "ingested_orders"):
        newest = max((home.folder / "lake" / table / "_delta_log").glob("*.json"))
        newest.write_bytes(b"")
    registry = home.folder / "mlflow" / "mlflow.db"
    os.truncate(registry, registry.stat().st_size // 2)
    said = home.tessera("run", "churn_nightly", "--date", NEXT.isoformat())
    # The champion comes from the cache, and the registry is named although the night did not need it.
    assert "The model registry's database" in said.out
    (line,) = [line for line in (home.folder / "notices.jsonl").read_text().splitlines() if "registry" in line]
    assert "cannot be used" in line
    assert home.digest(NEXT) == undisturbed.digest(NEXT)
    assert home.digest(DAY) == undisturbed.digest(DAY)


class TestFallback:
    """Nights on which the source cannot be used: here it is another one than filled the home."""

    @pytest.fixture
    def dark(self, home: Home, tmp_path: Path) -> Home:
        """A trained home whose source was replaced by one without files; features may be 7 days old."""
        return home.with_stack(tmp_path / "dark.yaml", gone(tmp_path))

    def test_the_ladder_goes_down_step_by_step_and_says_so(self, dark: Home) -> None:
        card = dark.tessera(*NIGHTLY, NEXT.isoformat(), code=1).out
        assert "NOT PUBLISHED" in card
        assert "was filled by another source" in " ".join(card.replace("│", " ").split())
        assert f"tessera run churn_fallback --date {NEXT}" in card
        assert dark.published(NEXT) is None

        dark.tessera("run", "churn_fallback", "--date", NEXT.isoformat())
        published = dark.published(NEXT)
        assert (published.degradation, published.features_of) == ("stale_features", DAY)
        assert published.digest == dark.digest(DAY)

        weeks_later = DAY + timedelta(days=21)
        card = dark.tessera("run", "churn_fallback", "--date", weeks_later.isoformat()).out
        assert "last_good_scores" in card
        published = dark.published(weeks_later)
        assert (published.degradation, published.features_of) == ("last_good_scores", DAY)
        assert published.digest == dark.digest(DAY)
        notices = (dark.folder / "notices.jsonl").read_text().splitlines()
        (stepped_down,) = [notice for notice in notices if "Step down" in notice]
        assert "last_good_scores" in stepped_down
        failed = [one for one in json.loads(dark.tessera("notices", "--json", code=1).out) if str(NEXT) in str(one)]
        assert "stale_features" in str(failed), "what the fallback did is part of the notice of the night that failed"

    def test_with_nothing_to_fall_back_on_it_fails(self, empty: Home, tmp_path: Path) -> None:
        dark = empty.with_stack(tmp_path / "dark.yaml", gone(tmp_path))
        card = dark.tessera("run", "churn_fallback", "--date", DAY.isoformat(), code=1).out
        assert "nothing older that may stand in" in " ".join(card.replace("│", " ").split())
        assert dark.published(DAY) is None


def gone(folder: Path) -> dict[str, object]:
    orders = {"location": str(folder / "no-such-folder")}
    return {"ports": {"source": {"kind": "files", "tables": {"orders": orders}}}}
