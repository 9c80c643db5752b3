"""Performance of a past day's scores and alerts, by the labels that have become known since."""

# pyarrow has no static types.
# pyright: basic

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from models.evaluation.metrics import average_precision, entity_precision_at


@dataclass(frozen=True)
class Quality:
    """One day. A share or precision is in [0, 1], and None where nothing is known that it could be computed from.

    Attributes:
        payments: of the day.
        labelled: of these, those with a label.
        frauds: of these, those labelled as fraud.
        average_precision: of the scores, over the labelled payments; None without frauds, or with nothing else.
        card_precision: share of frauds among the cards with the highest scores, as many as can be looked at.
        alerts: cards that were alerted.
        alert_precision: share of the alerted cards (of which anything is known) with a fraud on that day.
        alert_recall: share of the cards with a fraud on that day that were alerted.
    """

    payments: int
    labelled: int
    frauds: int
    average_precision: float | None = None
    card_precision: float | None = None
    alerts: int = 0
    alert_precision: float | None = None
    alert_recall: float | None = None

    @property
    def labelled_share(self) -> float | None:
        """Share of the payments with a label."""
        return self.labelled / self.payments if self.payments else None


def labels_known(is_fraud: pa.ChunkedArray) -> Quality:
    """Count the labels of a day's payments: true, false, or NULL for payments without a label."""
    told = np.asarray(is_fraud.is_valid(), dtype=bool)
    frauds = int(np.asarray(is_fraud.fill_null(False), dtype=bool).sum())
    return Quality(payments=told.size, labelled=int(told.sum()), frauds=frauds)


def matured_quality(scored: pa.Table, alerted: Collection[str], *, per_day: int) -> Quality:
    """Return the quality of the scores and alerts of one day. No card is left out, blocked or not.

    Args:
        scored: every payment of the day: `customer_id`, `score` and `is_fraud` (NULL: no label).
        alerted: customers with an alert on that day.
        per_day: cards that can be looked at in a day.
    """
    known = labels_known(scored["is_fraud"])
    told = scored.filter(scored["is_fraud"].is_valid())
    labels = np.asarray(told["is_fraud"], dtype=np.int8)
    scores = told["score"].to_numpy()
    customers = np.asarray(told["customer_id"].to_pylist(), dtype=object)
    cards, frauds = set(customers), set(customers[labels == 1])
    judged = cards & set(alerted)
    return Quality(
        payments=known.payments,
        labelled=known.labelled,
        frauds=known.frauds,
        average_precision=average_precision(labels, scores) if 0 < known.frauds < known.labelled else None,
        card_precision=_card_precision(labels, scores, customers, per_day) if known.labelled else None,
        alerts=len(set(alerted)),
        alert_precision=len(judged & frauds) / len(judged) if judged else None,
        alert_recall=len(judged & frauds) / len(frauds) if frauds else None,
    )


def _card_precision(labels: np.ndarray, scores: np.ndarray, customers: np.ndarray, per_day: int) -> float:
    cards = np.unique(customers, return_inverse=True)[1]
    one_day = np.zeros(labels.size, dtype="datetime64[D]")
    return entity_precision_at(labels, scores, cards, one_day, per_day)
