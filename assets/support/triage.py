"""Triage of tickets by a loaded composition: the one function of the night, of `tessera ask` and of an event."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from assets.stages import metadata_keys as keys
from assets.stages.feature_days import DAY
from assets.stages.scoring_task import ComposedRows, ComposedScoring, ScoringTask
from assets.support.app import FEATURE_VERSION, OUTPUT, STEP_TABLE, SUPPORT
from models.settings import SupportSettings

if TYPE_CHECKING:
    from models.compose.budget import Budget
    from models.compose.call import Call, StepRun
    from models.compose.outcome import Outcome
    from models.compose.package import LoadedComposition
    from resources.step_cache.port import StepCache

# pyright: basic

_ROWS = pa.schema([field for field in OUTPUT.schema if field.name in {c.name for c in (*OUTPUT.keys, *OUTPUT.payload)}])
_STEPS = pa.schema(
    [
        (DAY, pa.date32()),
        ("ticket_id", pa.string()),
        ("customer_id", pa.string()),
        ("step", pa.string()),
        ("state", pa.string()),
        ("output", pa.string()),
    ]
)
_HOUR_MS = 3_600_000


@dataclass(frozen=True)
class Triaged:
    """Tickets that were read.

    Attributes:
        rows: as the output contract has them, without the versions.
        call: budget spent, and every run of a step.
        tickets: feature rows that they are of.
    """

    rows: list[dict[str, Any]]
    call: Call
    tickets: Sequence[Mapping[str, Any]]

    def table(self) -> pa.Table:
        """Return the rows in the order of the output contract."""
        return pa.Table.from_pylist(self.rows, _ROWS)

    def steps(self, day: date) -> pa.Table:
        """Return what each step gave for each ticket, or how it failed."""
        from models.support.composition import STEPS

        customers = {ticket["ticket_id"]: ticket["customer_id"] for ticket in self.tickets}
        found = [
            {DAY: day, "ticket_id": id, "customer_id": customers[id], "step": run.step, "state": state, "output": said}
            for run in self.call.log
            for id, state, said in _outputs(run)
        ]
        place = {step: at for at, step in enumerate(STEPS)}
        found.sort(key=lambda row: (row["ticket_id"], place.get(row["step"], len(place))))
        return pa.Table.from_pylist(found, _STEPS)

    def counts(self) -> dict[str, int]:
        """Return numbers for the publication record."""
        return {
            keys.TICKETS: len(self.rows),
            keys.HANDED_OFF: sum(row["handed_off"] for row in self.rows),
            keys.OUT_OF_SCOPE: sum(row["intent"] == "oos" for row in self.rows),
            keys.ESCALATED: sum(len(run.keys) for run in self.call.log if run.step == "fused" and run.keys is not None),
            "failed_steps": sum(bool(row["notes"]) for row in self.rows),
        }


def triaged(loaded: LoadedComposition, tickets: pa.Table, settings: SupportSettings) -> Triaged:
    """Read tickets (feature rows) with a composition; each has a row, whatever fails.

    The budget is that of one ticket times their number.
    """
    from models.compose.batch import from_records
    from models.compose.call import new_call
    from models.compose.fields import fields

    listed = tickets.to_pylist()
    cache = _cache(settings.step_cache) if settings.step_cache else None
    call = new_call(budget_of(settings, len(listed)), cache=cache, keep_outputs=True, key="ticket_id")
    named = loaded.step.takes.plus(fields("Named", {"ticket_id": "text"}))
    records = [{**ticket, "history": json.loads(ticket["history"])} for ticket in listed]
    outcome = loaded.step.run(from_records(records, named), call)
    costs = _costs(loaded, call, settings)
    rows = list(_rows(outcome, records, costs, settings))
    return Triaged(rows, call, listed)


@lru_cache(maxsize=4)
def _cache(file: str) -> StepCache:
    from resources.step_cache.port import StepCache

    return StepCache(Path(file))


def scoring_task(settings: SupportSettings, resources: Mapping[str, Any]) -> ScoringTask:
    """Return the scoring of a day's tickets with these resources (embedder, language_model, knowledge_base)."""
    from models.support.composition import rehearsed

    def score(loaded: LoadedComposition, tickets: pa.Table) -> Iterator[ComposedRows]:
        found = triaged(loaded, tickets, settings)
        day = tickets[DAY][0].as_py() if tickets.num_rows else None
        yield ComposedRows(found.table(), found.steps(day) if day else None, found.counts())

    composed = ComposedScoring(
        resources,
        rehearsed(resources),
        FEATURE_VERSION,
        score,
        partial(budget_of, settings),
        STEP_TABLE,
        may_be_empty=True,
    )
    return ScoringTask(app=SUPPORT, audit=settings.audit, segments=("channel",), composed=composed)


