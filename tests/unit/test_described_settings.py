"""Every setting says what it means to a newcomer, in the launchpad and in docs/stack.md."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from models.settings import Settings
from pipelines.docs.pages import pages
from resources.stack.adapters import adapter_class
from resources.stack.loader import ROOT, Calendar, load_stack
from resources.stack.ports import stack_resources
from resources.stack.table import KINDS, PORTS

#: Said once, on the page and in the launchpad: the name of the adapter.
NAMES = {"kind"}


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Config classes in an annotation, at any depth."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from models_in(argument)


def settings_of(place: str, model: type[BaseModel]) -> Iterator[tuple[str, FieldInfo]]:
    for name, field in model.model_fields.items():
        inner = list(models_in(field.annotation))
        if name not in NAMES and not (inner and inner[0] is field.annotation):
            yield f"{place}.{name}", field
        for one in inner:
            yield from settings_of(f"{place}.{name}", one)


def every_setting() -> Iterator[tuple[str, FieldInfo]]:
    for port, kinds in KINDS.items():
        for kind in kinds:
            yield from settings_of(f"{port} {kind}", adapter_class(port, kind))
    yield from settings_of("settings", Settings)
    yield from settings_of("calendar", Calendar)


def test_every_setting_has_a_description() -> None:
    assert [place for place, field in every_setting() if len((field.description or "").split()) < 3] == []


def test_no_description_needs_its_name_to_be_understood() -> None:
    """A sentence or noun phrase that begins with a capital letter or code and ends with a full stop."""
    found = {place: field.description or "" for place, field in every_setting()}
    assert [place for place, text in found.items() if not (text[:1].isupper() or text[:1] in "`0123456789")] == []
    assert [place for place, text in found.items() if not text.endswith((".", "..."))] == []
    assert [place for place, text in found.items() if text.startswith(("Whether ", "What ", "Who ", "How "))] == []


def sections(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    yield model
    for field in model.model_fields.values():
        for inner in models_in(field.annotation):
            yield from sections(inner)


@pytest.mark.parametrize("model", sorted(set(sections(Settings)), key=lambda one: one.__name__))
def test_every_section_says_what_it_holds(model: type[BaseModel]) -> None:
    assert len((model.__doc__ or "").split()) >= 3


def test_the_launchpad_shows_them(tmp_path: Path) -> None:
    resources = stack_resources(load_stack(ROOT / "stack.yaml", None, str(tmp_path), {}))
    shown = "\n".join(
        str(field.description)
        for name in ("settings", *PORTS)
        for field in resources[name].resource_cls.model_fields.values()
    )
    local = {f"{port} {port_of.default['kind']}" for port, port_of in PORTS.items()}
    asked = [(place, field) for place, field in every_setting() if place.split(".")[0] in {"settings", *local}]
    assert len(asked) > 100
    assert [place for place, field in asked if str(field.description) not in shown] == []


def test_the_page_of_the_stack_shows_them() -> None:
    page = pages()["stack.md"]
    assert [place for place, field in every_setting() if field.description not in page] == []
