"""Quality of a past day, against numbers worked out by hand."""

import pyarrow as pa
import pytest
from sklearn.metrics import average_precision_score

from models.fraud.performance import Quality, labels_known, matured_quality

#: customer, score, fraud. Card a: its fraud scores lowest of its two payments; no one said anything about d's.
ROWS: list[tuple[str, float, bool | None]] = [
    ("a", 0.9, False),
    ("a", 0.2, True),
    ("b", 0.8, True),
    ("c", 0.7, False),
    ("d", 0.95, None),
    ("e", 0.1, True),
]


def scored(rows: list[tuple[str, float, bool | None]]) -> pa.Table:
    customers, scores, labels = zip(*rows, strict=True) if rows else ((), (), ())
    return pa.table({"customer_id": list(customers), "score": list(scores), "is_fraud": pa.array(labels, pa.bool_())})


def test_numbers_by_hand() -> None:
    found = matured_quality(scored(ROWS), {"a", "c", "d"}, per_day=2)
    # By score: .9 no, .8 fraud (1/2), .7 no, .2 fraud (2/4), .1 fraud (3/5).
    by_hand = (1 / 2 + 2 / 4 + 3 / 5) / 3
    assert found.average_precision == pytest.approx(by_hand, abs=1e-15)
    assert found.average_precision == pytest.approx(
        average_precision_score([0, 1, 1, 0, 1], [0.9, 0.2, 0.8, 0.7, 0.1]), abs=1e-15
    )
    assert (found.payments, found.labelled, found.frauds, found.alerts) == (6, 5, 3, 3)
    assert found.labelled_share == 5 / 6
    assert found.card_precision == 1.0, "the two cards with the highest scores, a and b, both have a fraud"
    assert found.alert_precision == 1 / 2, "of d nothing is known; of a and c, one has a fraud"
    assert found.alert_recall == 1 / 3, "of the cards a, b and e"


def test_more_can_be_looked_at_than_there_are_cards() -> None:
    assert matured_quality(scored(ROWS), (), per_day=10).card_precision == pytest.approx(3 / 10)


@pytest.mark.parametrize(
    ("rows", "alerted", "unknown"),
    [
        ([], (), {"average_precision", "card_precision", "alert_precision", "alert_recall"}),
        ([("a", 0.5, None)], ("a",), {"average_precision", "card_precision", "alert_precision", "alert_recall"}),
        ([("a", 0.5, False)], ("a",), {"average_precision", "alert_recall"}),
        ([("a", 0.5, True)], (), {"average_precision", "alert_precision"}),
    ],
)
def test_what_cannot_be_computed_is_not_there(
    rows: list[tuple[str, float, bool | None]], alerted: tuple[str, ...], unknown: set[str]
) -> None:
    found = matured_quality(scored(rows), alerted, per_day=1)
    measured = ("average_precision", "card_precision", "alert_precision", "alert_recall")
    assert {name for name in measured if getattr(found, name) is None} == unknown


def test_a_day_without_payments_has_no_share() -> None:
    nothing = labels_known(pa.chunked_array([[]], pa.bool_()))
    assert nothing == Quality(payments=0, labelled=0, frauds=0)
    assert nothing.labelled_share is None
