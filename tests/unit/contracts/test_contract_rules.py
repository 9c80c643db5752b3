"""Rows are kept or quarantined by the contract, with every reason, and none is lost."""

import json
import math
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandera.errors import SchemaError

from models.contracts import (
    ARTICLES,
    CONTRACTS,
    CUSTOMERS,
    ORDERS,
    PAYMENTS,
    PRODUCTS,
    QUARANTINE_SCHEMA,
    TICKET_LABELS,
    TICKETS,
    Contract,
)
from models.contracts.checking import CheckedRows, check_rows
from models.contracts.pandera_schema import pandera_schema
from models.errors import TesseraError
from resources.source.fake import raw_rows

DAY = date(2024, 5, 2)
GOOD: dict[str, dict[str, Any]] = {
    "orders": {
        "order_line_id": "o1-1",
        "order_id": "o1",
        "customer_id": "c1",
        "product_id": "p1",
        "ordered_at": datetime(2024, 5, 2, 23, 59, 59, 999999, UTC),
        "quantity": 2,
        "unit_price": 9.5,
        "currency": "EUR",
        "country": "Spain",
        "is_return": False,
        "delivered_on": DAY,
    },
    "customers": {
        "customer_id": "c1",
        "country": "Spain",
        "signed_up_on": DAY,
        "email": "c1@example.com",
        "delivered_on": DAY,
    },
    "products": {"product_id": "p1", "category": "toys", "list_price": 9.5, "currency": "EUR", "delivered_on": DAY},
    "payments": {
        "transaction_id": 2**53 + 1,
        "customer_id": "c1",
        "terminal_id": "t1",
        "paid_at": datetime(2024, 5, 2, 23, 59, 59, 999999, UTC),
        "amount": 9.5,
        "delivered_on": DAY,
    },
    "payment_labels": {
        "transaction_id": 2**53 + 1,
        "is_fraud": True,
        "labelled_at": datetime(2024, 5, 2, 12, tzinfo=UTC),
        "delivered_on": DAY,
    },
    "tickets": {
        "ticket_id": "t1",
        "customer_id": "c1",
        "channel": "mail",
        "opened_at": datetime(2024, 5, 2, 12, tzinfo=UTC),
        "text": 'Where is my "order"?\nIt was due on Monday …',
        "order_id": "o1",
        "delivered_on": DAY,
    },
    "ticket_labels": {
        "ticket_id": "t1",
        "intent": "where_is_my_order",
        "urgent": False,
        "handed_off": True,
        "article_id": "a1",
        "labelled_at": datetime(2024, 5, 2, 12, tzinfo=UTC),
        "delivered_on": DAY,
    },
    "articles": {
        "article_id": "a1",
        "title": "Track an order",
        "body": 'Open "My orders".',
        "language": "en",
        "updated_at": datetime(2024, 5, 2, 12, tzinfo=UTC),
        "is_retired": False,
        "delivered_on": DAY,
    },
    "exposures": {
        "exposure_id": "e1",
        "list_id": "l1",
        "experiment": "ranker_trial",
        "variant": "popular",
        "customer_id": "c1",
        "session_id": "s1",
        "product_id": "p1",
        "slot": 1,
        "propensity": 0.875,
        "shown_at": datetime(2024, 5, 2, 12, tzinfo=UTC),
        "delivered_on": DAY,
    },
    "outcomes": {
        "outcome_id": "o1",
        "kind": "purchase",
        "exposure_id": "e1",
        "customer_id": "c1",
        "session_id": "s1",
        "product_id": "p1",
        "value": 9.99,
        "happened_at": datetime(2024, 5, 2, 12, tzinfo=UTC),
        "delivered_on": DAY,
    },
    "sessions": {
        "event_id": "v1",
        "session_id": "s1",
        "customer_id": "c1",
        "product_id": "p1",
        "kind": "view",
        "position": 3,
        "at": datetime(2024, 5, 2, 12, tzinfo=UTC),
        "delivered_on": DAY,
    },
    "stock": {
        "product_id": "p1",
        "counted_on": DAY,
        "on_hand": 12,
        "price": 9.99,
        "unit_cost": 4.5,
        "currency": "EUR",
        "name": "Blue mug",
        "is_promoted": False,
        "is_durable": True,
        "launched_on": date(2023, 9, 1),
        "delivered_on": DAY,
    },
}


