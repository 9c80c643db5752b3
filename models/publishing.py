"""What is known about a published set of scores, and how an attempt gets its name."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Literal

import pyarrow as pa
from pydantic import BaseModel, ConfigDict

#: Degradation, best first: today's features, older features, the last good scores.
Degradation = Literal["fresh", "stale_features", "last_good_scores"]

#: One row per scored entity, in ascending order of `entity_id`.
SCORES_SCHEMA = pa.schema(
    [
        pa.field("entity_id", pa.string(), nullable=False),
        pa.field("score", pa.float32(), nullable=False),
        pa.field("decision", pa.string(), nullable=False),
        pa.field("reasons", pa.list_(pa.string())),
        pa.field("model_version", pa.string(), nullable=False),
        pa.field("feature_version", pa.string(), nullable=False),
    ]
)


class Publication(BaseModel):
    """The record beside a published set of scores: which rows, made by which run from which inputs.

    A record with `action` `forget` says that a set became another one: the attempt `was` lost the rows of somebody who
    was forgotten, and is called `attempt` since. `rows` and `digest` are those of what is left; `counts` and `metrics`
    stay what the run found.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    app: str
    day: date
    attempt: str
    action: Literal["publish", "unpublish", "forget"] = "publish"
    was: str = ""
    degradation: Degradation
    model_version: str
    feature_version: str
    features_of: date
    rows: int
    digest: str
    inputs: dict[str, int]
    counts: dict[str, int]
    metrics: dict[str, float]
    run_id: str
    published_at: datetime
    why: str = ""
    who: str = ""


def last_set(records: Iterable[Publication]) -> tuple[Publication | None, bool]:
    """The set that was published last for a day, by all its records, oldest first; and whether it stands published."""
    last, stands = None, False
    for record in records:
        if record.action == "publish":
            last, stands = record, True
        elif record.action == "unpublish":
            stands = False
        elif last is not None and last.attempt == record.was:
            last = record
    return last, stands


def attempt_of(digest: str) -> str:
    """The name of the attempt that holds the rows with this digest (`models.scoring.digest`)."""
    return digest[:16]


def attempt_id(parts: Mapping[str, str]) -> str:
    """16 hex digits that name an attempt by what its rows depend on: model, features, decision settings."""
    return hashlib.sha256(json.dumps(dict(parts), sort_keys=True).encode()).hexdigest()[:16]
