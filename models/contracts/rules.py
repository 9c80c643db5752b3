"""Each promise of a contract as a test over columns, and the words that say how a row breaks it."""

from dataclasses import dataclass
from datetime import UTC, datetime, time

import polars as pl

from models.contracts.contract import DELIVERED_ON, Column, Contract, RowRule
from models.contracts.identifiers import BLANKS

#: An order's price may differ from the list price by discounts and surcharges, but not by this factor: ten and more
#: is another unit (cents for euros) or a slipped decimal point.
LIST_PRICE_FACTOR = 10

#: Characters of a person's value whose form a reason shows.
_LONGEST_FORM = 40

#: What `check_rows` joins to the orders before the rules run.
LIST_PRICE, LIST_CURRENCY, LISTED_ON = "_list_price", "_list_currency", "_listed_on"


@dataclass(frozen=True)
class Rule:
    """One promise. `label` is how breaches are counted; `broken` is true (never null) where `words` apply."""

    label: str
    broken: pl.Expr
    words: pl.Expr


def rules_of(contract: Contract, *, with_list_prices: bool) -> list[Rule]:
    """Every promise of the contract that a single row can break, except that its values are there at all.

    Args:
        contract: the promises.
        with_list_prices: whether the rows carry the columns for the rule `near_list_price`.
    """
    rules = [rule for column in contract.columns for rule in _column_rules(column)]
    rules += [_row_rule(name, contract) for name in contract.rules if name != "near_list_price" or with_list_prices]
    return [Rule(rule.label, rule.broken.fill_null(value=False), rule.words) for rule in rules]


def _column_rules(column: Column) -> list[Rule]:
    value, name = pl.col(column.name), column.name
    rules: list[Rule] = []
    if column.type == "string":
        rules.append(_says(f"{name} is empty", value.str.strip_chars(BLANKS) == ""))
    if column.type == "float64":
        rules.append(_shows(column, "is not a finite number", ~value.is_finite()))
    if column.more_than is not None:
        rules.append(_shows(column, f"is not > {column.more_than:g}", value <= column.more_than))
    if column.at_least is not None:
        rules.append(_shows(column, f"is not >= {column.at_least:.15g}", value < column.at_least))
    if column.at_most is not None:
        rules.append(_shows(column, f"is not <= {column.at_most:.15g}", (value > column.at_most) & _is_number(column)))
    if column.never is not None:
        rules.append(_says(f"{name} is {column.never:g}", value == column.never))
    if column.not_before is not None:
        limit = datetime.combine(column.not_before, time(), UTC) if column.type == "timestamp" else column.not_before
        rules.append(_shows(column, f"is before {column.not_before}", value < pl.lit(limit)))
    if column.at_most_characters is not None:
        rules.append(_too_long(name, column.at_most_characters))
    if column.one_of:
        rules.append(_shows(column, f"is not one of {', '.join(column.one_of)}", ~value.is_in(column.one_of)))
    return rules


def _is_number(column: Column) -> pl.Expr:
    # polars counts NaN as larger than every number; NaN and infinity have a rule of their own.
    return pl.col(column.name).is_finite() if column.type == "float64" else pl.lit(value=True)


def _says(words: str, broken: pl.Expr) -> Rule:
    return Rule(words, broken, pl.lit(words))


def _shows(column: Column, breach: str, broken: pl.Expr) -> Rule:
    name, shown = column.name, showable(column, pl.col(column.name))
    return Rule(f"{name} {breach}", broken, pl.format(f"{name} {{}} {breach}", shown))


def showable(column: Column, value: pl.Expr) -> pl.Expr:
    """Return what a reason may show of a value of `column`: of a person's its form, `aaaa@aaa.aaa` for an address.

    The row as it came is beside the reason in the quarantine; reasons are also printed, logged and sent.
    """
    if column.pii == "none":
        return value
    text = value.cast(pl.String).str.slice(0, _LONGEST_FORM)
    for letters, sign in ((r"\p{Lu}", "A"), (r"[\p{L}--\p{Lu}]", "a"), (r"\p{N}", "9")):
        text = text.str.replace_all(letters, sign)
    return text


def _too_long(name: str, most: int) -> Rule:
    """The text itself is not shown: it is long, and may be personal."""
    length, breach = pl.col(name).str.len_chars(), f"has more than {most} characters"
    return Rule(f"{name} {breach}", length > most, pl.format(f"{name} {breach}: {{}}", length))


def _row_rule(name: RowRule, contract: Contract) -> Rule:
    if name == "returns_are_negative":
        return Rule(
            "is_return does not fit the sign of quantity",
            (pl.col("quantity") < 0) != pl.col("is_return"),
            pl.format("is_return is {}, but quantity is {}", "is_return", "quantity"),
        )
    if name == "not_after_delivery":
        event = str(contract.event)
        return Rule(
            f"{event} is after {DELIVERED_ON}",
            pl.col(event).cast(pl.Date) > pl.col(DELIVERED_ON),
            pl.format(f"{event} {{}} is after {DELIVERED_ON} {{}}", event, DELIVERED_ON),
        )
    price, listed = pl.col("unit_price"), pl.col(LIST_PRICE)
    far = (price * LIST_PRICE_FACTOR < listed) | (price > listed * LIST_PRICE_FACTOR)
    known = (pl.col(LISTED_ON) <= pl.col(DELIVERED_ON)) & (pl.col(LIST_CURRENCY) == pl.col("currency"))
    return Rule(
        "unit_price is far from the list price",
        far & known & price.is_finite(),
        pl.format("unit_price {} is not within 0.1 x to 10 x of the list price {}", price, listed),
    )
