"""ASGI middleware in front of the service: who asks, how much, how long; ids, headers, problems and what is counted.

Everything but `public` paths needs a key (`Authorization: Bearer` or `X-API-Key`), unless the server is open: it
listens on loopback and no key was ever made. Then each request has the rights of the user of this machine, and pages
of other sites are refused as in front of Dagster's webserver.
"""

from __future__ import annotations

import asyncio
import logging
import math
import re
import secrets
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime

from models.errors import TesseraError
from pipelines.gateway.keys import Key, KeyFile
from pipelines.gateway.limits import Limits
from pipelines.gateway.problem import MEDIA_TYPE, Refusal, problem_bytes
from pipelines.gateway.same_origin import App, Message, Receive, SameOrigin, Scope, Send

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_log = logging.getLogger("tessera.gateway")
#: On every answer: nothing is rendered, framed, sniffed, or kept by caches.
SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)
#: The holder of an open server's requests: the user of this machine.
LOCAL = Key(id="local", name="local", role="admin", digest="", created_at=datetime(1970, 1, 1, tzinfo=UTC))


@dataclass(frozen=True)
class AccessRules:
    """Limits of the gateway.

    Attributes:
        public: paths that need no key.
        body_bytes: most of a request's body.
        seconds: after which a request is given up.
        is_open: no key is needed while none was ever made.
    """

    public: Collection[str]
    body_bytes: int
    seconds: float
    is_open: bool


@dataclass(frozen=True)
class Answered:
    """One request that was answered, for metrics and the log."""

    scope: Scope
    status: int
    seconds: float


class Gateway:
    """Serve `app` to holders of keys.

    The app finds the holder in `scope["tessera.key"]` and the request's id in `scope["tessera.request_id"]`.
    """

    def __init__(
        self,
        app: App,
        keys: KeyFile,
        limits: Limits,
        rules: AccessRules,
        origin: SameOrigin,
        answered: Callable[[Answered], None],
    ) -> None:
        self._app, self._keys, self._limits, self._rules = app, keys, limits, rules
        self._origin, self._answered = origin, answered

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or pass on what is none."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            else:
                await send({"type": "websocket.close", "code": 1008, "reason": "refused"})
            return
        request = _Request(scope, receive, send, self._rules.body_bytes)
        began = time.perf_counter()
        try:
            await self._passed(request)
        except Refusal as refusal:
            await request.refuse(refusal)
        except TesseraError as error:
            _log.error("request %s: %s", request.id, error)
            await request.refuse(_unready(request.id))
        except Exception:  # noqa: BLE001 - a bug of one request ends that request alone
            _log.exception("request %s failed", request.id)
            await request.refuse(bug(request.id))
        self._answered(Answered(scope, request.status, time.perf_counter() - began))

    async def _passed(self, request: _Request) -> None:
        if (foreign := self._origin.refusal(request.scope)) is not None:
            error = foreign.error
            raise Refusal(foreign.status, error.what, expected=error.expected, todo=error.todo)
        request.check_length()
        if request.scope["path"] in self._rules.public:
            await self._timed(request)
            return
        key = self._holder(request)
        request.scope["tessera.key"] = key
        if wait := self._limits.wait_seconds(key.id):
            raise _too_fast(key, wait)
        if not self._limits.begin(key.id):
            raise _too_many(key)
        try:
            await self._timed(request)
        finally:
            self._limits.end(key.id)

    async def _timed(self, request: _Request) -> None:
        try:
            async with asyncio.timeout(self._rules.seconds):
                await self._app(request.scope, request.receive, request.send)
        except TimeoutError:
            raise _too_slow(self._rules.seconds) from None

    def _holder(self, request: _Request) -> Key:
        given = request.key_text()
        if given:
            found = self._keys.holder(given)
            if found is None:
                raise _unknown("The key is unknown or revoked.")
            return found
        if self._rules.is_open and not self._keys.keys():
            return LOCAL
        raise _unknown("No key is given.")


