"""A contract as a pandera schema: what every kept table must validate under."""

# pyright: basic
# the checks of pandera are typed in part.

import pandera.polars as pandera
import polars as pl

from models.contracts.checking import POLARS_TYPES
from models.contracts.contract import DELIVERED_ON, Column, Contract


def pandera_schema(contract: Contract) -> pandera.DataFrameSchema:
    """Return the promises about types, nulls and single values; strict: no other columns, in this order.

    Row rules and the uniqueness of the key over the whole table need more than one column or one batch: they are
    tested in `models.contracts.rules` and `models.contracts.checking`.
    """
    columns = {column.name: _column(column) for column in contract.columns}
    columns[DELIVERED_ON] = pandera.Column(pl.Date())
    return pandera.DataFrameSchema(
        columns, strict=True, ordered=True, unique=list(contract.unique), name=contract.table
    )


def _column(column: Column) -> pandera.Column:
    checks: list[pandera.Check] = []
    if column.type == "string":
        checks.append(pandera.Check.str_length(min_value=1, max_value=column.at_most_characters))
    if column.more_than is not None:
        checks.append(pandera.Check.greater_than(column.more_than))
    if column.at_least is not None:
        checks.append(pandera.Check.greater_than_or_equal_to(column.at_least))
    if column.at_most is not None:
        checks.append(pandera.Check.less_than_or_equal_to(column.at_most))
    if column.never is not None:
        checks.append(pandera.Check.not_equal_to(column.never))
    if column.one_of:
        checks.append(pandera.Check.isin(column.one_of))
    return pandera.Column(
        POLARS_TYPES[column.type], checks, nullable=column.nullable, description=column.description, name=column.name
    )
