"""The alert store port: alerts and what people say of them, as people and BI read them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import date, datetime

from models.alerts import Alert, Feedback
from resources.health import Health


class AlertStore(ABC):
    """Alerts by id and day, and the feedback of people; an alert and its feedback change in one transaction."""

    @property
    @abstractmethod
    def place(self) -> str:
        """Database or file of the alerts, without secrets: two stores of one place hold the same alerts."""

    @abstractmethod
    def alerts(self, ids: Sequence[str]) -> Mapping[str, Alert]:
        """Return those of the alerts that were raised."""

    @abstractmethod
    def find(self, app: str, first: date, last: date) -> Sequence[Alert]:
        """Return the application's alerts of these days: by day, then the highest score first, then by id."""

    @abstractmethod
    def apps(self) -> Sequence[str]:
        """Return the applications that have alerts here, ascending."""

    @abstractmethod
    def alert_days(self, app: str) -> Sequence[date]:
        """Return the days on which the application has alerts, ascending."""

    @abstractmethod
    def answer(self, alert_id: str, label: str, *, who: str, at: datetime) -> Alert:
        """Return alert with what somebody said of it; one `Feedback` per piece of evidence is stored with it.

        What was said of evidence before stays: the same label again adds feedback only for what has joined the alert
        since. Which labels there are is the application's to check.

        Raises:
            TesseraError: there is no such alert, or its label was corrected before and would be one that was replaced.
        """

    @abstractmethod
    def feedback(self, app: str, first: date, last: date) -> Sequence[Feedback]:
        """Return the feedback on the application's alerts of these days, UTC, by timestamp, evidence and label."""

    @abstractmethod
    def add_alerts(self, alerts: Sequence[Alert]) -> int:
        """Return number of alerts added; those that stand already are left as they are.

        A worker that joins evidence to alerts beside this has to load them again.
        """

    @abstractmethod
    def check(self) -> Health:
        """Report if the store can be written and read right now."""


class ErasableAlertStore(AlertStore):
    """An alert store that can remove the alerts of one entity, for good."""

    @abstractmethod
    def erase_alerts(self, app: str, entity_id: str) -> int:
        """Return the number of records removed: the application's alerts of the entity, and the feedback on them.

        Nothing of them is left in files.
        """
