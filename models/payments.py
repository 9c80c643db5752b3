"""From an event to a payment or a label that the stream can use, or the reason why it can't."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr, ValidationError

from models.events import Event
from models.features.fraud_online import Payment

PAYMENT = "payment"
LABEL = "payment.labelled"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

T = TypeVar("T", bound=BaseModel)


class PaymentLimits(BaseModel):
    """What a payment event may say; beyond it, it goes to the dead letters."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_amount: float = Field(default=50_000, gt=0, description="Largest amount of one payment, EUR.")
    max_ahead_minutes: float = Field(
        default=5, ge=0, description="How far a payment may lie in the future of this machine's clock (clock skew)."
    )
    max_late_days: float = Field(
        default=7, gt=0, description="How far a payment may lie behind the newest one of the stream."
    )
    max_jump_days: float = Field(
        default=31, gt=0, description="How far a payment may lie ahead of the newest one of the stream."
    )


class Unusable(Exception):
    """The event is no payment or label that can be used; the message is the reason, one sentence."""


@dataclass(frozen=True)
class Label:
    """What is said about a payment. `labelled_at`: µs since 1970, UTC, when it became known."""

    transaction_id: int
    labelled_at: int
    is_fraud: bool


class _PaymentData(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    transaction_id: StrictInt = Field(ge=0, lt=2**63)
    customer_id: StrictStr = Field(min_length=1, max_length=64)
    terminal_id: StrictStr = Field(min_length=1, max_length=64)
    amount: StrictFloat | StrictInt = Field(ge=0, allow_inf_nan=False)


class _LabelData(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    transaction_id: StrictInt = Field(ge=0, lt=2**63)
    is_fraud: StrictBool


def payment_of(event: Event, limits: PaymentLimits, *, now: datetime, newest: datetime | None) -> Payment:
    """The payment of an event.

    Args:
        event: of type `payment`.
        limits: what it may say.
        now: the clock of this machine.
        newest: moment of the newest payment of the stream, None for the first.

    Raises:
        Unusable: a field is missing or wrong, or the payment lies outside the limits.
    """
    data = _read(_PaymentData, event)
    if data.amount > limits.max_amount:
        raise Unusable(f"amount {data.amount:g} is more than {limits.max_amount:g} EUR")
    cents = round(data.amount * 100)
    _check_time(event.time, limits, now, newest)
    return Payment(data.transaction_id, data.customer_id, data.terminal_id, _micros(event.time), cents)


def label_of(event: Event) -> Label:
    """The label of an event of type `payment.labelled`.

    Raises:
        Unusable: a field is missing or wrong.
    """
    data = _read(_LabelData, event)
    return Label(data.transaction_id, _micros(event.time), data.is_fraud)


def _check_time(time: datetime, limits: PaymentLimits, now: datetime, newest: datetime | None) -> None:
    if time > now + timedelta(minutes=limits.max_ahead_minutes):
        raise Unusable(f"time {time.isoformat()} lies in the future: it is {now.isoformat(timespec='seconds')}")
    if newest is None:
        return
    if time < newest - timedelta(days=limits.max_late_days):
        raise Unusable(f"time {time.isoformat()} lies more than {limits.max_late_days:g} days behind the stream")
    if time > newest + timedelta(days=limits.max_jump_days):
        raise Unusable(f"time {time.isoformat()} lies more than {limits.max_jump_days:g} days ahead of the stream")


def _read(kind: type[T], event: Event) -> T:
    try:
        return kind.model_validate(event.data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"][:1])
        raise Unusable(f"{place} {first.get('input')!r:.80}: {first['msg'].lower()}") from None


def _micros(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND
