"""ASGI middleware: each request is a span, in the trace of its caller; the answer says which in `traceparent`."""

from __future__ import annotations

from opentelemetry.trace import Span, SpanKind, StatusCode

from models.tracing import current_traceparent, span
from pipelines.gateway.same_origin import App, Message, Receive, Scope, Send
from resources.log_lines import logged_with

_HEADER = b"traceparent"
#: An error of the server, which fails the span; those before are mistakes of the caller.
_FAILED = 500
_METHODS = ("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH")


class Traced:
    """Record the requests of `app`, which says in the scope what it made of them: the request's id and the route."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or pass on what is none."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = ""
        for name, value in scope["headers"]:
            if name == _HEADER:
                given = value.decode("latin-1")
                break
        about = logged_with(lambda: {"request_id": scope.get("tessera.request_id", "")})
        with span("request", kind=SpanKind.SERVER, parent=given) as made, about:
            answering = _Answering(send, current_traceparent())
            await self._app(scope, receive, answering)
            _describe(made, scope, answering.status)


class _Answering:
    """Sends an answer with the id of its trace, and keeps its status."""

    def __init__(self, send: Send, traceparent: str) -> None:
        self._send, self._traceparent, self.status = send, traceparent.encode(), 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            if self._traceparent:
                message = {**message, "headers": [*message.get("headers", []), (_HEADER, self._traceparent)]}
        await self._send(message)


def _describe(made: Span, scope: Scope, status: int) -> None:
    """Name the span by the route: the path has ids in it."""
    route = getattr(scope.get("route"), "path", "none")
    method = scope["method"] if scope["method"] in _METHODS else "other"
    made.update_name(f"{method} {route}")
    made.set_attributes(
        {
            "http.route": route,
            "http.request.method": method,
            "http.response.status_code": status,
            "tessera.request_id": scope.get("tessera.request_id", ""),
        }
    )
    if status >= _FAILED:
        made.set_status(StatusCode.ERROR)
