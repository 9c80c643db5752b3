"""Training of the composition: what customers wanted after past cut-offs, candidates of the ranker, the gate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from assets.personalization.app import PERSONALIZATION
from assets.personalization.known import HISTORY_DAYS, known_at, wanted_between
from assets.stages import metadata_keys as keys
from assets.stages.composition_training import ComposedCandidate
from assets.stages.cutoff_training import stored
from models.errors import TesseraError
from models.settings import PersonalizationSettings
from resources.lake.port import Lake
from resources.registry.port import Registry

if TYPE_CHECKING:
    from models.personalization.gate import Judged, Wanted
    from models.personalization.known import Known

_SCHEMA = pa.schema([("customer_id", pa.string()), ("product_id", pa.string()), ("cutoff", pa.date32())])


@dataclass(frozen=True)
class WantedRows:
    """Products that customers wanted in the horizon after past cut-offs: `customer_id`, `product_id`, `cutoff`."""

    rows: pa.Table
    holdout: date

    def metadata(self) -> dict[str, Any]:
        """Numbers for Dagster."""
        customers = len(self.rows["customer_id"].unique())
        return {keys.ROW_COUNT: self.rows.num_rows, keys.CUSTOMERS: customers, keys.HOLDOUT: self.holdout.isoformat()}


def wanted_rows(lake: Lake, settings: PersonalizationSettings, as_of: date) -> WantedRows:
    """Make the training set as of the end of `as_of` and store it in the lake.

    Raises:
        TesseraError: no cut-off has both history and an ended horizon.
    """
    horizon = timedelta(days=settings.horizon_days)
    cutoff = as_of - horizon
    first = min(lake.days("orders"), default=as_of)
    if cutoff <= first:
        raise TesseraError(
            f"Orders are known since {first}: no day before {as_of} has both history and {settings.horizon_days} days "
            "after it.",
            expected=f"orders of more than {settings.horizon_days} days",
            todo="Choose a later day, or lower settings.personalization.horizon_days.",
        )
    wanted = wanted_between(lake, cutoff, as_of)
    dated = wanted.append_column("cutoff", pa.array([cutoff] * wanted.num_rows, pa.date32())).cast(_SCHEMA)
    return WantedRows(stored(lake, PERSONALIZATION.training_set, dated, as_of), cutoff)


def candidate(
    found: WantedRows, lake: Lake, registry: Registry, settings: PersonalizationSettings
) -> ComposedCandidate:
    """Build the composition, and evaluate it on what customers wanted after the hold-out's cut-off."""
    from models.personalization.composition import GOLDEN, personalization, rehearsed
    from models.personalization.gate import gate_report
    from models.personalization.known import OneDay

    del registry
    known = known_at(lake, found.holdout, settings)
    wanted = _wanted(found.rows, known)
    day = OneDay(known)
    models = {
        "frequency": _lists(personalization({}, day, settings.steps), wanted, known),
        "popularity": _popular(wanted, known, settings),
    }
    report = gate_report("frequency", models, wanted, settings.gate)
    resources = rehearsed({})
    return ComposedCandidate(
        name="frequency",
        composition=personalization({}, resources["known"], settings.steps),
        golden=GOLDEN,
        rehearsal=resources,
        report=report,
        metrics=report.metrics["frequency"],
        holdout=f"{wanted.taken.customers.size:,} customers after {found.holdout}",
        parameters={"ranker": "frequency", "history_days": str(HISTORY_DAYS)},
        extras={},
        shown={},
    )


def _wanted(rows: pa.Table, known: Known) -> Wanted:
    """Return the hold-out: known customers with what they wanted, of the products that were known."""
    import numpy as np

    from models.personalization.gate import Wanted
    from models.recommend.ranking_metrics import targets

    customers = [known.customer(id) for id in rows["customer_id"].to_pylist()]
    products = [known.places.get(id, -1) for id in rows["product_id"].to_pylist()]
    customer, product = np.array(customers, np.int32), np.array(products, np.int32)
    kept = (customer >= 0) & (product >= 0)
    taken = targets(customer[kept], product[kept])
    pairs = known.history.pairs
    owned = [frozenset(pairs.product[pairs.starts[one] : pairs.starts[one + 1]].tolist()) for one in taken.customers]
    return Wanted(taken, owned, known.offers.ids.size)


def _lists(composition: Any, wanted: Wanted, known: Known) -> Judged:
    """Return the lists of a composition for the customers of the hold-out."""
    import numpy as np

    from models.compose.batch import from_records
    from models.compose.call import new_call
    from models.personalization.gate import Judged

    step = composition.step()
    ids = known.events.customers[wanted.taken.customers].tolist()
    records: list[Mapping[str, Any]] = [
        {"customer_id": id, "as_of": known.day.isoformat(), "session": {}} for id in ids
    ]
    outcome = step.run(from_records(records, step.takes), new_call())
    lists = [[known.places[id] for id in found] for found in outcome.batch["product_ids"]]
    return Judged(_filled(lists), np.array([one["lost"] for one in outcome.batch["counts"]]))


def _popular(wanted: Wanted, known: Known, settings: PersonalizationSettings) -> Judged:
    """Return the same popular products for every customer, without any rule."""
    import numpy as np

    from models.personalization.gate import Judged

    n, k = wanted.taken.customers.size, settings.steps.rules.length
    return Judged(_filled([known.popular[""][:k].tolist()] * n), np.zeros(n, np.int64))


def _filled(lists: list[list[int]]) -> Any:
    import numpy as np

    from models.recommend.ranking_metrics import NOTHING

    width = max(map(len, lists), default=1)
    return np.array([[*one, *[NOTHING] * (width - len(one))] for one in lists], dtype=np.int32)
