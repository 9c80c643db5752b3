"""Results of experiments in the lake: one table per experiment, one row per day, variant and metric."""

# pyright: basic

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from math import isfinite
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from models.experiments.effects import Effect
from models.experiments.evaluation import Evaluation
from resources.lake.port import Lake

UNTIL = "until"
_SCHEMA = pa.schema(
    [
        (UNTIL, pa.date32()),
        ("variant", pa.string()),
        ("metric", pa.string()),
        ("role", pa.string()),
        ("units", pa.int64()),
        ("control_units", pa.int64()),
        ("mean", pa.float64()),
        ("control_mean", pa.float64()),
        ("effect", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("p_value", pa.float64()),
        ("variance_left", pa.float64()),
        ("limit", pa.float64()),
        ("state", pa.string()),
        ("decision", pa.string()),
        ("shipped", pa.string()),
        ("reasons", pa.list_(pa.string())),
        ("exposed", pa.string()),
        ("sample_ratio_p", pa.float64()),
        ("faults", pa.string()),
    ]
)


@dataclass(frozen=True)
class StoredResult:
    """The result of an experiment for a day, as it is stored.

    Attributes:
        until: the day.
        decision: `ship`, `stop` or `go on`.
        shipped: variant to ship; empty if there is none.
        reasons: of the verdict.
        exposed: variant -> units that were exposed.
        sample_ratio_p: p-value of the sample ratio over all looks.
        faults: faults of the log -> their number.
        effects: one row per variant and metric, the primary metric first: columns of the table.
    """

    until: date
    decision: str
    shipped: str
    reasons: Sequence[str]
    exposed: Mapping[str, int]
    sample_ratio_p: float
    faults: Mapping[str, int]
    effects: Sequence[Mapping[str, Any]]

    @property
    def broken(self) -> list[str]:
        """Return the variants of which a guardrail is broken."""
        return [row["variant"] for row in self.effects if row["state"] == "broken"]


def table_of(name: str) -> str:
    """Return the lake table with the results of an experiment."""
    return f"experiment_{name}"


def store(lake: Lake, found: Evaluation) -> int:
    """Replace the day's result of an experiment; return the table's version. Equal results make no new one."""
    rows = pa.Table.from_pylist([_row(one, found) for one in found.effects], _SCHEMA)
    return lake.replace(table_of(found.name), rows, by=UNTIL, first=found.until, last=found.until)


def stored(lake: Lake, name: str, until: date | None = None) -> StoredResult | None:
    """Return the result of an experiment for a day, or the newest one; None if there is none."""
    table = table_of(name)
    days = [day for day in lake.days(table) if until is None or day == until]
    if not days:
        return None
    rows = lake.scan(table, first=days[-1], last=days[-1]).to_table(filter=pc.field(UNTIL) == days[-1]).to_pylist()
    first = rows[0]
    return StoredResult(
        until=first[UNTIL],
        decision=first["decision"],
        shipped=first["shipped"],
        reasons=first["reasons"],
        exposed=json.loads(first["exposed"]),
        sample_ratio_p=first["sample_ratio_p"],
        faults=json.loads(first["faults"]),
        effects=rows,
    )


def _row(one: Effect, found: Evaluation) -> dict[str, Any]:
    verdict = found.verdict
    return {
        UNTIL: found.until,
        **{name: getattr(one, name) for name in ("variant", "metric", "role", "units", "control_units")},
        **{name: getattr(one, name) for name in ("mean", "control_mean", "p_value", "variance_left", "limit", "state")},
        "effect": one.effect.value,
        "low": _finite(one.effect.low),
        "high": _finite(one.effect.high),
        "decision": verdict.decision,
        "shipped": verdict.variant,
        "reasons": list(verdict.reasons),
        "exposed": json.dumps(dict(found.units)),
        "sample_ratio_p": found.ratio.p_always,
        "faults": json.dumps(found.faults.found()),
    }


def _finite(value: float) -> float | None:
    return value if isfinite(value) else None
