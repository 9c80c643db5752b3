"""The decision to hand a ticket to a person, with its reasons: made by code from what the steps found."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


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
        description="Drafts that pass every check are sent; else a person sends them. Measure first how often the "
        "right article is found (docs/support.md).",
    )


def reasons_to_hand_off(found: Mapping[str, Any], limits: HandOffConfig) -> list[str]:
    """Return every reason why a person answers; none: the draft can be sent.

    Args:
        found: fields of one ticket: intent, in_scope, confidence, urgency, sentiment, draft, draft_problem, history.
        limits: of the decision.
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
    return reasons
