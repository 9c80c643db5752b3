"""Keys of metadata: one convention, all named in `assets/stages/metadata_keys.py`."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from assets.stages import metadata_keys

ROOT = Path(__file__).parents[2]
WRITERS = sorted([*(ROOT / "assets").rglob("*.py"), ROOT / "pipelines" / "ingested_days.py"])
CARD = ROOT / "pipelines" / "cli" / "card.py"
KEYS = {name: value for name, value in vars(metadata_keys).items() if name.isupper()}
DAGSTERS = "dagster/"


def written_as_literals(source: str) -> list[str]:
    """Text keys of metadata: in arguments `metadata=`, functions named so, and functions of the module they call."""
    tree = ast.parse(source)
    functions = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    places: list[ast.AST] = [node for name, node in functions.items() if "metadata" in name]
    places += [node.value for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg == "metadata"]
    called = {_name(node) for place in places for node in ast.walk(place) if isinstance(node, ast.Call)}
    places += [functions[name] for name in called & functions.keys()]
    found = {key for node in ast.walk(tree) for key in _keys(node) if key.startswith(DAGSTERS)}
    for place in places:
        rows = [call for call in ast.walk(place) if isinstance(call, ast.Call) and _name(call) == "TableRecord"]
        columns = {key for call in rows for node in ast.walk(call) for key in _keys(node)}
        found |= {key for node in ast.walk(place) for key in _keys(node)} - columns
    return sorted(found)


def _keys(node: ast.AST) -> Iterator[str]:
    """Text keys that a dict literal has, or that one item is set by."""
    found: list[ast.expr | None] = []
    if isinstance(node, ast.Dict):
        found = list(node.keys)
    elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
        found = [node.slice]
    yield from (key.value for key in found if isinstance(key, ast.Constant) and isinstance(key.value, str))


def _name(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def test_every_key_is_snake_case_and_named_once() -> None:
    odd = [key for key in KEYS.values() if not re.fullmatch(r"(dagster/)?[a-z][a-z0-9_]*", key)]
    assert odd == []
    assert len(set(KEYS.values())) == len(KEYS) > 60


@pytest.mark.slow
def test_assets_and_checks_write_no_key_as_a_literal() -> None:
    found = {str(path.relative_to(ROOT)): written_as_literals(path.read_text()) for path in WRITERS}
    assert {path: keys for path, keys in found.items() if keys} == {}


def test_the_card_reads_no_key_as_a_literal() -> None:
    tree = ast.parse(CARD.read_text())
    read = [node for node in ast.walk(tree) if isinstance(node, ast.Subscript) and _is(node.value, "found")]
    asked = [
        node.left for node in ast.walk(tree) if isinstance(node, ast.Compare) and _is(node.comparators[0], "found")
    ]
    literal = [*(node.slice for node in read), *asked]
    assert [node.value for node in literal if isinstance(node, ast.Constant)] == []
    assert len(read) > 40


def _is(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


@pytest.mark.parametrize(
    ("source", "keys"),
    [
        ("dg.MaterializeResult(metadata={'rows in': 3})", ["rows in"]),
        ("def metadata(self):\n    return {'digest': 1, **{'app': 2}}", ["app", "digest"]),
        ("def _metadata():\n    shown['by_hand'] = 1", ["by_hand"]),
        ("def rows():\n    return {'a': 3}\ndef metadata():\n    return rows()", ["a"]),
        ("def rows():\n    return {'a': 3}", []),
        ("def count():\n    return {'dagster/row_count': 3, 'rows': 4}", ["dagster/row_count"]),
        ("def metadata():\n    return {keys.A: TableRecord({'reason': 1})}", []),
        ("dg.MaterializeResult(metadata={keys.ROWS_IN: 3, name: 4})", []),
    ],
)
def test_a_literal_key_is_found(source: str, keys: list[str]) -> None:
    assert written_as_literals(source) == keys
