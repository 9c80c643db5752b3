"""Log lines as JSON, one object each: time, level, logger, message, and the ids by which a line is found again.

Messages and tracebacks are masked (`resources.masking`).
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from collections.abc import Callable, Mapping
from contextvars import ContextVar, Token
from datetime import UTC, datetime

from opentelemetry import trace
from typing_extensions import override

from models.observability import LogSettings
from resources.masking import install, masked

#: Loggers of this project; those of libraries log warnings only.
_OURS = ("tessera", "pipelines", "assets", "resources", "models", "feature_repo")
_OF_UVICORN = ("uvicorn", "uvicorn.error", "uvicorn.access")
#: What the lines of this context are about, e.g. `{"run_id": "..."}`; asked for when a line is written.
_about: ContextVar[Callable[[], Mapping[str, str]]] = ContextVar("about", default=dict)


class JsonLines(logging.Formatter):
    """Formats a record as one line of JSON."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": masked(record.getMessage()),
            **_ids(),
        }
        if record.exc_info:
            line["exception"] = masked("".join(traceback.format_exception(*record.exc_info)))
        elif record.exc_text:
            line["exception"] = masked(record.exc_text)
        return json.dumps(line, ensure_ascii=False)


def _ids() -> dict[str, str]:
    found = {name: value for name, value in _about.get()().items() if value}
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        found |= {"trace_id": trace.format_trace_id(context.trace_id), "span_id": trace.format_span_id(context.span_id)}
    return found


class logged_with:
    """Add fields to the lines that are logged in the block: `logged_with(lambda: {"run_id": run_id})`."""

    __slots__ = ("_about", "_token")

    def __init__(self, about: Callable[[], Mapping[str, str]]) -> None:
        self._about = about
        self._token: Token[Callable[[], Mapping[str, str]]] | None = None

    def __enter__(self) -> None:
        self._token = _about.set(self._about)

    def __exit__(self, *_error: object) -> None:
        if self._token is not None:
            _about.reset(self._token)


def configure_logs(settings: LogSettings) -> bool:
    """Write the log of this process as the settings say; return True if that is JSON.

    Text stays as the process and its libraries write it.
    """
    if settings.format == "text":
        return False
    install()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for name in (*_OURS, *_OF_UVICORN):
        one = logging.getLogger(name)
        one.handlers.clear()
        one.propagate = True
        one.setLevel(logging.NOTSET)
    for name in _OURS:
        logging.getLogger(name).setLevel(settings.level.upper())
    logging.captureWarnings(capture=True)
    return True
