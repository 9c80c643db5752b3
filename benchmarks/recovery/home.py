"""A small home to be disturbed, and what its publications, models and tables are, for comparison."""

from __future__ import annotations

import hashlib
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa

from resources.stack.loader import ROOT

sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "e2e")]

from tests.e2e.in_process import Said, tessera  # noqa: E402 - it needs the folders above
from tests.e2e.shop_home import DAY, Home, write_stack  # noqa: E402
from tests.forgetting_home import places_with  # noqa: E402

NEXT, AFTER = DAY + timedelta(days=1), DAY + timedelta(days=2)
#: Tables that a job rebuilds in place, and bookkeeping with run ids and times.
_BOOKKEEPING = ("ingested_", "watch_", "day_profiles")


def made(folder: Path) -> Home:
    """A home with nights of churn and demand, and a second champion of churn to roll back from."""
    home = Home(folder / "home", folder / "stack.yaml")
    if home.folder.exists():
        return home
    folder.mkdir(parents=True)
    write_stack(home.stack)
    for job in ("churn_nightly", "demand_nightly"):
        home.tessera("run", job, "--date", DAY.isoformat())
    home.tessera("promote", "churn", "--version", "2", "--why", "to roll back from", "--even-if-refused")
    return home


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
