"""Lists of the gate: of a composition, of the champion, and of plain rankings, for the customers of the hold-out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from assets.personalization.app import PERSONALIZATION
from assets.stages.promotion import composed_champions
from resources.registry.port import Registry

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from models.compose.package import Composition
    from models.compose.step import Step
    from models.personalization.config import StepsConfig
    from models.personalization.gate import Judged, Wanted
    from models.personalization.known import Known, OneDay
    from models.personalization.training import PastCutoff
    from models.recommend.generators import Tables
    from models.recommend.ranking_metrics import Targets

#: Customers whose lists are made together.
_AT_ONCE = 1_000


@dataclass(frozen=True)
class FixedTables:
    """Tables of one day (`models.personalization.tables.ItemTables`)."""

    tables: Tables

    def over(self, known: Known) -> Tables:  # noqa: ARG002 - of one day
        """Return them."""
        return self.tables


@dataclass(frozen=True)
class Holdout:
    """The hold-out with what is known at its cut-off; lists are compared by their first `length` products."""

    known: Known
    days: OneDay
    items: FixedTables
    wanted: Wanted
    length: int


def holdout_of(cutoff: PastCutoff, steps: StepsConfig) -> Holdout:
    """Return the hold-out; tables are made of what was known at its cut-off."""
    from models.personalization.known import OneDay
    from models.personalization.tables import known_tables

    known, config = cutoff.known, steps.recommender
    tables = FixedTables(known_tables(known, config.generators, seed=config.seed))
    return Holdout(known, OneDay(known), tables, wanted_of(known, cutoff.wanted), steps.rules.length)


def wanted_of(known: Known, taken: Targets) -> Wanted:
    """Return what customers wanted, with what was new to each and the segments by which lists are compared."""
    import numpy as np

    from models.personalization.gate import Wanted

    n, profiles = known.offers.ids.size, known.history.profiles
    keys = taken.customers[taken.owner()].astype(np.int64) * n + taken.product
    is_new = ~np.isin(keys, profiles.owner() * n + profiles.product)
    countries = known.countries[taken.customers].astype(str)
    segments = {name: countries == name for name in known.segments if name}
    baskets = profiles.baskets[taken.customers]
    segments |= {"1 or 2 baskets": baskets <= 2, "3 to 9 baskets": (baskets > 2) & (baskets < 10)}
    return Wanted(taken, is_new, known.history.of_products.recent.astype(np.int64), segments, known.shelf.category)


def plain_lists(hold: Holdout, steps: StepsConfig) -> dict[str, Judged]:
    """Return the lists of the baselines: own frequency after the rules, EASE and popularity without any."""
    import numpy as np

    from models.personalization.composition import personalization
    from models.personalization.gate import EASE, FREQUENCY, POPULARITY, Judged
    from models.personalization.training import blocks
    from models.recommend.ranker_training import ranked_by
    from models.recommend.rankers import EaseRanker
    from models.recommend.recommender import best_lists

    k, customers = steps.rules.length, hold.wanted.taken.customers
    none = np.zeros(customers.size, np.int64)
    parts: list[Any] = []
    for _, block in blocks(hold.known, hold.items.tables, customers, steps.recommender):
        scores = ranked_by(EaseRanker(), block.found, np.empty(0, np.float32), block.known.history.of_products)
        parts.append(best_lists(block.found, scores, k)[0])
    frequency = personalization({}, hold.days, hold.items, steps)
    return {
        FREQUENCY: lists_of_composition(frequency, hold),
        EASE: Judged(np.concatenate(parts), none),
        POPULARITY: Judged(np.tile(hold.known.popular[""][:k].astype(np.int32), (customers.size, 1)), none),
    }


def champion_lists(registry: Registry, hold: Holdout, rehearsal: Mapping[str, Any]) -> tuple[str, Judged | None]:
    """Return name and lists of the champion on the hold-out; "" and None if there is none that can be used."""
    from models.compose.package import LoadedComposition
    from models.personalization.parts import ITEMS, KNOWN

    live = {KNOWN: hold.days, ITEMS: hold.items}
    for found in composed_champions(PERSONALIZATION.name, registry, live, rehearsal):
        loaded = getattr(found, "composition", None)
        if not isinstance(loaded, LoadedComposition):
            return "", None
        return f"version {found.version}", lists_of_step(loaded.step, hold)
    return "", None


def lists_of_composition(composition: Composition, hold: Holdout) -> Judged:
    """Return the lists of a composition for the customers of the hold-out."""
    return lists_of_step(composition.step(), hold)


def lists_of_step(step: Step, hold: Holdout) -> Judged:
    """Return the lists of a step."""
    import numpy as np

    from models.compose.batch import from_records
    from models.compose.call import new_call
    from models.personalization.gate import Judged

    ids, day = hold.known.events.customers[hold.wanted.taken.customers].tolist(), hold.known.day.isoformat()
    records: list[Mapping[str, Any]] = [{"customer_id": id, "as_of": day, "session": {}} for id in ids]
    lists: list[list[int]] = []
    lost: list[int] = []
    for start in range(0, len(records), _AT_ONCE):
        outcome = step.run(from_records(records[start : start + _AT_ONCE], step.takes), new_call())
        lists += [[hold.known.places[id] for id in found] for found in outcome.batch["product_ids"]]
        lost += [one["lost"] for one in outcome.batch["counts"]]
    return Judged(padded(lists, hold.length), np.array(lost, dtype=np.int64))


def padded(lists: Sequence[Sequence[int]], length: int) -> NDArray[np.int32]:
    """Return the first codes of lists, shape `(n_lists, length)`, `NOTHING` at the end of shorter ones."""
    import numpy as np

    from models.recommend.ranking_metrics import NOTHING

    found = np.full((len(lists), length), NOTHING, dtype=np.int32)
    for row, one in enumerate(lists):
        found[row, : len(one)] = one[:length]
    return found
