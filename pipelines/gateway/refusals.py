"""Sentences by which the gateway refuses."""

from __future__ import annotations

import math

from models.errors import TesseraError
from pipelines.gateway.holder import Holder
from pipelines.gateway.problem import Refusal


def unknown(what: str) -> Refusal:
    """Return the refusal of a request that nothing lets in."""
    todo = "Send it as `Authorization: Bearer KEY` or `X-API-Key: KEY`; `tessera keys create NAME` makes one."
    expected = "a key of this server that is not revoked"
    return Refusal(401, what, expected=expected, todo=todo, headers={"WWW-Authenticate": "Bearer"})


def no_origin() -> Refusal:
    """Return the refusal of a change by a cookie that no browser says its own page asked for."""
    return Refusal(
        403,
        "A session has an effect only with the header `Origin`.",
        expected="a request of this server's own pages",
        todo="Programs send a key: `Authorization: Bearer KEY`.",
    )


def too_fast(holder: Holder, wait: float) -> Refusal:
    """Return the refusal of a request over the holder's rate; `wait` is in seconds."""
    return Refusal(
        429,
        f"{holder.name!r} asks too often.",
        expected="requests within `settings.service.requests_per_second`",
        todo="Wait as `Retry-After` says, or send several rows in one request.",
        headers={"Retry-After": str(math.ceil(wait))},
    )


def too_many(holder: Holder) -> Refusal:
    """Return the refusal of a request beside too many others."""
    return Refusal(
        503,
        f"Too many requests of {holder.name!r} are answered now.",
        expected="at most `settings.service.in_flight` at one time",
        todo="Wait for an answer before the next request.",
        headers={"Retry-After": "1"},
    )


def too_long(limit: int) -> Refusal:
    """Return the refusal of a body of more than `limit` bytes."""
    return Refusal(
        413, f"The body is longer than {limit:,} bytes.", expected="a shorter body", todo="Send fewer rows at once."
    )


def too_slow(seconds: float) -> Refusal:
    """Return the answer to a request that took longer than it may."""
    return Refusal(
        504,
        f"The request was not answered within {seconds:g} s.",
        expected="an answer within `settings.service.seconds`, and the request's own `X-Request-Timeout-Ms`",
        todo="Try again; ask for fewer rows at once if it happens again.",
        headers={"Retry-After": "1"},
    )


def unready(id: str) -> Refusal:
    """Return the answer while keys cannot be read; `id` is the request's."""
    todo = f"Try again; the server's log has the cause under the request id {id}."
    return Refusal(503, "Keys cannot be checked.", expected="a server that can read its keys", todo=todo)


def bug(id: str) -> Refusal:
    """Return the answer to a request in which the server failed; it says nothing of the cause."""
    error = TesseraError(
        "The server failed.", expected="an answer", todo=f"Report it with the request id {id}: the log has the cause."
    )
    return Refusal(500, error.what, expected=error.expected, todo=error.todo)
