"""Syntax trees of the project's modules, parsed once for all tests that look through them.

These tests run on one worker: `pytestmark = ON_ONE_WORKER`.
"""

import ast
from functools import cache
from pathlib import Path

import pytest

ON_ONE_WORKER = pytest.mark.xdist_group("syntax trees")


@cache
def tree_of(file: Path) -> ast.Module:
    """Parse a module."""
    return ast.parse(file.read_text(encoding="utf-8"), str(file))
