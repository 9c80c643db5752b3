"""Training of the composition: what customers wanted after past cut-offs, the ranker, the gate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from assets.personalization.app import PERSONALIZATION
from assets.personalization.holdout import champion_lists, holdout_of, lists_of_composition, plain_lists
from assets.personalization.known import HISTORY_DAYS, known_at, wanted_between
from assets.personalization.profiles import JoinedProfiles
from assets.stages import metadata_keys as keys
from assets.stages.composition_training import ComposedCandidate
from assets.stages.cutoff_training import stored
from models.errors import TesseraError
from models.settings import PersonalizationSettings
from resources.lake.port import Lake
from resources.registry.port import Registry

if TYPE_CHECKING:
    from models.personalization.margin import MarginOrder
    from models.personalization.training import PastCutoff, TrainedRanker

# pyright: basic, reportAttributeAccessIssue=false
# pyarrow makes the functions of `pyarrow.compute` when it is imported.

_SCHEMA = pa.schema([("customer_id", pa.string()), ("product_id", pa.string()), ("cutoff", pa.date32())])


@dataclass(frozen=True)
class WantedRows:
    """Products that customers wanted in the horizon after past cut-offs: `customer_id`, `product_id`, `cutoff`.

    Attributes:
        rows: of all cut-offs.
        cutoffs: the newest first; it is the hold-out.
    """

    rows: pa.Table
    cutoffs: tuple[date, ...]

    def metadata(self) -> dict[str, Any]:
        """Numbers for Dagster."""
        customers = len(self.rows["customer_id"].unique())
        holdout = self.cutoffs[0].isoformat()
        return {
            keys.ROW_COUNT: self.rows.num_rows,
            keys.CUSTOMERS: customers,
            keys.CUTOFFS: len(self.cutoffs),
            keys.HOLDOUT: holdout,
        }

    def at(self, cutoff: date) -> pa.Table:
        """Return the rows of one cut-off."""
        return self.rows.filter(pc.field("cutoff") == pa.scalar(cutoff))


def wanted_rows(lake: Lake, settings: PersonalizationSettings, as_of: date) -> WantedRows:
    """Make the training set as of the end of `as_of` and store it in the lake.

    Raises:
        TesseraError: no cut-off has both history and an ended horizon.
    """
    horizon = settings.horizon_days
    first = min(lake.days("orders"), default=as_of)
    possible = [as_of - timedelta(days=age) for age in settings.cutoff_ages]
    cutoffs = tuple(day for day in possible if day - first >= timedelta(days=horizon))
    if not cutoffs:
        raise TesseraError(
            f"Orders are known since {first}: no day before {as_of} has {horizon} days before and after it.",
            expected=f"orders of {2 * horizon} days or more",
            todo="Choose a later day, or lower settings.personalization.horizon_days.",
        )
    parts = [_SCHEMA.empty_table()]
    for cutoff in cutoffs:
        wanted = wanted_between(lake, cutoff, cutoff + timedelta(days=horizon))
        parts.append(wanted.append_column("cutoff", pa.array([cutoff] * wanted.num_rows, pa.date32())).cast(_SCHEMA))
    return WantedRows(stored(lake, PERSONALIZATION.training_set, pa.concat_tables(parts), as_of), cutoffs)


def candidate(
    found: WantedRows,
    lake: Lake,
    registry: Registry,
    settings: PersonalizationSettings,
    profiles: JoinedProfiles | None = None,
    log: Callable[[str], object] = lambda _: None,
) -> ComposedCandidate:
    """Train the ranker on older cut-offs, and evaluate lists on what customers wanted after the newest one.

    Where the ranker is not measurably ahead of own frequency, frequency is the candidate.

    Args:
        found: the training set.
        lake: what was known at the cut-offs.
        registry: holds the champion.
        settings: of the application.
        profiles: of the cut-offs; None: those of the lake.
        log: gets a sentence after each part; training takes minutes.
    """
    from models.personalization.composition import GOLDEN, personalization, rehearsed
    from models.personalization.gate import EASE, FREQUENCY, POPULARITY, errors_of, gate_report, leads, quality_of
    from models.personalization.parts import ITEMS, KNOWN, RankerPart

    steps = settings.steps
    cutoffs = [past_cutoff(lake, found.at(day), day, settings, profiles) for day in found.cutoffs]
    log(f"{len(cutoffs)} past cut-offs read; training the rankers on {max(len(cutoffs) - 2, 0)} of them")
    trained = _trained(cutoffs[1:], settings)
    log(f"{_chosen(trained)}; comparing lists on the hold-out, {found.cutoffs[0]}")
    hold = holdout_of(cutoffs[0], steps)
    models = plain_lists(hold, steps)
    part: dict[str, Any] = {} if trained is None else {"ranker": RankerPart(trained.ranker)}
    name, notes = FREQUENCY, [_chosen(trained)]
    if trained is not None and trained.choice.name != FREQUENCY:
        learned = lists_of_composition(personalization(part, hold.days, hold.items, steps), hold)
        lead = leads(learned.lists, models[FREQUENCY].lists, hold.wanted, settings.gate)
        notes.append(f"{trained.choice.name} leads own frequency by {lead} in NDCG@20 on the hold-out")
        if lead.low > 0:
            name = trained.choice.name if trained.choice.name not in models else "ranker"
            models = {name: learned, **models}
        else:
            notes.append("its lower end is not above 0: own frequency is the candidate")
    resources = rehearsed({})
    part = part if name != FREQUENCY else {}
    by_margin = margin_order(trained, steps.margin_weight, is_ranker=name != FREQUENCY)
    if by_margin is not None:
        name, part = f"{name} by margin", {one: replace(each, by_margin=by_margin) for one, each in part.items()}
        weighed = personalization(part, hold.days, hold.items, steps, by_margin)
        models = {name: lists_of_composition(weighed, hold), **models}
    elif steps.margin_weight:
        notes.append("margins are not weighed: no older cut-off says how conversion falls from place to place")
    champion, theirs = champion_lists(registry, hold, resources)
    if theirs is not None:
        models[champion] = theirs
    report = gate_report(name, models, hold.wanted, settings.gate, champion if theirs is not None else "")
    assert {POPULARITY, EASE} <= models.keys()  # noqa: S101 - baselines are always there
    return ComposedCandidate(
        name=name,
        composition=personalization(part, resources[KNOWN], resources[ITEMS], steps, by_margin),
        golden=GOLDEN,
        rehearsal=resources,
        report=report.noted(notes),
        metrics={**report.metrics[name], **errors_of(quality_of(models[name].lists, hold.wanted))},
        holdout=f"{hold.wanted.taken.customers.size:,} customers after {found.cutoffs[0]}",
        parameters={
            "ranker": name,
            "margin_weight": f"{steps.margin_weight:g}",
            "cutoffs": str(len(cutoffs)),
            "history_days": str(HISTORY_DAYS),
        },
        extras={},
        shown={},
    )


def past_cutoff(
    lake: Lake,
    wanted: pa.Table,
    day: date,
    settings: PersonalizationSettings,
    profiles: JoinedProfiles | None = None,
) -> PastCutoff:
    """Return what was known at the end of `day`, and what known customers wanted after it, of the known products."""
    import numpy as np

    from models.personalization.training import PastCutoff
    from models.recommend.ranking_metrics import targets
    from models.recommend.recommender import codes_of

    known = known_at(lake, day, settings, profiles=profiles)
    customers, products = (np.array(wanted[name].to_pylist(), dtype=str) for name in ("customer_id", "product_id"))
    customer, product = codes_of(customers, known.events.customers), codes_of(products, known.offers.ids)
    kept = (customer >= 0) & (product >= 0)
    return PastCutoff(known, targets(customer[kept], product[kept]))


def _trained(cutoffs: Sequence[PastCutoff], settings: PersonalizationSettings) -> TrainedRanker | None:
    """Return the ranker that older cut-offs chose; None without one that has customers."""
    from models.personalization.training import trained_ranker

    usable = [one for one in cutoffs if one.wanted.customers.size >= settings.gate.min_segment]
    return trained_ranker(usable, settings.steps.recommender) if usable else None


def margin_order(trained: TrainedRanker | None, weight: float, *, is_ranker: bool) -> MarginOrder | None:
    """Return the order by margins of the chosen ranker, or of own frequency; None: margins are not weighed."""
    from models.personalization.margin import MarginOrder, falling

    if trained is None or not weight:
        return None
    taken_at = trained.choice.taken_at[trained.choice.name if is_ranker else "frequency"]
    return MarginOrder(weight, falling(taken_at))


def _chosen(trained: TrainedRanker | None) -> str:
    if trained is None:
        return "no older cut-off has enough customers to choose a ranker: own frequency"
    choice = trained.choice
    shown = sorted(choice.ndcg.items(), key=lambda one: -one[1])
    values = ", ".join(f"{name} {value:.4f}" for name, value in shown)
    return f"{choice.name} was chosen on {choice.customers:,} customers of an older cut-off by NDCG@20: {values}"
