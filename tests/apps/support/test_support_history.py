"""A ticket's history is what was known when it was opened: nothing later, nothing of others."""

import json
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.support.history import with_history, write_day
from models.contracts import ORDERS, TICKET_LABELS, TICKETS
from models.publishing import attempt_of
from resources.conformance.score_sets import audit_and_publish, digest, publication, reader, score_rows
from tests.apps.support.support_world import DAY, SupportHome, at, label, order_line, ticket

NOW = at(DAY, 12)
ASKED = ticket("now", "where is it", NOW, customer="c1", order_id="o-2")


def history(home: SupportHome, row: Mapping[str, Any] = ASKED, score_of: str | None = None) -> dict[str, Any]:
    return json.loads(with_history(home.lake, home.sink, [row], DAY, score_of)["history"][0].as_py())


@pytest.fixture
def home(tmp_path: Path) -> SupportHome:
    home = SupportHome(tmp_path)
    before = at(DAY - timedelta(days=3))
    home.write(
        ORDERS,
        [
            order_line("1", "c1", at(DAY - timedelta(days=9)), DAY - timedelta(days=8)),
            order_line("2", "c1", before, before.date()),
            order_line("2b", "c1", before, before.date(), order_id="o-2"),
            order_line("3", "c1", at(DAY - timedelta(days=1)), DAY, is_return=True, order_id="o-1"),
            order_line("4", "c1", NOW + timedelta(hours=1), DAY),  # after the ticket
            order_line("5", "c1", before, DAY + timedelta(days=1)),  # delivered after its day
            order_line("6", "c2", before, before.date()),  # of another customer
        ],
    )
    home.write(
        TICKETS,
        [
            ticket("old", "help", at(DAY - timedelta(days=5)), customer="c1"),
            ticket("others", "help", at(DAY - timedelta(days=5)), customer="c2"),
            ASKED,
            ticket("next", "help", NOW + timedelta(hours=1), customer="c1"),
        ],
    )
    home.write(
        TICKET_LABELS,
        [
            label("old", "refund", at(DAY - timedelta(days=4))),
            label("old", "cancel", at(DAY - timedelta(days=2))),
            label("old", "login", NOW + timedelta(hours=1)),
            label("others", "login", at(DAY - timedelta(days=4))),
        ],
    )
    return home


def test_only_what_happened_before_and_was_delivered_by_the_day_counts(home: SupportHome) -> None:
    assert history(home) == {
        "orders": 2,
        "returns": 1,
        "last_orders": [
            {"order_id": "o-2", "ordered_on": str(DAY - timedelta(days=3)), "lines": 2, "is_return": False},
            {"order_id": "o-1", "ordered_on": str(DAY - timedelta(days=1)), "lines": 1, "is_return": True},
            {"order_id": "o-1", "ordered_on": str(DAY - timedelta(days=9)), "lines": 1, "is_return": False},
        ],
        "earlier_tickets": 1,
        "last_intents": ["cancel"],
    }


def test_an_order_of_somebody_else_is_never_shown(home: SupportHome) -> None:
    """A text, or a form, may name any order."""
    assert "o-6" not in json.dumps(history(home, {**ASKED, "order_id": "o-6"}))
    assert history(home, {**ASKED, "customer_id": None}) == {}, "a guest has no history"
    assert history(home, {**ASKED, "customer_id": "nobody"})["orders"] == 0


def test_the_score_is_the_last_one_that_was_published_before_the_day(home: SupportHome) -> None:
    def publish(day: date, score: float) -> None:
        rows = score_rows([score])
        customers = rows.set_column(0, rows.schema.field(0), pa.array(["c1"]))
        attempt = attempt_of(digest(customers))
        home.sink.write_attempt("churn", day, attempt, reader(customers))
        audit_and_publish(home.sink, publication(attempt, customers, day=day))

    assert "customer_score" not in history(home, score_of="churn")
    publish(DAY - timedelta(days=40), 0.9)
    assert "customer_score" not in history(home, score_of="churn"), "too old"
    publish(DAY - timedelta(days=2), 0.25)
    publish(DAY, 0.75)
    found = history(home, score_of="churn")
    assert (found["customer_score"], found["customer_score_of"]) == (0.25, "churn")
    assert found["customer_score_day"] == str(DAY - timedelta(days=2))
    assert "customer_score" not in history(home, score_of=None)


@settings(max_examples=15, deadline=None)
@given(later=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.booleans()), max_size=6))
def test_nothing_that_comes_later_changes_a_history(
    tmp_path_factory: pytest.TempPathFactory, later: Sequence[tuple[int, int, bool]]
) -> None:
    home = SupportHome(tmp_path_factory.mktemp("home"))
    first = [order_line("1", "c1", at(DAY - timedelta(days=9)), DAY - timedelta(days=8))]
    rows = [
        # Placed later, or delivered on a later day.
        order_line(f"n{n}", "c1", NOW + timedelta(days=days), DAY + timedelta(days=days + more))
        if is_placed_later
        else order_line(f"n{n}", "c1", NOW - timedelta(days=days, hours=1), DAY + timedelta(days=more + 1))
        for n, (days, more, is_placed_later) in enumerate(later)
    ]
    home.write(ORDERS, first)
    before = history(home)
    home.write(ORDERS, [*first, *rows])
    assert history(home) == before


def test_a_day_that_is_written_again_is_the_same(home: SupportHome) -> None:
    first = write_day(home.lake, home.sink, DAY, None)
    assert (first.rows, first.guests) == (2, 0)
    again = write_day(home.lake, home.sink, DAY, None)
    assert again.version == first.version, "equal rows are no new version"
