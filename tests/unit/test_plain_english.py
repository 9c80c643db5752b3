"""Docstrings state: their first line does not ask."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS = ("pipelines", "assets", "resources", "models", "feature_repo", "benchmarks")
ASKING = re.compile(r"(what|whether|how|who|whom|whose|where|which|when|whatever|whoever)\b", re.IGNORECASE)


def first_lines() -> Iterator[tuple[str, str]]:
    """Yield the place and the first line of every docstring of the rooms."""
    for room in ROOMS:
        for file in sorted((ROOT / room).rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                    text = ast.get_docstring(node) or ""
                    yield f"{file.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}", text.split("\n")[0]


def test_no_docstring_asks() -> None:
    assert {place: line for place, line in first_lines() if ASKING.match(line)} == {}
