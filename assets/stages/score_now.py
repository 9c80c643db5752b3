"""The operation `score`: what the champion says now of the features that are served online."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import ConfigDict, Field

from assets.stages.app import App, FeatureService
from assets.stages.degraded_requests import notes_of, notify_degraded
from assets.stages.followed import Followed
from assets.stages.open_models import VersionsAsked
from assets.stages.operation import Answer, Asker, Body, Operation, QuickHandler
from assets.stages.promotion import Loadable, Verified, fetched, loadable_champion
from assets.stages.replacement.decisions import current_replacement
from assets.stages.rollout import Rollout, score_of
from models.errors import TesseraError
from models.scoring.output import shortest
from models.tracing import note
from models.training.model import Vector, is_local
from resources.feature_store.port import (
    FEW_ENTITIES,
    PRESENT,
    OnlineFeatureStore,
    ServedRows,
    moment_column,
    online_part,
    status_column,
)
from resources.notifier.message import message
from resources.outbox import OCCASION
from resources.rollout_log import RolloutLog

if TYPE_CHECKING:
    from models.service import ServiceSettings
    from models.settings import Settings
    from models.training.computed_features import ComputedFeatures
    from resources.stack.ports import Ports

# pyarrow makes the functions of `pyarrow.compute` when it is imported, and has no static types.
# pyright: basic, reportAttributeAccessIssue=false

_MOST = 1_000
_ROW = {
    "id": "u00001633",
    "score": 0.71,
    "features": "PRESENT",
    "features_of": "2026-03-02T00:00:00Z",
    "model_version": "3",
}
Found = Literal["PRESENT", "NOT_FOUND", "OUTSIDE_MAX_AGE"]


class ScoreNow(Body):
    """Entities to score."""

    ids: tuple[str, ...] = Field(min_length=1, max_length=_MOST, description="Ids of entities; rows keep their order.")


class ScoredNow(Body):
    """One entity."""

    id: str
    score: float | None = Field(description="NULL unless the features are PRESENT.")
    features: Found = Field(description="PRESENT; NOT_FOUND; OUTSIDE_MAX_AGE: too old to be used.")
    features_of: datetime | None = Field(description="Timestamp of the features; NULL where none were found.")
    model_version: str | None = Field(
        description="Version whose score it is, also where a rollout gave it; NULL without a score."
    )


class ScoresNow(Answer):
    """Scores of the entities that were asked for, in their order; `model_version` is the champion's, or as asked."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    rows: list[ScoredNow]
    notes: list[str] = Field(default=[], description="Why another version than the champion scored; empty otherwise.")


def score_now(app: Callable[[], App]) -> Operation:
    """Return the operation of an application whose model is no composition and whose features are served online."""

    def opened(ports: Ports, settings: Settings) -> QuickHandler:
        return _handler(app(), ports, settings)

    summary = "Score entities now, with the features that are served online"
    return Operation(
        "score",
        summary,
        ScoreNow,
        ScoresNow,
        {"ids": ["u00001633"]},
        opened,
        subject=("ids",),
        pins=True,
        answered={"model_version": "3", "rows": [_ROW]},
    )


def _handler(app: App, ports: Ports, settings: Settings) -> QuickHandler:
    registry, computed = ports.registry, computed_of(app, ports, settings)

    def newest() -> Loadable:
        found = loadable_champion(app.name, registry, computed)
        if found.problems:
            notify_degraded(ports.notifier, app.name, found.version, found.problems)
        return found

    def version_of(version: str) -> Verified:
        return fetched(registry, app.name, version, computed)

    model = Followed(
        lambda: registry.champion(app.name),
        newest,
        look_seconds=settings.service.champion_seconds,
        stands_in=lambda found: bool(found.problems),
    )
    versions = VersionsAsked(registry, app.name, version_of, settings.service)
    store, rollout = online_part(ports.feature_store), _rollout(app, ports, settings.service, version_of)

    with suppress(TesseraError):  # requests say what is missing
        model.current()
        store.check()
    rollout.look()

    def answer(asked: ScoreNow, asker: Asker) -> ScoresNow:
        if asker.version is not None:
            return _scored(versions.at(asker.version), store, app, asked.ids)
        return _scored(model.current(), store, app, asked.ids, rollout)

    def is_quick(asked: ScoreNow, asker: Asker) -> bool:
        is_open = asker.version is None and model.is_fresh() and rollout.answers_alone()
        is_alone = is_open and is_local(model.current().model.model)
        return is_alone and len(asked.ids) <= FEW_ENTITIES and store.answers_at_once(service)

    def follow() -> None:
        with suppress(TesseraError):  # requests say what is missing
            model.look()
        rollout.follow()

    service = _service_of(app).name
    return QuickHandler(answer, is_quick, follow)


