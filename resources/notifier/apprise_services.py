"""Notices to mail, Slack, Teams, PagerDuty and the other services of Apprise, each named by an address."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import dagster as dg
from pydantic import ConfigDict, Field
from typing_extensions import override

from models.errors import TesseraError
from resources.conformance.capabilities import Gap
from resources.health import Health
from resources.notifier.port import Level, Notifier

if TYPE_CHECKING:
    from apprise import Apprise

_TRIES = 2
_PAUSE_SECONDS = 0.5
#: Our level -> Apprise's type of a notice.
_TYPES: Mapping[Level, str] = {"info": "info", "warning": "warning", "error": "failure"}


class AppriseNotifier(Notifier):
    """Sends each notice to every service; one that does not take it gets a second try."""

    def __init__(self, urls: Sequence[str]) -> None:
        self._urls = urls

    @override
    def notify(self, level: Level, subject: str, body: str, context: Mapping[str, str]) -> None:
        text = "\n\n".join(filter(None, [body, "\n".join(f"{name}: {value}" for name, value in context.items())]))
        services = self._services
        failed = self._refusing(services, level, subject, text)
        if failed:
            time.sleep(_PAUSE_SECONDS)
            failed = self._refusing(failed, level, subject, text)
        if failed:
            raise TesseraError(
                f"The notice {subject!r} was not delivered to {_named(failed)}.",
                expected="services that take it",
                todo="Look at the services, or correct `notifier.urls` in stack.yaml.",
            )

    @override
    def check(self) -> Health:
        try:
            return Health(True, f"notices are sent to {_named(self._services)} (not tried)")
        except TesseraError as error:
            return Health(False, error.what, error.todo)

    @cached_property
    def _services(self) -> Sequence[Any]:
        """Apprise's object of each address.

        Raises:
            TesseraError: Apprise is not installed, or an address is none of its.
        """
        apprise = _empty_apprise()
        for number, url in enumerate(self._urls, start=1):
            if not apprise.add(url):
                raise TesseraError(
                    f"Address {number} of `notifier.urls` ({url.partition('://')[0][:20]}://...) is none of Apprise.",
                    expected="an address as https://github.com/caronc/apprise/wiki shows it for each service",
                    todo="Correct it in stack.yaml, or the environment variable that it names.",
                )
        return list(apprise)

    def _refusing(self, services: Sequence[Any], level: Level, subject: str, text: str) -> Sequence[Any]:
        # Services refuse an empty body.
        about = {"body": text or subject, "title": subject, "notify_type": _TYPES[level]}
        return [service for service in services if not service.notify(**about)]


def _empty_apprise() -> Apprise:
    try:
        import apprise
    except ImportError as error:
        raise TesseraError(
            "The notifier of kind 'apprise' needs the package apprise, which is not installed.",
            expected="the extra `apprise`",
            todo="Run `.venv/bin/pip install --require-hashes -r requirements/apprise.lock`.",
        ) from error
    # An address holds secrets: Apprise's own log must not.
    return apprise.Apprise(asset=apprise.AppriseAsset(app_id="Tessera", async_mode=False, secure_logging=True))


def _named(services: Sequence[Any]) -> str:
    """Name services by kind and host: the rest of an address is often the secret."""
    return ", ".join(
        f"{service.service_name} at {getattr(service, 'host', '') or 'its server'}" for service in services
    )


class AppriseNotifierConfig(dg.Config):
    """Notices by mail, Slack, Teams, PagerDuty and other services of Apprise (the extra `apprise`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    gaps: ClassVar[Mapping[str, Gap]] = {"erasable": Gap("what was delivered to a service is out of reach")}

    kind: Literal["apprise"] = "apprise"
    urls: list[str] = Field(
        min_length=1,
        description="Addresses of the services, e.g. mailtos://user:password@host?to=team@host, slack://..., "
        "pagerduty://.... Secrets: write {env: NAME}.",
    )

    def open(self) -> AppriseNotifier:
        """Return the notifier; Apprise is imported with the first notice."""
        return AppriseNotifier(list(self.urls))
