"""Small sets of score rows and their publications, for tests of sinks and of the audit."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa

from models.publishing import AuditVerdict, Publication
from models.scoring.digest import RowsDigest
from models.scoring.output import (
    OutputColumn,
    OutputContract,
    binary_output,
    multiclass_output,
    ranking_output,
    regression_output,
)
from resources.sink.port import Sink

# pyarrow has no static types.
# pyright: basic

BINARY = binary_output("customer_id", decisions=("leave", "contact"))
#: Several keys, of other types than texts; ordered by time.
PAYMENTS = OutputContract(
    keys=(
        OutputColumn("transaction_id", "int64"),
        OutputColumn("customer_id", "string"),
        OutputColumn("event_timestamp", "timestamp"),
    ),
    payload=(OutputColumn("score", "float64", at_least=0, at_most=1),),
    entity="transaction_id",
    score="score",
    order=("event_timestamp", "transaction_id"),
)
#: An output contract for each kind of model.
OUTPUTS: dict[str, OutputContract] = {
    "binary": BINARY,
    "payments": PAYMENTS,
    "regression": regression_output("customer_id", unit="units", at_least=0),
    "multiclass": multiclass_output("customer_id", ["refund", "delivery", "other"]),
    "ranking": ranking_output("customer_id", "product_id"),
}

SCORES_SCHEMA = BINARY.schema
APP = "churn"
DAY = date(2026, 1, 31)


def package_of(model: str) -> str:
    """Return a sha256 in place of that of a model version's package."""
    return hashlib.sha256(model.encode()).hexdigest()


def score_rows(scores: Sequence[float], *, contacts: int = 0, model: str = "3", feature: str = "churn_v1") -> pa.Table:
    """Return entities `c000000`, `c000001`... with these scores; the `contacts` highest have one reason each."""
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


def some_rows(seed: int, count: int = 40, contract: OutputContract = BINARY) -> pa.Table:
    """Return a set that differs for each seed; its model version is the seed."""
    scores = np.random.default_rng(seed).random(count)
    if contract is BINARY:
        return score_rows(scores.tolist(), contacts=5, model=str(seed))
    return contract_rows(contract, scores.astype(np.float32), model=str(seed))


def contract_rows(contract: OutputContract, scores: np.ndarray, model: str = "3") -> pa.Table:
    """Return rows of customers `c000000`, `c000001`... that keep an output contract."""
    schema, count = contract.schema, len(scores)
    customers = [f"c{number:06d}" for number in range(count)]
    values = {
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
    return pa.table([pa.array(values[field.name], field.type) for field in schema], schema=schema)


def reader(rows: pa.Table, batch_rows: int = 7) -> pa.RecordBatchReader:
    """Return the rows in small batches."""
    return pa.RecordBatchReader.from_batches(rows.schema, rows.to_batches(max_chunksize=batch_rows))


def digest(rows: pa.Table) -> str:
    """Return the digest of these rows."""
    result = RowsDigest()
    for batch in rows.to_batches():
        result.add(batch)
    return result.hexdigest()


def publication(attempt: str, rows: pa.Table, *, day: date = DAY, run_id: str = "run") -> Publication:
    """Return the record that publishes the rows."""
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
    """Return an audit that passed, unless `failed` names checks."""
    return AuditVerdict(
        draft=draft, passed=not failed, failed=failed, overrulable=set(failed) == {"distribution"}, has_fallback=True
    )


def audit_and_publish(sink: Sink, record: Publication) -> Publication:
    """Publish the record's attempt after a passed audit; return the publication that stands."""
    sink.record_audit(verdict(record))
    return sink.publish(record)
