"""Answers over HTTP that are whole in time: a server that sends a byte now and then would hold a client for ever."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx


def whole_answers(seconds: float) -> httpx.BaseTransport:
    """Return a transport of httpx whose answers are whole within so many seconds, or fail with its `ReadTimeout`.

    httpx itself limits the time between two pieces of an answer, not the time of all.
    """
    import httpx

    class Pieces(httpx.SyncByteStream):
        def __init__(self, stream: httpx.SyncByteStream, deadline: float) -> None:
            self._stream, self._deadline = stream, deadline

        def __iter__(self) -> Iterator[bytes]:
            for piece in self._stream:
                if time.monotonic() > self._deadline:
                    raise httpx.ReadTimeout(f"the answer is not whole after {seconds:g} s")
                yield piece

        def close(self) -> None:
            self._stream.close()

    class InTime(httpx.HTTPTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            deadline = time.monotonic() + seconds
            response = super().handle_request(request)
            assert isinstance(response.stream, httpx.SyncByteStream)  # noqa: S101 - for the type checker
            response.stream = Pieces(response.stream, deadline)
            return response

    return InTime()
