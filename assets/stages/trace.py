"""Trace one score back to the model, features, inputs and run that made it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from assets.stages.app import App
from assets.stages.packaging import RUN_ID, TRACE_ID
from assets.stages.publication import last_or_waiting
from models.errors import TesseraError
from models.publishing import Publication
from models.scoring.output import ARROW_TYPES, VERSION_FIELDS, OutputContract
from resources.lake.port import Lake
from resources.registry.port import Registry
from resources.sink.port import Sink

# pyright: basic, reportAttributeAccessIssue=false
# pyarrow makes the functions of `pyarrow.compute` when it is imported.


def trace(app: App, sink: Sink, lake: Lake, registry: Registry, id: str, day: date) -> Any:
    """Return the origin of the score of entity `id` on `day`, as values that fit into JSON.

    The published set is traced; where none is published, the set that was published last, else the newest audited
    attempt, and `published` is false.

    Raises:
        TesseraError: nothing was scored on the day, or the entity is not in the set.
    """
    output, (record, stands) = app.contract, _set_of(app, sink, day)
    rows = _rows_of(sink.read_attempt(app.name, day, record.attempt), output.entity, _typed(id, output))
    if not rows:
        raise TesseraError(
            f"{output.entity} {id!r} is not among the {record.rows:,} scores of {app.name} for {day}.",
            expected=f"a {output.entity} that was in scope on {record.features_of}",
            todo=f"Correct it; `tessera scores {app.name} --date {day} --out scores.csv` writes all of them.",
        )
    hidden = {field.name for field in VERSION_FIELDS}
    return {
        "app": app.name,
        "day": day,
        "entity": {output.entity: id},
        "scores": [{name: value for name, value in row.items() if name not in hidden} for row in rows],
        "publication": _publication(sink, record, stands=stands),
        "model": _model(registry, record),
        "features": _features(app, output, lake, record, id),
        "inputs": dict(record.inputs),
        "run": record.run_id,
    }


def _set_of(app: App, sink: Sink, day: date) -> tuple[Publication, bool]:
    found, stands = last_or_waiting(sink, app.name, day)
    if found is None:
        raise TesseraError(
            f"Nothing was scored for {app.name} on {day}.",
            expected=sink.choose_published(app.name, day),
            todo=f"Run `tessera run {app.name}_nightly --date {day}`.",
        )
    return found, stands


def _typed(id: str, output: OutputContract) -> Any:
    """The id as the entity's column holds it.

    Raises:
        TesseraError: it cannot be one.
    """
    kind = ARROW_TYPES[output.column(output.entity).type]
    try:
        return pa.scalar(id).cast(kind)
    except pa.ArrowInvalid:
        raise TesseraError(
            f"{id!r} is no {output.entity}.", expected=f"a value of type {kind}", todo="Correct the id."
        ) from None


def _rows_of(batches: pa.RecordBatchReader, column: str, id: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for batch in batches:
        found += _plain_rows(batch.filter(pc.equal(batch.column(column), id)))
    return found


def _plain_rows(rows: pa.RecordBatch | pa.Table) -> list[dict[str, Any]]:
    """Return rows whose numbers of single precision have no more digits than that: 0.7, not 0.699999988079071."""
    found = rows.to_pylist()
    for name in (field.name for field in rows.schema if field.type == pa.float32()):
        for row in found:
            row[name] = None if row[name] is None else float(str(np.float32(row[name])))
    return found


def _publication(sink: Sink, record: Publication, *, stands: bool) -> dict[str, Any]:
    """Return when and by whom the set was published, and the set that stood before it."""
    history = sink.history(record.app, record.day)
    verdict = sink.audited(record.app, record.day, record.attempt)
    before = _before(history, record)
    return {
        "published": stands,
        "at": record.published_at if history else None,
        "by": (record.who or f"run {record.run_id}") if history else None,
        "why": record.why,
        "degradation": record.degradation,
        "steps": list(record.steps),
        "audit": "not found" if verdict is None else "passed" if verdict.passed else verdict.failures(),
        "overruled": dict(record.refused),
        "attempt": record.attempt,
        "digest": record.digest,
        "replaced": before and {"attempt": before.attempt, "model_version": before.model_version, "run": before.run_id},
    }


def _before(history: Sequence[Publication], record: Publication) -> Publication | None:
    """The set that was published last before this one."""
    earlier: Publication | None = None
    for one in history:
        if one == record:
            return earlier
        if one.action == "publish" and one.attempt != record.attempt:
            earlier = one
    return None


def _model(registry: Registry, record: Publication) -> dict[str, Any]:
    """The version, and what registry and ledger say of it."""
    known = {info.version: info for info in registry.versions(record.app)}
    tags = known[record.model_version].tags if record.model_version in known else {}
    promoted = [one for one in registry.ledger(record.app) if one.to_version == record.model_version]
    return {
        "version": record.model_version,
        "package": record.model_package,
        "trained_as_of": tags.get("as_of"),
        "trained_by_run": tags.get(RUN_ID),
        "trained_in_trace": tags.get(TRACE_ID),
        "kind": tags.get("kind"),
        "gate": tags.get("gate") or (promoted[-1].gate if promoted else None) or "not evaluated",
        "champion_since": promoted[-1].at if promoted else None,
        "promoted_by": promoted[-1].who if promoted else None,
        "children": _children(registry, record) if record.model_version in known else [],
    }


def _children(registry: Registry, record: Publication) -> list[dict[str, Any]]:
    """Return kind, digest, training set and metrics of the models that the version is made of, from its package."""
    from models.training.children import children_of

    try:
        found = children_of(registry.fetch(record.app, record.model_version))
    except TesseraError as error:  # the rest of the trace is known all the same
        return [{"unknown": error.what}]
    return [child.model_dump() for child in found]


def _features(app: App, output: OutputContract, lake: Lake, record: Publication, id: str) -> dict[str, Any]:
    """The feature rows of the entity as the lake holds them now; `unchanged` if the table's version is the recorded."""
    known = record.inputs.get(app.features)
    rows: list[dict[str, Any]] = []
    if lake.exists(app.features):
        day = record.features_of
        scope = lake.scan(app.features, first=day, last=day)
        rows = _plain_rows(scope.to_table(filter=pc.field(output.entity) == _typed(id, output)))
    return {
        "table": app.features,
        "feature_version": record.feature_version,
        "day": record.features_of,
        "table_version": known,
        "unchanged": lake.exists(app.features) and lake.version(app.features) == known,
        "values": rows,
    }
