"""A request or websocket as the gateway sees it: headers in, limits while it is read, headers on every answer."""

from __future__ import annotations

import logging
import random
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TypeAlias

from pipelines.gateway import refusals
from pipelines.gateway.problem import MEDIA_TYPE, Refusal, problem_bytes
from pipelines.gateway.same_origin import Message, Receive, Scope, Send, header_values

Headers: TypeAlias = tuple[tuple[bytes, bytes], ...]
_ID = b"x-request-id"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_REFUSED = 1008
_LONGEST_SUBJECT = 500
_log = logging.getLogger("tessera.gateway")


@dataclass(frozen=True)
class AnswerHeaders:
    """Headers of every answer.

    Attributes:
        always: in place of the application's own.
        defaults: where the application gives none of this name.
    """

    always: Headers
    defaults: Headers = ()

    def of(self, given: Iterable[tuple[bytes, bytes]], id: str) -> list[tuple[bytes, bytes]]:
        """Return the headers of an answer to the request with this id."""
        kept = [pair for pair in given if pair[0].lower() not in self._own]
        named = {name.lower() for name, _ in kept} if self.defaults else ()
        others = (pair for pair in self.defaults if pair[0] not in named)
        return [*kept, (_ID, id.encode()), *self.always, *others]

    @cached_property
    def _own(self) -> frozenset[bytes]:
        """Names of the headers that are in place of the application's."""
        return frozenset({_ID, *(name for name, _ in self.always)})


#: Of an API: nothing is rendered, framed, sniffed, or kept by caches.
API_HEADERS = AnswerHeaders(
    (
        (b"x-content-type-options", b"nosniff"),
        (b"x-frame-options", b"DENY"),
        (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
        (b"referrer-policy", b"no-referrer"),
        (b"cache-control", b"no-store"),
    )
)
#: Of pages with scripts of their own, which say what they load: never framed; a kept file is asked for again.
PAGE_HEADERS = AnswerHeaders(
    ((b"x-content-type-options", b"nosniff"), (b"x-frame-options", b"DENY"), (b"referrer-policy", b"same-origin")),
    (
        (b"content-security-policy", b"object-src 'none'; base-uri 'none'; frame-ancestors 'none'"),
        (b"cache-control", b"private, no-cache"),
    ),
)


def header(scope: Scope, name: bytes) -> str:
    """Return the last header of this lower-case name, or ""."""
    found = header_values(scope, name)
    return found[-1] if found else ""


def client_address(scope: Scope) -> str:
    """Return the address that a request comes from: what a proxy on this machine says, and no other."""
    peer = (scope.get("client") or ("",))[0]
    forwarded = _address(header(scope, b"x-forwarded-for").rpartition(",")[2].strip())
    is_proxy = (own := _address(peer)) is not None and own.is_loopback
    return str(forwarded) if is_proxy and forwarded is not None else peer


def client_subject(scope: Scope) -> str:
    """Return the subject of the client's certificate, as a proxy on this machine says it, or ""."""
    own = _address((scope.get("client") or ("",))[0])
    found = header(scope, b"x-client-subject") if own is not None and own.is_loopback else ""
    return found[:_LONGEST_SUBJECT] if found.isprintable() else ""


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """Return the IP address that a text is, or None."""
    try:
        return ip_address(text)
    except ValueError:
        return None


class Request:
    """One HTTP request and what was answered of it."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, body_bytes: int, headers: AnswerHeaders) -> None:
        self.scope, self._receive, self._send, self._left = scope, receive, send, body_bytes
        self._limit, self._headers, self.status = body_bytes, headers, 0
        self.id = request_id(scope)

    def check_length(self) -> None:
        """Refuse a body that says it is too long."""
        given = header(self.scope, b"content-length") or "0"
        if not (given.isascii() and given.isdigit()) or int(given) > self._limit:
            raise refusals.too_long(self._limit)

    async def receive(self) -> Message:
        """Return the next part of the body; one that is longer than it said ends the request."""
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            raise refusals.too_long(self._limit)
        return message

    async def send(self, message: Message) -> None:
        """Send a part of the answer, with the headers that every answer has."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message = {**message, "headers": self._headers.of(message.get("headers", []), self.id)}
        await self._send(message)

    async def refuse(self, refusal: Refusal) -> None:
        """Answer with a problem, unless an answer has begun: then nothing can be said any more."""
        if self.status:
            _log.warning("request %s broke off: %s", self.id, refusal.what)
            return
        body = problem_bytes(refusal.status, refusal, self.id)
        headers = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode())]
        headers += [(name.lower().encode(), value.encode("latin-1")) for name, value in refusal.headers.items()]
        await self.send({"type": "http.response.start", "status": refusal.status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})


class Socket:
    """One websocket; closing it twice is not an error."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self.scope, self._send, self._is_closed = scope, send, False
        self.id = request_id(scope)

    async def send(self, message: Message) -> None:
        """Send a message of the application; after the end, none."""
        if not self._is_closed:
            self._is_closed = message["type"] == "websocket.close"
            await self._send(message)

    async def refuse(self, refusal: Refusal) -> None:
        """Close it: 403 before it was accepted, else code 1008."""
        _log.warning("websocket %s is closed: %s", self.id, refusal.what)
        await self.send({"type": "websocket.close", "code": _REFUSED, "reason": "refused"})


def request_id(scope: Scope) -> str:
    """Return the request's id, its own or a new one, which is in `scope["tessera.request_id"]` from now on."""
    asked = header(scope, _ID)
    id = asked if _REQUEST_ID.fullmatch(asked) else f"{random.getrandbits(64):016x}"
    scope["tessera.request_id"] = id
    return id
