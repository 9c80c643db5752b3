"""The vacuum of lake and sink: what no one can use any more goes, everything else stays."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest
from deltalake import DeltaTable
from pydantic import ValidationError

from assets.apps import APPS
from assets.maintenance import assets as storage
from assets.partitions import daily
from assets.stages import metadata_keys as keys
from models.errors import TesseraError
from models.events import Event
from models.settings import Settings, StorageSettings
from resources.conformance.score_sets import APP, DAY, audit_and_publish, publication, score_rows
from resources.events.sqlite_events import SqliteEventsConfig
from resources.lake.delta import DeltaLake, DeltaLakeConfig
from resources.sink.delta import DeltaSinkConfig
from resources.stack.ports import EventsResource, HomeResource, LakeResource, SettingsResource, SinkResource


class TemporaryLake(LakeResource):
    backend: DeltaLakeConfig


class TemporarySink(SinkResource):
    backend: DeltaSinkConfig


class TemporaryQueue(EventsResource):
    backend: SqliteEventsConfig


class Defaults(SettingsResource):
    def open(self) -> Settings:
        return Settings()


@contextmanager
def days_ago(monkeypatch: pytest.MonkeyPatch, days: float, folder: Path) -> Iterator[None]:
    """What is written inside into `folder` was written so many days ago, by its log and by its files."""
    now, known = time.time, {file: file.stat().st_mtime_ns for file in folder.rglob("*.parquet")}
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: now() - days * 86400)
        yield
    for file in folder.rglob("*.parquet"):
        if known.get(file) != file.stat().st_mtime_ns:
            os.utime(file, (now() - days * 86400,) * 2)


def rows(value: int) -> pa.Table:
    return pa.table({"day": pa.array([DAY], pa.date32()), "value": [value]})


def written(lake: DeltaLake, table: str, value: int) -> None:
    lake.replace(table, rows(value), by="day", first=DAY, last=DAY)


def run(folder: Path) -> dict[str, Any]:
    """What the asset says after a run with default settings."""
    result = dg.materialize(
        [storage.vacuum],
        partition_key=daily.get_first_partition_key(),
        resources={
            "lake": TemporaryLake(backend=DeltaLakeConfig(path=str(folder / "lake"))),
            "sink": TemporarySink(backend=DeltaSinkConfig(path=str(folder / "sink"))),
            "settings": Defaults(),
        },
    )
    (event,) = result.asset_materializations_for_node("storage__vacuum")
    return {name: value.value for name, value in event.metadata.items()}


def test_every_table_is_visited_and_old_files_of_old_versions_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = DeltaLakeConfig(path=str(tmp_path / "lake")).open()
    for table, replaced in {"long_ago": 31, "lately": 29, "never": None}.items():
        with days_ago(monkeypatch, 60, tmp_path):
            written(lake, table, 1)
        if replaced:
            with days_ago(monkeypatch, replaced, tmp_path):
                written(lake, table, 2)
    expected = {keys.FILES_REMOVED: 1, "lake/lately": 0, "lake/long_ago": 1, "lake/never": 0}
    expected |= {f"scores/{app.name}": 0 for app in APPS}
    assert run(tmp_path) == expected
    assert run(tmp_path) == expected | {keys.FILES_REMOVED: 0, "lake/long_ago": 0}
    values = {table: lake.scan(table).to_table()["value"].to_pylist() for table in lake.tables()}
    assert values == {"lately": [2], "long_ago": [2], "never": [1]}


def test_versions_of_the_time_that_is_kept_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Delta forgets after a week when a file was removed from a table, unless it is told not to."""
    lake = DeltaLakeConfig(path=str(tmp_path / "lake")).open()
    with days_ago(monkeypatch, 60, tmp_path):
        written(lake, "orders", 1)
    with days_ago(monkeypatch, 10, tmp_path):
        written(lake, "orders", 2)
    assert [run(tmp_path)["lake/orders"] for _ in range(3)] == [0, 0, 0]
    old = DeltaTable(tmp_path / "lake" / "orders", version=0)
    assert pa.table(old.to_pyarrow_table())["value"].to_pylist() == [1]


@pytest.mark.parametrize(("dropped_days_ago", "files"), [(None, 2), (29, 2), (31, 1)])
def test_published_scores_stay_and_attempts_go_some_time_after_they_were_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dropped_days_ago: int | None, files: int
) -> None:
    sink = DeltaSinkConfig(path=str(tmp_path / "sink")).open()
    published, dropped = score_rows([0.1, 0.9]), score_rows([0.2, 0.8])
    with days_ago(monkeypatch, 90, tmp_path):
        sink.write_attempt(APP, DAY, "published", published.to_reader())
        sink.write_attempt(APP, DAY, "dropped", dropped.to_reader())
        audit_and_publish(sink, publication("published", published))
    if dropped_days_ago:
        with days_ago(monkeypatch, dropped_days_ago, tmp_path):
            sink.vacuum(APP, keep_hours=720)
    killed = next((tmp_path / "sink").rglob("*.parquet")).with_stem("part-of-a-killed-writer")
    with days_ago(monkeypatch, 31, tmp_path):
        killed.write_bytes(b"PAR1")
    assert run(tmp_path)["scores/churn"] == 1
    assert not killed.exists()
    assert len(list((tmp_path / "sink").rglob("*.parquet"))) == files
    assert sink.scores(APP, DAY)[1].read_all().equals(published)
    with pytest.raises(TesseraError, match="no attempt 'dropped'"):
        sink.read_attempt(APP, DAY, "dropped")


@pytest.mark.parametrize("hours", [0, 23, 721])
def test_hours_that_break_a_running_night_or_outlive_the_log_are_refused(hours: int) -> None:
    with pytest.raises(ValidationError, match="keep_hours"):
        StorageSettings(keep_hours=hours)


def test_events_of_long_ago_go_once_everybody_settled_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = SqliteEventsConfig(path=str(tmp_path / "events.db"))
    queue, now = config.open(), time.time_ns
    for number, age in enumerate((31, 31, 29)):
        with monkeypatch.context() as patch:
            patch.setattr(time, "time_ns", lambda age=age: now() - age * 86_400_000_000_000)
            queue.publish(
                [Event(id=str(number), source="/test", type="test", time=datetime.now(UTC), subject="s", data={})]
            )
    queue.acknowledge("group", [one.offset for one in queue.read("group", limit=2)][:1])
    resources = {"events": TemporaryQueue(backend=config), "settings": Defaults()}
    key = daily.get_first_partition_key()
    for settled, removed in (([], 1), ([2, 3], 1), ([], 0)):
        queue.acknowledge("group", settled)
        result = dg.materialize([storage.old_events], partition_key=key, resources=resources)
        (event,) = result.asset_materializations_for_node("storage__events")
        assert event.metadata[keys.EVENTS_REMOVED].value == removed


def test_spans_of_long_ago_go(tmp_path: Path) -> None:
    folder, today = tmp_path / "traces", datetime.now(UTC).date()
    folder.mkdir()
    for days in (0, 13, 14, 15):
        (folder / f"{today - timedelta(days=days)}.db").touch()
    resources = {"home": HomeResource(path=str(tmp_path)), "settings": Defaults()}
    result = dg.materialize([storage.old_traces], partition_key=daily.get_first_partition_key(), resources=resources)
    (event,) = result.asset_materializations_for_node("storage__traces")
    assert event.metadata[keys.DAYS_REMOVED].value == 1
    assert len(list(folder.iterdir())) == 3
