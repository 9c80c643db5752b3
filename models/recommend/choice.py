"""The choice of a ranker on validation rows: what does not measurably beat own frequency is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from models.evaluation.bootstrap import Interval, Resampling, mean_interval
from models.recommend.config import RankerName
from models.recommend.ranking_metrics import Values

#: Of the intervals by which validation rows choose.
RESAMPLING = Resampling(n=2000, seed=0, confidence=0.95)


@dataclass(frozen=True)
class Choice:
    """The ranker that was chosen, and the results of each on validation rows.

    Attributes:
        name: of the chosen ranker.
        customers: of the validation rows; 0 if there were none, and frequency was taken unseen.
        ndcg: mean NDCG@k of each ranker.
        lead: paired difference to `frequency`, with its 95 % interval over customers.
        repeat_share: share of taken products that their customers had already.
        taken_at: share of customers who took the candidate at each place, by each ranker.
        ease_weight: of EASE in the order of new products; 0 of rankers that learn nothing.
    """

    name: RankerName
    customers: int
    ndcg: Mapping[RankerName, float]
    lead: Mapping[RankerName, Interval]
    repeat_share: float
    taken_at: Mapping[RankerName, Values] = field(default_factory=dict["RankerName", "Values"])
    ease_weight: float = 0.0


def choose(
    values: Mapping[RankerName, Values], repeat_share: float, taken_at: Mapping[RankerName, Values] | None = None
) -> Choice:
    """Return the ranker with the highest mean of those whose lead over `frequency` is above 0, or `frequency`.

    Args:
        values: NDCG of each validation customer by each ranker.
        repeat_share: share of taken products that their customers had already.
        taken_at: share of customers who took the candidate at each place, by each ranker; None: it is not known.
    """
    frequency = values["frequency"]
    lead: dict[RankerName, Interval] = {
        name: mean_interval(each - frequency, RESAMPLING) for name, each in values.items() if name != "frequency"
    }
    ndcg: dict[RankerName, float] = {name: float(np.mean(each)) for name, each in values.items()}
    best: RankerName = "frequency"
    for name, each in lead.items():
        if each.low > 0 and ndcg[name] > ndcg[best]:
            best = name
    return Choice(best, frequency.size, ndcg, lead, repeat_share, taken_at or {})


def unseen(name: RankerName = "frequency") -> Choice:
    """Return the choice where nothing can be validated."""
    return Choice(name, 0, {}, {}, 0.0)
