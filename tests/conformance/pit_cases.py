"""The cases of `pit_window_cases`: all of them go through the offline store, and eight through our own windows too."""

import json
from pathlib import Path
from typing import Any

CASES = Path(__file__).resolve().parents[3] / "shared" / "data" / "pit_window_cases" / "cases.json"

#: Windows that no feature of ours has. A DuckDB statement computes them (see `pit_windows`), the store joins them.
NOT_OUR_WINDOWS = {
    **dict.fromkeys(
        [f"window-{n:03}" for n in (25, 29, 35, 37, 48, 51, 56, 57, 59, 62, 63)],
        "a window of so many rows; ours are windows of time",
    ),
    "window-024": "leaves out the current row; a feature of a day includes that day",
    **dict.fromkeys(["window-044", "window-081", "window-087"], "ends before the current row; ours end at the cut-off"),
    "window-046": "keeps at most two rows of the window",
}


def all_cases() -> list[dict[str, Any]]:
    """Every case; none where the data is absent, so that tests can be collected (a fixture then skips or fails)."""
    return json.loads(CASES.read_text()) if CASES.is_file() else []


def join_cases() -> list[dict[str, Any]]:
    return [case for case in all_cases() if "join" in case["kind"]]


def window_cases() -> list[dict[str, Any]]:
    return [case for case in all_cases() if case["kind"] == "window_aggregate"]


def name_of(case: dict[str, Any]) -> str:
    """The case's view and service."""
    return case["id"].replace("-", "_")


def selected(case: dict[str, Any]) -> list[str]:
    """Columns that are taken from the right side of a join."""
    return case.get("select_right") or [item["column"] for item in case["select"] if item["from"] == "right"]


def records(side: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of a table of a case."""
    names = [name for name, _ in side["columns"]]
    return [dict(zip(names, row, strict=True)) for row in side["rows"]]
