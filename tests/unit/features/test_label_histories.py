"""A label replaces those before it from its own moment on: online, offline, in seeds and in what is learned."""

from collections import defaultdict
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.features.fraud import fraud_features
from models.features.fraud_definitions import FEATURES, WINDOWS
from models.features.fraud_online import FraudWindows, Payment
from models.features.fraud_seed import histories, seed_rows
from models.features.label_statement import statement
from models.features.window_state import KeyHistory
from models.features.windows import MICROS_PER_DAY as DAY
from models.fraud.training_rows import REFIT, FraudDays, fraud_rows
from models.timestamps import to_datetime, to_epoch_micros
from tests.unit.features.orders import engine
from tests.unit.features.test_fraud_features import LABELS, PAYMENTS

T0 = to_epoch_micros(datetime(2026, 3, 1, 10, tzinfo=UTC))
#: Days that hold every payment here: with the same ones, the SQL is compiled once.
DAYS = {"first": date(2026, 1, 1), "last": date(2026, 6, 30)}
RISKS = [one for one in WINDOWS if one.aggregate == "share"]
#: Payment, µs when it was said, and whether it was called fraud.
Said = tuple[int, int, bool]


def tables(payments: list[Payment], said: list[Said]) -> dict[str, Any]:
    paid = [(p.transaction_id, p.customer_id, p.terminal_id, p.paid_at, p.cents / 100) for p in payments]
    told = [(number, fraud, to_datetime(at)) for number, at, fraud in said]
    return {
        "payments": pa.Table.from_pylist([dict(zip(PAYMENTS.names, row, strict=True)) for row in paid], PAYMENTS),
        "labels": pa.Table.from_pylist([dict(zip(LABELS.names, row, strict=True)) for row in told], LABELS),
    }


def offline(payments: list[Payment], said: list[Said], folder: Path) -> dict[int, list[float]]:
    found = engine(folder).query(fraud_features, tables(payments, said), **DAYS).read_all()
    return {row["transaction_id"]: [row[name] for name in FEATURES] for row in found.to_pylist()}


def online(events: list[Payment | Said]) -> tuple[dict[int, list[float]], dict[str, KeyHistory]]:
    """What was given last for each payment, and the terminals' histories."""
    terminals: dict[str, KeyHistory] = defaultdict(KeyHistory)
    windows, given_last = FraudWindows(defaultdict(KeyHistory), terminals, {}), dict[int, list[float]]()
    for event in events:
        rows = windows.pay(event) if isinstance(event, Payment) else windows.label(*event[:2], is_fraud=event[2])
        given_last.update((payment.transaction_id, features) for payment, features in rows)
    return given_last, terminals


def is_fraud_at(number: int, at: int, said: list[Said]) -> bool:
    """Plain reference: the last statement that was known; of one moment, one that says fraud."""
    known = [(when, fraud) for other, when, fraud in said if other == number and when <= at]
    return max(known)[1] if known else False


def risk(window: Any, row: Payment, payments: list[Payment], said: list[Said]) -> float:
    start, end = row.micros - window.reach_micros, row.micros - window.delay_days * DAY
    inside = [p for p in payments if p.terminal_id == row.terminal_id and start < p.micros <= end]
    return sum(is_fraud_at(p.transaction_id, row.micros, said) for p in inside) / max(len(inside), 1)


def risks(features: list[float]) -> list[float]:
    return [features[FEATURES.index(one.name)] for one in RISKS]


MOMENTS = st.builds(
    lambda days, off: T0 + days * DAY + off,
    st.sampled_from([0, 1, 7, 8, 9, 14, 15, 30, 37]),
    st.sampled_from([-1, 0, 0, 1]),
)
PAID = st.lists(st.tuples(st.sampled_from("tu"), MOMENTS), min_size=2, max_size=9)
SAID = st.lists(st.tuples(st.integers(0, 8), MOMENTS, st.booleans()), max_size=12)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(paid=PAID, told=SAID, data=st.data())
@pytest.mark.slow
def test_online_equals_offline_equals_a_plain_loop(
    paid: list[tuple[str, int]], told: list[Said], data: st.DataObject, tmp_path: Path
) -> None:
    payments = [Payment(number, f"c{number}", *row, 2000) for number, row in enumerate(paid)]
    said = [one for one in told if one[0] < len(payments)]
    events: list[Payment | Said] = list(data.draw(st.permutations(payments)))
    for one in data.draw(st.permutations([*said, *said[:3]])):  # some come twice
        paid_at = next(at for at, event in enumerate(events) if event == payments[one[0]])
        events.insert(data.draw(st.integers(paid_at + 1, len(events))), one)
    found, terminals = online(events)
    assert found == offline(payments, said, tmp_path)
    plain = {p.transaction_id: [risk(one, p, payments, said) for one in RISKS] for p in payments}
    assert {number: risks(features) for number, features in found.items()} == plain
    bounds = {"first": T0 - 99 * DAY, "before": T0 + 99 * DAY}
    inputs = {**tables(payments, said), "feedback": LABELS.empty_table()}
    seeded = dict(histories(engine(tmp_path).query(seed_rows, inputs, key="terminal_id", **bounds)))
    assert {key: one.to_bytes() for key, one in seeded.items()} == {k: one.to_bytes() for k, one in terminals.items()}


