"""ASGI middleware: each request is a span, in the trace of its caller; the answer says which in `traceparent`."""

from __future__ import annotations

from opentelemetry.trace import Span, SpanKind, StatusCode

from models.tracing import current_traceparent, span
from pipelines.gateway.same_origin import App, Message, Receive, Scope, Send

_HEADER = b"traceparent"
#: An error of the server, which fails the span; those before are mistakes of the caller.
_FAILED = 500


class Traced:
    """Record the requests of `app`, which says in the scope what it made of them: the request's id and the route."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or pass on what is none."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = next((value for name, value in scope["headers"] if name == _HEADER), b"").decode("latin-1")
        with span("request", kind=SpanKind.SERVER, parent=given) as made:
            await self._app(scope, receive, _Answering(send, made, current_traceparent()))
            _describe(made, scope)


class _Answering:
    def __init__(self, send: Send, made: Span, traceparent: str) -> None:
        self._send, self._made, self._traceparent = send, made, traceparent.encode()

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._made.set_attribute("http.response.status_code", message["status"])
            if message["status"] >= _FAILED:
                self._made.set_status(StatusCode.ERROR)
            if self._traceparent:
                message = {**message, "headers": [*message.get("headers", []), (_HEADER, self._traceparent)]}
        await self._send(message)


def _describe(made: Span, scope: Scope) -> None:
    """Name the span by the route: the path has ids in it."""
    route = getattr(scope.get("route"), "path", "none")
    made.update_name(f"{scope['method']} {route}")
    made.set_attribute("http.route", route)
    made.set_attribute("http.request.method", scope["method"])
    made.set_attribute("tessera.request_id", scope.get("tessera.request_id", ""))
