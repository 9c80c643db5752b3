"""`tessera trace`: the model, features, inputs and run behind one score."""

from collections.abc import Iterator, Mapping
from typing import Any

from assets.apps import app_named
from assets.stages.trace import trace as traced
from pipelines.cli.arguments import PUBLISHING_APPS, known_day
from pipelines.cli.console import listing, out
from pipelines.cli.tables import print_json
from resources.stack.loader import active_stack
from resources.stack.ports import Ports


def trace(app: str, entity: str, day_text: str | None, *, as_json: bool = False) -> None:
    """Show the origin of the score of an entity.

    Raises:
        TesseraError: nothing was scored on the day, or the entity is not in the set.
    """
    traced_app, stack = app_named(app, PUBLISHING_APPS), active_stack()
    day = known_day(day_text, stack)
    ports = Ports(stack)
    found = traced(traced_app, ports.sink, ports.lake, ports.registry, entity, day)
    if as_json:
        print_json(found)
        return
    out.print(listing(("what", "value"), _lines(found)))


def _lines(found: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """One line per value, named by its path; empty values are left out."""
    for name, value in found.items():
        if isinstance(value, dict):
            yield from _lines(value, f"{prefix}{name}.")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for one in value:
                yield from _lines(one, f"{prefix}{name}.")
        elif value not in (None, "", [], {}):
            yield f"{prefix}{name}", "; ".join(map(str, value)) if isinstance(value, list) else str(value)
