"""The request that personalization answers: a list, by the same composition as at night."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

from assets.stages.followed import Followed
from assets.stages.operation import Answer, Asker, Body, Operation

if TYPE_CHECKING:
    from models.settings import Settings
    from resources.stack.ports import Ports

_LONGEST_ID, _MOST_EVENTS = 64, 1_000
_SOURCE = "/v1/personalization/recommendations"


class VisitEvent(Body):
    """One event of this visit."""

    product_id: str = Field(min_length=1, max_length=_LONGEST_ID)
    kind: Literal["view", "cart"] = "view"


class ListAsked(Body):
    """A list for one visitor."""

    customer_id: str = Field(default="", max_length=_LONGEST_ID, description="Empty: someone who is not logged in.")
    events: tuple[VisitEvent, ...] = Field(default=(), max_length=_MOST_EVENTS, description="The oldest first.")
    list_id: str | None = Field(
        default=None,
        min_length=1,
        max_length=_LONGEST_ID,
        description="Names the list, which is shown: its exposure is logged, once, before it is answered.",
    )
    session_id: str | None = Field(default=None, max_length=_LONGEST_ID, description="Of the visit, for the log.")


class ListedProduct(BaseModel):
    """One place of a list."""

    model_config = ConfigDict(extra="forbid")

    product_id: str
    score: float
    source: str = Field(description="Generator that found it.")
    reason: str


class ListMade(Answer):
    """Products, best first."""

    products: list[ListedProduct]
    list_by: str = Field(description="`personal`, or `popular` where a step failed or was late.")
    as_of: date = Field(description="Day at whose end the shop was known.")
    notes: list[str]


def _recommending(ports: Ports, settings: Settings) -> Callable[[ListAsked, Asker], ListMade]:
    from assets.personalization.app import PERSONALIZATION
    from assets.personalization.request import Recommended, open_lists

    name, sink = PERSONALIZATION.name, ports.sink
    lists = Followed(
        lambda: (ports.registry.champion(name), sink.published_days(name)[-1:]),
        lambda: open_lists(ports, settings),
        look_seconds=settings.service.champion_seconds,
        stands_in=lambda found: bool(found.notes),
    )

    def answer(asked: ListAsked, _: Asker) -> ListMade:
        found = lists.current().of(asked.customer_id, [event.model_dump() for event in asked.events])
        if asked.list_id is not None:
            shown = found.exposure(asked.list_id, datetime.now(UTC), source=_SOURCE, session_id=asked.session_id)
            ports.events.publish([shown])
        return _made(found)

    def _made(found: Recommended) -> ListMade:
        row = found.row
        columns = zip(row["product_ids"], row["scores"], row["sources"], row["reasons"], strict=True)
        return ListMade(
            products=[
                ListedProduct(product_id=id, score=score, source=by, reason=why) for id, score, by, why in columns
            ],
            list_by=row["list_by"],
            as_of=found.as_of,
            notes=list(found.notes),
            model_version=found.version,
        )

    return answer


OPERATIONS: Sequence[Operation] = (
    Operation(
        "recommendations",
        "Recommend products to a customer or a guest, after the events of this visit",
        ListAsked,
        ListMade,
        {"customer_id": "u00001633", "events": [{"product_id": "p00012", "kind": "cart"}]},
        _recommending,
        subject=("customer_id",),
        answered={
            "products": [{"product_id": "p00012", "score": 0.41, "source": "own", "reason": "bought before"}],
            "list_by": "personal",
            "as_of": "2026-03-01",
            "notes": [],
            "model_version": "2",
        },
    ),
)
