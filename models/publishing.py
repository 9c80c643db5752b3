"""What is known about a published set of scores, and how an attempt gets its name."""

import hashlib
import json
from collections.abc import Mapping
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
    """The record beside a published set of scores: which rows, made by which run from which inputs."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    app: str
    day: date
    attempt: str
    action: Literal["publish", "unpublish"] = "publish"
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


def attempt_id(parts: Mapping[str, str]) -> str:
    """16 hex digits that name an attempt by what its rows depend on: model, features, decision settings."""
    return hashlib.sha256(json.dumps(dict(parts), sort_keys=True).encode()).hexdigest()[:16]
