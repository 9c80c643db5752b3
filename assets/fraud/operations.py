"""Requests that fraud answers: a score on the stream's state, alerts, and their labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from assets.stages.alerts import check_days, listed_alerts
from assets.stages.operation import Answer, Asker, Body, Conflict, NotThere, Operation, WrongRequest
from models.errors import clause
from models.fraud.alerts import Verdict
from models.tracing import span

if TYPE_CHECKING:
    from assets.fraud.stream.champion import FraudChampion
    from models.events import Event
    from models.settings import Settings
    from resources.stack.ports import Ports

_LONGEST_ID, _SHOWN = 200, 5


class PaymentNow(Body):
    """A payment, as its event would have it."""

    transaction_id: int = Field(ge=0, lt=2**63)
    customer_id: str = Field(min_length=1, max_length=64)
    terminal_id: str = Field(min_length=1, max_length=64)
    amount: float = Field(ge=0, allow_inf_nan=False, description="EUR.")
    event_timestamp: datetime | None = Field(default=None, description="When it was paid; default: now.")


class PaymentMade(Body):
    """A payment that was made; `transaction_id` names its event."""

    transaction_id: int = Field(ge=0, lt=2**63)
    customer_id: str = Field(min_length=1, max_length=64)
    terminal_id: str = Field(min_length=1, max_length=64)
    amount: float = Field(ge=0, allow_inf_nan=False, description="EUR.")
    event_timestamp: AwareDatetime = Field(description="When it was paid, with its offset from UTC.")


class PaymentsMade(Body):
    """Payments for the stream, in the order in which they were made."""

    payments: tuple[PaymentMade, ...] = Field(min_length=1, max_length=500)


class EventsKept(Body):
    """The stream scores what it did not have yet."""

    published: int = Field(description="Events that the queue did not have yet.")
    known: int = Field(description="Events that it had: they have no second effect.")


class PaymentScore(Answer):
    """The score that the stream would give the payment; nothing was changed."""

    transaction_id: int
    score: float = Field(ge=0, le=1, description="Probability of fraud.")
    threshold: float = Field(description="Score from which a payment raises an alert.")
    would_alert: bool
    reasons: dict[str, float] = Field(description="Feature: contribution to the log-odds, largest first.")
    notes: list[str] = Field(default=[], description="Why another version than the champion scored; empty otherwise.")


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
    from assets.fraud.model import FraudModel, computed_features
    from assets.fraud.notifications import notify_refused
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
    computed = computed_features()
    if champion.refused:
        notify_refused(ports.notifier, champion)

    def opened(version: str) -> FraudModel:
        fetched(ports.registry, FRAUD.name, version, computed)
        return FraudModel(ports.registry, version)

    versions = VersionsAsked(ports.registry, FRAUD.name, opened, settings.service)

    def answer(asked: PaymentNow, asker: Asker) -> PaymentScore:
        if champion.follow() and champion.refused:
            notify_refused(ports.notifier, champion)
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
            notes=_notes(champion) if asker.version is None else [],
            model_version=model.version,
        )

    return answer


def _notes(champion: FraudChampion) -> list[str]:
    """Return the note that the champion does not score; its reason names files: the notice has it."""
    return [f"the champion cannot be used: version {champion.version}, one before it, scores"] * bool(champion.refused)


def _event(asked: PaymentNow | PaymentMade, source: str = "/dry-run") -> Event:
    from models.event_types import PAYMENT
    from models.events import Event

    at = asked.event_timestamp or datetime.now(UTC)
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    data = asked.model_dump(exclude={"event_timestamp"})
    try:
        return Event(
            id=str(asked.transaction_id), source=source, type=PAYMENT, time=at, subject=asked.customer_id, data=data
        )
    except ValidationError as error:
        raise WrongRequest(
            f"Payment {asked.transaction_id} is no event: {clause(error.errors()[0]['msg'])}.",
            expected="ids without control characters, and a time of the years 1 to 9999, UTC",
            todo="Correct it.",
        ) from None


def _publishing(ports: Ports, settings: Settings) -> Callable[[PaymentsMade, Asker], EventsKept]:
    from models.fraud.event_parsing import Unusable, payment_of

    queue, limits = ports.events, settings.fraud.payments

    def answer(made: PaymentsMade, _: Asker) -> EventsKept:
        events = [_event(one, "/payments") for one in made.payments]
        for event in events:
            try:
                payment_of(event, limits)
            except Unusable as reason:
                raise WrongRequest(
                    f"Payment {event.id} is none that the stream takes: {reason}.",
                    expected="payments within `settings.fraud.payments`",
                    todo="Correct it; nothing was published.",
                ) from None
        stored = queue.publish(events)
        if stored.conflicts:
            names = ", ".join(events[place].id for place in stored.conflicts[:_SHOWN])
            raise Conflict(
                f"{len(stored.conflicts)} of {len(events)} payments have the transaction_id of another one: {names}.",
                expected="the same payment as before, or a transaction_id of its own",
                todo="Correct these; the others were published, and have no second effect when they are sent again.",
            )
        return EventsKept(published=int(stored), known=len(events) - int(stored))

    return answer


def _listing(ports: Ports, _: Settings) -> Callable[[AlertsAsked, Asker], AlertsFound]:
    from assets.fraud.alerts import alert_table
    from assets.fraud.app import FRAUD

    store = ports.alert_store

    def answer(asked: AlertsAsked, _: Asker) -> AlertsFound:
        last = check_days(asked.first, asked.last)
        listed = listed_alerts(store, FRAUD.name, asked.first, last)
        found = [one for one in listed if one.unlabelled or not asked.only_open]
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
_SCORED = {
    "transaction_id": 1,
    "score": 0.0123,
    "threshold": 0.41,
    "would_alert": False,
    "reasons": {"amount": -0.52, "customer_count_1d": 0.11},
    "model_version": "3",
}
_ALERT = {
    "alert_id": "fraud-20260301-u00009887",
    "day": "2026-03-01",
    "customer_id": "u00009887",
    "payments": [4711],
    "raised_for": "2026-03-01T12:00:00Z",
    "score": 0.93,
    "highest_score": 0.97,
    "reasons": ["amount +2.50"],
    "model_version": "3",
    "label": "fraud",
    "unlabelled": 0,
}
_LABELLED = {"label": "fraud", "is_new": True, "payments": 1, "published": 1, "model_version": "3"}
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
        answered=_SCORED,
    ),
    Operation(
        "events",
        "Publish payments to the stream, which scores them",
        PaymentsMade,
        EventsKept,
        {"payments": [{**_PAYMENT, "event_timestamp": "2026-03-01T12:00:00Z"}]},
        _publishing,
        role="operator",
        has_effect=True,
        answered={"published": 1, "known": 0},
    ),
    Operation(
        "alerts",
        "Alerts of some days, with their reasons",
        AlertsAsked,
        AlertsFound,
        {"first": "2026-03-01"},
        _listing,
        method="GET",
        answered={"alerts": [_ALERT]},
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
        answered=_LABELLED,
    ),
)
