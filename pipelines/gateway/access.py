"""ASGI middleware in front of every server: who asks, how much, how long; ids, headers, problems and what is counted.

Everything but `public` paths needs a credential, unless the server is open: it listens on loopback and no key was ever
made. Then each request has the rights of the user of this machine. Pages of other sites are refused either way.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from http import HTTPStatus

from models.errors import TesseraError
from models.tracing import note_error
from pipelines.gateway import refusals
from pipelines.gateway.credentials import Credentials
from pipelines.gateway.holder import Holder
from pipelines.gateway.limits import Limits
from pipelines.gateway.problem import Refusal
from pipelines.gateway.request import API_HEADERS, AnswerHeaders, Request, Socket
from pipelines.gateway.same_origin import App, Receive, SameOrigin, Scope, Send

_log = logging.getLogger("tessera.gateway")


@dataclass(frozen=True)
class AccessRules:
    """Limits of the gateway.

    Attributes:
        public: paths that need no credential.
        body_bytes: most of a request's body.
        seconds: after which a request is given up.
        headers: of every answer.
        login: the redirect to a login for a request that nothing lets in, if it is one that can log in.
        websocket_look_seconds: after so long at most a websocket ends whose credential ended; None: no websockets.
    """

    public: Collection[str]
    body_bytes: int
    seconds: float
    headers: AnswerHeaders = API_HEADERS
    login: Callable[[Scope], Refusal | None] = lambda _: None
    websocket_look_seconds: float | None = None


@dataclass(frozen=True)
class Answered:
    """One request that was answered, for metrics and the log."""

    scope: Scope
    status: int
    seconds: float


class Gateway:
    """Serve `app` to holders of credentials.

    The app finds the `Holder` in `scope["tessera.holder"]` and the request's id in `scope["tessera.request_id"]`.
    """

    def __init__(
        self,
        app: App,
        credentials: Credentials,
        limits: Limits,
        rules: AccessRules,
        origin: SameOrigin,
        answered: Callable[[Answered], None],
    ) -> None:
        self._app, self._credentials, self._limits, self._rules = app, credentials, limits, rules
        self._origin, self._answered = origin, answered

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request or websocket, or pass on what is neither."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, send, self._rules.body_bytes, self._rules.headers)
        began = time.perf_counter()
        try:
            self._check_origin(scope)
            request.check_length()
            if scope["path"] in self._rules.public:
                await self._timed(request)
            else:
                await self._as_holder(request)
        except Exception as error:  # noqa: BLE001 - a bug of one request ends that request alone
            note_error(error)
            await request.refuse(_refusal_of(error, request.id))
        self._answered(Answered(scope, request.status, time.perf_counter() - began))

    def _check_origin(self, scope: Scope) -> None:
        if (foreign := self._origin.refusal(scope)) is not None:
            error = foreign.error
            _log.warning("%s", error.what)
            raise Refusal(foreign.status, error.what, expected=error.expected, todo=error.todo)

    async def _as_holder(self, request: Request) -> None:
        try:
            holder = await self._credentials.holder(request.scope)
        except Refusal as refusal:
            is_unknown = refusal.status == HTTPStatus.UNAUTHORIZED
            raise (self._rules.login(request.scope) if is_unknown else None) or refusal from None
        request.scope["tessera.holder"] = holder
        if wait := self._limits.wait_seconds(holder.id):
            raise refusals.too_fast(holder, wait)
        if not self._limits.begin(holder.id):
            raise refusals.too_many(holder)
        try:
            await self._timed(request)
        finally:
            self._limits.end(holder.id)

    async def _timed(self, request: Request) -> None:
        try:
            async with asyncio.timeout(self._rules.seconds):
                await self._app(request.scope, request.receive, request.send)
        except TimeoutError:
            raise refusals.too_slow(self._rules.seconds) from None

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        socket = Socket(scope, send)
        try:
            self._check_origin(scope)
            if self._rules.websocket_look_seconds is None:
                raise refusals.unknown("There are no websockets here.")
            holder = await self._credentials.holder(scope)
            scope["tessera.holder"] = holder
            counted = f"websockets of {holder.id}"
            if not self._limits.begin(counted):
                raise refusals.too_many(holder)
            try:
                await self._live(socket, receive, holder, self._rules.websocket_look_seconds)
            finally:
                self._limits.end(counted)
        except Exception as error:  # noqa: BLE001 - a bug of one websocket ends that websocket alone
            await socket.refuse(_refusal_of(error, socket.id))

    async def _live(self, socket: Socket, receive: Receive, holder: Holder, look_seconds: float) -> None:
        """Serve a websocket until one side ends it, or until its holder is let in no more."""
        serving = asyncio.ensure_future(self._app(socket.scope, receive, socket.send))
        try:
            while not (await asyncio.wait({serving}, timeout=look_seconds))[0]:
                if await self._credentials.holder(socket.scope) != holder:
                    raise refusals.unknown("The websocket was opened by another credential.")
            serving.result()
        finally:
            if serving.cancel():
                await asyncio.wait({serving})


def _refusal_of(error: Exception, id: str) -> Refusal:
    """Return the answer to a request that an error ended; the log has what the answer does not say."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, TesseraError):
        _log.error("request %s: %s", id, error)
        return refusals.unready(id)
    _log.error("request %s failed", id, exc_info=error)
    return refusals.bug(id)
