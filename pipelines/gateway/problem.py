"""Errors of the request door as RFC 9457 problem documents: the three parts of a `TesseraError`, and a request id."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from models.errors import TesseraError

MEDIA_TYPE = "application/problem+json"


class Refusal(TesseraError):
    """A request that is answered with an error status, or sent to the login.

    Args:
        status: of HTTP, 400..599, or 303 with the header `Location`.
        what: what was wrong, with the offending value in it.
        expected: what would have been right.
        todo: what to change.
        headers: further headers of the answer, e.g. `Retry-After`.
    """

    def __init__(
        self, status: int, what: str, *, expected: str, todo: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(what, expected=expected, todo=todo)
        self.status, self.headers = status, dict(headers or {})


def problem(
    status: int, error: TesseraError, request_id: str, errors: Sequence[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    """Return the document of an error.

    Args:
        status: of HTTP.
        error: its three parts are `detail`, `expected` and `todo`.
        request_id: as in the header `X-Request-ID` and in the log.
        errors: each wrong value of a body: `pointer` (RFC 6901) and `detail`.
    """
    found: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": error.what,
        "expected": error.expected,
        "todo": error.todo,
        "request_id": request_id,
    }
    return {**found, "errors": list(errors)} if errors else found


def problem_bytes(status: int, error: TesseraError, request_id: str) -> bytes:
    """Return the document of an error as JSON."""
    return json.dumps(problem(status, error, request_id)).encode()
