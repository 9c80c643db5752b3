"""Traces of runs: the run and each of its steps are spans, in the trace that the run's tag names.

A schedule or a command that asks for a run gives the tag; a run without one begins a trace, and gets the tag then.
A step's span is current while its body runs: the events of a run are handled by the thread that executes its steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import dagster as dg
from opentelemetry.trace import Span, StatusCode

from models.tracing import current_traceparent, span
from pipelines import run_tags
from resources.log_lines import logged_with
from resources.stack.loader import Stack
from resources.traces.port import recorded

_ENDED = {"STEP_SUCCESS", "STEP_FAILURE", "STEP_SKIPPED", "STEP_UP_FOR_RETRY"}


@contextmanager
def run_span(stack: Stack, job: str, run_id: str, tags: Mapping[str, str]) -> Iterator[Span]:
    """Record a run in the home of its profile: a span in the trace that its tags name, else in the current one.

    Args:
        stack: of the profile.
        job: its name.
        run_id: of the run.
        tags: of the run.
    """
    about = {"tessera.job": job, "tessera.run_id": run_id, "tessera.app": tags.get(run_tags.APP, "")}
    about |= {"tessera.day": day} if (day := tags.get(run_tags.PARTITION)) else {}
    with (
        recorded(stack.home, stack.settings.traces),
        span(f"run {job}", about, parent=tags.get(run_tags.TRACEPARENT, "")) as made,
        logged_with(lambda: {"run_id": run_id, "job": job}),
    ):
        yield made


@contextmanager
def step_spans(instance: dg.DagsterInstance, run_id: str, run: Span) -> Iterator[None]:
    """Record each step of a run within the block; a step that fails fails the span of the run, too."""
    steps = _Steps(run)
    instance.add_event_listener(run_id, steps)
    try:
        yield
    finally:
        steps.end()


def tag_of_trace() -> dict[str, str]:
    """Return the tag that puts a run into the current trace; none where nothing is traced."""
    found = current_traceparent()
    return {run_tags.TRACEPARENT: found} if found else {}


class _Steps:
    """Opens and closes a span as events of a step come by; one step at a time."""

    def __init__(self, run: Span) -> None:
        self._run, self._open = run, dict[str, tuple[span, Span]]()
        self._ended = False

    def __call__(self, record: Any) -> None:
        event = record.dagster_event
        if event is None or self._ended or not event.step_key:
            return
        if event.event_type_value == "STEP_START":
            block = span(event.step_key.replace("__", "/"))
            self._open[event.step_key] = block, block.__enter__()
        elif event.event_type_value in _ENDED and event.step_key in self._open:
            self._close(event)

    def _close(self, event: dg.DagsterEvent) -> None:
        block, made = self._open.pop(str(event.step_key))
        if event.is_step_failure:
            error = event.step_failure_data.error
            made.set_attribute("error.type", (error.cls_name if error else None) or "error")
            for one in (made, self._run):
                one.set_status(StatusCode.ERROR)
        block.__exit__(None, None, None)

    def end(self) -> None:
        """Close what a killed or canceled run left open."""
        self._ended = True
        for block, made in reversed(self._open.values()):
            made.set_status(StatusCode.ERROR)
            block.__exit__(None, None, None)
        self._open.clear()