def check(contract: Contract, *changes: dict[str, Any], **arguments: Any) -> CheckedRows:
    """The outcome for good rows with these changes."""
    rows = [{**GOOD[contract.table], **change} for change in changes]
    return check_rows(contract, raw_rows(contract.table, rows), **arguments)


def reasons(checked: CheckedRows) -> list[str]:
    assert checked.kept.num_rows == 0
    return checked.quarantined["reasons"].to_pylist()[0]


def reasons_of(checked: CheckedRows) -> list[str]:
    return [reason for row in checked.quarantined["reasons"].to_pylist() for reason in row]


def prices(**changes: Any) -> pa.Table:
    return pa.Table.from_pylist([{**GOOD["products"], **changes}])


@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=list(CONTRACTS))
def test_a_good_row_is_kept_as_it_is(contract: Contract) -> None:
    checked = check(contract, {}, list_prices=prices())
    assert checked.kept.schema == contract.lake_schema()
    assert checked.kept.to_pylist() == [GOOD[contract.table]]
    assert checked.quarantined.num_rows == 0
    assert checked.reasons == {}


NULLS = [(contract, c.name) for contract in CONTRACTS.values() for c in contract.columns if not c.nullable]


@pytest.mark.slow
@pytest.mark.parametrize(("contract", "column"), NULLS)
def test_every_column_must_be_there(contract: Contract, column: str) -> None:
    assert f"{column} is missing" in reasons(check(contract, {column: None}))


STRINGS = [
    (contract, c.name)
    for contract in CONTRACTS.values()
    for c in contract.columns
    if c.type == "string" and not c.nullable
]


@pytest.mark.slow
@pytest.mark.parametrize(("contract", "column"), STRINGS)
def test_no_string_is_empty(contract: Contract, column: str) -> None:
    says = "missing" if contract.column(column).is_id else "empty"
    assert f"{column} is {says}" in reasons(check(contract, {column: "  "}))


OPTIONAL = [(contract, c.name) for contract in CONTRACTS.values() for c in contract.columns if c.nullable]


@pytest.mark.parametrize(("contract", "column"), OPTIONAL)
def test_what_may_be_null_is_kept_as_null(contract: Contract, column: str) -> None:
    assert check(contract, {column: None}).kept[column].to_pylist() == [None]
    if contract.column(column).is_id:
        assert check(contract, {column: " n/a "}).kept[column].to_pylist() == [None]


@pytest.mark.parametrize("blank", ["", " \n\t", "\u00a0\u2003", "\u200b\ufeff"])
def test_a_blank_message_is_no_ticket(blank: str) -> None:
    assert reasons(check(TICKETS, {"text": blank})) == ["text is empty"]


def test_a_later_version_is_kept_beside_the_one_before_and_a_copy_of_it_is_not() -> None:
    later = datetime(2024, 5, 2, 13, tzinfo=UTC)
    for contract, at in ((ARTICLES, "updated_at"), (TICKET_LABELS, "labelled_at")):
        checked = check(contract, {}, {at: later}, {at: later})
        assert len(checked.kept) == 2
        assert reasons_of(checked) == [
            f"{contract.key} '{GOOD[contract.table][contract.key]}' with the same {at} was delivered before"
        ]


