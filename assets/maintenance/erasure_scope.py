"""Everything that an erasure must reach, as the stores themselves tell it; what cannot be reached stops it."""

from __future__ import annotations

from assets.apps import APPS
from models.erasure.tombstones import ENTITIES
from models.errors import TesseraError
from resources.events.port import ErasableEvents, Events
from resources.lake.port import ErasableLake, Lake
from resources.sink.port import ErasableSink, Sink


def erasable_lake(lake: Lake, entity: str) -> ErasableLake:
    """Return the lake, which can remove the rows of one entity.

    Raises:
        TesseraError: the adapter cannot.
    """
    if isinstance(lake, ErasableLake):
        return lake
    raise _cannot("lake", lake, f"the rows of one {entity}")


def erasable_events(events: Events, entity: str) -> ErasableEvents:
    """Return the queue, which can remove the events of one entity.

    Raises:
        TesseraError: the adapter cannot.
    """
    if isinstance(events, ErasableEvents):
        return events
    raise _cannot("queue of events", events, f"the events of one {entity}")


def erasable_sink(sink: Sink, entity: str) -> ErasableSink:
    """Return the sink, which can remove the scores of one entity.

    Raises:
        TesseraError: the adapter cannot, or it holds scores of an application that is not known here.
    """
    if not isinstance(sink, ErasableSink):
        raise _cannot("sink", sink, f"the scores of one {entity}")
    known = {app.name for app in APPS}
    strange = sorted(
        name for name, columns in sink.apps().items() if not {*columns} & {ENTITIES[entity]} | {name} & known
    )
    if strange:
        raise TesseraError(
            f"The sink holds scores of {', '.join(strange)}, which no application here publishes, without a column"
            f" {ENTITIES[entity]!r}: nobody can say if they name the {entity}. Nothing was removed anywhere.",
            expected=f"scores of {', '.join(sorted(known))}, or with that column",
            todo="Take these scores out of the sink, and run `tessera forget` again.",
        )
    return sink


def scored_apps(sink: ErasableSink, entity: str) -> list[str]:
    """Return the applications whose scores name the entity: those stored, and those that a later night may write."""
    column = ENTITIES[entity]
    stored = {name for name, columns in sink.apps().items() if column in columns}
    written = {app.name for app in APPS if app.output and entity in app.erases and column in app.output.schema.names}
    return sorted(stored | written)


def _cannot(port: str, adapter: object, what: str) -> TesseraError:
    return TesseraError(
        f"The {port} ({type(adapter).__name__}) cannot remove {what}: nothing was removed anywhere.",
        expected="an adapter with the capability `erasable` (docs/adapters.md)",
        todo=f"Move what the {port} holds to such an adapter, then run `tessera forget` again.",
    )
