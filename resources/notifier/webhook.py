"""Notices posted as JSON to a URL: chat rooms, pagers, ticket systems."""

import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal
from urllib.parse import urlsplit

import dagster as dg
from pydantic import ConfigDict, Field
from typing_extensions import override

from models.errors import TesseraError
from resources.conformance.capabilities import Gap
from resources.health import Health
from resources.notifier.notice import notice_json
from resources.notifier.port import Level, Notifier

_TRIES = 2
_PAUSE_SECONDS = 0.5


@dataclass(frozen=True)
class _Problem:
    """Why a notice was not taken, and whether a second try may help."""

    says: str
    again: bool


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirected POST would arrive as an empty GET: the notice would be lost without an error."""

    @override
    def redirect_request(self, *args: object, **kwargs: object) -> None:
        return None


class WebhookNotifier(Notifier):
    """Posts each notice; what is busy, broken or silent gets a second try, what refuses does not."""

    def __init__(self, url: str, timeout_seconds: float) -> None:
        self._url = url
        self._timeout_seconds = timeout_seconds
        self._opener = urllib.request.build_opener(_NoRedirect)

    @override
    def notify(self, level: Level, subject: str, body: str, context: Mapping[str, str]) -> None:
        data = notice_json(level, subject, body, context).encode()
        problem = self._post(data)
        for _ in range(_TRIES - 1):
            if problem is None or not problem.again:
                break
            time.sleep(_PAUSE_SECONDS)
            problem = self._post(data)
        if problem is not None:
            raise TesseraError(
                f"The notice {subject!r} was not delivered to {self._shown()}: {problem.says}.",
                expected="an answer with a status below 300",
                todo="Look at the receiver, or correct `notifier.url` in stack.yaml.",
            )

    @override
    def check(self) -> Health:
        # Receivers have no harmless request, so none is sent.
        return Health(True, f"notices are posted to {self._shown()} (not tried)")

    def _post(self, data: bytes) -> "_Problem | None":
        headers = {"Content-Type": "application/json; charset=utf-8"}
        try:
            request = urllib.request.Request(self._url, data, headers, method="POST")  # noqa: S310 - `open` lets only http(s) pass
            with self._opener.open(request, timeout=self._timeout_seconds):
                return None
        except urllib.error.HTTPError as error:
            with error:
                return _Problem(f"it answered {error.code}", again=error.code >= 500 or error.code == 429)
        except (OSError, http.client.HTTPException) as error:
            return _Problem(str(getattr(error, "reason", error)) or type(error).__name__, again=True)

    def _shown(self) -> str:
        """Return the address without its path: for many receivers the path is the secret."""
        parts = urlsplit(self._url)
        return f"{parts.scheme}://{parts.hostname or '?'}" + (f":{parts.port}" if parts.port else "")


class WebhookNotifierConfig(dg.Config):
    """Notices as JSON, posted to a URL."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    gaps: ClassVar[Mapping[str, Gap]] = {"erasable": Gap("what was delivered to a receiver is out of reach")}

    kind: Literal["webhook"] = "webhook"
    url: str = Field(description="Address (http or https) that takes a JSON POST. Often a secret: write {env: NAME}.")
    timeout_seconds: float = Field(default=5, gt=0, description="Time limit of one try; there are two.")

    def open(self) -> WebhookNotifier:
        """Return the notifier; nothing is sent yet.

        Raises:
            TesseraError: `url` is no http(s) address.
        """
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise TesseraError(
                f"`notifier.url` has the scheme {parts.scheme!r} and the host {parts.hostname or ''!r}.",
                expected="an http(s) address",
                todo="Correct it in stack.yaml, or the environment variable that it names.",
            )
        return WebhookNotifier(self.url, self.timeout_seconds)
