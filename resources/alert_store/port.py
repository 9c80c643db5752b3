"""The alert store port: alerts and what analysts say of them, as people and BI read them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import date, datetime

from models.fraud.alerts import Alert, Feedback, Verdict
from resources.health import Health


class AlertStore(ABC):
    """Alerts by id and day, and the feedback of analysts; an alert and its feedback change in one transaction."""

    @property
    @abstractmethod
    def place(self) -> str:
        """Database or file of the alerts, without secrets: two stores of one place hold the same alerts."""

    @abstractmethod
    def alerts(self, ids: Sequence[str]) -> Mapping[str, Alert]:
        """Return those of the alerts that were raised."""

    @abstractmethod
    def find(self, first: date, last: date) -> Sequence[Alert]:
        """Return the alerts of these days: by day, then the highest score first, then by id."""

    @abstractmethod
    def alert_days(self) -> Sequence[date]:
        """Return the days that have alerts, ascending."""

    @abstractmethod
    def answer(self, alert_id: str, label: Verdict, *, who: str, at: datetime) -> Alert:
        """Return alert with what an analyst said of it; it and one `Feedback` per payment change in one transaction.

        What was said of a payment before stays: the same label again adds feedback only for payments that have joined
        the alert since.

        Raises:
            TesseraError: there is no such alert, or its label was corrected before and would be what it was at first.
        """

    @abstractmethod
    def feedback(self, first: date, last: date) -> Sequence[Feedback]:
        """Return the feedback given on these days, UTC; ascending by timestamp and payment."""

    @abstractmethod
    def add_alerts(self, alerts: Sequence[Alert]) -> int:
        """Return number of alerts added; those that stand already are left as they are.

        A worker that joins payments to alerts beside this has to load them again.
        """

    @abstractmethod
    def check(self) -> Health:
        """Report if the store can be written and read right now."""
