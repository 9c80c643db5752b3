"""A small home to be disturbed, and what its publications, models and tables are, for comparison."""

from __future__ import annotations

import hashlib
import shutil
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa

from models.contracts import TICKETS
from models.event_types import TICKET_OPENED
from models.events import Event
from resources.stack.loader import ROOT

sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "e2e")]

from tests.e2e.in_process import Said, tessera  # noqa: E402 - it needs the folders above
from tests.e2e.shop_home import DAY, Home, write_stack  # noqa: E402
from tests.forgetting_home import places_with  # noqa: E402

NEXT, AFTER = DAY + timedelta(days=1), DAY + timedelta(days=2)
#: Tables that a job rebuilds in place, and bookkeeping with run ids and times.
_BOOKKEEPING = ("ingested_", "watch_", "day_profiles")


#: A shop of 700 customers has few payments and tickets: models of any quality will do.
_SMALL: dict[str, Any] = {
    "settings": {
        "fraud": {
            "train_days": 14,
            "holdout_days": 14,
            "alerts_per_day": 10,
            "candidates": [{"kind": "logistic_regression"}],
            "gate": {"min_quality": 0.0, "min_class_rows": 1, "max_slice_drop": 1.0, "top_per_day": 10},
        },
        "support": {
            "step_cache": "${home}/cache/steps.db",
            "gate": {"min_tickets": 30, "resamples": 100, "router": {"min_rows": 30, "resamples": 100}},
        },
    }
}
_JOBS = ("churn_nightly", "demand_nightly", "fraud_training", "support_nightly")


def made(folder: Path) -> Home:
    """A home with a day of every application, a champion to roll back from, and events that wait for both streams."""
    home, unfinished = Home(folder / "home", folder / "stack.yaml"), Home(folder / "unfinished", folder / "stack.yaml")
    if home.folder.exists():
        return home
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    write_stack(home.stack, _SMALL)
    for job in _JOBS:
        says(unfinished, ("run", job, "--date", DAY.isoformat()))  # a gate that refuses ends with 1
    serves = unfinished.opened().open("registry").champion("churn")
    for version in ("2",) if serves == "1" else ("1", "2"):  # so that 1 served before 2
        _promote(unfinished, "churn", version)
    for app in ("fraud", "support"):
        if unfinished.opened().open("registry").champion(app) is None:
            _promote(unfinished, app, "1")
    unfinished.tessera("events", "replay", "--from", str(DAY), "--to", str(DAY), "--speed", "0")
    _publish_tickets(unfinished)
    unfinished.copy(home.folder)
    shutil.rmtree(unfinished.folder)
    return home


def _promote(home: Home, app: str, version: str) -> None:
    home.tessera("promote", app, "--version", version, "--why", "to be measured", "--even-if-refused")


def _publish_tickets(home: Home) -> None:
    """Publish the day's tickets as events, as a shop's desk does."""
    stack = home.opened()
    rows = stack.open("lake").scan("tickets", first=DAY, last=DAY).to_table().to_pylist()
    names = [name for name in TICKETS.arrow_schema().names if name != "opened_at"]
    events = [
        Event(
            id=row["ticket_id"],
            source="desk",
            type=TICKET_OPENED,
            time=row["opened_at"],
            subject=row["customer_id"] or row["ticket_id"],
            data={name: row[name] for name in names if row[name] is not None},
        )
        for row in rows
    ]
    stack.open("events").publish(events)


def says(home: Home, command: tuple[str, ...]) -> Said:
    """Output of a command in this process."""
    return tessera(command, home.environment())


def fingerprint(home: Home) -> dict[str, str]:
    """Everything that readers of the home see: published rows, champions, tables; by name, as a digest."""
    stack = home.opened()
    sink, registry, lake = (stack.open(port) for port in ("sink", "registry", "lake"))
    found: dict[str, str] = {}
    for app in stack.apps:
        for day in sink.published_days(app):
            found[f"published {app} {day}"] = _digest(sink.scores(app, day)[1].read_all())
        found[f"champion {app}"] = registry.champion(app) or "none"
    for table in lake.tables():
        if not table.startswith(_BOOKKEEPING):
            found[f"table {table}"] = _digest(lake.scan(table).to_table())
    return found


def _digest(rows: Any) -> str:
    """SHA-256 of the rows in any order, run ids and times of writing left out."""
    left_out = ("run_id", "attempt", "written_at", "content", "known")  # the last two: digests of names of files
    names = [field.name for field in rows.schema if field.name not in left_out and not pa.types.is_nested(field.type)]
    hashes = pl.DataFrame(rows.select(sorted(names))).hash_rows(seed=7).sort()
    return hashlib.sha256(hashes.to_numpy().tobytes()).hexdigest()[:16]


__all__ = ["AFTER", "DAY", "NEXT", "Home", "fingerprint", "made", "places_with", "says"]
