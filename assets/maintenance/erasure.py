"""Erase one entity from everything a home holds; plain functions, usable without Dagster.

The order makes it sound whatever else runs: the tombstone comes first, and every store asks for tombstones under the
lock under which it writes. So a run that had read rows of the entity before either writes them before the removal,
which waits for that lock and then removes them, or it writes after the removal and finds the tombstone.

The stream comes after the lake, since a new worker begins with what the lake knows: one that had read the lake before
finds another generation of its state when it writes, begins anew, and reads the tombstones before it goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path

import pyarrow.compute as pc

from assets.apps import APPS
from assets.maintenance.erasure_belongings import (
    leave_tombstones_of_belongings,
    rows_of_belongings,
    rows_without_owner,
    surviving_belongings,
    tables_with_belongings,
)
from assets.maintenance.erasure_journal import ErasureJournal
from assets.maintenance.erasure_scope import (
    EventFields,
    erasable_alerts,
    erasable_events,
    erasable_features,
    erasable_lake,
    erasable_sink,
    erasable_states,
    require_known_columns,
    require_known_fields,
    scored_apps,
    searched,
)
from assets.maintenance.erasure_search import quarantines, survey, tables_with
from assets.maintenance.file_search import traces
from assets.stages.app import App
from assets.stages.ingestion.completeness_log import logged_table, quarantine_of, recount
from models.alerts import is_alert_of
from models.contracts import CONTRACTS
from models.erasure.record import Erasure, Learnt, Place
from models.erasure.tombstones import ENTITIES
from models.errors import TesseraError
from resources.alert_store.port import AlertStore
from resources.events.port import Events
from resources.feature_store.port import FeatureStore
from resources.lake.port import DayRows, Lake
from resources.notifier.port import ErasableNotifier, Notifier
from resources.registry.port import Registry
from resources.sink.port import Sink
from resources.source.port import Source
from resources.state_store.port import StateStore
from resources.vectors.port import Vectors

# pyright: basic, reportAttributeAccessIssue=false
# pyarrow makes the functions of `pyarrow.compute` when it is imported.

#: Places in the proof.
_QUEUE, _ALERTS, _STREAM = "events", "alerts elsewhere", "stream: "

_REMAINS = (
    "Model versions do not change: what was learned from the entity stays in the weights of the versions above, and"
    " feature values without an id in the golden sets of those marked so, until others take over (`tessera run"
    " churn_training`).",
    "The source may still deliver rows of the entity. They are dropped before anything of them is written; delete them"
    " at the source.",
    "Backups of this home, and files that people made of it (`tessera scores --out`, `tessera features --out`), are"
    " out of reach.",
    "Refused rows without a customer id cannot be matched and stay in quarantine.",
    "Records of publications keep number, digest and mean of the sets of scores as they were.",
    "Events of the entity may still be published. The stream drops them: nothing of them is kept, and they leave the"
    " queue when it is pruned. A line that is no event and names the entity stays in the dead letters until the entity"
    " is forgotten once more.",
    "Versions of support keep the ids of the tickets that they were trained on; nothing in this home says any more what"
    " the entity's tickets were.",
    "Refused rows, and events in the queue, that name a visit of the entity and not the entity stay until they are"
    " pruned; nothing in this home says any more whose visit it was, and such events are not stored.",
    "Labels in the lake say of the number of a payment whether it was fraud; those of the entity's payments name no one"
    " any more.",
    "Notices that were sent (webhook) are with their receivers; that of an alert that was raised at the very"
    " moment of the removal may come after it.",
    "Older versions of the lake's tables are gone: their files were removed at once, so that none holds the entity.",
)


@dataclass(frozen=True)
class Parts:
    """Ports of a home that hold data."""

    lake: Lake
    feature_store: FeatureStore
    registry: Registry
    sink: Sink
    source: Source
    events: Events
    state_store: StateStore
    alert_store: AlertStore
    notifier: Notifier
    vectors: Vectors


_NO_FIELDS = EventFields()


def forget(
    parts: Parts, home: Path, entity: str, id: str, *, why: str, who: str, fields: EventFields = _NO_FIELDS
) -> tuple[Erasure, Path]:
    """Return the proof of the erasure, and its file; every store of the home is then without the entity, and stays so.

    May be called again at any time, above all after it was interrupted: it then completes what was begun.

    Args:
        parts: the home's stores.
        home: its folder; proofs are in `forgotten/`.
        entity: one of `models.erasure.tombstones.ENTITIES`.
        id: as in the entity's column.
        why: kept in tombstones, records and proof; must not name the entity.
        who: the person.
        fields: of events, beside those that are declared.

    Raises:
        TesseraError: a store does not answer or cannot erase, or the entity was found again afterwards.
    """
    lake = erasable_lake(parts.lake, entity)
    erasable_sink(parts.sink, entity)
    require_known_fields(erasable_events(parts.events, entity), entity, id, fields)
    erasable_features(parts.feature_store, entity)
    erasable_states(parts.state_store, entity)
    erasable_alerts(parts.state_store.alerts_beside, parts.alert_store, entity)
    require_known_columns(lake, entity, id)
    stone = lake.leave_tombstone(entity, id, day=datetime.now(UTC).date(), why=why)
    journal = ErasureJournal(home / "forgotten")
    record = journal.open(entity, stone.digest, who=who, why=why)
    leave_tombstones_of_belongings(lake, entity, id, why)
    work = _Erasing(parts, journal, record, entity, id, fields)
    work.online()
    work.belongings()
    work.training_sets()
    work.tables()
    work.vectors()
    work.scores()
    work.queue()
    work.stream()
    work.alerts()
    work.notices()
    work.verify()
    # Last of all: to close a file of SQLite ends the locks that this process holds on it.
    named = [f"{path} holds the id's characters {count} times." for path, count in traces(home, id).items()]
    record.searched["files of the home"] = ["all"]
    record.remains = [*_REMAINS, *work.late, *named]
    return record, journal.finish(record)


class _Erasing:
    """The steps of one erasure; each notes in the journal what it removes before it does."""

    def __init__(
        self, parts: Parts, journal: ErasureJournal, record: Erasure, entity: str, id: str, fields: EventFields
    ) -> None:
        self._fields = fields
        self._parts, self._journal, self._record = parts, journal, record
        self._entity, self._id, self._column = entity, id, ENTITIES[entity]
        self._apps = [app for app in APPS if entity in app.erases]
        self._streams = any(app.streams for app in self._apps)
        self.late: list[str] = []

    def online(self) -> None:
        """Erase the entity from the online stores and the log of served features."""
        store = erasable_features(self._parts.feature_store, self._entity)
        if store is not None:
            store.apply()
            removed = partial(store.forget, self._entity, self._id)
            self._counting("online", lambda: {f"online: {view}": rows for view, rows in removed().items()})
        views = [name.removeprefix("online: ") for name in self._record.places if name.startswith("online: ")]
        self._record.searched["online views"] = views

    def belongings(self) -> None:
        """Remove rows that name only what is the entity's, before the tables that say whose it is."""
        lake = self._parts.lake
        contracts = {name: table for table in CONTRACTS for name in (table, quarantine_of(table))}
        for name, where in rows_of_belongings(lake, self._entity).items():
            with ExitStack() as held:
                if name in contracts:
                    held.enter_context(lake.lock(contracts[name]))
                self._remove(name, where)
                if name in contracts:
                    recount(lake, contracts[name])

    def training_sets(self) -> None:
        """Record the versions trained on the entity, then remove its training rows, under each training lock."""
        for app in self._apps:
            with self._parts.registry.lock(app.name):
                self._note_learnt(app)
                if self._parts.lake.exists(app.training_set):
                    self._remove(app.training_set, pc.field(self._column) == self._id)

    def tables(self) -> None:
        """All tables of the lake with the entity's column; contracted ones with quarantine and record of ingestion.

        Rows of the entity's visits before it was known who visits go with them.
        """
        lake = self._parts.lake
        mine = pc.field(self._column) == self._id
        named = [name for name, contract in CONTRACTS.items() if self._column in contract.arrow_schema().names]
        contracted = {table for name in named for table in (name, logged_table(name))}
        refused = quarantines(lake, self._parts.source, self._column, self._id)
        for name in sorted({*tables_with(lake, self._column), *contracted}):
            with ExitStack() as held:
                if name in contracted:
                    held.enter_context(lake.lock(name))  # an ingestion writes all three under this one
                    if quarantine_of(name) in refused:
                        self._remove(quarantine_of(name), refused[quarantine_of(name)])
                if lake.exists(name):
                    unnamed = rows_without_owner(lake, self._entity, name)
                    self._remove(name, mine if unnamed is None else mine | unnamed)
                if name in contracted:
                    recount(lake, name)

    def vectors(self) -> None:
        """Rows of every version of every vector index; a build under way writes none of the entity."""
        erased = partial(self._parts.vectors.forget, self._entity, self._id)
        about = {"day": datetime.now(UTC).date(), "why": self._record.why}
        self._counting("vectors", lambda: {f"vectors: {name}": rows for name, rows in erased(**about).items()})
        self._record.searched["vector indexes"] = [*self._parts.vectors.collections()]

    def scores(self) -> None:
        """Remove the entity's rows from every attempt of every application that scores it or ever did."""
        sink = erasable_sink(self._parts.sink, self._entity)
        for app in scored_apps(sink, self._entity):
            name = f"scores: {app}"
            about = {"why": self._record.why, "who": self._record.who, "planned": partial(self._note, name)}
            sink.forget(app, self._column, self._id, **about)
            self._record.places.setdefault(name, Place(rows=0))

    def queue(self) -> None:
        """Events of any type and dead letters, also those that a group has yet to read."""
        events = erasable_events(self._parts.events, self._entity)
        self._counting("events", lambda: {_QUEUE: events.forget(self._id, also=self._fields.naming)})

    def stream(self) -> None:
        """Erase the state of the streams, their alerts and feedback; a running worker starts anew without them."""
        if self._streams:
            store, states = erasable_states(self._parts.state_store, self._entity)
            erased = partial(store.erase, column=self._column, id=self._id)
            self._counting("stream", lambda: {f"{_STREAM}{state.name}": erased(state) for state in states})

    def alerts(self) -> None:
        """Erase the alerts that are not stored with the state, and the feedback on them."""
        beside, alerts = self._parts.state_store.alerts_beside, self._parts.alert_store
        store = erasable_alerts(beside, alerts, self._entity)
        if store is not None:
            _, states = erasable_states(self._parts.state_store, self._entity)
            erased = partial(store.erase_alerts, entity_id=self._id)
            apps = [state.name for state in states if state.alerts_about == self._column]
            self._counting("alerts", lambda: {_ALERTS: sum(map(erased, apps))})
        self._record.searched["alert stores"] = sorted({beside.place, alerts.place})

    def notices(self) -> None:
        """Notices of the entity's alerts that the home keeps."""
        notifier = self._parts.notifier
        if self._streams and isinstance(notifier, ErasableNotifier):
            named = partial(is_alert_of, entity_id=self._id)
            self._counting("notices", lambda: {"notices": notifier.forget(named)})

    def verify(self) -> None:
        """Everything is searched once more; events that were published meanwhile are removed, and reported.

        Raises:
            TesseraError: rows of the entity came back: whatever writes them does not ask for tombstones.
        """
        require_known_columns(self._parts.lake, self._entity, self._id)
        events = erasable_events(self._parts.events, self._entity)
        require_known_fields(events, self._entity, self._id, self._fields)
        sink = erasable_sink(self._parts.sink, self._entity)
        self._record.searched |= tables_with_belongings(self._parts.lake, self._entity)
        self._record.searched |= searched(self._parts.lake, sink, self._parts.events, self._fields, self._entity)
        left = [*survey(self._parts.lake, self._parts.source, self._entity, self._id)]
        left += surviving_belongings(self._parts.lake, self._entity)
        queued, vectors = self._rows(_QUEUE), self._vector_rows()
        streams = [f"{_STREAM}{app.name}" for app in APPS if app.streams]
        before = {name: self._rows(name) for name in (*streams, _ALERTS)}
        self.queue()
        self.stream()
        self.alerts()
        self.vectors()
        left += [name for name, rows in self._vector_rows().items() if rows > vectors.get(name, 0)]
        left += [name for name, rows in before.items() if self._rows(name) > rows]
        if left:
            raise TesseraError(
                f"Rows of the {self._entity} were found again in {', '.join(left)}.",
                expected="none after the removal: whatever writes them does not ask for tombstones",
                todo="End that writer, and run `tessera forget` again.",
            )
        late = self._rows(_QUEUE) - queued
        says = (
            f"{late} events of the entity were published during the removal and removed: a producer still sends them."
        )
        self.late = [says] if late else []

    def _vector_rows(self) -> dict[str, int]:
        return {name: place.rows for name, place in self._record.places.items() if name.startswith("vectors: ")}

    def _rows(self, name: str) -> int:
        return self._record.places[name].rows if name in self._record.places else 0

    def _counting(self, step: str, remove: Callable[[], Mapping[str, int]]) -> None:
        """Run a step that knows only afterwards how many rows it removed; the journal shows a step that never ended."""
        self._record.doing = step
        self._journal.save(self._record)
        note = "or more: an attempt was interrupted before it could count" if step in self._record.uncounted else ""
        for name, rows in remove().items():
            before = self._record.places.get(name, Place(rows=0))
            self._record.places[name] = Place(rows=before.rows + rows, note=note or before.note)
        self._record.doing = ""
        self._journal.save(self._record)

    def _remove(self, table: str, where: pc.Expression) -> None:
        name = f"lake: {table}"
        erasable_lake(self._parts.lake, self._entity).remove(table, where, planned=partial(self._note, name))
        self._record.places.setdefault(name, Place(rows=0))

    def _note(self, name: str, plan: DayRows) -> None:
        self._record.places[name] = Place(rows=sum(plan.values()), days=len(plan))
        self._journal.save(self._record)

    def _note_learnt(self, app: App) -> None:
        learnt, unsure = _learnt(self._parts, app, self._column, self._id)
        known = {(entry.app, entry.version) for entry in self._record.learnt}
        self._record.learnt += [entry for entry in learnt if (entry.app, entry.version) not in known]
        self._record.unsure |= unsure
        self._journal.save(self._record)


