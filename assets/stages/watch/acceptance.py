"""Decisions of people to let a blocked day of a table through; plain functions, usable without Dagster."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from assets.stages.watch.decisions import accept, acceptances, assessed_days
from models.errors import TesseraError
from models.watch.findings import Finding
from resources.lake.port import Lake


def let_through(lake: Lake, table: str, day: date, *, who: str, why: str) -> Sequence[Finding]:
    """Record that the findings that block a day are let through, and return them.

    A finding of another measure that a later delivery of the same day brings blocks it again.

    Raises:
        TesseraError: nothing blocks the day.
    """
    held = assessed_days(lake, table, day, day).get(day)
    decided = acceptances(lake, table, day, day).get(day, {})
    blocking = [one for one in held.findings if one.severity == "block"] if held else []
    waiting = [one for one in blocking if one.measure not in decided]
    if not waiting:
        says = [f"{one.measure} was {one.sentence()}" for one in decided.values()]
        raise TesseraError(
            f"Nothing blocks {table} on {day}" + (f": {'; '.join(says)}." if says else "."),
            expected="a day that the check `anomalies` stopped",
            todo="`tessera status` lists checks that failed; name the day of one.",
        )
    accept(lake, table, day, [one.measure for one in waiting], who=who, why=why)
    return waiting