EURO_LIST = ", ".join(ORDERS.column("currency").one_of)
BREACHES = [
    (ORDERS, {"quantity": 0}, "quantity is 0"),
    (ORDERS, {"quantity": 100_001}, "quantity 100001 is not <= 100000"),
    (ORDERS, {"quantity": -100_001, "is_return": True}, "quantity -100001 is not >= -100000"),
    (ORDERS, {"quantity": "two"}, "quantity 'two' cannot be read as int32"),
    (ORDERS, {"unit_price": 0.0}, "unit_price 0.0 is not > 0"),
    (ORDERS, {"unit_price": -1.5}, "unit_price -1.5 is not > 0"),
    (ORDERS, {"unit_price": 20_000.01}, "unit_price 20000.01 is not <= 20000"),
    (ORDERS, {"unit_price": math.nan}, "unit_price NaN is not a finite number"),
    (ORDERS, {"unit_price": math.inf}, "unit_price inf is not a finite number"),
    (PAYMENTS, {"amount": -5.0}, "amount -5.0 is not >= 0"),
    (PAYMENTS, {"transaction_id": -1}, "transaction_id -1 is not >= 0"),
    (PAYMENTS, {"transaction_id": "x1"}, "transaction_id 'x1' cannot be read as int64"),
    (ORDERS, {"currency": "XXX"}, f"currency XXX is not one of {EURO_LIST}"),
    (ORDERS, {"quantity": -2}, "is_return is false, but quantity is -2"),
    (ORDERS, {"is_return": True}, "is_return is true, but quantity is 2"),
    (
        ORDERS,
        {"ordered_at": datetime(2024, 5, 3, tzinfo=UTC)},
        "ordered_at 2024-05-03 00:00:00.000000+00:00 is after delivered_on 2024-05-02",
    ),
    (
        ORDERS,
        {"ordered_at": datetime(1970, 1, 1, 23, 59, tzinfo=UTC)},
        "ordered_at 1970-01-01 23:59:00.000000+00:00 is before 1970-01-02",
    ),
    (CUSTOMERS, {"signed_up_on": date(2024, 5, 3)}, "signed_up_on 2024-05-03 is after delivered_on 2024-05-02"),
    (CUSTOMERS, {"signed_up_on": date(1970, 1, 1)}, "signed_up_on 1970-01-01 is before 1970-01-02"),
    (PRODUCTS, {"list_price": 0.0}, "list_price 0.0 is not > 0"),
    (PRODUCTS, {"list_price": 20_001.0}, "list_price 20001.0 is not <= 20000"),
    (PRODUCTS, {"list_price": math.nan}, "list_price NaN is not a finite number"),
    (TICKETS, {"text": "ä" * 20_001}, "text has more than 20000 characters: 20001"),
    (TICKETS, {"channel": "fax"}, "channel fax is not one of mail, chat, form"),
    (TICKETS, {"customer_id": "8.50123E+11"}, "customer_id '9.99999A+99' cannot be read as an id"),
    (TICKET_LABELS, {"urgent": "soon"}, "urgent 'soon' cannot be read as bool"),
    (ARTICLES, {"language": "eng"}, "language has more than 2 characters: 3"),
    (PRODUCTS, {"currency": "eur"}, f"currency eur is not one of {EURO_LIST}"),
]


@pytest.mark.parametrize(("contract", "change", "reason"), BREACHES)
def test_a_broken_promise_is_told_with_its_value(contract: Contract, change: dict[str, Any], reason: str) -> None:
    checked = check(contract, change)
    assert reasons(checked) == [reason]
    assert sum(checked.reasons.values()) == 1


_PERSONAL = [(c, column.name) for c in CONTRACTS.values() for column in c.columns if column.pii != "none"]
_CANARIES = ["Canary von Muster", "canary.muster@example.com", "+49 30 1234567 canary", "8.50123E+11 canary"]


def _changed(contract: Contract, column: str, **update: Any) -> Contract:
    """The contract with other promises on a column that is not its key."""
    columns = (
        contract.columns
        if column == contract.key
        else [each.model_copy(update=update) if each.name == column else each for each in contract.columns]
    )
    return contract.model_copy(update={"columns": tuple(columns)})


