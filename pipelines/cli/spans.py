"""`tessera trace ID`: the spans of a request, a run or a trace, as a tree."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from models.errors import TesseraError
from models.tracing import trace_id_of
from pipelines.cli.console import counted, listing, out
from pipelines.cli.tables import print_json
from resources.stack.loader import active_stack
from resources.traces.port import ReadableTraces, SpanRecord, traces_of_home

_TRACE_ID = re.compile(r"[0-9a-f]{32}")
_HIDDEN = {"http.response.status_code", "http.route", "http.request.method"}


def show(id: str, *, as_json: bool) -> None:
    """Print each trace that has a span of this run or request, or is of this id, with the traces that it links to.

    Raises:
        TesseraError: no span of that id is kept.
    """
    stack = active_stack()
    store = traces_of_home(stack.home, stack.settings.traces)
    found = {one: store.trace(one) for one in _traces(store, id)}
    found = {one: spans for one, spans in found.items() if spans}
    if not found:
        raise _unknown(id, stack.settings.traces.keep_days)
    if as_json:
        print_json({one: [_plain(span) for span in spans] for one, spans in found.items()})
        return
    for one, spans in found.items():
        _print(one, spans)
        for linked in dict.fromkeys(trace_id_of(link) for span in spans for link in span.links):
            if linked and linked not in found and (about := _about(store.trace(linked))):
                out.print(f"It reads what another trace made, {linked}: {about}; `tessera trace {linked}` shows it.")
    if dropped := store.dropped():
        out.print(f"{counted(dropped, 'span')} of the kept days were dropped: a tree may lack some.")


def _traces(store: ReadableTraces, id: str) -> Sequence[str]:
    id = id.strip().lower()
    return [id] if _TRACE_ID.fullmatch(id) else [trace_id_of(id)] if trace_id_of(id) else store.traces_of(id)


def _print(trace_id: str, spans: Sequence[SpanRecord]) -> None:
    first = min(span.start_ns for span in spans)
    last = max(span.start_ns + span.duration_ns for span in spans)
    began = datetime.fromtimestamp(first / 1e9, UTC)
    failed = sum(span.failed for span in spans)
    says = f", {failed} failed" if failed else ""
    title = f"trace {trace_id}  {began:%Y-%m-%d %H:%M:%S} UTC  {counted(len(spans), 'span')}, {_time(last - first)}"
    out.print(title + says)
    rows = [(f"{indent}{span.name}", *_cells(span, first)) for indent, span in _tree(spans)]
    out.print(listing(("span", "begins", "takes", "status", "about"), rows))


def _cells(span: SpanRecord, first_ns: int) -> tuple[str, str, str, str]:
    return f"+{_time(span.start_ns - first_ns)}", _time(span.duration_ns), _status(span), _more(span)


def _tree(spans: Sequence[SpanRecord]) -> Iterator[tuple[str, SpanRecord]]:
    """Yield each span after its parent, with what is drawn before it; one whose parent is elsewhere is a root."""
    known = {span.span_id for span in spans}
    children: dict[str, list[SpanRecord]] = {}
    for span in spans:
        children.setdefault(span.parent_id if span.parent_id in known else "", []).append(span)

    def below(id: str, indent: str) -> Iterator[tuple[str, SpanRecord]]:
        inside = children.get(id, ())
        for place, span in enumerate(inside, 1):
            is_last = place == len(inside)
            yield ("" if not id else indent + ("└ " if is_last else "├ ")), span
            yield from below(span.span_id, "" if not id else indent + ("  " if is_last else "│ "))

    return below("", "")


def _status(span: SpanRecord) -> str:
    code = span.attributes.get("http.response.status_code")
    reason = span.attributes.get("error.type", "error") if span.failed else "ok"
    return str(reason if code is None else code)


def _more(span: SpanRecord) -> str:
    shown = ((key, value) for key, value in span.attributes.items() if key not in _HIDDEN and value != "")
    words = [f"{key.rpartition('.')[2]} {value}" for key, value in shown if key != "error.type"]
    return ", ".join(words)


def _about(spans: Sequence[SpanRecord]) -> str:
    """Return the name and the day of the first span of a run in a trace; "" if it is not kept."""
    for span in spans:
        if "tessera.run_id" in span.attributes:
            return f"{span.name} for {span.attributes.get('tessera.day', 'no day')}"
    return spans[0].name if spans else ""


def _time(ns: int) -> str:
    return f"{ns / 1e6:.1f} ms" if ns < 1e9 else f"{ns / 1e9:.1f} s"


def _plain(span: SpanRecord) -> Mapping[str, Any]:
    return {
        "span_id": span.span_id,
        "parent_id": span.parent_id,
        "name": span.name,
        "kind": span.kind,
        "began_at": datetime.fromtimestamp(span.start_ns / 1e9, UTC),
        "duration_ms": span.duration_ns / 1e6,
        "failed": span.failed,
        "attributes": dict(span.attributes),
        "links": list(span.links),
    }


def _unknown(id: str, keep_days: int) -> TesseraError:
    return TesseraError(
        f"No trace has {id!r}.",
        expected=f"a trace id, `traceparent`, run id or X-Request-ID of the last {keep_days} days "
        "(`settings.traces.keep_days`), of a trace that was sampled or failed",
        todo="Correct the id; for the origin of one score: `tessera trace APP ENTITY`.",
    )
