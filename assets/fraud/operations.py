"""Requests that fraud answers: a score on the stream's state, alerts, and their labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from assets.stages.operation import Answer, Asker, Body, NotThere, Operation, WrongRequest
from models.fraud.alerts import Verdict
from models.tracing import span

if TYPE_CHECKING:
    from models.events import Event
    from models.settings import Settings
    from resources.stack.ports import Ports

_LONGEST_ID, _MOST_DAYS = 200, 366


class PaymentNow(Body):
    """A payment, as its event would have it."""

    transaction_id: int = Field(ge=0, lt=2**63)
    customer_id: str = Field(min_length=1, max_length=64)
    terminal_id: str = Field(min_length=1, max_length=64)
    amount: float = Field(ge=0, allow_inf_nan=False, description="EUR.")
    event_timestamp: datetime | None = Field(default=None, description="When it was paid; default: now.")


class PaymentScore(Answer):
    """The score that the stream would give the payment; nothing was changed."""

    transaction_id: int
    score: float = Field(ge=0, le=1, description="Probability of fraud.")
    threshold: float = Field(description="Score from which a payment raises an alert.")
    would_alert: bool
    reasons: dict[str, float] = Field(description="Feature: contribution to the log-odds, largest first.")


class AlertsAsked(Body):
    """Days of alerts."""

    first: date = Field(description="First UTC day of the payments.")
    last: date | None = Field(default=None, description="Last day, included; default: the first.")
    only_open: bool = Field(default=False, description="Only alerts with a payment that has no label yet.")


class OneAlert(BaseModel):
    """A card and day that an analyst should look at."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    alert_id: str
    day: date
    customer_id: str
    payments: list[int]
    raised_for: datetime
    score: float
    highest_score: float
    reasons: list[str]
    model_version: str
    label: Verdict | None
    unlabelled: int = Field(description="Payments without a label.")


class AlertsFound(Body):
    """Alerts of some days: by day, then the highest score first."""

    alerts: list[OneAlert]


class LabelGiven(Body):
    """The label of an alert."""

    alert_id: str = Field(min_length=1, max_length=_LONGEST_ID)
    label: Verdict


class LabelKept(Answer):
    """The label is kept; `model_version` is that of the model that raised the alert."""

    label: Verdict
    is_new: bool = Field(description="It had no label, or another one.")
    payments: int = Field(description="Payments of the alert.")
    published: int = Field(description="Events that the stream did not have yet.")


def _scoring(ports: Ports, settings: Settings) -> Callable[[PaymentNow, Asker], PaymentScore]:
    from assets.fraud.app import FRAUD
    from assets.fraud.dry_run import DryRun, scored
    from assets.fraud.model import FraudModel
    from assets.fraud.stream.champion import FraudChampion
    from assets.fraud.stream.context import CustomerFilter
    from assets.fraud.stream.lake_context import LakeContext
    from assets.fraud.stream.state import FraudState
    from assets.stages.open_models import VersionsAsked
    from assets.stages.promotion import fetched

    limits = settings.fraud.payments
    customers = CustomerFilter(LakeContext(ports.lake, ports.engine), limits)
    dry_run = DryRun(FraudState(ports.state_store), limits, customers)
    champion = FraudChampion(ports.registry, refresh_seconds=settings.service.champion_seconds)

    def opened(version: str) -> FraudModel:
        fetched(ports.registry, FRAUD.name, version)
        return FraudModel(ports.registry, version)

    versions = VersionsAsked(ports.registry, FRAUD.name, opened, settings.service)

    def answer(asked: PaymentNow, asker: Asker) -> PaymentScore:
        champion.follow()
        model = champion if asker.version is None else versions.at(asker.version)
        with span("read features"):
            payment, features = dry_run.features(_event(asked))
        with span("score", {"tessera.model_version": model.version}):
            score, would_alert = scored(model, features)
        return PaymentScore(
            transaction_id=payment.transaction_id,
            score=score,
            threshold=model.threshold,
            would_alert=would_alert,
            reasons=model.reasons(features),
            model_version=model.version,
        )

    return answer


def _event(asked: PaymentNow) -> Event:
    from models.event_types import PAYMENT
    from models.events import Event

    at = asked.event_timestamp or datetime.now(UTC)
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    data = asked.model_dump(exclude={"event_timestamp"})
    return Event(
        id=str(asked.transaction_id), source="/dry-run", type=PAYMENT, time=at, subject=asked.customer_id, data=data
    )


def _listing(ports: Ports, _: Settings) -> Callable[[AlertsAsked, Asker], AlertsFound]:
    from assets.fraud.alerts import alert_table, listed_alerts

    store = ports.alert_store

    def answer(asked: AlertsAsked, _: Asker) -> AlertsFound:
        last = asked.last or asked.first
        if not 0 <= (last - asked.first).days < _MOST_DAYS:
            raise WrongRequest(
                f"The days {asked.first} to {last} cannot be asked for.",
                expected=f"1 to {_MOST_DAYS} days, the first one first",
                todo="Correct `first` and `last`.",
            )
        found = [one for one in listed_alerts(store, asked.first, last) if one.unlabelled or not asked.only_open]
        return AlertsFound(alerts=[OneAlert.model_validate(row) for row in alert_table(found).to_pylist()])

    return answer


def _labelling(ports: Ports, _: Settings) -> Callable[[LabelGiven, Asker], LabelKept]:
    from assets.fraud.labelling import label_alert

    store, queue = ports.alert_store, ports.events

    def answer(given: LabelGiven, asker: Asker) -> LabelKept:
        if not store.alerts([given.alert_id]):
            raise NotThere(
                "There is no such alert.", expected="the `alert_id` of an alert", todo="Look at GET /v1/fraud/alerts."
            )
        done = label_alert(store, queue, given.alert_id, given.label, asker.name)
        return LabelKept(
            label=given.label,
            is_new=done.is_new,
            payments=len(done.alert.evidence),
            published=done.published,
            model_version=done.alert.model_version,
        )

    return answer


_PAYMENT = {"transaction_id": 1, "customer_id": "u00009887", "terminal_id": "t00042", "amount": 20.5}
OPERATIONS: Sequence[Operation] = (
    Operation(
        "score",
        "Score a payment on the stream's state; a dry run: nothing is changed",
        PaymentNow,
        PaymentScore,
        _PAYMENT,
        _scoring,
        subject=("customer_id",),
        pins=True,
    ),
    Operation(
        "alerts",
        "Alerts of some days, with their reasons",
        AlertsAsked,
        AlertsFound,
        {"first": "2026-03-01"},
        _listing,
        method="GET",
    ),
    Operation(
        "label",
        "Label an alert; its payments count as labelled from now on",
        LabelGiven,
        LabelKept,
        {"alert_id": "fraud-20260301-u00009887", "label": "fraud"},
        _labelling,
        role="operator",
        has_effect=True,
    ),
)
