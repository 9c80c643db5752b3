"""Numbers and dates of exports: an expression reads what Python's own parsers read, or nothing is proposed."""

from datetime import date, datetime
from decimal import Decimal

import duckdb
import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from models.contracts.readings import number_reading, quoted, truth_reading
from models.errors import TesseraError
from resources.source.proposal import date_reading_of, propose

COLUMN = "Sold at, local"


def read(expression: str, texts: list[str], kind: str) -> list[object]:
    """The texts by the expression, in order."""
    rows = pa.table({COLUMN: texts, "n": range(len(texts))})
    with duckdb.connect(config={"autoload_known_extensions": False}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("rows", rows)
        found = connection.execute(f"SELECT try_cast({expression} AS {kind}) FROM rows ORDER BY n").fetchall()  # noqa: S608
    return [row[0] for row in found]


@pytest.mark.parametrize(
    ("texts", "numbers"),
    [
        (["9.50", "1234"], [9.5, 1234.0]),
        (["9,50", "1.234,50"], [9.5, 1234.5]),
        (["1,234.50", "9.50"], [1234.5, 9.5]),
        (["1,234", "12,345"], [1234.0, 12345.0]),
        (["9,5", "1,234"], [9.5, 1.234]),
        (["£9.50", "£1,234.00", "-£2.00"], [9.5, 1234.0, -2.0]),
        (["9,50 €", "1.234,00 €"], [9.5, 1234.0]),
        (["USD 9.50"], [9.5]),
    ],
)
def test_prices_are_read_by_the_signs_in_them(texts: list[str], numbers: list[float]) -> None:
    assert read(number_reading(COLUMN, texts).expression, texts, "DOUBLE") == numbers


@pytest.mark.slow
@settings(max_examples=12, deadline=None)
@given(st.lists(st.decimals(0, 10**7, places=2), min_size=1, max_size=20), st.booleans())
def test_prices_with_two_decimals_keep_their_value_in_both_notations(values: list, comma: bool) -> None:
    texts = [f"{value:,.2f}".translate(str.maketrans(",.", ".,")) if comma else f"{value:,.2f}" for value in values]
    assert read(number_reading(COLUMN, texts).expression, texts, "DOUBLE") == [float(value) for value in values]


FORMS = (
    *("%d.%m.%Y %H:%M", "%d.%m.%Y", "%d/%m/%Y %H:%M:%S", "%m/%d/%Y %H:%M", "%m/%d/%y", "%Y/%m/%d", "%Y%m%d"),
    *("%d %b %Y", "%B %d, %Y", "%m/%d/%Y %I:%M %p", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S"),
)


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_dates_of_a_year_are_read_as_they_were_written(form: str) -> None:
    written = [datetime(2025, month, day, 13, 45) for month in (1, 2, 12) for day in (3, 14, 28)]
    texts = [f"{at:{form}}" for at in written]
    found = read(date_reading_of(pa.table({COLUMN: texts}), COLUMN), texts, "TIMESTAMP")
    assert found == [datetime.strptime(text, form) for text in texts]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.dates(date(2000, 1, 1), date(2049, 12, 31)), min_size=1, max_size=30), st.sampled_from(FORMS[:7]))
@pytest.mark.slow
def test_dates_are_never_taken_for_others(days: list[date], form: str) -> None:
    """One day after the twelfth tells the order of day and month."""
    texts = [f"{datetime(day.year, day.month, day.day):{form}}" for day in days]
    assume(any(day.day > 12 for day in days))
    assert read(date_reading_of(pa.table({COLUMN: texts}), COLUMN), texts, "DATE") == days


def test_rows_in_order_of_time_tell_the_order_of_day_and_month() -> None:
    texts = ["01/02/2026", "02/02/2026", "03/02/2026", "01/03/2026", "02/03/2026"]
    assert read(date_reading_of(pa.table({COLUMN: texts}), COLUMN), texts, "DATE")[0] == date(2026, 2, 1)


def test_days_in_a_row_tell_the_order_of_day_and_month() -> None:
    texts = [f"03/0{day}/2026 09:05" for day in range(1, 9)]
    found = read(date_reading_of(pa.table({COLUMN: texts}), COLUMN), texts, "DATE")
    assert found == [date(2026, 3, day) for day in range(1, 9)]


def test_dates_that_fit_both_orders_are_not_guessed() -> None:
    with pytest.raises(TesseraError) as refused:
        date_reading_of(
            pa.table({COLUMN: ["01/02/2026", "03/02/2026", "01/02/2026", "02/02/2026", "01/03/2026"]}), COLUMN
        )
    assert "--dates day-first" in refused.value.todo


@pytest.mark.parametrize("is_return", [[True, False], ["yes", "no"], [1, 0]])
def test_columns_of_any_type_get_an_expression_that_reads_them(is_return: list) -> None:
    rows = {
        "order_id": [1, 2],
        "customer": [7.0, None],
        "sku": ["a", "b"],
        "date": [datetime(2026, 3, 1), datetime(2026, 3, 2)],
        "qty": [-1, 2],
        "price": [Decimal("9.50"), Decimal("1.00")],
        "country": pa.array(["DE", ""]).dictionary_encode(),
        "is_return": is_return,
    }
    table = pa.table(rows)
    with duckdb.connect(config={"autoload_known_extensions": False}) as connection:
        connection.register("rows", table.append_column("_repeat", pa.array([1, 1])))
        columns = propose(table).columns
        listed = ", ".join(f"{expression} AS {name}" for name, expression in columns.items())
        found = connection.execute(f"SELECT country, is_return, currency FROM (SELECT {listed} FROM rows)").fetchall()  # noqa: S608
    assert [(row[0], bool(row[1]), row[2]) for row in found] == [("DE", True, "EUR"), ("unknown", False, "EUR")]


def test_yes_and_no_are_read_in_words() -> None:
    assert read(truth_reading(COLUMN).expression, ["Yes", "no", "1", "0"], "BOOLEAN") == [True, False, True, False]


def test_names_with_blanks_and_quotes_are_quoted() -> None:
    assert quoted("CustomerID") == "CustomerID"
    assert quoted('Say "x"') == '"Say ""x"""'