def _learnt(parts: Parts, app: App, column: str, id: str) -> tuple[list[Learnt], dict[str, str]]:
    """Versions that were trained or evaluated with rows of the entity, and versions for which it is unknown."""
    known = {day.isoformat(): day for day in parts.lake.days(app.training_set)}
    golden = _golden_by_day(parts.lake, app, column, id)
    learnt: list[Learnt] = []
    unsure: dict[str, str] = {}
    for info in parts.registry.versions(app.name):
        day = known.get(info.tags.get("as_of", ""))
        if day is None:
            what = f"as of {info.tags['as_of']} is not in the lake" if "as_of" in info.tags else "is not named"
            unsure[f"{app.name} {info.version}"] = f"registered {info.created_at[:10]}, its training set {what}"
        elif day in golden:
            entry = {"app": app.name, "version": info.version, "as_of": day}
            learnt.append(Learnt(**entry, champion=info.champion, golden_set=golden[day]))
    return learnt, unsure


def _golden_by_day(lake: Lake, app: App, column: str, id: str) -> Mapping[date, bool]:
    """Days whose training set holds the entity -> whether the golden set made of it does."""
    found: dict[date, bool] = {}
    for day in lake.days(app.training_set):
        rows = lake.scan(app.training_set, first=day, last=day)
        if rows.count_rows(filter=pc.field(column) == id):
            parts = [name for name in (column, "event_timestamp", "part") if name in rows.schema.names]
            golden = app.golden_ids(rows.to_table(columns=parts))
            found[day] = id in golden
    return found
