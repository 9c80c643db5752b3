"""Rows of the lake that name an entity, and refused rows that do, whatever their fields are called."""

from __future__ import annotations

import pyarrow.compute as pc

from assets.stages.ingestion.completeness_log import logged_table, quarantine_of
from models.contracts import CONTRACTS, UNREADABLE
from models.erasure.tombstones import ENTITIES, json_field, json_holding, json_naming, text_holding
from resources.lake.port import Lake
from resources.source.port import Source

# pyright: basic, reportAttributeAccessIssue=false
# pyarrow makes the functions of `pyarrow.compute` when it is imported.


def survey(lake: Lake, source: Source, entity: str, id: str) -> dict[str, int]:
    """Rows of the entity in each table of the lake that holds any."""
    column = ENTITIES[entity]
    found = {name: lake.scan(name).count_rows(filter=pc.field(column) == id) for name in tables_with(lake, column)}
    for name, refused in quarantines(lake, source, column, id).items():
        found[name] = lake.scan(name).count_rows(filter=refused)
    return {name: rows for name, rows in sorted(found.items()) if rows}


def tables_with(lake: Lake, column: str) -> list[str]:
    """Return the tables of the lake that have the column."""
    return [name for name in lake.tables() if column in lake.scan(name).schema.names]


def quarantines(lake: Lake, source: Source, column: str, id: str) -> dict[str, pc.Expression]:
    """Quarantine table -> its rows that name the entity, for the contracted tables that do.

    Rows as they were delivered have the source's names. Where no field of a row has the column's name (the mapping
    computes it), any value that is the id counts; where the source could not take the row apart, the id as a word.
    """
    found: dict[str, pc.Expression] = {}
    for table, contract in CONTRACTS.items():
        if column not in contract.arrow_schema().names:
            continue
        field = source.original_names(table).get(column, column) if table in source.tables() else column
        for name, named in ((quarantine_of(table), field), (quarantine_of(logged_table(table)), column)):
            if lake.exists(name):
                by_key = pc.field("key") == id if contract.key == column else pc.scalar(value=False)
                found[name] = _naming(named, id) | by_key
    return found


def _naming(field: str, id: str) -> pc.Expression:
    original = pc.field("original")
    fits = {name: pc.match_substring_regex(original, pattern=pattern) for name, pattern in _patterns(field, id)}
    other_names = ~fits["has field"] & fits["holding"]
    apart = ~fits["json"] | fits["unreadable"]
    return fits["naming"] | other_names | (apart & fits["word"])


def _patterns(field: str, id: str) -> list[tuple[str, str]]:
    return [
        ("naming", json_naming(id, field)),
        ("has field", json_field(field)),
        ("holding", json_holding(id)),
        ("json", r"^\s*\{"),
        ("unreadable", rf'^\s*\{{"{UNREADABLE}":'),
        ("word", text_holding(id)),
    ]
