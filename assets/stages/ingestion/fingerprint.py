"""Fingerprint of source, mapping and contract that filled a table, stored beside it in the lake.

A table is filled from one source, by one mapping, under one contract. If any of them changes, ingestion stops with a
message, until the table is ingested again from the start (`tessera run ... --reingest TABLE`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import pyarrow as pa

from assets.stages.ingestion.arrivals import arrivals_of
from assets.stages.ingestion.completeness_log import complete_days, quarantine_of, record_of
from models.contracts import Contract
from models.errors import TesseraError
from resources.lake.port import Lake
from resources.source.port import Identity

#: Attributes of a contract that say nothing about which rows are kept.
_NOT_RULES = {"description", "owner", "freshness_hours"}
#: Of a source with units of delivery, another location is the same source if it holds the same units.
LOCATION = "location"
_STATE, _PENDING = "state", "reingestion"
_SCHEMA = pa.schema([("since", pa.date32()), ("part", pa.string()), ("name", pa.string()), ("value", pa.string())])


@dataclass(frozen=True)
class Fingerprint:
    """Values by part (`source`, `mapping`, `contract`) and name; `pending`: a reingestion has begun and not ended."""

    values: Mapping[tuple[str, str], str]
    pending: bool = False


def fingerprint_of(table: str) -> str:
    """Return the lake table with the fingerprint of `table`."""
    return f"fingerprint_{table}"


def fingerprint(contract: Contract, identity: Identity, missing_ids: Collection[str]) -> Fingerprint:
    """Compute the fingerprint of source, mapping and contract as they are now."""
    rules = json.loads(contract.model_dump_json(exclude=_NOT_RULES))
    columns = {column.pop("name"): column for column in rules.pop("columns")}
    for column in columns.values():
        column.pop("description")
    parts = {
        "source": identity.source,
        "mapping": identity.mapping,
        "contract": {**rules, **{f"column {name}": column for name, column in columns.items()}}
        | {"missing ids": sorted(missing_ids)},
    }
    return Fingerprint(
        {
            (part, name): value if isinstance(value, str) else json.dumps(value, sort_keys=True)
            for part, values in parts.items()
            for name, value in values.items()
        }
    )


def standing(lake: Lake, table: str) -> Fingerprint | None:
    """Return the stored fingerprint of the table; None if it was never filled."""
    lake.repair(fingerprint_of(table))
    if not lake.exists(fingerprint_of(table)):
        return None
    rows = lake.scan(fingerprint_of(table)).to_table().to_pylist()
    values = {(row["part"], row["name"]): row["value"] for row in rows}
    pending = values.pop((_STATE, _PENDING), None) is not None
    return Fingerprint(values, pending) if values else None


def keep(lake: Lake, table: str, now: Fingerprint, day: date) -> None:
    """Keep the fingerprint in place of the one before. The caller holds the table's lock."""
    before = standing(lake, table)
    if before == now:
        return
    values = {**now.values, **({(_STATE, _PENDING): "begun"} if now.pending else {})}
    rows = [
        {"since": day, "part": part, "name": name, "value": value} for (part, name), value in sorted(values.items())
    ]
    table_of = pa.Table.from_pylist(rows, schema=_SCHEMA)
    lake.replace(fingerprint_of(table), table_of, by="since", first=date.min, last=date.max)


def start_over(lake: Lake, table: str, now: Fingerprint, day: date, dependants: Sequence[str]) -> None:
    """Drop the table and what was computed from it. Killed anywhere, the next ingestion goes on from here.

    The caller holds the table's lock. Tables of `dependants` that are contracted themselves start over in their own
    next ingestion.
    """
    keep(lake, table, Fingerprint(now.values, pending=True), day)
    for name in dependants:
        if lake.exists(fingerprint_of(name)):
            before = standing(lake, name)
            with lake.lock(name):
                keep(lake, name, Fingerprint(before.values if before else {}, pending=True), day)
        else:
            lake.drop(name)
    for name in (record_of(table), arrivals_of(table), quarantine_of(table), table):
        lake.drop(name)


def refuse_changed(
    lake: Lake, table: str, before: Fingerprint, now: Fingerprint, *, holds_all: Callable[[], bool]
) -> None:
    """Raise if something else filled the table than would fill it now, and there are rows to mix.

    Args:
        lake: where the table is.
        table: its name.
        before: what filled it.
        now: what would fill it.
        holds_all: asks if the source still holds every unit of delivery that was ingested.

    Raises:
        TesseraError: another source, mapping or contract.
    """
    changed = sorted(
        key for key in before.values.keys() | now.values.keys() if before.values.get(key) != now.values.get(key)
    )
    if not changed or not (complete_days(lake, table) or lake.rows_by_day(table)):
        return
    if changed == [("source", LOCATION)] and holds_all():
        return
    part = next(part for part in ("source", "mapping", "contract") if any(key[0] == part for key in changed))
    names = [name for of, name in changed if of == part]
    told = "; ".join(
        f"{name} was {_short(before.values.get((part, name)))}, now {_short(now.values.get((part, name)))}"
        for name in names[:2]
    )
    raise TesseraError(
        f"Table {table!r} was filled by another {part}: {told}" + (f"; {len(names) - 2} more." if names[2:] else "."),
        expected=f"the {part} that filled it: rows of two would be mixed",
        todo=f"Set it back, choose another home (`TESSERA_HOME`), or run the job with `--reingest {table}`.",
    )


def _short(value: str | None) -> str:
    if value is None:
        return "not set"
    return repr(value if len(value) <= 60 else value[:57] + "...")