@pytest.mark.slow
def test_what_was_known_stays_known(tmp_path: Path) -> None:
    """Called genuine on 8 March and charged back on 20 March, at a terminal that is paid at every few days."""
    days = [1, 2, 9, 19, 20, 21, 25]
    payments = [Payment(day, f"c{day}", "t1", T0 + (day - 1) * DAY, 2000) for day in days]
    said = [(1, T0 + 7 * DAY, False), (2, T0 + 8 * DAY, False), (1, T0 + 19 * DAY, True)]
    features = offline(payments, said, tmp_path)
    assert {day: risks(features[day])[-1] for day in days} == {
        **dict.fromkeys([1, 2, 9, 19], 0.0),
        20: pytest.approx(1 / 3),  # of the payments of at least 7 days before
        21: pytest.approx(1 / 3),
        25: pytest.approx(1 / 3),
    }
    taken_back = [*said, (1, T0 + 20 * DAY, False)]
    assert risks(offline(payments, taken_back, tmp_path)[21]) == [0.0, 0.0, 0.0]
    for statements in (said, taken_back):
        assert online([*payments, *reversed(statements)])[0] == offline(payments, statements, tmp_path)


@settings(max_examples=15, deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(0, 3), st.lists(st.integers(0, 9), max_size=4)), min_size=1, max_size=6),
    before=st.integers(0, 4),
    gone=st.sets(st.integers(0, 5)),
)
def test_statements_are_packed_and_dropped_with_their_rows(
    rows: list[tuple[int, list[int]]], before: int, gone: set[int]
) -> None:
    history, expected = KeyHistory(), KeyHistory()
    for number, (at, said) in enumerate(rows):
        for one in (history, expected) if at >= before and number not in gone else (history,):
            one.insert(at, number, 5)
            for known in said:
                one.add_statement(one.position(at, number), known)
    again = KeyHistory.from_bytes(history.to_bytes())
    assert again.to_bytes() == history.to_bytes()
    again.drop_before(before)
    again.drop_ids(gone)
    assert again.to_bytes() == expected.to_bytes()


def test_a_statement_is_added_once() -> None:
    history = KeyHistory()
    history.insert(T0, 1, 5)
    said = [statement(T0 + at, is_fraud=fraud) for at, fraud in ((2, True), (1, False), (3, False))]
    assert [history.add_statement(0, one) for one in (*said, *said)] == [True] * 3 + [False] * 3
    assert (history.known[0], list(history.later_known)) == (said[1], [said[0], said[2]])


def test_each_side_of_a_training_has_the_labels_of_its_own_moment() -> None:
    """A chargeback after the hold-out began trains no model; the hold-out is evaluated with the last word."""

    def at(day: int, month: int = 3) -> datetime:
        return datetime(2026, month, day, 12, tzinfo=UTC)

    days = FraudDays(date(2026, 3, 1), date(2026, 3, 7), date(2026, 3, 15), date(2026, 3, 21))
    paid = {1: ("a", at(2)), 2: ("b", at(3)), 3: ("a", at(15)), 4: ("a", at(19)), 5: ("b", at(20)), 6: ("b", at(21))}
    features = [{"transaction_id": n, "customer_id": who, "event_timestamp": when} for n, (who, when) in paid.items()]
    said = [(1, False, at(9)), (1, True, at(17)), (2, True, at(10)), (2, False, at(20)), (2, True, at(30))]
    said += [(n, n == 3, at(28)) for n in (3, 4, 5, 6)]
    labels = [dict(zip(("transaction_id", "is_fraud", "labelled_at"), one, strict=True)) for one in said]
    shuffled = labels[::2] + labels[1::2]
    for order in (labels, shuffled):
        rows = fraud_rows(pa.Table.from_pylist(features), pa.Table.from_pylist(order), days).to_pylist()
        # Card `a` is blocked from the 18th on, card `b` from the 11th on until its fraud is taken back on the 20th.
        assert [(row["transaction_id"], row["is_fraud"]) for row in rows if row["part"] != REFIT] == [
            (1, False),
            (2, True),
            (3, True),
            (6, False),
        ]
