"""The fraud features: published values, a plain loop, and the online path against the offline one."""

# ruff: noqa: S608, S311

import random
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.events import Event
from models.features.fraud import IDENTITY, fraud_features
from models.features.fraud_definitions import DEFINITIONS, FEATURES, WINDOWS
from models.features.fraud_online import FraudWindows, Payment
from models.features.window_state import NOT_KNOWN, KeyHistory
from models.features.windows import MICROS_PER_DAY
from models.fraud.event_parsing import PAYMENT, PaymentLimits, payment_of
from tests.unit.features.orders import engine

PAYMENTS = pa.schema(
    [
        ("transaction_id", pa.int64()),
        ("customer_id", pa.string()),
        ("terminal_id", pa.string()),
        ("paid_at", pa.timestamp("us", "UTC")),
        ("amount", pa.float64()),
    ]
)
LABELS = pa.schema(
    [("transaction_id", pa.int64()), ("is_fraud", pa.bool_()), ("labelled_at", pa.timestamp("us", "UTC"))]
)
T0 = int(datetime(2018, 6, 1, tzinfo=UTC).timestamp()) * 1_000_000
#: Days that hold every payment here: with the same ones, the SQL is compiled once.
DAYS = {"first": date(2018, 3, 1), "last": date(2018, 9, 30)}
PUBLISHED = {
    "is_weekend": "TX_DURING_WEEKEND",
    "is_night": "TX_DURING_NIGHT",
    **{f"customer_count_{n}d": f"CUSTOMER_ID_NB_TX_{n}DAY_WINDOW" for n in (1, 7, 30)},
    **{f"customer_mean_amount_{n}d": f"CUSTOMER_ID_AVG_AMOUNT_{n}DAY_WINDOW" for n in (1, 7, 30)},
    **{f"terminal_count_{n}d": f"TERMINAL_ID_NB_TX_{n}DAY_WINDOW" for n in (1, 7, 30)},
    **{f"terminal_risk_{n}d": f"TERMINAL_ID_RISK_{n}DAY_WINDOW" for n in (1, 7, 30)},
}


def moment(micros: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)


def offline(payments: Iterable[Payment], labels: dict[int, int], folder: Path) -> dict[int, list[float]]:
    """`labels`: id -> µs from which the payment is known to be fraud."""
    paid = list(payments)
    rows = [
        dict(
            zip(PAYMENTS.names, (p.transaction_id, p.customer_id, p.terminal_id, p.paid_at, p.cents / 100), strict=True)
        )
        for p in paid
    ]
    known = [{"transaction_id": key, "is_fraud": True, "labelled_at": moment(at)} for key, at in labels.items()]
    tables: dict[str, Any] = {
        "payments": pa.Table.from_pylist(rows, PAYMENTS),
        "labels": pa.Table.from_pylist(known, LABELS),
    }
    found = engine(folder).query(fraud_features, tables, **DAYS).read_all()
    assert found.column_names == [*IDENTITY, *FEATURES]
    return {row["transaction_id"]: [row[name] for name in FEATURES] for row in found.to_pylist()}


def fed(events: Iterable[Payment | tuple[int, int]]) -> dict[int, list[float]]:
    """What was given last for each payment; a pair is a label: id and the µs at which it became known."""
    windows = FraudWindows(defaultdict(KeyHistory), defaultdict(KeyHistory), {})
    given: dict[int, list[float]] = {}
    for event in events:
        rows = windows.pay(event) if isinstance(event, Payment) else windows.label(*event, is_fraud=True)
        given.update((payment.transaction_id, features) for payment, features in rows)
    return given