class _Request:
    """One HTTP request and what was answered of it."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, body_bytes: int) -> None:
        self.scope, self._receive, self._send, self._left = scope, receive, send, body_bytes
        self._limit, self.status = body_bytes, 0
        self._headers = {name.lower(): value for name, value in scope["headers"]}
        asked = self._headers.get(b"x-request-id", b"")
        self.id = asked.decode() if _REQUEST_ID.fullmatch(asked) else secrets.token_hex(8)
        scope["tessera.request_id"] = self.id

    def key_text(self) -> str:
        """Return the key that the request brings, or ""."""
        scheme, _, bearer = self._headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        if scheme.lower() == "bearer" and bearer.strip():
            return bearer.strip()
        return self._headers.get(b"x-api-key", b"").decode("latin-1").strip()

    def check_length(self) -> None:
        """Refuse a body that says it is too long."""
        given = self._headers.get(b"content-length", b"0")
        if not given.isdigit() or int(given) > self._limit:
            raise _too_long(self._limit)

    async def receive(self) -> Message:
        """Return the next part of the body; one that is longer than it said ends the request."""
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            raise _too_long(self._limit)
        return message

    async def send(self, message: Message) -> None:
        """Send a part of the answer, with the headers that every answer has."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            own = [(b"x-request-id", self.id.encode()), *SECURITY_HEADERS]
            named = {name for name, _ in own}
            kept = [pair for pair in message.get("headers", []) if pair[0].lower() not in named]
            message = {**message, "headers": [*kept, *own]}
        await self._send(message)

    async def refuse(self, refusal: Refusal) -> None:
        """Answer with a problem, unless an answer has begun: then nothing can be said any more."""
        if self.status:
            _log.warning("request %s broke off: %s", self.id, refusal.what)
            return
        body = problem_bytes(refusal.status, refusal, self.id)
        headers = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode())]
        headers += [(name.lower().encode(), value.encode()) for name, value in refusal.headers.items()]
        await self.send({"type": "http.response.start", "status": refusal.status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})


def _unknown(what: str) -> Refusal:
    todo = "Send it as `Authorization: Bearer KEY` or `X-API-Key: KEY`; `tessera keys create NAME` makes one."
    expected = "a key of this server that is not revoked"
    return Refusal(401, what, expected=expected, todo=todo, headers={"WWW-Authenticate": "Bearer"})


def _too_fast(key: Key, wait: float) -> Refusal:
    return Refusal(
        429,
        f"The key {key.name!r} asks too often.",
        expected="requests within `settings.service.requests_per_second`",
        todo="Wait as `Retry-After` says, or send several rows in one request.",
        headers={"Retry-After": str(math.ceil(wait))},
    )


def _too_many(key: Key) -> Refusal:
    return Refusal(
        503,
        f"Too many requests of the key {key.name!r} are answered at this moment.",
        expected="at most `settings.service.in_flight` at one time",
        todo="Wait for an answer before the next request.",
        headers={"Retry-After": "1"},
    )


def _too_long(limit: int) -> Refusal:
    return Refusal(
        413, f"The body is longer than {limit:,} bytes.", expected="a shorter body", todo="Send fewer rows at once."
    )


def _too_slow(seconds: float) -> Refusal:
    return Refusal(
        504,
        f"The request was not answered within {seconds:g} s.",
        expected="an answer within `settings.service.seconds`",
        todo="Try again; ask for fewer rows at once if it happens again.",
        headers={"Retry-After": "1"},
    )


def _unready(id: str) -> Refusal:
    todo = f"Try again; the server's log has the cause under the request id {id}."
    return Refusal(503, "Keys cannot be checked.", expected="a server that can read its keys", todo=todo)


def bug(id: str) -> Refusal:
    """Return the answer to a request in which the server failed; it says nothing of the cause."""
    error = TesseraError(
        "The server failed.", expected="an answer", todo=f"Report it with the request id {id}: the log has the cause."
    )
    return Refusal(500, error.what, expected=error.expected, todo=error.todo)
