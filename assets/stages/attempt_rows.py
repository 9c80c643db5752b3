"""The rows of an attempt: made by a model or a composition from the features of a day, and written to the sink."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import IO, TYPE_CHECKING

import pyarrow as pa

from assets.stages.feature_days import DAY
from assets.stages.score_sources import CompositionSource, ModelSource
from assets.stages.scoring_task import ScoringTask
from models.publishing import attempt_of
from models.tracing import traced
from resources.lake.port import Lake
from resources.notifier.port import Notifier
from resources.registry.port import Registry
from resources.sink.port import Sink

if TYPE_CHECKING:
    from models.scoring.drift import DriftMeter


@dataclass(frozen=True)
class Night:
    """The scoring of one day: task, stores, and the Dagster run (`run_id`) that does it."""

    task: ScoringTask
    lake: Lake
    registry: Registry
    sink: Sink
    notifier: Notifier
    day: date
    run_id: str

    @property
    def app(self) -> str:
        """The application that is scored."""
        return self.task.app.name


@traced("score rows")
def write_scored(night: Night, source: ModelSource, meter: DriftMeter | None) -> tuple[str, dict[str, int]]:
    """Name and counts of the attempt that holds the scores."""
    from models.scoring.batch import Scorer, scored

    task, loaded = night.task, source.model
    versions = (source.version, loaded.sha256, loaded.card.feature_version)
    scorer = Scorer(task.predict(loaded), loaded.encoder, *versions, task.app.contract)
    features = feature_batches_of(night, source)
    watched = meter.watch(features) if meter else features
    with scored(watched, scorer, task.rule(loaded), batch_rows=task.batch_rows) as rows:
        attempt = attempt_name(rows.reader())
        night.sink.write_attempt(night.app, night.day, attempt, rows.reader())
        return attempt, rows.counts


@traced("score rows")
def write_composed(night: Night, source: CompositionSource) -> tuple[str, dict[str, int]]:
    """Name and counts of the attempt that holds the rows of a composition; what its steps gave is in the lake.

    Rows wait in an unnamed file until all are made: the attempt is named by their content. Memory is that of one part.
    """
    composed = night.task.composed
    assert composed is not None  # noqa: S101 - for the type checker: a source is a composition only then
    features = night.lake.scan(night.task.app.features, first=source.features_of, last=source.features_of)
    counts, steps = Counter[str](scored=0), list[pa.Table]()
    with tempfile.TemporaryFile() as file:
        with pa.ipc.new_stream(pa.PythonFile(file, "w"), night.task.app.contract.schema) as stream:
            for made in composed.score(source.composition, features.to_table()):
                counts.update({"scored": made.rows.num_rows, **made.counts})
                steps += [] if made.steps is None else [made.steps]
                stream.write_table(_versioned(made.rows, night, source))
        if steps:
            night.lake.repair(composed.steps)
            night.lake.replace(composed.steps, pa.concat_tables(steps), by=DAY, first=night.day, last=night.day)
        attempt = attempt_name(_read(file))
        night.sink.write_attempt(night.app, night.day, attempt, _read(file))
    return attempt, dict(counts)


def _versioned(rows: pa.Table, night: Night, source: CompositionSource) -> pa.Table:
    """Return the rows with the versions that made them, as the output contract has them."""
    versions = {"model_version": source.version, "model_package": source.package}
    for name, value in {**versions, "feature_version": source.feature_version}.items():
        rows = rows.append_column(name, pa.repeat(value, rows.num_rows))
    schema = night.task.app.contract.schema
    return rows.select(schema.names).cast(schema)


def _read(file: IO[bytes]) -> pa.RecordBatchReader:
    file.seek(0)
    return pa.ipc.open_stream(pa.PythonFile(file, "r"))


def feature_batches_of(night: Night, source: ModelSource) -> Iterator[pa.RecordBatch]:
    """The day's feature rows as they were written: in the order of the output contract."""
    encoder = source.model.encoder
    return feature_batches_with(night, source, [*encoder.numeric, *encoder.categories])


def feature_batches_with(night: Night, source: ModelSource, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """The same with the keys and these columns."""
    from models.scoring.feature_files import feature_batches

    task = night.task
    keys = [column.name for column in task.app.contract.keys]
    columns = dict.fromkeys([*keys, *names])
    files = night.lake.files(task.app.features, first=source.features_of, last=source.features_of)
    return feature_batches(files, list(columns), batch_rows=task.batch_rows)


def attempt_name(rows: pa.RecordBatchReader) -> str:
    """Return the name of the attempt with these rows, by their digest."""
    from models.scoring.digest import RowsDigest

    digest = RowsDigest()
    for batch in rows:
        digest.add(batch)
    return attempt_of(digest.hexdigest())
