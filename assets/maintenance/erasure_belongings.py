"""Rows that name only what belongs to an erased entity, e.g. labels of a customer's tickets, visits before a login.

Each such thing has a tombstone of its own, so that no store lets its rows in again, and so that an erasure that was
interrupted finds them when the tables that say whose things these are have forgotten it.
"""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc

from assets.maintenance.erasure_search import tables_with
from assets.stages.ingestion.completeness_log import quarantine_of
from models.contracts import CONTRACTS
from models.erasure.tombstones import BELONGINGS, ENTITIES
from resources.lake.port import ErasableLake, Lake

# pyright: basic, reportAttributeAccessIssue=false
# pyarrow makes the functions of `pyarrow.compute` when it is imported.


def leave_tombstones_of_belongings(lake: ErasableLake, entity: str, id: str, why: str) -> None:
    """Leave a tombstone of everything that a table of the lake says to be the entity's."""
    for kind, column in BELONGINGS.get(entity, {}).items():
        found: set[str] = set()
        for table in tables_with(lake, ENTITIES[entity]):
            rows = lake.scan(table)
            if column in rows.schema.names:
                theirs = rows.to_table(columns=[column], filter=pc.field(ENTITIES[entity]) == id)[column]
                found |= {str(one) for one in theirs.drop_null().unique().to_pylist()}
        lake.leave_tombstones(kind, found, day=datetime.now(UTC).date(), why=why)


def rows_of_belongings(lake: Lake, entity: str) -> dict[str, pc.Expression]:
    """Table -> its rows of erased things, for the tables that name such things and not the entity.

    Refused rows are found by their key.
    """
    found: dict[str, pc.Expression] = {}
    for kind, column in BELONGINGS.get(entity, {}).items():
        gone, named = lake.forgotten(kind), _naming_alone(lake, entity, column)
        refused = {quarantine_of(name) for name in named if name in CONTRACTS and CONTRACTS[name].key == column}
        for table, at in {**dict.fromkeys(named, column), **dict.fromkeys(refused, "key")}.items():
            if gone and lake.exists(table):
                ids = gone.among(lake.scan(table).to_table(columns=[at])[at])
                found[table] = pc.field(at).isin(pa.array(ids, pa.string()))
    return found


def rows_without_owner(lake: Lake, entity: str, table: str) -> pc.Expression | None:
    """Return which rows of a table name an erased thing and not the entity, though others do; None: there are none.

    A row that names another entity is not theirs, e.g. where two people log in during one visit.
    """
    rows, unnamed = lake.scan(table), pc.field(ENTITIES[entity]).is_null()
    found: pc.Expression | None = None
    for kind, column in BELONGINGS.get(entity, {}).items():
        if column in rows.schema.names and (gone := lake.forgotten(kind)):
            ids = gone.among(rows.to_table(columns=[column], filter=unnamed)[column])
            theirs = unnamed & pc.field(column).isin(pa.array(ids, pa.string()))
            found = theirs if found is None else found | theirs
    return found


def surviving_belongings(lake: Lake, entity: str) -> list[str]:
    """Return the tables that hold rows of erased things."""
    named = {table: rows_without_owner(lake, entity, table) for table in tables_with(lake, ENTITIES[entity])}
    wanted = {**rows_of_belongings(lake, entity), **named}
    return [table for table, where in wanted.items() if where is not None and lake.scan(table).count_rows(filter=where)]


def tables_with_belongings(lake: Lake, entity: str) -> dict[str, list[str]]:
    """Return what is looked through for things of the entity, by the column of their ids."""
    return {
        f"tables of the lake that name by {column} what is the {entity}'s": sorted(tables_with(lake, column))
        for column in BELONGINGS.get(entity, {}).values()
    }


def _naming_alone(lake: Lake, entity: str, column: str) -> list[str]:
    return sorted({*tables_with(lake, column)} - {*tables_with(lake, ENTITIES[entity])})
