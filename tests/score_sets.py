"""Small sets of score rows and their publications, for tests of the audit and of sinks."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
from output_contracts import CHURN, CONTRACTS

from models.publishing import AuditVerdict, Publication
from models.scoring.digest import RowsDigest
from resources.sink.port import Sink

SCORES_SCHEMA = CHURN.schema
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


def some_rows(seed: int, count: int = 40, contract: str = "churn") -> pa.Table:
    """A set that differs for each seed; its model version is the seed."""
    scores = np.random.default_rng(seed).random(count)
    if contract == "churn":
        return score_rows(scores.tolist(), contacts=5, model=str(seed))
    return contract_rows(contract, scores.astype(np.float32), model=str(seed))


def contract_rows(contract: str, scores: np.ndarray, model: str = "3") -> pa.Table:
    """Rows of customers `c000000`, `c000001`... that keep an output contract."""
    schema, count = CONTRACTS[contract].schema, len(scores)
    customers = [f"c{number:06d}" for number in range(count)]
    told = {
        "customer_id": customers,
        "product_id": ["p1"] * count,
        "transaction_id": range(count),
        "terminal_id": ["t1"] * count,
        "event_timestamp": [
            datetime(2026, 1, 31, tzinfo=UTC) + timedelta(minutes=number // 3) for number in range(count)
        ],
        "prediction": scores * 100,
        "lower": scores * 90,
        "upper": scores * 110,
        "label": ["refund" if score > 0.5 else "other" for score in scores],
        "top_labels": [["refund", "other"][: 1 + number % 2] for number in range(count)],
        "top_probabilities": [[score, 1 - score][: 1 + number % 2] for number, score in enumerate(scores)],
        "rank": range(1, count + 1),
        "score": scores,
        "probability": scores,
        "model_version": [model] * count,
        "model_package": [package_of(model)] * count,
        "feature_version": ["v1"] * count,
    }
    return pa.table([pa.array(told[field.name], field.type) for field in schema], schema=schema)


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
    return AuditVerdict(
        draft=draft, passed=not failed, failed=failed, overrulable=set(failed) == {"distribution"}, has_fallback=True
    )


def audit_and_publish(sink: Sink, record: Publication) -> Publication:
    """What stands published after a passed audit of the record's attempt."""
    sink.record_audit(verdict(record))
    return sink.publish(record)
