"""`tessera features`: what was known of entities at a moment, or with `--online` what is served of them now."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path

from rich.progress import track

from assets.stages.app import App, FeatureService
from assets.stages.feature_days import missing_days
from assets.stages.point_in_time import MOMENT, entity_rows, feature_days, joined, with_moments
from pipelines.cli.console import err, out
from pipelines.cli.tables import read_table, write_table
from resources.feature_store.port import NOT_FOUND, OUTSIDE_MAX_AGE, PRESENT, online_part, status_column
from resources.stack.ports import Ports, active_ports

_SAYS = {PRESENT: "served", NOT_FOUND: "unknown", OUTSIDE_MAX_AGE: "too old to be served"}


def features(app: App, service: FeatureService, entities: Path, file: Path) -> None:
    """Write the entities with their features to `file`, in the order in which they came.

    Features are taken at the end of each day (UTC): a moment sees the last end of a day at or before it. Days that have
    no features yet are computed first.

    Raises:
        TesseraError: unreadable file, missing column, or moments the lake knows nothing of.
    """
    ports = active_ports()
    rows = with_moments(entity_rows(read_table(entities, ids=[service.entity]), service.entity, MOMENT))
    _compute(ports, app.features, service, feature_days(rows, ports.lake, app))
    ports.feature_store.apply()
    found = joined(app, service, rows, ports.lake, ports.feature_store)
    write_table(found, file)
    first = next(name for name in found.column_names if name not in rows.column_names)
    known = found.num_rows - found[first].null_count
    out.print(f"{found.num_rows:,} rows written to {file}; {known:,} of them had features at their moment.")


def served(service: FeatureService, entities: Path, file: Path) -> None:
    """Write the entities, in their order, with what is served of them now and how each view was found.

    Raises:
        TesseraError: unreadable file, missing column, nothing is registered yet, or nothing is served online.
    """
    store = online_part(active_ports().feature_store)
    found = store.online(service.name, entity_rows(read_table(entities, ids=[service.entity]), service.entity))
    write_table(found, file)
    marks = found[status_column(service.view)].to_pylist()
    counts = ", ".join(f"{marks.count(mark):,} {says}" for mark, says in _SAYS.items())
    out.print(f"{found.num_rows:,} rows written to {file}: {counts}.")


def _compute(ports: Ports, table: str, service: FeatureService, days: Sequence[date]) -> None:
    missing = missing_days(ports.lake, table, days)
    for day in track(missing, "features of days", console=err, transient=True, disable=not missing):
        service.write(ports.lake, ports.engine, ports.stack.settings, [day])
