"""The decision to hand a ticket to a person, with its reasons: made by code from what the steps found."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from models.evaluation.shares import wilson_interval


class HandOffConfig(BaseModel):
    """Limits beyond which a person answers a ticket."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_confidence: float = Field(
        default=0.6, ge=0, le=1, description="Probability that the intent is right, at least; else a person answers."
    )
    max_urgency: float = Field(
        default=0.5, ge=0, le=1, description="Tickets that are urgent with a higher probability go to a person."
    )
    min_sentiment: float = Field(
        default=-0.7, ge=-1, le=1, description="Tickets of a lower sentiment (-1 to 1) go to a person."
    )
    max_customer_score: float = Field(
        default=0.9,
        ge=0,
        le=1,
        description="Customers with a higher published score (`settings.support.customer_score_of`) go to a person.",
    )
    intents: tuple[str, ...] = Field(default=(), description="Intents that a person answers whatever they say.")
    sends_drafts: bool = Field(
        default=False,
        description="Drafts that pass every check are sent by a version that reaches `min_cited_precision`; else a "
        "person sends them.",
    )
    min_cited_precision: float = Field(
        default=0.9,
        gt=0,
        le=1,
        description="Share of drafts that cite the article that agents named, and no other, on the newest labelled "
        "tickets: the lower end of its 95 % interval must reach it before a version sends drafts.",
    )


class CitedPrecision(BaseModel):
    """Drafts of labelled tickets that would have been sent, and those of them that cite the right article alone.

    Attributes:
        model: name of the language model that wrote them.
        drafts: that would have been sent, of tickets whose article agents named.
        right: of these, those that cite this article and no other.
        problem: why it could not be measured; "": it was.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = ""
    drafts: int = Field(default=0, ge=0)
    right: int = Field(default=0, ge=0)
    problem: str = "no draft was measured"

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's interval of the share of right drafts, 95 %."""
        return wilson_interval(self.right, self.drafts)

    def __str__(self) -> str:
        if self.problem:
            return self.problem
        low, high = self.interval
        share = f"{self.right / self.drafts:.3f} [{low:.3f}, {high:.3f}]" if self.drafts else "unknown"
        return f"{share} of {self.drafts:,} drafts cite the article that agents named, and no other"

    def refusal(self, model: str, limits: HandOffConfig) -> str:
        """Return the reason why drafts of this language model are not sent; "": they are."""
        if self.problem:
            return self.problem
        if self.interval[0] < limits.min_cited_precision:
            return f"{self}; the lower end must be {limits.min_cited_precision:g}"
        if model != self.model:
            return f"it was measured with {self.model!r}, and {model!r} wrote the draft"
        return ""


NOT_MEASURED = CitedPrecision()


def reasons_to_hand_off(
    found: Mapping[str, Any], limits: HandOffConfig, measured: CitedPrecision | None = None
) -> list[str]:
    """Return every reason why a person answers; none: the draft can be sent.

    Args:
        found: fields of one ticket: intent, in_scope, confidence, urgency, sentiment, draft, draft_by, draft_problem,
            history.
        limits: of the decision.
        measured: of the version's drafts; None: all of them may be sent, as they are while they are measured.
    """
    reasons: list[str] = []
    if not found["in_scope"]:
        reasons.append("it belongs to no known intent")
    elif found["confidence"] < limits.min_confidence:
        reasons.append(f"the intent {found['intent']} is right with {found['confidence']:.0%} only")
    if found["intent"] in limits.intents:
        reasons.append(f"a person answers {found['intent']}")
    urgency = found["urgency"]
    if urgency is not None and urgency > limits.max_urgency:
        reasons.append(f"it is urgent with {urgency:.0%}")
    if found["sentiment"] < limits.min_sentiment:
        reasons.append(f"the customer is unhappy (sentiment {found['sentiment']:.2f})")
    score = found["history"].get("customer_score")
    if score is not None and score > limits.max_customer_score:
        reasons.append(f"the customer's score of {found['history']['customer_score_of']} is {score:.2f}")
    if not found["draft"]:
        reasons.append(f"there is no answer: {found['draft_problem']}")
    elif not limits.sends_drafts:
        reasons.append("a person sends drafts (settings.support.steps.hand_off.sends_drafts)")
    elif measured is not None and (refusal := measured.refusal(found["draft_by"], limits)):
        reasons.append(f"a person sends drafts of this version: {refusal}")
    return reasons
