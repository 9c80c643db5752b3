"""Runs as spans: one per step, in the trace that the run's tag names."""

from pathlib import Path

import dagster as dg
import pytest

from models.tracing import current_traceparent, span, trace_id_of
from pipelines import run_tags
from pipelines.run_traces import run_span, step_spans, tag_of_trace
from resources.stack.loader import ROOT, Stack, load_stack
from resources.traces.port import SpanRecord, recorded, traces_of_home


@dg.op
def prepare() -> int:
    with span("inside"):
        return 1


@dg.op
def work(given: int) -> int:
    raise dg.Failure(f"u0000{given} is unknown")


@dg.op
def after(given: int) -> int:
    return given


@dg.job(tags={run_tags.APP: "churn"})
def night() -> None:
    after(work(prepare()))


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    return load_stack(ROOT / "stack.yaml", "local", str(tmp_path / "home"), {})


def executed(stack: Stack, run_id: str, tags: dict[str, str]) -> dg.DagsterRun:
    with (
        dg.DagsterInstance.ephemeral() as instance,
        run_span(stack, "night", run_id, {**night.tags, **tags}) as made,
        step_spans(instance, run_id, made),
    ):
        given = tags or tag_of_trace()
        night.execute_in_process(instance=instance, run_id=run_id, raise_on_error=False, tags=given)
        run = instance.get_run_by_id(run_id)
        assert run is not None
        return run


def spans(stack: Stack, run_id: str) -> dict[str, SpanRecord]:
    store = traces_of_home(stack.home, stack.settings.traces)
    return {one.name: one for one in store.trace(store.traces_of(run_id)[0])}


def test_steps_are_spans_of_the_run_and_its_tag_says_which(stack: Stack) -> None:
    run = executed(stack, "11111111-1111-1111-1111-111111111111", {})
    found = spans(stack, run.run_id)
    assert set(found) == {"run night", "prepare", "inside", "work"}
    parents = {name: one.parent_id for name, one in found.items()}
    night_id = found["run night"].span_id
    assert parents == {"run night": "", "prepare": night_id, "work": night_id, "inside": found["prepare"].span_id}
    assert [name for name, one in found.items() if one.failed] == ["run night", "work"]
    assert found["work"].attributes == {"error.type": "Failure"}
    assert trace_id_of(run.tags[run_tags.TRACEPARENT]) == found["work"].trace_id


def test_a_run_that_a_schedule_asks_for_and_its_repetition_are_in_the_schedules_trace(stack: Stack) -> None:
    with recorded(stack.home, stack.settings.traces), span("schedule night"):
        at, tags = current_traceparent(), tag_of_trace()
    runs = [f"{number}" * 8 + "-1111-1111-1111-111111111111" for number in (2, 3)]
    for run_id in runs:
        executed(stack, run_id, tags)
    for run_id in runs:
        found = spans(stack, run_id)
        assert found["run night"].trace_id == trace_id_of(at)
    stored = traces_of_home(stack.home, stack.settings.traces).trace(trace_id_of(at))
    schedule = next(one for one in stored if one.name == "schedule night")
    assert [one.parent_id for one in stored if one.name == "run night"] == [schedule.span_id] * 2