@pytest.fixture(scope="module")
def handbook(shared_data: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(
        f"""CREATE TABLE handbook AS SELECT TRANSACTION_ID::BIGINT transaction_id, CUSTOMER_ID::VARCHAR customer_id,
        TERMINAL_ID::VARCHAR terminal_id, TX_DATETIME::TIMESTAMPTZ paid_at, TX_AMOUNT amount, TX_FRAUD = 1 is_fraud,
        (TX_DATETIME + INTERVAL 7 DAY)::TIMESTAMPTZ labelled_at
        FROM '{shared_data}/fraud_handbook/transactions_*.parquet'"""
    )
    yield connection
    connection.close()


@pytest.mark.real
def test_the_published_values(handbook: duckdb.DuckDBPyConnection, shared_data: Path, tmp_path: Path) -> None:
    """Every feature on every row: payments of one second are told apart by their ids, as the authors' window does."""
    day = date(2018, 7, 25)
    recent = f"paid_at >= '{day - timedelta(days=38)}' AND paid_at < '{day + timedelta(days=1)}'"
    tables: dict[str, Any] = {
        "payments": handbook.sql(f"SELECT {', '.join(PAYMENTS.names)} FROM handbook WHERE {recent}").to_arrow_table(),
        "labels": handbook.sql(f"SELECT {', '.join(LABELS.names)} FROM handbook WHERE {recent}").to_arrow_table(),
    }
    found = engine(tmp_path).query(fraud_features, tables, first=day, last=day).read_all()
    assert found.num_rows == 9541
    wrong = ", ".join(
        f"count(*) FILTER (abs(ours.{mine} - {theirs}) > 1e-6 * greatest(1, abs({theirs})) OR ours.{mine} IS NULL)"
        for mine, theirs in PUBLISHED.items()
    )
    expected = f"{shared_data}/fraud_handbook/expected_features_2018-07-25.parquet"
    with duckdb.connect() as connection:
        connection.register("ours", found)
        counts = connection.sql(
            f"SELECT count(*), {wrong} FROM ours JOIN '{expected}' e ON e.TRANSACTION_ID = ours.transaction_id"
        ).fetchall()[0]
    assert counts == (9541, *[0] * len(PUBLISHED))


@pytest.mark.real
@pytest.mark.slow
def test_events_out_of_order_and_twice_end_in_the_offline_features(
    handbook: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    rows = handbook.sql(
        """SELECT transaction_id, customer_id, terminal_id, epoch_us(paid_at), round(amount * 100)::BIGINT, is_fraud
        FROM handbook WHERE terminal_id::INT % 8 = 0 ORDER BY paid_at, transaction_id LIMIT 40000"""
    ).fetchall()
    payments = [Payment(*row[:5]) for row in rows]
    labels = {row[0]: row[3] + 7 * MICROS_PER_DAY for row in rows if row[5]}
    labels = {key: at for key, at in labels.items() if at <= payments[-1].micros}
    assert len(labels) > 150
    events: list[tuple[int, int, Payment | tuple[int, int]]] = [(p.micros, 1, p) for p in payments]
    events += [(at, 0, (key, at)) for key, at in labels.items()]
    events.sort(key=lambda event: event[:2])
    draw = random.Random(7)
    places = [at + (draw.randint(0, 3000) if draw.random() < 0.1 else 0) for at in range(len(events))]
    shuffled = [events[at][2] for at in sorted(range(len(events)), key=places.__getitem__)]
    delivered = [event for event in shuffled for _ in range(2 if draw.random() < 0.02 else 1)]
    assert len(delivered) > len(events)
    assert fed(delivered) == offline(payments, labels, tmp_path)


KEYS = st.sampled_from("ab")
DAY = MICROS_PER_DAY
#: Moments at and beside the ends of every window.
MOMENTS = st.builds(
    lambda days, off: T0 + days * DAY + off,
    st.sampled_from([0, 1, 6, 7, 8, 14, 30, 37, 38]),
    st.sampled_from([-1, 0, 0, 0, 1]),
)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.tuples(KEYS, KEYS, MOMENTS, st.integers(0, 9999)), min_size=1, max_size=14),
    late=st.dictionaries(st.integers(0, 13), st.sampled_from([0, 1, 7 * DAY, 7 * DAY + 1, 9 * DAY, 50 * DAY])),
    data=st.data(),
)
@pytest.mark.slow
def test_both_paths_equal_a_plain_loop(
    rows: list[tuple[str, str, int, int]], late: dict[int, int], data: st.DataObject, tmp_path: Path
) -> None:
    payments = [Payment(number, *row) for number, row in enumerate(rows)]
    labels = {number: rows[number][2] + delay for number, delay in late.items() if number < len(rows)}
    found = offline(payments, labels, tmp_path)
    names = [one.name for one in WINDOWS]
    at = [FEATURES.index(name) for name in names]
    plain = {p.transaction_id: [loop(one, p, payments, labels) for one in WINDOWS] for p in payments}
    assert {key: [values[n] for n in at] for key, values in found.items()} == {
        key: pytest.approx(values, rel=1e-12, abs=1e-9) for key, values in plain.items()
    }
    assert fed([*data.draw(st.permutations(payments)), *labels.items()]) == found