def budget_of(settings: SupportSettings, n: int) -> Budget:
    """Return the budget of `n` tickets: that of one, so many times."""
    from models.compose.budget import Budget

    one, many = settings.budget, max(n, 1)
    money, calls = one.money_eur, one.calls
    return Budget(
        latency_ms=None if one.latency_ms is None else one.latency_ms * many,
        money_eur=None if money is None else money * many,
        calls=None if calls is None else calls * many,
    )


def _costs(loaded: LoadedComposition, call: Call, settings: SupportSettings) -> dict[str, float]:
    """Return ticket -> expected cost of the steps that it took, EUR."""
    from models.compose.checking import walk

    each = {step.name: step.estimate for step in walk(loaded.step) if not step.steps}
    price, found = settings.steps.price_per_cpu_hour / _HOUR_MS, dict[str, float]()
    for run in call.log:
        cost = each[run.step].row_ms * price + each[run.step].row_eur
        for id in run.keys if run.keys is not None else ():
            found[id] = found.get(id, 0.0) + cost
    return found


def _rows(
    outcome: Outcome, records: Sequence[Mapping[str, Any]], costs: Mapping[str, float], settings: SupportSettings
) -> Iterator[dict[str, Any]]:
    values = dict(zip(outcome.places().tolist(), outcome.batch.records(), strict=True))
    for place, record in enumerate(records):
        found = values.get(place) or _unread(str(outcome.failures[place]))
        notes = [str(note) for note in outcome.notes.get(place, ())]
        asked = settings.steps.intent_model.call_eur * (found["intent_by"] == "language_model")
        cost = costs.get(record["ticket_id"], 0.0) + asked + settings.steps.answer_eur * bool(found["draft_by"])
        context = {name: found[name] for name in ("articles", "draft", "draft_problem", "draft_by")}
        yield {
            **{column.name: found.get(column.name) for column in OUTPUT.payload},
            "ticket_id": record["ticket_id"],
            "customer_id": record["customer_id"],
            "answer": None if found["handed_off"] else found["draft"],
            "notes": notes,
            "context": json.dumps({"history": record["history"], **context}, sort_keys=True, default=str),
            "cost_eur": round(cost, 9),
        }


def _unread(failure: str) -> dict[str, Any]:
    """Return the row of a ticket that the composition failed for: a person answers it."""
    return {
        "language": "", "intent": "oos", "intent_by": "", "confidence": 0.0, "urgency": None, "sentiment": 0.0,
        "article_ids": [], "cited": [], "handed_off": True, "reasons": [f"triage failed: {failure}"], "articles": {},
        "draft": "", "draft_by": "", "draft_problem": failure,
    }  # fmt: skip


def _outputs(run: StepRun) -> Iterator[tuple[str, str, str]]:
    if run.keys is None or run.outcome is None:
        return
    for place, values in zip(run.outcome.places().tolist(), run.outcome.batch.records(), strict=True):
        yield str(run.keys[place]), "ok", json.dumps(values, sort_keys=True, default=str)
    for place, failure in run.outcome.failures.items():
        yield str(run.keys[place]), failure.kind, failure.why
