"""Entities with their features as they were known at a moment; plain functions for the command line and notebooks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from assets.stages.app import App, FeatureService
from models.contracts.identifiers import NotAnIdError, id_texts
from models.errors import TesseraError, choose_from
from models.features.cutoffs import cutoff_moment
from models.tracing import traced
from resources.feature_store.port import FeatureStore
from resources.lake.port import Lake

#: Column of the moments at which features are asked for.
MOMENT = "event_timestamp"


@traced("join features")
def joined(app: App, service: FeatureService, rows: pa.Table, lake: Lake, store: FeatureStore) -> pa.Table:
    """Return `rows`, in their order, with the features of `service` at each row's `event_timestamp`.

    Raises:
        TesseraError: as `FeatureStore.historical`.
    """
    return store.historical(service.name, rows, files={service.view: lake.files(app.features)})


def entity_rows(rows: pa.Table, key: str, *columns: str) -> pa.Table:
    """Return the rows with their entity ids (`key`) as text.

    Raises:
        TesseraError: `key` or one of `columns` is missing, or `key` holds no ids.
    """
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


def with_moments(rows: pa.Table) -> pa.Table:
    """Return the rows with `event_timestamp` in µs, UTC (a moment without a time zone is taken as UTC).

    Raises:
        TesseraError: it holds no moments.
    """
    moments = rows[MOMENT]
    try:
        if pa.types.is_string(moments.type):
            moments = pc.cast(moments, pa.timestamp("us"))
        moments = pc.cast(moments, pa.timestamp("us", "UTC"), safe=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise TesseraError(
            f"{MOMENT} cannot be read as moments: {error}.",
            expected="timestamps or dates, e.g. 2011-06-02T23:59:59Z",
            todo="Correct the column.",
        ) from None
    return rows.set_column(rows.column_names.index(MOMENT), MOMENT, moments)


def feature_days(rows: pa.Table, lake: Lake, app: App) -> Sequence[date]:
    """Return the day whose end is the last one at or before each moment, without those the lake knows nothing of.

    Raises:
        TesseraError: nothing is ingested, or not up to the newest of these days.
    """
    table = app.made_from[0]
    delivered = lake.days(table)
    if not delivered:
        raise TesseraError(
            f"There are no {table} in the lake.",
            expected=f"ingested {table}",
            todo=f"Run `tessera run {app.name}_nightly` first.",
        )
    moments = [moment.astimezone(UTC) for moment in rows[MOMENT].unique().to_pylist() if moment is not None]
    ends = {m.date() if m == cutoff_moment(m.date()) else m.date() - timedelta(days=1) for m in moments}
    late = sorted(day for day in ends if day > delivered[-1])
    if late:
        raise TesseraError(
            f"Nothing is known yet at the end of {late[-1]}: {table} are ingested up to {delivered[-1]}.",
            expected=f"moments before the end of {delivered[-1] + timedelta(days=1)}",
            todo=f"Run `tessera run {app.name}_nightly --date {late[-1]}` first.",
        )
    return sorted(day for day in ends if day >= delivered[0])
