"""`tessera trace ID`: the tree of a request, a run or a trace."""

import json
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
import scoring_world

from assets.stages.packaging import register_version
from models.errors import TesseraError
from models.observability import TraceSettings
from models.tracing import current_traceparent, fail, link_to, note, span, trace_id_of
from pipelines.cli import spans
from resources.registry.fake import FolderRegistry
from resources.stack.loader import active_stack
from resources.traces.port import recorded, traces_of_home


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("TESSERA_HOME", str(tmp_path))
    monkeypatch.setenv("TESSERA_PROFILE", "local")
    monkeypatch.setenv("COLUMNS", "200")  # a slow machine's times are longer, and rows would wrap
    active_stack.cache_clear()
    yield tmp_path
    active_stack.cache_clear()


def night_and_request(home: Path) -> tuple[str, str]:
    """The trace ids of a run, and of a request that reads what it made."""
    with recorded(home, TraceSettings()):
        with span("run churn_nightly", {"tessera.run_id": "818a2ba2-23bd", "tessera.day": "2026-11-28"}):
            with span("churn/features"):
                note(rows=12)
            with span("churn/scores"), span("audit"):
                made = current_traceparent()
        with span("GET /v1/churn/scores/{entity}", {"tessera.request_id": "asked-once"}) as request:
            link_to(made)
            at = current_traceparent()
            fail(request, TimeoutError())
    return trace_id_of(made), trace_id_of(at)


def test_a_run_is_found_by_its_short_id_and_drawn_as_a_tree(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, _ = night_and_request(home)
    spans.show("818a2ba2", as_json=False)
    title, _, *rows = capsys.readouterr().out.splitlines()
    assert title.startswith(f"trace {run}")
    assert "4 spans" in title
    names = ["run churn_nightly", "├ churn/features", "└ churn/scores", "  └ audit"]
    assert [row[: len(name)] for row, name in zip(rows, names, strict=True)] == names
    assert rows[1].rstrip().endswith("rows 12")


def test_a_version_names_its_run_and_trace_and_the_trace_names_the_version(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    registry, made = FolderRegistry(home / "registry"), scoring_world.package(home / "package", 1.0)

    @dg.op
    def train() -> None:
        register_version(registry, "churn", made, parameters={}, metrics={}, tags={"kind": "linear"}, report="")

    @dg.job
    def training() -> None:
        train()

    with recorded(home, TraceSettings()), span("run training"):
        run = training.execute_in_process()
    tags = registry.versions("churn")[0].tags
    assert (tags["kind"], tags["dagster_run_id"]) == ("linear", run.run_id)
    spans.show(tags["trace_id"], as_json=False)
    printed = capsys.readouterr().out
    assert "register version" in printed
    assert "app churn, model_version 1" in printed


def test_a_request_says_what_failed_and_which_night_made_what_it_read(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, _ = night_and_request(home)
    spans.show("asked-once", as_json=False)
    printed = capsys.readouterr().out
    assert "1 failed" in printed
    assert "TimeoutError" in printed
    assert f"{run}: run churn_nightly for 2026-11-28" in printed


@pytest.mark.parametrize("form", ["{}", "00-{}-b7ad6b7169203331-01"])
def test_json_has_every_span_of_a_trace_by_its_id(home: Path, capsys: pytest.CaptureFixture[str], form: str) -> None:
    run, _ = night_and_request(home)
    spans.show(form.format(run), as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in found[run]] == ["run churn_nightly", "churn/features", "churn/scores", "audit"]


def test_dropped_spans_are_told(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    night_and_request(home)
    store = traces_of_home(home, TraceSettings())
    getattr(store, "write_dropped")(3)  # noqa: B009 - of the store, which is only read here
    spans.show("818a2ba2", as_json=False)
    assert "3 spans of the kept days were dropped" in capsys.readouterr().out


def test_an_unknown_id_is_refused_with_what_is_kept(home: Path) -> None:
    with pytest.raises(TesseraError, match="No trace has 'nothing-of-it'"):
        spans.show("nothing-of-it", as_json=False)
