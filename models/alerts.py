"""Alerts of an entity and day, and what people say of them, in the words of no application.

An application declares what its alerts are about (`models.stream_state.StreamState.alerts_about`), which ids are their
evidence, and which labels people may give.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime


@dataclass(frozen=True)
class Alert:
    """An entity that somebody should look at.

    Attributes:
        alert_id: application, day and entity (`alert_id`), so that raising it again is the same alert.
        app: the application that raised it, e.g. `fraud`.
        day: of its evidence, UTC.
        entity_id: whom or what it is about.
        evidence: ids of what scored high enough, the one that raised it first.
        raised_for: moment of that one, UTC.
        score: of that one, 0..1.
        highest_score: over all of these.
        model_version: that raised it.
        reasons: feature -> contribution to the score of that one (exact SHAP), largest first.
        label: one of the application's labels once somebody gave it, else None.
    """

    alert_id: str
    app: str
    day: date
    entity_id: str
    evidence: tuple[str, ...]
    raised_for: datetime
    score: float
    highest_score: float
    model_version: str
    reasons: Mapping[str, float]
    label: str | None = None

    @property
    def why(self) -> list[str]:
        """Its reasons in words, the largest first, e.g. `amount +2.50`."""
        return [f"{name} {value:+.2f}" for name, value in self.reasons.items()]

    def joined_by(self, evidence_id: str, score: float) -> Alert:
        """Return the alert after more of its entity and day scored high enough; the same may be scored again."""
        evidence = tuple(dict.fromkeys((*self.evidence, evidence_id)))
        return replace(self, evidence=evidence, highest_score=max(self.highest_score, score))


@dataclass(frozen=True)
class Feedback:
    """A label of one piece of evidence of an alert.

    Attributes:
        evidence_id: what is labelled.
        entity_id: of the alert.
        alert_id: the alert that was reviewed.
        label: one of the application's.
        labelled_at: when it was given, UTC.
        who: gave it.
    """

    evidence_id: str
    entity_id: str
    alert_id: str
    label: str
    labelled_at: datetime
    who: str


def alert_id(app: str, day: date, entity_id: str) -> str:
    """Return the name of an application's alert of an entity and day, e.g. `fraud-20180725-596`."""
    return f"{app}-{day:%Y%m%d}-{entity_id}"


def is_alert_of(name: str, entity_id: str) -> bool:
    """Return True if `name` is the name of an alert of the entity, of any application and day."""
    return re.fullmatch(rf"[a-z0-9_]+-\d{{8}}-{re.escape(entity_id)}", name) is not None
