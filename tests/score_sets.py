"""Small sets of score rows and their publications, for tests of the audit and of sinks."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, date, datetime

import numpy as np
import pyarrow as pa

from models.publishing import SCORES_SCHEMA, AuditVerdict, Publication
from models.scoring.digest import RowsDigest
from resources.sink.port import Sink

APP = "churn"
DAY = date(2026, 1, 31)


def package_of(model: str) -> str:
    """A sha256 that stands for the package of a model version."""
    return hashlib.sha256(model.encode()).hexdigest()


def score_rows(scores: Sequence[float], *, contacts: int = 0, model: str = "3", feature: str = "churn_v1") -> pa.Table:
    """Entities `c000000`, `c000001`... with these scores; the `contacts` highest are contacts with one reason each."""
    values = np.asarray(scores, np.float32)
    best = set(np.argsort(-values, kind="stable")[:contacts].tolist())
    numbers = range(len(values))
    columns = [
        [f"c{number:06d}" for number in numbers],
        pa.array(values),
        ["contact" if number in best else "leave" for number in numbers],
        [[f"recency_days {number} raises the risk"] if number in best else None for number in numbers],
        [model] * len(values),
        [package_of(model)] * len(values),
        [feature] * len(values),
    ]
    return pa.table(columns, schema=SCORES_SCHEMA)


def some_rows(seed: int, count: int = 40) -> pa.Table:
    """A set that differs for each seed; its model version is the seed."""
    scores = np.random.default_rng(seed).random(count)
    return score_rows(scores.tolist(), contacts=5, model=str(seed))


def reader(rows: pa.Table, batch_rows: int = 7) -> pa.RecordBatchReader:
    """The rows in small batches."""
    return pa.RecordBatchReader.from_batches(rows.schema, rows.to_batches(max_chunksize=batch_rows))


def digest(rows: pa.Table) -> str:
    """What names these rows."""
    result = RowsDigest()
    for batch in rows.to_batches():
        result.add(batch)
    return result.hexdigest()


def publication(attempt: str, rows: pa.Table, *, day: date = DAY, run_id: str = "run") -> Publication:
    """The record that publishes the rows."""
    return Publication(
        app=APP,
        day=day,
        attempt=attempt,
        degradation="fresh",
        model_version="3",
        model_package=package_of("3"),
        feature_version="churn_v1",
        features_of=day,
        rows=rows.num_rows,
        digest=digest(rows),
        inputs={"orders": 7},
        counts={"contact": 5},
        metrics={"mean_score": 0.5},
        run_id=run_id,
        published_at=datetime(2026, 2, 1, 2, 0, tzinfo=UTC),
    )


def verdict(draft: Publication, **failed: str) -> AuditVerdict:
    """An audit that passed, unless `failed` names checks."""
    return AuditVerdict(draft=draft, passed=not failed, failed=failed, overrulable=set(failed) == {"distribution"})


def audit_and_publish(sink: Sink, record: Publication) -> Publication:
    """What stands published after a passed audit of the record's attempt."""
    sink.record_audit(verdict(record))
    return sink.publish(record)
