"""Events of shown lists and of what came of them, and the rows of the contracts that they stand for."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from models.contracts.experiments import EXPOSURES, OUTCOMES
from models.errors import clause
from models.event_types import EXPOSURE_SHOWN
from models.events import Event
from models.experiments.config import NO_EXPERIMENT
from models.experiments.slots import ShownList

_STRICT = ConfigDict(frozen=True, extra="forbid")
#: Subject of events about a visitor who is not known.
UNKNOWN = "unknown"


class _Shown(BaseModel):
    """Data of an event `exposure.shown`: one list, its slots in order. Values are for the contract to check."""

    model_config = _STRICT

    list_id: str = Field(min_length=1, max_length=200)
    experiment: str = NO_EXPERIMENT
    variant: str = NO_EXPERIMENT
    customer_id: str | None = None
    session_id: str | None = None
    products: tuple[str, ...] = Field(min_length=1, max_length=1000)
    propensities: tuple[float, ...]
    shown_at: AwareDatetime

    @model_validator(mode="after")
    def _has_a_chance_for_each_slot(self) -> Self:
        if len(self.propensities) != len(self.products):
            raise ValueError(f"{len(self.products)} products have {len(self.propensities)} propensities")
        return self


class _Outcome(BaseModel):
    """Data of an event `outcome.happened`. Values are for the contract to check."""

    model_config = _STRICT

    outcome_id: str = Field(min_length=1, max_length=200)
    kind: str
    exposure_id: str | None = None
    customer_id: str | None = None
    session_id: str | None = None
    product_id: str
    value: float | None = None
    happened_at: AwareDatetime


def exposure_event(
    shown: ShownList,
    *,
    list_id: str,
    experiment: str,
    variant: str,
    customer_id: str | None,
    session_id: str | None,
    at: datetime,
    source: str,
) -> Event:
    """Return the event of a list that is about to be shown; its id is that of the list.

    Args:
        shown: products and propensities by slot.
        list_id: names the list.
        experiment: it is part of, or `none`.
        variant: that made it, or `none`.
        customer_id: who sees it; None if unknown.
        session_id: in which it is shown; None if there is none.
        at: when, UTC.
        source: the service that shows it.
    """
    data = _Shown(
        list_id=list_id,
        experiment=experiment,
        variant=variant,
        customer_id=customer_id,
        session_id=session_id,
        products=shown.products,
        propensities=shown.propensities,
        shown_at=at,
    )
    subject = customer_id or session_id or UNKNOWN
    return Event(
        id=list_id, source=source, type=EXPOSURE_SHOWN, time=at, subject=subject, data=data.model_dump(mode="json")
    )


def exposure_id(list_id: str, slot: int) -> str:
    """Return the id of the exposure in a slot of a list, 1 being the first slot."""
    return f"{list_id}-{slot}"


def rows_of_event(event: Event) -> tuple[str, list[dict[str, Any]]]:
    """Return the contracted table that an event belongs to, and its rows.

    Raises:
        ValueError: the event's data are not as its type asks; the message is one clause.
    """
    try:
        if event.type == EXPOSURE_SHOWN:
            return EXPOSURES.table, _slots(_Shown.model_validate(event.data))
        return OUTCOMES.table, [_in_utc(_Outcome.model_validate(event.data).model_dump(), "happened_at")]
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{f'`{place}`: ' if place else ''}{clause(first['msg'])}") from None


def _slots(shown: _Shown) -> list[dict[str, Any]]:
    same = _in_utc(shown.model_dump(exclude={"products", "propensities"}), "shown_at")
    pairs = zip(shown.products, shown.propensities, strict=True)
    return [
        {
            **same,
            "exposure_id": exposure_id(shown.list_id, slot),
            "product_id": product,
            "slot": slot,
            "propensity": chance,
        }
        for slot, (product, chance) in enumerate(pairs, start=1)
    ]


def _in_utc(row: dict[str, Any], name: str) -> dict[str, Any]:
    at: datetime = row[name]
    return {**row, name: at.astimezone(UTC)}
