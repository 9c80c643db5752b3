"""`tessera init orders FILE`: a profile for orders of your own, from the file itself."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from models.contracts.readings import DateOrder
from models.errors import TesseraError, choose_from
from pipelines.cli.console import out
from pipelines.cli.sampled import Sampled, sampled
from resources.source.files import FilesSourceConfig, FilesTableConfig
from resources.stack.added_profiles import add_profile
from resources.stack.loader import stack_file

TABLES = ("orders",)
#: Lengths of the label window that are tried, longest first, and what a training needs beside two of them.
_HORIZONS_DAYS = (90, 60, 45, 30, 14)
_MIN_HISTORY_DAYS, _CUTOFF_STEP_DAYS, _FEWEST_CUTOFFS = 30, 7, 4
#: Share of quarantined rows that profiles accept by default, and what is added to what a file shows.
_USUAL_SHARE, _HEADROOM = 0.05, 0.05
#: Where more than this share is bad, the mapping is wrong rather than the rows: the limit stays as it is.
_MOST_SHARE = 0.5


@dataclass(frozen=True)
class Wishes:
    """Decisions of the person who calls; each counts before what the file shows."""

    name: str | None = None
    columns: Sequence[str] = ()
    currency: str | None = None
    dates: DateOrder | None = None
    replace: bool = False


def init(table: str, place: Path, wishes: Wishes) -> None:
    """Write a profile that reads `place`, and print what was taken for what and the next two commands.

    Raises:
        TesseraError: the file cannot be read, a column cannot be inferred, or the profile exists already.
    """
    if table not in TABLES:
        raise TesseraError(
            f"There is no `init` for a table {table!r}.", expected=choose_from(table, TABLES), todo="Correct the name."
        )
    from resources.source.proposal import propose
    from resources.source.sniffing import settings_of, sniff

    form = sniff(_one_file(place))
    settings: dict[str, Any] = {"location": str(place.resolve()), **settings_of(form)}
    raw = FilesSourceConfig(tables={table: FilesTableConfig(**settings)}).open().raw(table, rows=20_000)
    proposal = propose(raw, given=_pairs(wishes.columns), currency=wishes.currency, dates=wishes.dates)
    settings |= {"columns": proposal.columns} | ({"where": proposal.where} if proposal.where else {})
    source = FilesSourceConfig(tables={table: FilesTableConfig(**settings)}).open()
    found, days = sampled(table, source, rows=1_000_000), source.days(table)
    if days is None:
        raise TesseraError(
            f"{str(place)!r} holds no row of {table} with a readable day.",
            expected="one line for each item of an order, below a header line",
            todo="Export the orders again.",
        )
    name = wishes.name or _slug(place)
    notes = [f"Written by `tessera init {table}` on {datetime.now(UTC).date()}. Taken for:", *proposal.notes]
    profile = _profile(name, table, settings, days, found)
    add_profile(stack_file(), name, profile, comments=notes, replace=wishes.replace)
    _show(name, proposal.notes, found, days, profile)


def _one_file(place: Path) -> Path:
    """Return the file itself, or the first file of a folder."""
    if place.is_dir():
        files = sorted(file for file in place.rglob("*") if file.is_file() and not file.name.startswith("."))
        if files:
            return files[0]
    elif place.exists():
        return place
    raise TesseraError(
        f"There is no file {str(place)!r}, or the folder is empty.",
        expected="an export of orders: CSV, Excel (.xlsx) or Parquet",
        todo="Correct the path.",
    )


def _pairs(columns: Sequence[str]) -> dict[str, str]:
    pairs = [column.split("=", 1) for column in columns]
    for pair in pairs:
        if len(pair) != 2:
            raise TesseraError(
                f"--column {pair[0]!r} names no column of the file.",
                expected="--column CONTRACT=NAME, for example --column customer_id=Client",
                todo="Write it with an equals sign; quote names with blanks.",
            )
    return {pair[0].strip(): pair[1].strip() for pair in pairs}


def _slug(place: Path) -> str:
    return re.sub(r"[^a-z0-9]+", "-", place.name.split(".")[0].lower()).strip("-") or "own-orders"


def _profile(
    name: str, table: str, settings: dict[str, Any], days: tuple[date, date], found: Sampled
) -> dict[str, Any]:
    """Return the profile's keys; settings are named only where they differ from those it extends."""
    profile: dict[str, Any] = {
        "extends": "local",
        "home": f"var/{name}",
        "calendar": {"first_day": days[0]},
        "ports": {"source": {"kind": "files", "cache": "${home}/cache", "tables": {table: settings}}},
    }
    more: dict[str, Any] = {}
    if _USUAL_SHARE < found.share <= _MOST_SHARE:
        more["ingestion"] = {"max_quarantined_share": min(1.0, math.ceil((found.share + _HEADROOM) * 20) / 20)}
    horizon = _horizon(days)
    if horizon != _HORIZONS_DAYS[0]:
        more["churn"] = {"horizon_days": horizon}
    more["churn"] = {**more.get("churn", {}), "cutoff_step_days": _CUTOFF_STEP_DAYS, "max_training_cutoffs": 12}
    return {**profile, "settings": more}


def _horizon(days: tuple[date, date]) -> int:
    """Return the longest label window that leaves some training cut-offs, else the shortest."""
    span = (days[1] - days[0]).days + 1
    needed = _MIN_HISTORY_DAYS + _CUTOFF_STEP_DAYS * (_FEWEST_CUTOFFS - 1)
    return next((horizon for horizon in _HORIZONS_DAYS if needed + 2 * horizon <= span), _HORIZONS_DAYS[-1])


def _show(name: str, notes: Sequence[str], found: Sampled, days: tuple[date, date], profile: dict[str, Any]) -> None:
    out.print(f"Profile {name} is in {stack_file()}. It reads")
    for note in notes:
        out.print(f"  {note}")
    for line in found.lines():
        out.print(line)
    out.print(f"days: {days[0]} to {days[1]}; churned means: no order in {_horizon(days)} days")
    limit = profile["settings"].get("ingestion", {}).get("max_quarantined_share")
    if limit:
        out.print(f"max_quarantined_share is set to {limit:g}: read the reasons above before you accept that")
    if found.share > _MOST_SHARE:
        out.print("More than half of the rows would go to quarantine, and a night would stop: correct `columns` first.")
    if (days[1] - days[0]).days + 1 < _MIN_HISTORY_DAYS + 2 * _horizon(days):
        out.print("These days are too few to train a model on; more history will do.")
    night = min(days[1], datetime.now(UTC).date() - timedelta(days=1))
    out.print(f"next  .venv/bin/tessera check --profile {name}")
    out.print(f"then  .venv/bin/tessera run churn_nightly --profile {name} --date {night}")
