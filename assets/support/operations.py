"""The request that support answers: one ticket, by the same composition as at night."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from assets.stages.followed import Followed
from assets.stages.operation import Answer, Asker, Body, Operation

if TYPE_CHECKING:
    from assets.support.answering import Answered
    from models.settings import Settings
    from resources.stack.ports import Ports

_LONGEST_ID, _LONGEST_TEXT = 64, 20_000


class TicketNow(Body):
    """A customer's message."""

    text: str = Field(min_length=1, max_length=_LONGEST_TEXT, pattern=r"\S")
    customer_id: str | None = Field(default=None, max_length=_LONGEST_ID, description="Default: a guest.")
    order_id: str | None = Field(default=None, max_length=_LONGEST_ID, description="Order that it is about.")
    at: datetime | None = Field(default=None, description="When it was asked; default: now.")


class Article(BaseModel):
    """An article that was found."""

    model_config = ConfigDict(extra="forbid")

    id: str
    title: str
    language: str


class TicketAnswer(Answer):
    """Answer of the composition: from cited articles, or a hand-off with its reasons."""

    language: str
    intent: str
    intent_by: str = Field(description="Step that found the intent.")
    confidence: float = Field(ge=0, le=1)
    urgency: float | None
    sentiment: float
    answer: str | None = Field(description="NULL where a person answers.")
    cited: list[str]
    handed_off: bool
    reasons: list[str] = Field(description="Why a person answers.")
    notes: list[str]
    articles: list[Article]
    draft: str = Field(description="For the person, where the answer was not sent.")
    spent_eur: float
    ms: float


def _answering(ports: Ports, settings: Settings) -> Callable[[TicketNow, Asker], TicketAnswer]:
    from assets.support.answering import answer_with, served
    from assets.support.app import SUPPORT

    live = Followed(
        lambda: ports.registry.champion(SUPPORT.name),
        lambda: served(ports),
        look_seconds=settings.service.champion_seconds,
    )

    def answer(asked: TicketNow, _: Asker) -> TicketAnswer:
        loaded, version = live.current()
        at = asked.at or datetime.now(UTC)
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        return _told(answer_with(loaded, version, ports, settings, asked.text, asked.customer_id, asked.order_id, at))

    return answer


def _told(found: Answered) -> TicketAnswer:
    row: Mapping[str, Any] = found.row
    same = {name: row[name] for name in TicketAnswer.model_fields if name in row}
    articles = [Article(id=one["id"], title=one["title"], language=one["language"]) for one in found.articles]
    return TicketAnswer(
        **same,
        articles=articles,
        draft=found.context["draft"] or "",
        spent_eur=found.spent_eur,
        ms=round(found.ms, 3),
        model_version=found.version,
    )


OPERATIONS: Sequence[Operation] = (
    Operation(
        "answer",
        "Answer a customer's message, or hand it off with the reasons",
        TicketNow,
        TicketAnswer,
        {"text": "My router keeps dropping the connection every evening"},
        _answering,
        subject=("customer_id",),
        answered={
            "language": "en",
            "intent": "technical_problem",
            "intent_by": "linear",
            "confidence": 0.93,
            "urgency": 0.2,
            "sentiment": -0.3,
            "answer": "Restart the router. [a0007]",
            "cited": ["a0007"],
            "handed_off": False,
            "reasons": [],
            "notes": [],
            "articles": [{"id": "a0007", "title": "Connection drops", "language": "en"}],
            "draft": "",
            "spent_eur": 0.0,
            "ms": 41.5,
            "model_version": "1",
        },
    ),
)