@pytest.mark.slow
@pytest.mark.parametrize(("contract", "column"), [each for each in _PERSONAL if each[0].table in GOOD])
@pytest.mark.parametrize("value", _CANARIES)
def test_no_reason_shows_a_person(contract: Contract, column: str, value: str) -> None:
    """Of a number that is none, an unknown word, a long text, and a key that came twice."""
    rows = pl.concat([pl.DataFrame(raw_rows(contract.table, [GOOD[contract.table] | {column: value}]))] * 2).to_arrow()
    text = _changed(contract, column, one_of=("nothing",), at_most_characters=1, type="string")
    number = _changed(contract, column, at_most_characters=None, type="int32")
    for checked in (check_rows(text, rows), check_rows(number, rows)):
        assert checked.quarantined.num_rows >= 1
        said = str(checked.quarantined["reasons"].to_pylist()) + str(checked.reasons)
        assert not [word for word in ("anary", "uster", "1234567", "50123") if word in said], said


LIMITS = [
    (ORDERS, {"quantity": 100_000}),
    (ORDERS, {"quantity": -100_000, "is_return": True}),
    (ORDERS, {"unit_price": 20_000.0}),
    (ORDERS, {"unit_price": 5e-324}),
    (ORDERS, {"ordered_at": datetime(1970, 1, 2, tzinfo=UTC)}),
    (CUSTOMERS, {"signed_up_on": date(1970, 1, 2)}),
    (PRODUCTS, {"list_price": 20_000.0}),
    (TICKETS, {"text": "ä" * 20_000}),
]


@pytest.mark.parametrize(("contract", "change"), LIMITS)
def test_a_value_at_its_limit_is_kept(contract: Contract, change: dict[str, Any]) -> None:
    assert check(contract, change).kept.num_rows == 1


@pytest.mark.parametrize(
    ("price", "known", "kept"),
    [
        (95.0, {}, True),
        (95.01, {}, False),
        (0.95, {}, True),
        (0.949, {}, False),
        (950.0, {"product_id": "p2"}, True),
        (950.0, {"currency": "GBP"}, True),
        (950.0, {"delivered_on": DAY + timedelta(days=1)}, True),
    ],
)
def test_a_price_in_another_unit_is_found_where_the_list_price_is_known(
    price: float, known: dict[str, Any], kept: bool
) -> None:
    checked = check(ORDERS, {"unit_price": price}, list_prices=prices(**known))
    assert bool(checked.kept.num_rows) is kept
    if not kept:
        assert reasons(checked) == [f"unit_price {price} is not within 0.1 x to 10 x of the list price 9.5"]


def test_every_reason_of_a_row_is_told() -> None:
    checked = check(ORDERS, {"customer_id": None, "unit_price": 0.0, "currency": "?", "is_return": True})
    assert len(reasons(checked)) == 4
    assert len(checked.reasons) == 4


def test_the_original_and_the_key_go_to_quarantine_with_the_reasons() -> None:
    checked = check(ORDERS, {"quantity": "two"}, {"order_line_id": None})
    schema = pa.schema([field for field in QUARANTINE_SCHEMA if field.name != "run_id"])
    assert checked.quarantined.schema == schema
    assert checked.quarantined["key"].to_pylist() == [None, "o1-1"]
    assert [json.loads(text)["quantity"] for text in checked.quarantined["original"].to_pylist()] == [2, "two"]


def with_original(original: str | None) -> pa.Table:
    raw = raw_rows("orders", [{**GOOD["orders"], "quantity": None}])
    return raw.set_column(raw.num_columns - 1, "_original", pa.array([original], pa.string()))


