"""From an event to a payment or a label that the stream can use, or the reason why it can't."""

import re
import reprlib
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Annotated, Literal, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    ValidationError,
)

from models import event_types
from models.contracts import EARLIEST_DAY
from models.contracts.identifiers import id_text
from models.errors import clause
from models.events import Event
from models.features.fraud_online import Payment
from models.features.windows import MICROS_PER_DAY
from models.timestamps import to_datetime, to_epoch_micros

PAYMENT, LABEL = event_types.PAYMENT, event_types.PAYMENT_LABELLED
_MINUTE = 60_000_000
_MIDNIGHT = time()

_SHOWN = reprlib.Repr()  # cuts what is long, wide or deep
_SHOWN.maxstring = _SHOWN.maxother = 80
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_INTEGER = re.compile(r"-?\d{1,19}", re.ASCII)


def _as_id(value: object) -> object:
    """Return the text of an id, as files have it; what cannot be one stays as it came, to be refused by its type."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return value
    if isinstance(value, str) and any(not letter.isspace() for letter in _CONTROL.findall(value)):
        return value
    text = id_text(value)
    if text is None:
        raise ValueError("id is missing")
    return text


def _as_number(value: object) -> object:
    text = _as_id(value)
    return int(text) if isinstance(text, str) and _INTEGER.fullmatch(text) else value


#: No control characters: not every database can keep a zero byte.
_Key = Annotated[
    StrictStr,
    Field(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$"),
    BeforeValidator(_as_id),
]
#: Two branches, since asking whether an integer is finite makes a float of it, which is too small for 400 digits.
_Amount = Annotated[StrictFloat, Field(ge=0, allow_inf_nan=False)] | Annotated[StrictInt, Field(ge=0)]
_Number = Annotated[StrictInt, Field(ge=0, lt=2**63), BeforeValidator(_as_number)]
T = TypeVar("T", bound=BaseModel)


class PaymentLimits(BaseModel):
    """Limits of a valid payment event; events beyond them go to the dead letters."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    #: Windows add up squares of cents in 64 bits.
    max_amount: float = Field(default=50_000, gt=0, le=10_000_000, description="Largest amount of one payment, EUR.")
    max_ahead_minutes: float = Field(
        default=5, ge=0, description="A payment may be this far in the future of this machine's clock (clock skew)."
    )
    max_late_days: float = Field(
        default=7, gt=0, description="A payment may be this far behind the newest one of the stream."
    )
    max_jump_days: float = Field(
        default=31, gt=0, description="A payment may be this far ahead of the newest one of the stream."
    )
    earliest_day: date = Field(
        default=EARLIEST_DAY,
        ge=EARLIEST_DAY,
        description="Payments before this day (UTC) are refused: their clock was never set.",
    )
    customers: Literal["any", "registered"] = Field(
        default="any",
        description="Payments of any customer are taken, or only of `registered` ones: those of the table `customers`.",
    )


class Unusable(Exception):
    """The event is no payment or label that can be used; the message is the reason, one sentence."""


@dataclass(frozen=True)
class Label:
    """A label of a payment. `labelled_at`: µs since 1970, UTC, when it became known."""

    transaction_id: int
    labelled_at: int
    is_fraud: bool


class _PaymentData(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    transaction_id: _Number
    customer_id: _Key
    terminal_id: _Key
    amount: _Amount


class _LabelData(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    transaction_id: _Number
    is_fraud: StrictBool


def payment_of(event: Event, limits: PaymentLimits) -> Payment:
    """Return the payment of an event of type `payment`.

    Raises:
        Unusable: a field is missing or wrong, or the amount is outside the limits.
    """
    data = _read(_PaymentData, event)
    if data.amount > limits.max_amount:
        raise Unusable(f"amount {_euros(data.amount)} is more than {limits.max_amount:g} EUR")
    return Payment(
        data.transaction_id, data.customer_id, data.terminal_id, to_epoch_micros(event.time), _cents(data.amount)
    )


def label_of(event: Event) -> Label:
    """Return the label of an event of type `payment.labelled`.

    Raises:
        Unusable: a field is missing or wrong.
    """
    data = _read(_LabelData, event)
    return Label(data.transaction_id, to_epoch_micros(event.time), data.is_fraud)


def check_clock(at: int, limits: PaymentLimits, *, now: datetime) -> None:
    """Refuse moments that the clock of a producer cannot have had.

    Args:
        at: moment of a payment or a label, µs since 1970, UTC.
        limits: the earliest day, and how far it may be in the future.
        now: the clock of this machine.

    Raises:
        Unusable: the moment is before the earliest day or in the future.
    """
    if at < to_epoch_micros(datetime.combine(limits.earliest_day, _MIDNIGHT, tzinfo=UTC)):
        raise Unusable(f"time {to_datetime(at).isoformat()} is before {limits.earliest_day}, the first day that can be")
    if at > to_epoch_micros(now) + limits.max_ahead_minutes * _MINUTE:
        time, now_is = to_datetime(at).isoformat(), now.isoformat(timespec="seconds")
        raise Unusable(f"time {time} is in the future: it is {now_is}")


def check_time(payment: Payment, limits: PaymentLimits, *, now: datetime, newest: int) -> None:
    """Check that the stream can process a payment with that timestamp.

    Args:
        payment: which it does not know yet.
        limits: how late and how early it may come.
        now: the clock of this machine.
        newest: moment of the newest payment of the stream, µs since 1970, UTC; 0 for the first.

    Raises:
        Unusable: the payment is outside the limits.
    """
    check_clock(payment.micros, limits, now=now)
    if not newest:
        return
    if payment.micros < newest - limits.max_late_days * MICROS_PER_DAY:
        late = f"{limits.max_late_days:g} days behind the stream"
        raise Unusable(f"time {payment.paid_at.isoformat()} is more than {late}")
    if payment.micros > newest + limits.max_jump_days * MICROS_PER_DAY:
        early = f"{limits.max_jump_days:g} days ahead of the stream"
        raise Unusable(f"time {payment.paid_at.isoformat()} is more than {early}")


def customer_of(event: Event) -> str:
    """Return the id of the customer that the event names, as payments have it; "" if it names none."""
    with suppress(ValueError):
        return str(_as_id(event.data.get("customer_id", "")))
    return ""


def _read(kind: type[T], event: Event) -> T:
    try:
        return kind.model_validate(event.data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"][:1])
        raise Unusable(f"{place} {_SHOWN.repr(first.get('input'))}: {clause(first['msg'])}") from None


def _euros(amount: float) -> str:
    """Return an amount of any number of digits, which may be more than a float can hold."""
    return f"{amount:g}" if amount < 1e300 else _SHOWN.repr(amount)


def _cents(amount: float) -> int:
    """Half a cent counts as one, as in SQL; Python's `round` would take the even neighbour."""
    exact = amount * 100
    whole = int(exact)
    return whole + (exact - whole >= 0.5)
