"""`tessera features`: what was known of entities at a moment, or with `--online` what is served of them now."""

from datetime import UTC, date, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from rich.progress import track

from assets.stages.app import App, FeatureService
from assets.stages.feature_days import missing_days
from models.contracts.identifiers import NotAnIdError, id_texts
from models.errors import TesseraError, choose_from
from models.features.cutoffs import cutoff_moment
from pipelines.cli.console import err, out
from pipelines.cli.tables import read_table, write_table
from resources.feature_store.port import NOT_FOUND, OUTSIDE_MAX_AGE, PRESENT, FeatureStore, status_column
from resources.lake.port import Lake
from resources.stack.loader import Stack, active_stack

_MOMENT = "event_timestamp"
_SAYS = {PRESENT: "served", NOT_FOUND: "unknown", OUTSIDE_MAX_AGE: "too old to be served"}


def features(app: App, service: FeatureService, entities: Path, file: Path) -> None:
    """Write the entities with their features to `file`, in the order in which they came.

    Features are taken at the end of each day (UTC): a moment sees the last end of a day at or before it. Days that have
    no features yet are computed first.

    Raises:
        TesseraError: unreadable file, missing column, or moments the lake knows nothing of.
    """
    stack = active_stack()
    rows = _moments(_entities(read_table(entities, ids=[service.entity]), service.entity, _MOMENT))
    lake: Lake = stack.open("lake")
    days = _days(rows, lake, app)
    _compute(stack, lake, app.features, service, days)
    store: FeatureStore = stack.open("feature_store")
    store.apply()
    joined = store.historical(service.name, rows, files={service.view: lake.files(app.features)})
    write_table(joined, file)
    first = next(name for name in joined.column_names if name not in rows.column_names)
    found = joined.num_rows - joined[first].null_count
    out.print(f"{joined.num_rows:,} rows written to {file}; {found:,} of them had features at their moment.")


def served(service: FeatureService, entities: Path, file: Path) -> None:
    """Write the entities, in their order, with what is served of them now and how each view was found.

    Raises:
        TesseraError: unreadable file, missing column, or nothing is registered yet.
    """
    stack = active_stack()
    store: FeatureStore = stack.open("feature_store")
    found = store.online(service.name, _entities(read_table(entities, ids=[service.entity]), service.entity))
    write_table(found, file)
    marks = found[status_column(service.view)].to_pylist()
    counts = ", ".join(f"{marks.count(mark):,} {says}" for mark, says in _SAYS.items())
    out.print(f"{found.num_rows:,} rows written to {file}: {counts}.")


def _entities(rows: pa.Table, key: str, *columns: str) -> pa.Table:
    """Return the rows with `key` as text."""
    for name in (key, *columns):
        if name not in rows.column_names:
            raise TesseraError(
                f"The entities have no column {name!r}.",
                expected=f"{' and '.join([key, *columns])}; there is {choose_from(name, rows.column_names)}",
                todo="Rename the column.",
            )
    try:
        texts = id_texts(rows[key])
    except NotAnIdError as error:
        raise TesseraError(
            f"The entities' column {key!r} holds no ids: {error}.",
            expected="integers or texts",
            todo="Write the ids as integers or texts.",
        ) from error
    return rows.set_column(rows.column_names.index(key), key, texts)


def _moments(rows: pa.Table) -> pa.Table:
    """Return the rows with a moment in µs, UTC (a moment without a time zone is taken as UTC)."""
    moments = rows[_MOMENT]
    try:
        if pa.types.is_string(moments.type):
            moments = pc.cast(moments, pa.timestamp("us"))
        moments = pc.cast(moments, pa.timestamp("us", "UTC"), safe=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise TesseraError(
            f"{_MOMENT} cannot be read as moments: {error}.",
            expected="timestamps or dates, e.g. 2011-06-02T23:59:59Z",
            todo="Correct the column.",
        ) from None
    return rows.set_column(rows.column_names.index(_MOMENT), _MOMENT, moments)


def _days(rows: pa.Table, lake: Lake, app: App) -> list[date]:
    """Return the day whose end is the last one at or before each moment, without those the lake knows nothing of."""
    table = app.made_from[0]
    delivered = lake.days(table)
    if not delivered:
        raise TesseraError(
            f"There are no {table} in the lake.",
            expected=f"ingested {table}",
            todo=f"Run `tessera run {app.name}_nightly` first.",
        )
    moments = [moment.astimezone(UTC) for moment in rows[_MOMENT].unique().to_pylist() if moment is not None]
    ends = {m.date() if m == cutoff_moment(m.date()) else m.date() - timedelta(days=1) for m in moments}
    late = sorted(day for day in ends if day > delivered[-1])
    if late:
        raise TesseraError(
            f"Nothing is known yet at the end of {late[-1]}: {table} are ingested up to {delivered[-1]}.",
            expected=f"moments before the end of {delivered[-1] + timedelta(days=1)}",
            todo=f"Run `tessera run {app.name}_nightly --date {late[-1]}` first.",
        )
    return sorted(day for day in ends if day >= delivered[0])


def _compute(stack: Stack, lake: Lake, table: str, service: FeatureService, days: list[date]) -> None:
    missing = missing_days(lake, table, days)
    engine = stack.open("engine")
    for day in track(missing, "features of days", console=err, transient=True, disable=not missing):
        service.write(lake, engine, stack.settings, [day])
