"""The header by which a request names its deadline."""

from __future__ import annotations

from typing import Any

from fastapi import Request

from pipelines.gateway.problem import Refusal
from pipelines.gateway.request import header

#: The unit is in the name: `Prefer: wait` (RFC 7240) counts whole seconds, and lets the server go on.
HEADER = "X-Request-Timeout-Ms"
_NAME = HEADER.lower().encode()
_LONGEST_MS = 86_400_000
#: For the OpenAPI document: every route that needs a key takes it.
PARAMETER: dict[str, Any] = {
    "name": HEADER,
    "in": "header",
    "description": "ms after which the answer is of no use (504); at most `settings.service.seconds`, the default.",
    "schema": {"type": "integer", "minimum": 1, "maximum": _LONGEST_MS},
}


def seconds_of(request: Request, most: float) -> float:
    """Return the seconds that a request allows for its answer, at most `most`.

    Raises:
        Refusal: the header is no number of ms.
    """
    given = header(request.scope, _NAME)
    if not given:
        return most
    if not (given.isascii() and given.isdigit() and len(given) <= len(str(_LONGEST_MS)) and int(given) > 0):
        raise Refusal(
            400,
            f"The header `{HEADER}` is {given[:40]!r}.",
            expected=f"whole ms, 1 to {_LONGEST_MS}",
            todo="Correct it, or leave it out.",
        )
    return min(int(given) / 1000, most)
