"""Log lines as JSON: one object per line, with the ids of trace, request and run; nothing secret."""

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from models.observability import LogSettings, TraceSettings
from models.tracing import current_traceparent, span, trace_id_of
from pipelines.cli.console import say
from resources.log_lines import configure_logs, logged_with
from resources.masking import remember
from resources.traces.port import recorded

NAMES = ("tessera", "pipelines", "assets", "resources", "models", "feature_repo", "uvicorn", "uvicorn.error")


@pytest.fixture
def written(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[], str]]:
    """What is on standard error; the loggers are given back as they were."""
    loggers = [logging.getLogger(), *map(logging.getLogger, NAMES)]
    before = [(one, one.handlers[:], one.level, one.propagate) for one in loggers]
    yield lambda: capsys.readouterr().err
    logging.captureWarnings(capture=False)
    for one, handlers, level, propagate in before:
        one.handlers[:] = handlers
        one.setLevel(level)
        one.propagate = propagate


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_line_names_its_trace_request_and_run(written: Callable[[], str], tmp_path: Path) -> None:
    assert configure_logs(LogSettings(format="json"))
    with recorded(tmp_path, TraceSettings()), span("request"), logged_with(lambda: {"request_id": "r1", "run_id": ""}):
        at = current_traceparent()
        logging.getLogger("tessera.gateway").info("request %s: %s", "r1", "two\nlines – ü")
    say("after it")
    inside, after = lines(written())
    assert inside["message"] == "request r1: two\nlines – ü"
    assert (inside["level"], inside["logger"], inside["request_id"]) == ("info", "tessera.gateway", "r1")
    assert (inside["trace_id"], inside["span_id"]) == tuple(at.split("-")[1:3])
    assert inside["time"].endswith("+00:00")
    assert "run_id" not in inside
    assert set(after) == {"time", "level", "logger", "message"}
    assert trace_id_of(at)


def test_secrets_and_addresses_are_masked_in_messages_and_tracebacks(written: Callable[[], str]) -> None:
    configure_logs(LogSettings(format="json"))
    remember("CANARY", "canary-of-logs")
    try:
        raise ValueError("canary-of-logs ada@example.com")
    except ValueError:
        logging.getLogger("tessera.service").exception("asked with %s by %s", "canary-of-logs", "ada@example.com")
    text = written()
    (line,) = lines(text)
    assert "ValueError" in line["exception"]
    assert "canary-of-logs" not in text
    assert "example.com" not in text


def test_libraries_say_warnings_only_and_the_level_is_a_setting(written: Callable[[], str]) -> None:
    logging.getLogger("uvicorn.error").setLevel("CRITICAL")  # as a server that ran in this process before
    configure_logs(LogSettings(format="json", level="error"))
    logging.getLogger("uvicorn.error").info("started")
    logging.getLogger("uvicorn.error").warning("port")
    logging.getLogger("tessera.gateway").warning("refused")
    logging.getLogger("tessera.gateway").error("failed")
    assert [one["message"] for one in lines(written())] == ["port", "failed"]


def test_text_changes_nothing(written: Callable[[], str]) -> None:
    handlers = logging.getLogger().handlers[:]
    assert not configure_logs(LogSettings())
    assert logging.getLogger().handlers == handlers
    assert written() == ""
