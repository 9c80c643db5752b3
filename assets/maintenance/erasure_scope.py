"""Everything that an erasure must reach, as the stores themselves list it; what cannot be reached stops it."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from assets.apps import APPS
from assets.stages.ingestion.completeness_log import logged_table, quarantine_of
from models.contracts import CONTRACTS
from models.erasure.tombstones import ENTITIES
from models.errors import TesseraError
from models.stream_state import StreamState
from resources.alert_store.port import AlertStore, ErasableAlertStore
from resources.events.port import ErasableEvents, Events
from resources.feature_store.port import ErasableFeatureStore, FeatureStore, OnlineFeatureStore
from resources.lake.port import ErasableLake, Lake
from resources.sink.port import ErasableSink, Sink
from resources.state_store.port import ErasableStateStore, StateStore

# pyright: basic, reportAttributeAccessIssue=false
# pyarrow has no static types, and makes the functions of `pyarrow.compute` when it is imported.


@dataclass(frozen=True)
class EventFields:
    """Decisions of the person who erases on fields of events that nothing declares.

    Attributes:
        naming: fields that name such entities: an event with the id in one of them is removed.
        others: fields with another meaning, in which the id is none.
    """

    naming: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


def erasable_lake(lake: Lake, entity: str) -> ErasableLake:
    """Return the lake, which can remove the rows of one entity.

    Raises:
        TesseraError: the adapter cannot.
    """
    if isinstance(lake, ErasableLake):
        return lake
    raise _cannot("lake", lake, f"the rows of one {entity}")


def require_known_columns(lake: Lake, entity: str, id: str) -> None:
    """Refuse an erasure while a table that is not known here holds the id under another name than the entity's column.

    Raises:
        TesseraError: with the tables and their columns.
    """
    found = [
        f"{table} (column {name!r})" for table in _foreign_tables(lake) for name in _naming(lake, table, entity, id)
    ]
    if found:
        raise TesseraError(
            f"The lake holds the id of the {entity} in columns of unknown meaning: {', '.join(found)}. The"
            " erasure stops before it removes anything more.",
            expected=f"a column {ENTITIES[entity]!r} in each table that names a {entity}",
            todo="Take these rows or tables out of the lake, or call the column so, and run `tessera forget` again.",
        )


def _foreign_tables(lake: Lake) -> list[str]:
    """Return the tables that neither a contract nor an application describes."""
    known = {*CONTRACTS, *map(logged_table, CONTRACTS)}
    known |= {*map(quarantine_of, known)}
    known |= {table for app in APPS for table in (app.features, app.training_set)}
    return [table for table in lake.tables() if table not in known]


def _naming(lake: Lake, table: str, entity: str, id: str) -> list[str]:
    rows = lake.scan(table)
    texts = [
        field.name
        for field in rows.schema
        if field.name != ENTITIES[entity] and (pa.types.is_string(field.type) or pa.types.is_large_string(field.type))
    ]
    return [name for name in texts if rows.count_rows(filter=pc.field(name) == id)]


def searched(lake: Lake, sink: ErasableSink, events: Events, fields: EventFields, entity: str) -> dict[str, list[str]]:
    """Return what an erasure looks through, by store, as the stores list it now."""
    column = ENTITIES[entity]
    tables = {table: column in lake.scan(table).schema.names for table in lake.tables()}
    return {
        f"tables of the lake with {column}": [table for table, named in tables.items() if named],
        "tables of the lake without": [table for table, named in tables.items() if not named],
        "applications with scores": [*sink.apps()],
        "groups of the queue, beside its dead letters": [*events.groups()],
        f"fields of events that name a {entity}": ["subject", column, *fields.naming],
        "fields of events that hold the id with another meaning": [*fields.others],
    }


def erasable_events(events: Events, entity: str) -> ErasableEvents:
    """Return the queue, which can remove the events of one entity.

    Raises:
        TesseraError: the adapter cannot.
    """
    if isinstance(events, ErasableEvents):
        return events
    raise _cannot("queue of events", events, f"the events of one {entity}")


def require_known_fields(events: ErasableEvents, entity: str, id: str, fields: EventFields) -> None:
    """Refuse an erasure while events hold the id in a field of unknown meaning, and name the entity nowhere else.

    Raises:
        TesseraError: with the fields, and how many events and dead letters have the id there.
    """
    known = {*fields.naming, *fields.others}
    found = [f"{field!r} ({count})" for field, count in sorted(events.undeclared(id).items()) if field not in known]
    if found:
        raise TesseraError(
            f"Events hold the id of the {entity} in fields of unknown meaning: {', '.join(found)}. The erasure stops"
            " before it removes anything more.",
            expected=f"`subject` or {ENTITIES[entity]!r} where an event names a {entity}",
            todo=f"Run it again with `--named-by FIELD` for each field that names a {entity} (its events go, too), and"
            " `--not-named-by FIELD` for each other one.",
        )


def erasable_alerts(beside: AlertStore, alerts: AlertStore, entity: str) -> ErasableAlertStore | None:
    """Return the store of alerts, which can remove those of one entity; None: it is where the state is.

    Args:
        beside: the alerts that are stored with the state of streams.
        alerts: those that people read, at another place if the profile says so.
        entity: that is erased.

    Raises:
        TesseraError: it cannot, or one of them holds alerts of an application that declares none.
    """
    known = {app.name for app in APPS if app.raises_alerts}
    strange = sorted({name for store in (beside, alerts) for name in store.apps()} - known)
    if strange:
        raise TesseraError(
            f"The alert store holds alerts of {', '.join(strange)}, which no application here raises: it is unknown if"
            f" they name the {entity}. The erasure stops before it removes anything more.",
            expected=f"alerts of {', '.join(sorted(known))}",
            todo="Take these alerts out of the store, and run `tessera forget` again.",
        )
    if alerts.place == beside.place:
        return None
    if isinstance(alerts, ErasableAlertStore):
        return alerts
    raise _cannot("alert store", alerts, f"the alerts of one {entity}")


def erasable_features(store: FeatureStore, entity: str) -> ErasableFeatureStore | None:
    """Return the feature store, which can remove the rows of one entity; None: it serves nothing online and keeps none.

    Raises:
        TesseraError: it serves features online, and cannot remove them.
    """
    if isinstance(store, ErasableFeatureStore):
        return store
    if isinstance(store, OnlineFeatureStore):
        raise _cannot("feature store", store, f"the features of one {entity}")
    return None


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
            f" {ENTITIES[entity]!r}: it is unknown if they name the {entity}. The erasure stops before it"
            " removes anything more.",
            expected=f"scores of {', '.join(sorted(known))}, or with that column",
            todo="Take these scores out of the sink, and run `tessera forget` again.",
        )
    return sink


def erasable_states(store: StateStore, entity: str) -> tuple[ErasableStateStore, list[StreamState]]:
    """Return the state store, which can remove what names one entity, and every stream that an application declares.

    Raises:
        TesseraError: the adapter cannot, or it holds the state of another stream.
    """
    if not isinstance(store, ErasableStateStore):
        raise _cannot("state store", store, f"the state of one {entity}")
    declared = {state.name: state for state in (app.state() for app in APPS if app.state)}
    strange = [name for name in store.streams() if name not in declared]
    if strange:
        raise TesseraError(
            f"The state store holds the state of {', '.join(strange)}, a stream that no application here declares:"
            f" it is unknown where it names the {entity}. The erasure stops before it removes anything more.",
            expected=f"streams {', '.join(sorted(declared))}",
            todo="Take its tables out of the store, and run `tessera forget` again.",
        )
    return store, [*declared.values()]


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
