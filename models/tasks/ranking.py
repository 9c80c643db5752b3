"""Ranking: the order of items for an entity."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from models.evaluation.baselines import column_of, joint_sign
from models.evaluation.metric import Metric
from models.evaluation.ranking_curves import ranking_png
from models.evaluation.ranking_metrics import NDCG_AT_10, Ndcg
from models.gates import checks as shared
from models.gates import label_checks, leakage_checks, sufficiency
from models.gates import ranking_checks as ranking
from models.tasks.task import Task
from models.training.model import Labels, Vector

if TYPE_CHECKING:
    from models.gates.check import GateCheck
    from models.gates.context import GateContext
    from models.training.dataset import Split

_NDCG_AT_1 = Ndcg(1)


class Ranking(Task):
    """Relevance score of each pair of entity and item, shape `(n_rows,)`; labels are relevances, 0 for none."""

    name = "ranking"
    label_type = np.int8
    metrics: ClassVar[Mapping[str, Metric]] = {"ndcg_at_10": NDCG_AT_10}
    reference = NDCG_AT_10
    columns = ("ndcg_at_10", "ndcg_at_1")

    @property
    def sufficient(self) -> tuple[Callable[[GateContext], GateCheck], ...]:
        """Entities with relevant and irrelevant items, and features that vary."""
        return (ranking.relevance, sufficiency.features_vary)

    @property
    def checks(self) -> tuple[Callable[[GateContext], GateCheck], ...]:
        """Every check of the gate of a ranker; scores are no probabilities, so there is nothing to calibrate."""
        return (
            ranking.rows,
            *self.sufficient,
            shared.holdout_unseen,
            leakage_checks.recomputed,
            ranking.leakage,
            leakage_checks.identity,
            shared.absolute_floor,
            shared.baseline,
            shared.champion,
            leakage_checks.jump,
            label_checks.labels_as_before,
            shared.slices,
            shared.latency,
            shared.size,
            shared.loads,
        )

    def problem(self, predictions: Vector, rows: int) -> str:
        """Return why these are not one finite score per row; "" if they are."""
        if predictions.shape != (rows,):
            return f"scores of shape {predictions.shape} for {rows} rows"
        wrong = int((~np.isfinite(predictions)).sum())
        return f"{wrong} scores that are no finite numbers" if wrong else ""

    def by_feature(self, split: Split, feature: str) -> Vector:
        """Return the feature itself, in the direction that relevant items have in the training rows.

        Raises:
            TesseraError: no such feature.
        """
        known, asked = column_of(split, feature)
        return joint_sign(known, split.train.labels) * asked

    def summary(self, labels: Labels) -> dict[str, float]:
        """Return the number of relevant rows."""
        return {"relevant": int((labels > 0).sum())}

    def measure(self, context: GateContext, model: str) -> dict[str, float]:
        """Return the discounted gain of the first ten items, and of the first."""
        held, scores = context.holdout, context.scores(model)
        return {metric.name: metric.value(held.labels, scores, held.groups) for metric in (NDCG_AT_10, _NDCG_AT_1)}

    def picture(self, labels: Labels, predictions: Mapping[str, Vector]) -> bytes:
        """Return the share of relevant items found among the highest scores."""
        return ranking_png(labels, predictions)


RANKING = Ranking()