@pytest.mark.parametrize(
    ("original", "names", "reason"),
    [
        ('{"quantity": "two"}', {}, "quantity 'two' cannot be read as int32"),
        ('{"quantity": 3000000000}', {}, "quantity '3000000000' cannot be read as int32"),
        ('{"quantity": null}', {}, "quantity is missing"),
        ('{"quantity": ""}', {}, "quantity is missing"),
        ('{"Menge (St.)": "zwei"}', {"quantity": "Menge (St.)"}, "quantity 'zwei' cannot be read as int32"),
        ('{"Menge (St.)": null}', {"quantity": "Menge (St.)"}, "quantity is missing"),
        ('{"it\'s": "zwei"}', {"quantity": "it's"}, "quantity 'zwei' cannot be read as int32"),
        ('{"it\'s \\"so\\"": "zwei"}', {"quantity": 'it\'s "so"'}, "quantity is missing or cannot be read as int32"),
        ('{"Menge": "zwei"}', {}, "quantity is missing or cannot be read as int32"),
        ("not json at all", {}, "quantity is missing or cannot be read as int32"),
        (None, {}, "quantity is missing or cannot be read as int32"),
    ],
)
def test_an_unreadable_value_is_told_apart_from_a_missing_one(
    original: str | None, names: dict[str, str], reason: str
) -> None:
    assert reasons(check_rows(ORDERS, with_original(original), original_names=names)) == [reason]


def test_an_unreadable_value_is_refused_even_where_null_is_allowed() -> None:
    columns = [c.model_copy(update={"nullable": True}) if c.name == "quantity" else c for c in ORDERS.columns]
    contract = ORDERS.model_copy(update={"columns": tuple(columns)})
    assert check(contract, {"quantity": None}).kept.num_rows == 1
    assert reasons(check(contract, {"quantity": "two"})) == ["quantity 'two' cannot be read as int32"]


class TestDuplicates:
    def test_the_first_delivery_stands(self) -> None:
        later = {"delivered_on": DAY + timedelta(days=1)}
        checked = check(ORDERS, {**later, "quantity": 1}, {"quantity": 3}, {"quantity": 4}, {**later, "quantity": 5})
        assert checked.kept["quantity"].to_pylist() == [3]
        assert checked.quarantined["reasons"].to_pylist() == [["order_line_id 'o1-1' was delivered before"]] * 3

    def test_a_broken_first_delivery_does_not_stand_in_the_way_of_a_good_one(self) -> None:
        checked = check(ORDERS, {"quantity": 0}, {"quantity": 3}, {"quantity": 0})
        assert checked.kept["quantity"].to_pylist() == [3]
        assert checked.quarantined["reasons"].to_pylist() == [
            ["quantity is 0"],
            ["quantity is 0", "order_line_id 'o1-1' was delivered before"],
        ]

    def test_a_key_kept_on_an_earlier_day_wins(self) -> None:
        checked = check(ORDERS, {}, {"order_line_id": "o1-2"}, earlier_keys=pa.array(["o1-1", "o0-1"]))
        assert checked.kept["order_line_id"].to_pylist() == ["o1-2"]

    def test_rows_without_a_key_are_not_copies_of_each_other(self) -> None:
        checked = check(ORDERS, {"order_line_id": None}, {"order_line_id": None}, earlier_keys=pa.array([None, "x"]))
        assert checked.quarantined["reasons"].to_pylist() == [["order_line_id is missing"]] * 2


def test_rows_come_back_ordered_by_day_event_and_key() -> None:
    early, late = datetime(2024, 5, 1, 8, tzinfo=UTC), datetime(2024, 5, 1, 9, tzinfo=UTC)
    given = [(1, late, "a"), (0, late, "c"), (0, late, "b"), (0, early, "d")]
    changes = [
        {"order_line_id": key, "ordered_at": at, "delivered_on": DAY + timedelta(days=day)} for day, at, key in given
    ]
    assert check(ORDERS, *changes).kept["order_line_id"].to_pylist() == ["d", "b", "c", "a"]


def test_types_near_the_contract_are_brought_to_it() -> None:
    raw = raw_rows("orders", [GOOD["orders"], {**GOOD["orders"], "order_line_id": "o1-2"}])
    raw = raw.set_column(4, "ordered_at", raw["ordered_at"].cast(pa.timestamp("ns", tz="UTC")))
    raw = raw.set_column(5, "quantity", pa.array([2, 2**40]))
    checked = check_rows(ORDERS, raw)
    assert checked.kept.to_pylist() == [GOOD["orders"]]
    assert checked.quarantined.num_rows == 1