def computed_of(app: App, ports: Ports, settings: Settings) -> ComputedFeatures | None:
    """Return the features of this release, which nights compare with those of a model."""
    return None if app.scoring is None else app.scoring(settings, ports).computed


def _rollout(app: App, ports: Ports, settings: ServiceSettings, opened: Callable[[str], Verified]) -> Rollout:
    registry, name = ports.registry, app.name

    def notify(subject: str, why: str, occasion: str) -> None:
        says = message(
            f"{subject}: {why}.",
            published="The champion answers every request.",
            command=f"tessera rollout {name}   (how both models agreed)",
            section="A rollout ended",
        )
        ports.notifier.notify("error", subject, says, {"app": name, OCCASION: occasion})

    return Rollout(
        name,
        RolloutLog(ports.stack.home),
        opened,
        settings.canary,
        notify,
        entity=_service_of(app).entity,
        replacement=lambda: current_replacement(ports.lake, registry, name),
        look_seconds=settings.champion_seconds,
    )


def _scored(
    chosen: Loadable | Verified,
    store: OnlineFeatureStore,
    app: App,
    ids: tuple[str, ...],
    rollout: Rollout | None = None,
) -> ScoresNow:
    """Score with a version that was asked for, or with the champion and what is rolled out beside it."""
    began = time.perf_counter()
    found = _read(store, _service_of(app), ids)
    read = time.perf_counter()
    scores, versions = _answers(chosen, found, rollout)
    # Not as spans: two more of them cost as much as a score.
    note(rows=len(ids), read_ms=_ms(read - began), score_ms=_ms(time.perf_counter() - read))
    answers = iter(zip(_published(scores, app), versions, strict=True))
    rows: list[ScoredNow] = []
    for id, how, of in zip(ids, found.states, found.moments, strict=True):
        score, version = next(answers) if how == PRESENT else (None, None)
        rows.append(ScoredNow(id=id, score=score, features=how, features_of=of, model_version=version))
    problems = () if isinstance(chosen, Verified) else chosen.problems
    return ScoresNow(model_version=chosen.version, rows=rows, notes=notes_of(chosen.version, problems))


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)


@dataclass(frozen=True)
class _Features:
    """Served features of some entities.

    Attributes:
        states: how those of each entity were found.
        moments: of when they are.
        known: the rows that are PRESENT.
        rows: their number.
    """

    states: Sequence[Found]
    moments: Sequence[datetime | None]
    known: pa.Table | ServedRows
    rows: int


def _read(store: OnlineFeatureStore, service: FeatureService, ids: Sequence[str]) -> _Features:
    status, moment = status_column(service.view), moment_column(service.view)
    if len(ids) <= FEW_ENTITIES:
        few = store.online_rows(service.name, [{service.entity: id} for id in ids])
        present = [row for row in few.rows if row[status] == PRESENT]
        states, moments = [row[status] for row in few.rows], [row[moment] for row in few.rows]
        return _Features(states, moments, ServedRows(few.schema, present), len(present))
    found = store.online(service.name, pa.table({service.entity: pa.array(ids, pa.string())}))
    states = found[status].to_pylist()
    known = found if all(how == PRESENT for how in states) else found.filter(pc.equal(found[status], PRESENT))
    return _Features(states, found[moment].to_pylist(), known, known.num_rows)


def _answers(chosen: Loadable | Verified, found: _Features, rollout: Rollout | None) -> tuple[Vector, Sequence[str]]:
    if not found.rows:
        return np.empty(0), []
    if rollout is None:
        return score_of(chosen.model, found.known), [chosen.version] * found.rows
    served = rollout.scored(chosen, found.known)
    return served.scores, served.versions


def _published(scores: Vector, app: App) -> list[float]:
    """Return scores in the precision that the night publishes."""
    kind = app.contract.column(app.contract.score).type
    if kind == "float32":
        return [shortest(score) for score in scores]
    if kind == "float64":
        return scores.tolist()
    return pa.array(scores, app.contract.schema.field(app.contract.score).type).to_pylist()


def _service_of(app: App) -> FeatureService:
    if app.service is None:
        raise AssertionError(f"{app.name} has no features by entity: it cannot offer `score_now`")
    return app.service
