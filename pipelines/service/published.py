"""`GET /v1/<app>/scores/{entity}`: the published rows of one entity, for each application that publishes any."""

import inspect
import json
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any

from fastapi import FastAPI, Path, Query, Request, Response

from assets.stages.app import App
from assets.stages.keyed_scores import KeyedScores
from models.publishing import Publication
from models.scoring.output import VERSION_FIELDS
from models.tracing import link_to
from pipelines.gateway.problem import Refusal
from pipelines.service.door import Door
from pipelines.service.errors import answers
from pipelines.service.row_models import answer_model, column_type, example_answer
from pipelines.service.rules import rule

_LONGEST_ID = 200
_VERSIONS = [field.name for field in VERSION_FIELDS]


def add_published(service: FastAPI, door: Door) -> None:
    """Add the route of each application that publishes scores."""
    for app in door.apps:
        if app.publishes:
            service.add_api_route(
                f"/v1/{app.name}/scores/{{entity}}",
                _endpoint(door, app),
                methods=["GET"],
                response_model=answer_model(app.name, app.contract),
                responses=answers(example_answer(app.contract)),
                operation_id=f"{app.name}_published_scores",
                summary=f"Published scores of {app.name} on one {app.contract.entity}",
                tags=[app.name],
                openapi_extra=rule("viewer", app.name),
            )


def _endpoint(door: Door, app: App) -> Any:
    async def published(request: Request, entity: Any, day: date | None = None) -> Response:
        sets = door.published[app.name]
        is_fresh, found = sets.held(day)
        if not is_fresh:
            found = await door.reading.run(lambda: sets.look(day))
        door.log_read(request, app.name, [str(entity)])
        if found is None:
            raise _nothing(app.name, day)
        link_to(found.publication.traceparent)
        rows = found.of_entity(entity)
        if not rows:
            raise _unknown(app, found.publication)
        return Response(_AS_JSON(_answer(entity, rows, found)), media_type="application/json")

    parameter, keyword = inspect.Parameter, inspect.Parameter.KEYWORD_ONLY
    key = column_type(app.contract.column(app.contract.entity))
    limits: dict[str, Any] = {"max_length": _LONGEST_ID} if key is str else {}
    about = Path(description=f"{app.contract.entity}, as in the published rows.", **limits)
    asked = Query(description="UTC day that was scored; default: the newest that is published.")
    published.__signature__ = inspect.Signature(  # pyright: ignore[reportFunctionMemberAccess]
        [
            parameter("request", keyword, annotation=Request),
            parameter("entity", keyword, annotation=Annotated[key, about]),
            parameter("day", keyword, annotation=Annotated[date | None, asked], default=None),
        ]
    )
    return published


def _answer(entity: Any, rows: list[dict[str, Any]], found: KeyedScores) -> dict[str, Any]:
    first, publication = rows[0], found.publication
    return {
        "entity": entity,
        "rows": [{name: value for name, value in row.items() if name not in _VERSIONS} for row in rows],
        "freshness": {**found.freshness, "age_hours": age_hours(publication)},
        "model_version": first["model_version"],
        "feature_version": first["feature_version"],
    }


def _text(value: date | datetime) -> str:
    """Return a day or a time as JSON has it."""
    return value.isoformat()


_AS_JSON = json.JSONEncoder(default=_text).encode


def age_hours(publication: Publication) -> float:
    """Return the hours since the end of the day that was scored."""
    end = datetime.combine(publication.day + timedelta(days=1), time(), UTC)
    return round((datetime.now(UTC) - end).total_seconds() / 3600, 3)


def _nothing(app: str, day: date | None) -> Refusal:
    of = f" for {day}" if day else ""
    return Refusal(
        404,
        f"No scores of {app} are published{of}.",
        expected="a day whose nightly job has published",
        todo=f"Run `tessera run {app}_nightly`, or ask without `day` for the newest.",
    )


def _unknown(app: App, publication: Publication) -> Refusal:
    return Refusal(
        404,
        f"No published score of {app.name} for {publication.day} is about the {app.contract.entity} asked for.",
        expected=f"one of the {publication.rows:,} that were scored",
        todo="Correct the id (upper and lower case count), or ask for another day.",
    )
