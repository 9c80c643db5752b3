"""`/v1/alerts`: alerts of all applications that raise any, in the words of no application, and their labels."""

from collections.abc import Collection, Mapping
from datetime import date, datetime
from functools import reduce
from operator import or_
from typing import Annotated, Any

from fastapi import Body as OfBody
from fastapi import FastAPI, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from assets.stages.alerts import LONGEST_DAYS, ListedAlert, check_days, listed_alerts
from assets.stages.operation import Body, NotThere, WrongRequest
from models.errors import choose_from, clause
from pipelines.service.door import Door
from pipelines.service.errors import answers
from pipelines.service.operations import IDEMPOTENCY, Opened
from pipelines.service.rules import ANY, check, rule

_ALERT = "fraud-20260301-u00009887"
_ROW: dict[str, Any] = {
    "alert_id": _ALERT,
    "app": "fraud",
    "day": "2026-03-01",
    "entity_id": "u00009887",
    "evidence": ["4711"],
    "raised_for": "2026-03-01T12:00:00Z",
    "score": 0.93,
    "highest_score": 0.97,
    "reasons": {"amount": 2.5},
    "model_version": "3",
    "label": "fraud",
    "unlabelled": 0,
}
_LABEL = OfBody(openapi_examples={"example": {"value": {"alert_id": _ALERT, "label": "fraud"}}})


class DaysAsked(Body):
    """Days of alerts."""

    first: date = Field(description="First UTC day of what raised the alerts.")
    last: date | None = Field(
        default=None, description=f"Last day, included; at most {LONGEST_DAYS} days; default: the first."
    )
    app: str | None = Field(default=None, max_length=64, description="Of one application; default: of all.")
    only_open: bool = Field(default=False, description="Only alerts with evidence that has no label yet.")


class RaisedAlert(BaseModel):
    """An entity that a person should look at."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    alert_id: str
    app: str
    day: date
    entity_id: str
    evidence: list[str]
    raised_for: datetime
    score: float
    highest_score: float
    reasons: dict[str, float] = Field(description="Feature: contribution to the score, largest first.")
    model_version: str
    label: str | None
    unlabelled: int = Field(description="Pieces of evidence without a label.")


class AlertsRaised(BaseModel):
    """Alerts: by application, then by day, then the highest score first."""

    model_config = ConfigDict(extra="forbid")

    alerts: list[RaisedAlert]


class LabelSaid(Body):
    """The label of an alert: one of those of its application."""

    alert_id: str = Field(min_length=1, max_length=200)
    label: str = Field(min_length=1, max_length=64)


def add_alerts(service: FastAPI, door: Door, operations: Mapping[tuple[str, str], Opened]) -> None:
    """Add the routes; a label is given by the operation `label` of the alert's application."""
    apps = [app.name for app in door.apps if app.raises_alerts]
    if not apps:
        return
    thread = door.thread("alerts")

    async def alerts(request: Request, asked: Annotated[DaysAsked, Query()]) -> AlertsRaised:
        last = check_days(asked.first, asked.last)
        holder = request.scope["tessera.holder"]
        if asked.app is not None:
            _check_app(asked.app, apps)
            check(holder, "viewer", asked.app)
        chosen = [app for app in apps if asked.app in (None, app) and holder.may("viewer", app)]

        def found() -> list[RaisedAlert]:
            store = thread.ports.alert_store
            listed = [one for app in chosen for one in listed_alerts(store, app, asked.first, last)]
            return [_row(one) for one in listed if one.unlabelled or not asked.only_open]

        return AlertsRaised(alerts=await thread.run(found))

    async def label(request: Request, given: Annotated[LabelSaid, _LABEL]) -> Response:
        alert = (await thread.run(lambda: thread.ports.alert_store.alerts([given.alert_id]))).get(given.alert_id)
        if alert is None or alert.app not in apps:
            raise NotThere(
                "There is no such alert.", expected="the `alert_id` of an alert", todo="Look at GET /v1/alerts."
            )
        check(request.scope["tessera.holder"], "operator", alert.app)
        opened = operations[alert.app, "label"]
        try:
            body = opened.operation.takes.model_validate(given.model_dump())
        except ValidationError as error:
            first = error.errors()[0]
            raise WrongRequest(
                f"The label {given.label!r} is none of {alert.app}: {clause(first['msg'])}.",
                expected=clause(first["msg"]),
                todo="Correct `label`.",
            ) from None
        return await opened.answer(request, body, None)

    about: dict[str, Any] = {"tags": ["alerts"]}
    summary = "Alerts of some days, of all applications that raise any"
    access = rule("viewer", ANY)
    found = answers({"alerts": [_ROW]})
    service.add_api_route(
        "/v1/alerts", alerts, operation_id="alerts", summary=summary, openapi_extra=access, responses=found, **about
    )
    labels = [operations[app, "label"].operation for app in apps]
    service.add_api_route(
        "/v1/alerts/label",
        label,
        methods=["POST"],
        operation_id="alerts_label",
        summary="Label an alert of any application",
        response_model=reduce(or_, (one.gives for one in labels)),
        responses=answers(labels[0].answered),
        openapi_extra={**rule("operator", ANY), **IDEMPOTENCY},
        **about,
    )


def _row(one: ListedAlert) -> RaisedAlert:
    alert = one.alert
    same = {name: getattr(alert, name) for name in RaisedAlert.model_fields if hasattr(alert, name)}
    return RaisedAlert.model_validate({**same, "evidence": list(alert.evidence), "unlabelled": one.unlabelled})


def _check_app(name: str, apps: Collection[str]) -> None:
    if name not in apps:
        raise WrongRequest(
            f"There is no application {name!r} that raises alerts.",
            expected=choose_from(name, apps),
            todo="Correct `app`, or leave it out.",
        )
