"""Churn labels: no purchase in (t, t + horizon]."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.features.churn import churn_labels
from models.features.cutoffs import cutoff_moment
from tests.unit.features.orders import FIRST_DAY, Line, bought, engine, orders_table
from tests.unit.features.test_churn_features import LINES

DAY = date(2024, 3, 31)


def labels(
    lines: Sequence[Line],
    rows: Sequence[tuple[str, datetime]],
    place: Path,
    *,
    horizon: int = 90,
    as_of: date | None = None,
) -> list[int]:
    """The label of each row, in the order of the rows; a column is carried along to find them again."""
    entities = pa.table(
        {
            "customer_id": [customer for customer, _ in rows],
            "event_timestamp": pa.array([moment for _, moment in rows], pa.timestamp("us", "UTC")),
            "carried": list(range(len(rows))),
        }
    )
    tables = {"orders": orders_table(lines), "entities": entities}
    found = engine(place).query(churn_labels, tables, horizon_days=horizon, as_of=as_of).read_all().sort_by("carried")
    assert found.drop_columns("churned").equals(entities)
    assert found.schema.field("churned").type == pa.int8()
    return found["churned"].to_pylist()


@pytest.mark.parametrize(
    ("days_after", "microseconds", "churned"),
    [(0, 0, 1), (0, 1, 0), (90, 0, 0), (90, 1, 1)],
    ids=["at t is before the window", "just after t", "the last moment of the window", "too late"],
)
def test_edges_of_the_window(days_after: int, microseconds: int, churned: int, tmp_path: Path) -> None:
    at = cutoff_moment(DAY) + timedelta(days=days_after, microseconds=microseconds)
    line = bought("a", FIRST_DAY)._replace(
        at=(at - bought("a", FIRST_DAY, hour=0).ordered_at) // timedelta(microseconds=1)
    )
    assert line.ordered_at == at
    assert labels([line], [("a", cutoff_moment(DAY))], tmp_path) == [churned]


def test_a_return_is_no_sign_of_life(tmp_path: Path) -> None:
    line = bought("a", DAY + timedelta(days=3), is_return=True)
    assert labels([line], [("a", cutoff_moment(DAY))], tmp_path) == [1]


def test_what_is_delivered_after_as_of_does_not_change_a_label(tmp_path: Path) -> None:
    line = bought("a", DAY + timedelta(days=90), late=2)
    row = ("a", cutoff_moment(DAY))
    assert labels([line], [row], tmp_path, as_of=DAY + timedelta(days=91)) == [1]
    assert labels([line], [row], tmp_path, as_of=DAY + timedelta(days=92)) == [0]


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    lines=LINES,
    rows=st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 200)), min_size=1, max_size=12),
    horizon=st.integers(1, 90),
)
@pytest.mark.slow
def test_labels_equal_the_slow_reference(
    lines: list[Line], rows: list[tuple[str, int]], horizon: int, tmp_path_factory
) -> None:
    moments = [(customer, cutoff_moment(FIRST_DAY + timedelta(days=day))) for customer, day in rows]
    expected = [
        int(
            not any(
                line.customer == customer and not line.is_return and t < line.ordered_at <= t + timedelta(days=horizon)
                for line in lines
            )
        )
        for customer, t in moments
    ]
    assert labels(lines, moments, tmp_path_factory.getbasetemp(), horizon=horizon) == expected