@pytest.mark.parametrize("column", ["quantity", "delivered_on", "_original"])
def test_a_source_that_forgets_a_column_is_told(column: str) -> None:
    with pytest.raises(TesseraError, match=column):
        check_rows(ORDERS, raw_rows("orders", [GOOD["orders"]]).drop_columns([column]))


def test_a_row_without_a_day_of_delivery_is_a_fault_of_the_source() -> None:
    with pytest.raises(TesseraError, match="have no delivered_on"):
        check(ORDERS, {"delivered_on": None})


def any_row(contract: Contract) -> st.SearchStrategy[dict[str, Any]]:
    days = st.dates(date(1998, 1, 1), date(2030, 1, 1))
    values: dict[str, st.SearchStrategy[Any]] = {
        "string": st.sampled_from(["", " ", "a", "b", "c", "EUR", "GBP", "ü'\"{}"]),
        "timestamp": st.datetimes(datetime(1998, 1, 1), datetime(2030, 1, 1)).map(lambda at: at.replace(tzinfo=UTC)),
        "date": days,
        "int32": st.one_of(st.integers(-3, 3), st.integers(-(2**31), 2**31 - 1), st.just("n/a")),
        "int64": st.one_of(st.integers(-3, 3), st.integers(-(2**63), 2**63 - 1), st.just("n/a")),
        "float64": st.floats(),
        "bool": st.booleans(),
    }
    odd = {c.name: st.one_of(st.none(), values[c.type]) for c in contract.columns}
    often_good = {n: st.one_of(st.just(GOOD[contract.table][n]), s) for n, s in odd.items()}
    return st.fixed_dictionaries({**often_good, "delivered_on": st.sampled_from([DAY, DAY + timedelta(days=1)])})


@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=list(CONTRACTS))
@settings(max_examples=8, deadline=None)
@given(data=st.data())
@pytest.mark.slow
def test_no_row_is_lost_and_what_is_kept_keeps_the_contract(contract: Contract, data: st.DataObject) -> None:
    rows = data.draw(st.lists(any_row(contract), max_size=12))
    raw = raw_rows(contract.table, rows)
    checked = check_rows(contract, raw, list_prices=prices())
    originals = [*checked.quarantined["original"].to_pylist()]
    assert checked.kept.num_rows + checked.quarantined.num_rows == len(rows)
    assert all(checked.quarantined["reasons"].to_pylist())
    assert all(None not in each for each in checked.quarantined["reasons"].to_pylist())
    kept = pl.DataFrame(checked.kept)
    pandera_schema(contract).validate(kept)
    assert kept.select(contract.unique).is_unique().all()
    left = raw["_original"].to_pylist()
    for original in originals:
        left.remove(original)
    assert len(left) == checked.kept.num_rows


@settings(max_examples=20, deadline=None)
@given(rows=st.lists(any_row(ORDERS), max_size=10))
@pytest.mark.slow
def test_what_is_kept_stays_kept_when_it_is_delivered_alone(rows: list[dict[str, Any]]) -> None:
    kept = check_rows(ORDERS, raw_rows("orders", rows)).kept
    again = check_rows(ORDERS, raw_rows("orders", kept.to_pylist()))
    assert again.kept.equals(kept)
    assert again.reasons == {}


#: What pandera must refuse, too: promises about the values of one column.
SECOND_OPINION = [
    breach
    for breach in BREACHES
    if not any(words in breach[2] for words in ("cannot be read", "is_return is", "after delivered_on", "is before"))
]


@pytest.mark.parametrize(("contract", "change", "reason"), SECOND_OPINION)
def test_pandera_refuses_the_same_values(contract: Contract, change: dict[str, Any], reason: str) -> None:
    raw = raw_rows(contract.table, [{**GOOD[contract.table], **change}])
    with pytest.raises(SchemaError):
        pandera_schema(contract).validate(pl.DataFrame(raw.drop_columns(["_original"])))
