"""Lists of a night: the composition over the customers of a day, in chunks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from assets.personalization.app import FEATURE_VERSION, OUTPUT, PERSONALIZATION
from assets.personalization.item_index import IndexedItems
from assets.personalization.known import LakeDays
from assets.personalization.variants import Trial, trial_of
from assets.stages.feature_days import DAY
from assets.stages.scoring_task import ComposedRows, ComposedScoring, ScoringTask
from models.settings import PersonalizationSettings, Settings
from resources.lake.port import Lake
from resources.vectors.port import Vectors

if TYPE_CHECKING:
    from models.compose.budget import Budget
    from models.compose.outcome import Outcome
    from models.compose.package import LoadedComposition

#: Customers whose lists are made together; lists do not depend on it.
_AT_ONCE = 1_000
_SCHEMA = pa.schema([column.field() for column in (*OUTPUT.keys, *OUTPUT.payload)])


def scoring_task(settings: Settings, lake: Lake, vectors: Vectors, *, is_night: bool = True) -> ScoringTask:
    """Return the making of a day's lists under these settings, from this lake and the index of products."""
    from models.personalization.composition import rehearsed

    own = settings.personalization
    live = live_resources(own, lake, vectors, is_night=is_night)
    lists = partial(lists_of, lake=lake, settings=settings)
    composed = ComposedScoring(live, rehearsed(live), FEATURE_VERSION, lists, partial(budget_of, own))
    return ScoringTask(app=PERSONALIZATION, audit=own.audit, segments=("country",), composed=composed)


def budget_of(settings: PersonalizationSettings, n: int) -> Budget:
    """Return the budget of a request for `n` lists: the deadline of one, so many times."""
    from models.compose.budget import Budget

    deadline_ms = settings.steps.deadline_ms
    return Budget(latency_ms=None if deadline_ms is None else deadline_ms * max(n, 1))


def live_resources(
    settings: PersonalizationSettings, lake: Lake, vectors: Vectors, *, is_night: bool = True
) -> dict[str, Any]:
    """Return the resources by the names under which parts need them."""
    from models.personalization.parts import ITEMS, KNOWN

    return {KNOWN: LakeDays(lake, settings), ITEMS: IndexedItems(vectors, or_served=not is_night)}


def lists_of(
    loaded: LoadedComposition, profiles: pa.Table, *, lake: Lake, settings: Settings
) -> Iterator[ComposedRows]:
    """Yield a list for each customer of a day's profiles, in their order, and what the rules did, part by part.

    Args:
        loaded: the champion.
        profiles: of a day.
        lake: with the decisions on experiments.
        settings: with the experiments.
    """
    if not profiles.num_rows:
        return
    trial = trial_of(loaded, lake, settings, profiles[DAY][0].as_py(), is_night=True)
    for start in range(0, profiles.num_rows, _AT_ONCE):
        counts: Counter[str] = Counter()
        rows = _rows(trial, profiles.slice(start, _AT_ONCE), counts)
        yield ComposedRows(rows, counts=counts)


def _rows(trial: Trial, profiles: pa.Table, counts: Counter[str]) -> pa.Table:
    customers, day = profiles["customer_id"].to_pylist(), profiles[DAY][0].as_py()
    dealt = {id: trial.dealt(id) for id in customers}
    found: dict[str, dict[str, Any]] = {}
    for one in sorted({*dealt.values()}, key=lambda each: (each.variant, each.experiment, each.parts)):
        own = [id for id in customers if dealt[id] == one]
        records: list[Mapping[str, Any]] = [{"customer_id": id, "as_of": day.isoformat(), "session": {}} for id in own]
        rows = answered(trial.composition(one), records, counts)
        found |= {id: trial.shown({**row, "customer_id": id}, id, one) for id, row in zip(own, rows, strict=True)}
        if trial.experiments is not None:
            counts[f"variant_{one.variant}"] += len(own)
    return pa.Table.from_pylist([found[id] for id in customers], _SCHEMA)


def answered(
    loaded: LoadedComposition, records: list[Mapping[str, Any]], counts: Counter[str] | None = None, call: Any = None
) -> list[dict[str, Any]]:
    """Return the row of each request (`models.personalization.fields.REQUEST`), whatever fails.

    Args:
        loaded: the composition.
        records: requests.
        counts: what rules removed is added here.
        call: with a budget; None: there is none.
    """
    from models.compose.batch import from_records
    from models.compose.call import new_call

    outcome = loaded.step.run(from_records(records, loaded.step.takes), call or new_call())
    _refuse_losses(outcome)
    rows = [row_of(found) for found in outcome.batch.records()]
    if counts is not None:
        counts["lists"] += len(rows)
        for found in outcome.batch["counts"]:
            counts.update(found)
        counts["popular_lists"] += sum(row["list_by"] != "personal" for row in rows)
    return rows


def _refuse_losses(outcome: Outcome) -> None:
    from models.errors import TesseraError

    if outcome.failures:
        place, failure = next(iter(outcome.failures.items()))
        raise TesseraError(
            f"{len(outcome.failures)} lists could not be made, not even the popular one; request {place}: {failure}.",
            expected="a list for each customer",
            todo="Look at the champion of personalization: `tessera models personalization`.",
        )


def row_of(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the payload of a list as the composition gives it."""
    ids, sources = list(found["product_ids"]), list(found["sources"])
    return {
        "product_ids": ids,
        "scores": list(found["scores"]["values"]),
        "sources": sources,
        "reasons": list(found["reasons"]),
        "own_share": sum(source.startswith("own") for source in sources) / max(len(ids), 1),
        "length": len(ids),
        "list_by": found["list_by"],
        "filled": found["counts"]["filled"],
        "lost": found["counts"]["lost"],
    }
