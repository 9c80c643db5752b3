"""The operation `score`: what the champion says now of the features that are served online."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Literal

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import ConfigDict, Field

from assets.stages.app import App, FeatureService
from assets.stages.followed import Followed
from assets.stages.open_models import VersionsAsked
from assets.stages.operation import Answer, Asker, Body, Operation
from models.tracing import span
from resources.feature_store.port import PRESENT, OnlineFeatureStore, moment_column, online_part, status_column

if TYPE_CHECKING:
    from assets.stages.promotion import Loadable, Verified
    from models.settings import Settings
    from resources.stack.ports import Ports

# pyarrow makes the functions of `pyarrow.compute` when it is imported, and has no static types.
# pyright: basic, reportAttributeAccessIssue=false

_MOST = 1_000
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


class ScoresNow(Answer):
    """Scores of the entities that were asked for, in their order."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    rows: list[ScoredNow]


def score_now(app: Callable[[], App]) -> Operation:
    """Return the operation of an application whose model is no composition and whose features are served online."""

    def opened(ports: Ports, settings: Settings) -> Callable[[ScoreNow, Asker], ScoresNow]:
        return _handler(app(), ports, settings)

    summary = "Score entities now, with the features that are served online"
    return Operation("score", summary, ScoreNow, ScoresNow, {"ids": ["u00001633"]}, opened, subject=("ids",), pins=True)


def _handler(app: App, ports: Ports, settings: Settings) -> Callable[[ScoreNow, Asker], ScoresNow]:
    from assets.stages.promotion import fetched, loadable_champion

    registry = ports.registry
    model = Followed(
        lambda: registry.champion(app.name),
        lambda: loadable_champion(app.name, registry),
        look_seconds=settings.service.champion_seconds,
    )
    versions = VersionsAsked(registry, app.name, lambda version: fetched(registry, app.name, version), settings.service)
    store = online_part(ports.feature_store)

    def answer(asked: ScoreNow, asker: Asker) -> ScoresNow:
        chosen = model.current() if asker.version is None else versions.at(asker.version)
        return _scored(chosen, store, app, asked.ids)

    return answer


def _scored(chosen: Loadable | Verified, store: OnlineFeatureStore, app: App, ids: tuple[str, ...]) -> ScoresNow:
    service, contract = _service_of(app), app.contract
    with span("read features", {"tessera.rows": len(ids)}):
        found = store.online(service.name, pa.table({service.entity: pa.array(ids, pa.string())}))
    state = found[status_column(service.view)]
    states = state.to_pylist()
    known = found if all(how == PRESENT for how in states) else found.filter(pc.equal(state, PRESENT))
    kind = contract.schema.field(contract.score).type  # the night publishes this precision
    with span("score", {"tessera.rows": known.num_rows, "tessera.model_version": chosen.version}):
        scores = iter(pa.array(chosen.model.score(known), kind).to_pylist() if known.num_rows else [])
    moments = found[moment_column(service.view)].to_pylist()
    rows = [
        ScoredNow(id=id, score=next(scores) if how == PRESENT else None, features=how, features_of=of)
        for id, how, of in zip(ids, states, moments, strict=True)
    ]
    return ScoresNow(model_version=chosen.version, rows=rows)


def _service_of(app: App) -> FeatureService:
    if app.service is None:
        raise AssertionError(f"{app.name} has no features by entity: it cannot offer `score_now`")
    return app.service