def loop(one: Any, row: Payment, payments: list[Payment], labels: dict[int, int]) -> float:
    def key(payment: Payment) -> str:
        return getattr(payment, one.key)

    start, end = row.micros - one.reach_micros, row.micros - one.delay_days * DAY
    inside = [p for p in payments if key(p) == key(row) and start < p.micros <= end]
    if not one.delay_days:
        inside = [p for p in inside if (p.micros, p.transaction_id) <= (row.micros, row.transaction_id)]
    euros = [p.cents / 100 for p in inside]
    mean = sum(euros) / len(euros) if euros else 0.0
    return {
        "count": lambda: float(len(inside)),
        "share": lambda: (
            sum(labels.get(p.transaction_id, NOT_KNOWN) <= row.micros for p in inside) / max(len(inside), 1)
        ),
        "mean": lambda: mean,
        "max": lambda: max(euros),
        "deviation": lambda: (sum((euro - mean) ** 2 for euro in euros) / max(len(euros) - 1, 1)) ** 0.5,
    }[one.aggregate]()


@pytest.mark.slow
@pytest.mark.parametrize("amount", [0.125, 10.125, 2.625, 0.375, 1.005, 0.0, 0.3, 49_999.99, 7])
def test_both_paths_take_the_same_cents(amount: float, tmp_path: Path) -> None:
    data = {"transaction_id": 1, "customer_id": "c", "terminal_id": "t", "amount": amount}
    event = Event(id="1", source="/payments", type=PAYMENT, time=moment(T0), subject="c", data=data)
    (online,) = fed([payment_of(event, PaymentLimits())]).values()
    tables = {
        "payments": pa.Table.from_pylist([{**data, "paid_at": moment(T0), "amount": float(amount)}], PAYMENTS),
        "labels": LABELS.empty_table(),
    }
    day = moment(T0).date()
    (row,) = engine(tmp_path).query(fraud_features, tables, first=day, last=day).read_all().to_pylist()
    assert online == [row[name] for name in FEATURES]


def test_a_history_survives_being_packed_and_drops_what_is_old() -> None:
    history = KeyHistory()
    for number in (3, 1, 2, 2):
        history.insert(number * DAY, number * 10 + len(history.ids), number)
    again = KeyHistory.from_bytes(history.to_bytes())
    assert (list(again.micros), list(again.ids), list(again.values)) == (
        [DAY, 2 * DAY, 2 * DAY, 3 * DAY],
        [11, 22, 23, 30],
        [1, 2, 2, 3],
    )
    assert again.drop_before(2 * DAY) == 1
    assert list(again.ids) == [22, 23, 30]
    assert again.position(2 * DAY, 23) == 1
    with pytest.raises(KeyError):
        again.position(2 * DAY, 24)


def test_every_feature_is_described() -> None:
    assert len(set(FEATURES)) == len(FEATURES) == len(DEFINITIONS)
    assert all(feature.meaning and feature.unit and feature.window for feature in DEFINITIONS)
