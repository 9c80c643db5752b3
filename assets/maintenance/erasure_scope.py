"""Everything that an erasure must reach, as the stores themselves tell it; what cannot be reached stops it."""

from __future__ import annotations

from assets.apps import APPS
from models.erasure.tombstones import ENTITIES
from models.errors import TesseraError
from resources.sink.port import ErasableSink, Sink


def erasable_sink(sink: Sink, entity: str) -> ErasableSink:
    """Return the sink, which can remove the scores of one entity.

    Raises:
        TesseraError: the adapter cannot, or it holds scores of an application that is not known here.
    """
    if not isinstance(sink, ErasableSink):
        raise TesseraError(
            f"The sink ({type(sink).__name__}) cannot remove the scores of one {entity}: nothing was removed anywhere.",
            expected="a sink with the capability `erasable` (docs/adapters.md)",
            todo="Move the scores to such a sink, or take its scores away, and run `tessera forget` again.",
        )
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
