"""Every setting is read by code: one that nothing reads would have no effect."""

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel, Field, create_model

from models.settings import APP_NAMES, Settings
from resources.stack.loader import Calendar
from resources.stack.table import KINDS, PORTS, TRAINERS
from tests.unit.syntax_trees import ON_ONE_WORKER, tree_of

pytestmark = ON_ONE_WORKER

ROOT = Path(__file__).parents[2]
ROOMS = ("pipelines", "assets", "resources", "models", "tessera")
ADAPTERS = sorted({*TRAINERS.values(), *(path for port in PORTS.values() for path in port.adapters.values())} | {
    path for kinds in KINDS.values() for path in kinds.values()
})  # fmt: skip


@cache
def read_in(file: Path) -> frozenset[str]:
    """Names of the attributes that a module reads."""
    nodes = ast.walk(tree_of(file))
    return frozenset(node.attr for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load))


def read(*files: Iterable[Path]) -> frozenset[str]:
    return frozenset().union(*(read_in(file) for some in files for file in some))


def blocks(config: Any) -> Iterator[type[BaseModel]]:
    """Yield a config, and the configs in its settings."""
    if isinstance(config, type) and issubclass(config, BaseModel):
        yield config
        for field in config.model_fields.values():
            yield from blocks(field.annotation)
    for inner in get_args(config):
        yield from blocks(inner)


def unread(config: type[BaseModel], names: frozenset[str]) -> list[str]:
    """Settings of a config, at any depth, whose names are not among those that are read."""
    return [f"{one.__name__}.{name}" for one in blocks(config) for name in one.model_fields if name not in names]


@pytest.mark.slow
def test_every_setting_of_a_profile_is_read_somewhere() -> None:
    names = read(*((ROOT / room).rglob("*.py") for room in ROOMS))
    assert [*unread(Settings, names), *unread(Calendar, names)] == []


@pytest.mark.slow
@pytest.mark.parametrize("app", APP_NAMES)
def test_every_setting_of_an_application_is_read_by_it_or_by_a_shared_stage(app: str) -> None:
    config = Settings.model_fields[app].annotation
    assert isinstance(config, type)
    assert issubclass(config, BaseModel)
    own = ((ROOT / "assets" / app).rglob("*.py"), (ROOT / "models" / app).rglob("*.py"))
    names = read(*own, (ROOT / "assets/stages").rglob("*.py"), (ROOT / "pipelines").rglob("*.py"))
    assert [name for name in config.model_fields if name not in names] == []


@pytest.mark.parametrize("path", ADAPTERS)
def test_every_setting_of_an_adapter_is_read_in_its_own_module(path: str) -> None:
    module, _, name = path.rpartition(".")
    names = read([ROOT / Path(*module.split(".")).with_suffix(".py")])
    fields = getattr(import_module(module), name).model_fields
    assert [one for one in fields if one not in names | {"kind"}] == []


def test_a_setting_that_nothing_reads_is_found() -> None:
    inner = create_model("Inner", unheard_of_limit=(int, Field(default=1)))
    config = create_model("Outer", path=(str, ""), inner=(inner | None, None))
    assert unread(config, frozenset({"path", "inner"})) == ["Inner.unheard_of_limit"]
