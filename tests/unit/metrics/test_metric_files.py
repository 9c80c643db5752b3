"""Files of metrics: whole or not there, bounded to the registry, never in the way."""

from pathlib import Path

import pytest

from models.metrics import sample
from pipelines.stream_metrics import StreamMetrics
from resources.metric_files import read_samples, write_samples

RUNS = [sample("tessera_run_succeeded", 1, job="churn_nightly"), sample("tessera_run_seconds", 0.5, job='a "b"\\\n')]


def test_samples_are_read_as_they_were_written(tmp_path: Path) -> None:
    write_samples(tmp_path, "run_churn_nightly", RUNS)
    write_samples(tmp_path, "stream_fraud", [sample("tessera_stream_alerts_total", 7, app="fraud")])
    assert read_samples(tmp_path) == [*RUNS, sample("tessera_stream_alerts_total", 7, app="fraud")]
    assert read_samples(tmp_path, "run_churn_nightly") == RUNS
    assert [file.suffix for file in sorted((tmp_path / "metrics").iterdir())] == [".prom", ".prom"]


def test_what_is_damaged_or_unknown_is_left_out_and_the_rest_stays(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_samples(tmp_path, "run_a", RUNS[:1])
    folder = tmp_path / "metrics"
    (folder / "run_b.prom").write_text("tessera_run_seconds{job=")
    (folder / "run_c.prom").write_text('tessera_of_later 1\ntessera_run_seconds{id="u00001633"} 1\n')
    assert read_samples(tmp_path) == RUNS[:1]
    assert "run_b.prom" in caplog.text


def test_a_file_that_cannot_be_written_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "metrics").write_text("a file where the folder should be")
    write_samples(tmp_path, "run_a", RUNS)
    assert "cannot be written" in caplog.text
    assert read_samples(tmp_path) == []


def test_a_worker_counts_from_its_begin_and_writes_now_and_then(tmp_path: Path) -> None:
    metrics = StreamMetrics(tmp_path, "fraud", seconds=3600)
    metrics.write()
    metrics.add(0.25, alerts=2, processed=10, refused=1)
    metrics.add(0.25, processed=5, refused=0)
    metrics.write()
    assert value(tmp_path, "tessera_stream_batches_total") == {("fraud",): 0}
    metrics.write(now=True)
    assert value(tmp_path, "tessera_stream_batches_total") == {("fraud",): 2}
    assert value(tmp_path, "tessera_stream_alerts_total") == {("fraud",): 2}
    assert value(tmp_path, "tessera_stream_busy_seconds_total") == {("fraud",): 0.5}
    assert value(tmp_path, "tessera_stream_events_total") == {("fraud", "processed"): 15, ("fraud", "refused"): 1}


def value(home: Path, name: str) -> dict[tuple[str, ...], float]:
    return {tuple(one.labels.values()): one.value for one in read_samples(home) if one.name == name}
