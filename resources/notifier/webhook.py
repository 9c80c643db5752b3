"""Notices posted as JSON to a URL: chat rooms, pagers, ticket systems."""

import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import dagster as dg
from pydantic import ConfigDict, Field
from typing_extensions import override

from models.errors import TesseraError
from resources.conformance.capabilities import Gap
from resources.health import Health
from resources.http_address import HttpAddress, http_address
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

    def __init__(self, address: HttpAddress, timeout_seconds: float) -> None:
        self._address = address
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
                f"The notice {subject!r} was not delivered to {self._address.shown}: {problem.says}.",
                expected="an answer with a status below 300",
                todo="Look at the receiver, or correct `notifier.url` in stack.yaml.",
            )

    @override
    def check(self) -> Health:
        # Receivers have no harmless request, so none is sent.
        return Health(True, f"notices are posted to {self._address.shown} (not tried)")

    def _post(self, data: bytes) -> "_Problem | None":
        headers = {"Content-Type": "application/json; charset=utf-8"}
        try:
            with self._opener.open(self._address.request(data, headers), timeout=self._timeout_seconds):
                return None
        except urllib.error.HTTPError as error:
            with error:
                return _Problem(f"it answered {error.code}", again=error.code >= 500 or error.code == 429)
        except (OSError, http.client.HTTPException) as error:
            return _Problem(str(getattr(error, "reason", error)) or type(error).__name__, again=True)


class WebhookNotifierConfig(dg.Config):
    """Notices as JSON, posted to a URL."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    gaps: ClassVar[Mapping[str, Gap]] = {"erasable": Gap("what was delivered to a receiver is out of reach")}

    kind: Literal["webhook"] = "webhook"
    url: str = Field(
        description="Address (http or https) that takes a JSON POST; `user:password@` is sent as Basic authorization. "
        "Often a secret: write {env: NAME}."
    )
    timeout_seconds: float = Field(default=5, gt=0, description="Time limit of one try; there are two.")

    def open(self) -> WebhookNotifier:
        """Return the notifier; nothing is sent yet.

        Raises:
            TesseraError: `url` is no http(s) address.
        """
        return WebhookNotifier(http_address(self.url, "`notifier.url`"), self.timeout_seconds)
