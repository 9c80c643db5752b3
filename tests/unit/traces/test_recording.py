"""What a process records: the tree of spans, a share of traces and every error, nothing about people."""

import os
from pathlib import Path

import pytest
from opentelemetry import trace

from models.observability import TraceSettings
from models.tracing import current_traceparent, fail, link_to, note, span, trace_id_of, traced
from resources.traces.port import SpanRecord, recorded, traces_of_home

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{:02x}"
ALL, NONE = TraceSettings(), TraceSettings(sampled_share=0)


def spans_of(home: Path, traceparent: str) -> dict[str, SpanRecord]:
    return {one.name: one for one in traces_of_home(home, ALL).trace(trace_id_of(traceparent))}


def test_spans_are_a_tree_in_the_trace_of_the_caller(tmp_path: Path) -> None:
    @traced("read features")
    def read() -> None:
        note(rows=3)

    with recorded(tmp_path, ALL), span("request", {"tessera.app": "churn"}, parent=CALLER.format(1)):
        assert trace_id_of(current_traceparent()) == "0af7651916cd43dd8448eb211c80319c"
        read()
        link_to(f"00-{'1' * 32}-{'2' * 16}-01")
        link_to("no traceparent")
    found = spans_of(tmp_path, CALLER.format(1))
    request, inside = found["request"], found["read features"]
    assert (request.parent_id, inside.parent_id) == ("b7ad6b7169203331", request.span_id)
    assert (request.attributes, inside.attributes) == ({"tessera.app": "churn"}, {"tessera.rows": 3})
    assert request.links == (f"00-{'1' * 32}-{'2' * 16}-01",)


def test_without_a_recorder_nothing_is_recorded(tmp_path: Path) -> None:
    with recorded(tmp_path, ALL):
        pass
    with span("alone"):
        assert current_traceparent() == ""
    assert not (tmp_path / "traces").exists()


@pytest.mark.parametrize(("flags", "kept"), [(0, False), (1, True), (3, True), (2, False)])
def test_of_an_unsampled_trace_nothing_is_kept_unless_the_caller_samples_it(
    tmp_path: Path, flags: int, kept: bool
) -> None:
    with recorded(tmp_path, NONE), span("request", parent=CALLER.format(flags)), span("inside"):
        pass
    assert set(spans_of(tmp_path, CALLER.format(1))) == ({"request", "inside"} if kept else set())


def test_an_unsampled_trace_with_an_error_is_kept_whole(tmp_path: Path) -> None:
    with recorded(tmp_path, NONE), span("request", parent=CALLER.format(0)):
        with span("before"):
            pass
        with pytest.raises(KeyError), span("fails"):
            raise KeyError("u00001633")
    found = spans_of(tmp_path, CALLER.format(1))
    assert {name: one.failed for name, one in found.items()} == {"request": False, "before": False, "fails": True}
    assert found["fails"].attributes == {"error.type": "KeyError"}


def test_a_value_is_kept_whatever_text_it_is(tmp_path: Path) -> None:
    """As from a name of a file: one that is no Unicode would cost the batch of spans that it is written with."""
    with recorded(tmp_path, ALL), span("request", {"tessera.job": "né\udcff", "tessera.score_ms": float("inf")}):
        traceparent = current_traceparent()
    kept = spans_of(tmp_path, traceparent)["request"].attributes
    assert kept == {"tessera.job": "né?", "tessera.score_ms": float("inf")}


def test_no_id_of_a_person_gets_into_the_files(tmp_path: Path) -> None:
    with recorded(tmp_path, ALL), span("request") as made:
        made.set_attribute("enduser.id", "u00001633")
        made.set_attribute("tessera.app", "ada@example.com")
        made.add_event("u00001633", {"id": "u00001633"})
        made.set_status(trace.StatusCode.ERROR, "u00001633 is unknown")
        made.record_exception(ValueError("u00001633"))
        fail(made, ValueError("u00001633"))
    written = b"".join(file.read_bytes() for file in (tmp_path / "traces").iterdir())
    assert b"request" in written
    assert b"[e-mail]" in written
    assert b"u00001633" not in written
    assert b"example.com" not in written


def test_spans_of_libraries_are_left_out(tmp_path: Path) -> None:
    library = trace.get_tracer("a_library")
    with recorded(tmp_path, ALL), library.start_as_current_span("GET /customers/u00001633"), span("ours"):
        at = current_traceparent()
    assert set(spans_of(tmp_path, at)) == {"ours"}


def test_blocks_of_one_home_are_one_recording_and_another_home_has_its_own(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    with recorded(one, ALL) as outer, span("outer") as first:
        with recorded(one, ALL) as inner:
            assert inner is outer
        with recorded(other, ALL), span("inner"):
            at = current_traceparent()
        fail(first, OSError())
    assert set(spans_of(one, at)) == {"outer"}
    assert set(spans_of(other, at)) == {"inner"}


def test_a_fork_records_nothing_and_does_not_wait(tmp_path: Path) -> None:
    with recorded(tmp_path, ALL), span("parent"):
        at = current_traceparent()
        if not (child := os.fork()):
            with span("child"):
                os._exit(0 if not trace.get_current_span().is_recording() else 1)
        assert os.waitpid(child, 0)[1] == 0
    assert set(spans_of(tmp_path, at)) == {"parent"}
