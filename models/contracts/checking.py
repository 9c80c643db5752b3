"""Splits delivered rows into those that keep the contract and those that do not; nothing is lost between them."""

# pyright: basic
# pyarrow ships no types.

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import polars as pl
import pyarrow as pa

from models.contracts.contract import (
    DELIVERED_ON,
    ORIGINAL,
    QUARANTINE_SCHEMA,
    UNREADABLE,
    Column,
    ColumnType,
    Contract,
)
from models.contracts.identifiers import BLANKS, MISSING_IDS, SHORTENED, trim_ids
from models.contracts.rules import LIST_CURRENCY, LIST_PRICE, LISTED_ON, Rule, rules_of, showable
from models.errors import TesseraError

_PLACE = "_place"
_ORDER = "_order"
_PROBLEM = f'{{"{UNREADABLE}":'

#: A time of day and the letters behind it that stand for several zones, e.g. `12:30 BST`.
AMBIGUOUS_ZONE = r"(?i)[0-9]:[0-9]{2}[0-9:.,]*\s*\(?([A-Z]{1,5}|(?:UTC|GMT)\s*[+-][0-9:]+)\)?\s*$"
#: What looks like such letters and is none of them.
_NO_ZONES = ("AM", "PM", "A", "P", "Z", "UTC", "GMT", "BC", "AD")
ZONE_ADVICE = "write the offset (+01:00), UTC, or the zone's name (Europe/London)"

POLARS_TYPES: dict[ColumnType, pl.DataType] = {
    "string": pl.String(),
    "timestamp": pl.Datetime("us", "UTC"),
    "date": pl.Date(),
    "int32": pl.Int32(),
    "int64": pl.Int64(),
    "float64": pl.Float64(),
    "bool": pl.Boolean(),
}


@dataclass(frozen=True)
class CheckedRows:
    """The outcome for each delivered row: `kept` or `quarantined`.

    Attributes:
        kept: the contract's columns and `delivered_on`, in the contract's types, ordered by day, event and key.
        quarantined: `QUARANTINE_SCHEMA` without `run_id`, ordered by day, key and original.
        reasons: rows for each reason; a row with two reasons counts in both.
        ids_trimmed: ids that had blanks around them; kept rows have them without.
    """

    kept: pa.Table
    quarantined: pa.Table
    reasons: dict[str, int]
    ids_trimmed: int = 0


def check_rows(
    contract: Contract,
    raw: pa.Table,
    *,
    earlier_keys: pa.Array | pa.ChunkedArray | None = None,
    list_prices: pa.Table | None = None,
    original_names: Mapping[str, str] | None = None,
    missing_ids: Collection[str] = MISSING_IDS,
) -> CheckedRows:
    """Every row of `raw` checked by the contract.

    Of several rows with one key, the first delivery that keeps all other promises is kept.

    Args:
        contract: what the rows must keep.
        raw: the contract's columns, `delivered_on` and `_original`, in order of delivery within each day.
        earlier_keys: `key_texts` of rows kept on days before those of `raw`.
        list_prices: `product_id`, `list_price`, `currency`, `delivered_on` of known products, each product once;
            without it the rule `near_list_price` is not applied.
        original_names: name in `_original` of each contract column that has another name there.
        missing_ids: texts in lower case that stand for "no id".

    Raises:
        TesseraError: `raw` has not the columns that a source must deliver.
    """
    _refuse_misshapen(contract, raw)
    raw, ids_trimmed = trim_ids(contract, raw)
    rows = _typed(contract, raw, missing_ids)
    priced = list_prices is not None and "near_list_price" in contract.rules
    if list_prices is not None and priced:
        rows = _with_list_prices(rows, list_prices)
    texts = _unread(contract, rows, raw, original_names or {})
    rules = _absence_rules(contract, texts, missing_ids) + rules_of(contract, with_list_prices=priced)
    judged = rows.join(texts, on=_PLACE, how="left", maintain_order="left").with_columns(
        rule.broken.alias(f"_broken_{number}") for number, rule in enumerate(rules)
    )
    judged = _with_duplicates(contract, judged, len(rules), earlier_keys)
    rules.append(_duplicate_rule(contract))
    bad = judged.filter(pl.any_horizontal(pl.col(f"_broken_{number}") for number in range(len(rules))))
    kept = _kept(contract, judged.filter(~pl.col(_PLACE).is_in(bad[_PLACE].implode())))
    quarantined, reasons = _quarantined(contract, bad, rules, raw)
    return CheckedRows(kept, quarantined, reasons, ids_trimmed)


def key_texts(contract: Contract, rows: pl.DataFrame) -> pl.Series:
    """Format the unique key of each row as one text, null where the key is: `103`, or `103|2026-03-08 ...|true`."""
    return rows.select(_unique(contract).alias("key"))["key"]


def _unique(contract: Contract) -> pl.Expr:
    types = {c.name: POLARS_TYPES[c.type] for c in contract.columns}
    key, *others = (pl.col(name).cast(types[name], strict=False).cast(pl.String) for name in contract.unique)
    return pl.concat_str(key, *(other.fill_null("") for other in others), separator="|") if others else key


def _refuse_misshapen(contract: Contract, raw: pa.Table) -> None:
    wanted = [*contract.lake_schema().names, ORIGINAL]
    missing = [name for name in wanted if name not in raw.column_names]
    if missing or raw[DELIVERED_ON].null_count:
        what = f"lack the column(s) {', '.join(missing)}" if missing else f"have no {DELIVERED_ON}"
        raise TesseraError(
            f"Delivered rows of {contract.table!r} {what}.",
            expected=", ".join(wanted),
            todo="Correct the source adapter: what it cannot read it must deliver as NULL.",
        )


def _typed(contract: Contract, raw: pa.Table, missing_ids: Collection[str]) -> pl.DataFrame:
    """Return the rows in the contract's types, ordered by day, then as delivered; `_place` is the row number in `raw`.

    An id that is none is null, and `_no_id_<column>` is true where a placeholder stood for it.
    """
    frame = pl.DataFrame(raw.select(contract.lake_schema().names)).with_row_index(_PLACE)
    casts = [pl.col(c.name).cast(POLARS_TYPES[c.type], strict=False) for c in contract.columns]
    frame = frame.with_columns(*casts, pl.col(DELIVERED_ON).cast(pl.Date))
    ids = [c.name for c in contract.columns if _is_text_id(c)]
    frame = frame.with_columns(_is_placeholder(name, missing_ids).alias(f"_no_id_{name}") for name in ids)
    frame = frame.with_columns(_id_or_null(name) for name in ids)
    return frame.sort(DELIVERED_ON, _PLACE)


def _is_text_id(column: Column) -> bool:
    return column.is_id and column.type == "string"


def _is_placeholder(name: str, missing_ids: Collection[str]) -> pl.Expr:
    return pl.col(name).str.to_lowercase().is_in(list(missing_ids)).fill_null(value=False)


def _id_or_null(name: str) -> pl.Expr:
    is_none = pl.col(f"_no_id_{name}") | pl.col(name).str.contains(SHORTENED)
    return pl.when(~is_none).then(pl.col(name)).alias(name)


def _with_list_prices(rows: pl.DataFrame, list_prices: pa.Table) -> pl.DataFrame:
    prices = pl.DataFrame(list_prices).select(
        "product_id",
        pl.col("list_price").alias(LIST_PRICE),
        pl.col("currency").alias(LIST_CURRENCY),
        pl.col(DELIVERED_ON).alias(LISTED_ON),
    )
    return rows.join(prices, on="product_id", how="left", validate="m:1", maintain_order="left")


def _unread(contract: Contract, rows: pl.DataFrame, raw: pa.Table, original_names: Mapping[str, str]) -> pl.DataFrame:
    """Extract the original texts of each row with a null, and of each row that the source could not parse.

    `_text_*` is the original value of a column, `_named_*` is true if the original names the column, `_problem` is the
    source's description of what is wrong with the row.
    """
    names = [c.name for c in contract.columns]
    problem = pl.Series(raw[ORIGINAL], dtype=pl.String).str.starts_with(_PROBLEM).fill_null(value=False)
    nulls = pl.any_horizontal(pl.col(name).is_null() for name in names)
    places = rows.filter(nulls | pl.col(_PLACE).is_in(problem.arg_true().implode()))[_PLACE]
    original = pl.Series(ORIGINAL, raw[ORIGINAL].take(places.to_arrow()), dtype=pl.String)
    # A line that is no JSON at all says nothing about any column.
    readable = original.str.starts_with("{") & original.str.ends_with("}")
    text = pl.when(pl.lit(readable)).then(pl.lit(original))
    said = {name: original_names.get(name, name) for name in names}
    return pl.DataFrame({_PLACE: places}).with_columns(
        pl.when(pl.lit(original.str.starts_with(_PROBLEM)))
        .then(text.str.json_path_match(f"$.{UNREADABLE}"))
        .alias("_problem"),
        *(text.str.json_path_match(_json_path(said[name])).alias(f"_text_{name}") for name in names),
        *(text.str.contains(f'"{said[name]}":', literal=True).alias(f"_named_{name}") for name in names),
    )


def _json_path(name: str) -> str:
    # The path language has no escapes: a name with both kinds of quotes is looked for and not found.
    quote = '"' if "'" in name else "'"
    return f"$[{quote}{name.replace(quote, '')}{quote}]"


def _absence_rules(contract: Contract, texts: pl.DataFrame, missing_ids: Collection[str]) -> list[Rule]:
    if not texts.height:
        return []
    taken_apart = pl.col("_problem").is_null()
    rules = [rule for column in contract.columns for rule in _absence_of(column, missing_ids)]
    return [
        Rule("the line cannot be read", ~taken_apart, pl.col("_problem")),
        *(Rule(rule.label, rule.broken & taken_apart, rule.words) for rule in rules),
    ]


def _absence_of(column: Column, missing_ids: Collection[str]) -> list[Rule]:
    """Return rules for a null: nothing was delivered, it was unreadable, or `_original` cannot tell."""
    name, absent, kind = column.name, pl.col(column.name).is_null(), str(column.type)
    text, named = pl.col(f"_text_{name}").str.strip_chars(BLANKS), pl.col(f"_named_{name}").fill_null(value=False)
    placeholder = pl.lit(value=False)
    if column.is_id:
        kind = "an id" if column.type == "string" else kind
        placeholder = text.str.to_lowercase().is_in(list(missing_ids)).fill_null(value=False)
        if column.type == "string":
            placeholder |= pl.col(f"_no_id_{name}")
    unreadable = (absent & (text != "") & ~placeholder).fill_null(value=False)
    original, shown = pl.col(f"_text_{name}"), showable(column, pl.col(f"_text_{name}"))
    zone = pl.lit(None, pl.String)
    if column.type == "timestamp":
        letters = original.str.extract(AMBIGUOUS_ZONE)
        zone = pl.when(~letters.str.to_uppercase().is_in(_NO_ZONES)).then(letters)
    rules = [
        Rule(
            f"{name} cannot be read as {kind}",
            unreadable & zone.is_null(),
            pl.format(f"{name} '{{}}' cannot be read as {kind}", shown),
        ),
        Rule(
            f"{name} names an ambiguous time zone",
            unreadable & zone.is_not_null(),
            pl.format(f"{name} '{{}}': time zone {{}} is ambiguous; {ZONE_ADVICE}", shown, zone),
        ),
    ]
    if not column.nullable:
        missing = absent & (named | placeholder) & ~unreadable
        rules.append(Rule(f"{name} is missing", missing, pl.lit(f"{name} is missing")))
        words = f"{name} is missing or cannot be read as {kind}"
        rules.append(Rule(words, absent & ~named & ~placeholder & ~unreadable, pl.lit(words)))
    return rules


def _duplicate_rule(contract: Contract) -> Rule:
    same = f" with the same {' and '.join(contract.versioned_by)}" if contract.versioned_by else ""
    return Rule(
        f"{contract.key}{same} was delivered before",
        pl.lit(value=False),
        pl.format(
            f"{contract.key} '{{}}'{same} was delivered before",
            showable(contract.column(contract.key), pl.col(contract.key)),
        ),
    )


def _with_duplicates(
    contract: Contract, judged: pl.DataFrame, number: int, earlier_keys: pa.Array | pa.ChunkedArray | None
) -> pl.DataFrame:
    """With column `_broken_<number>`: an earlier delivery of the key is kept. `judged` is in order of delivery."""
    key, sound = pl.col(contract.key), ~pl.any_horizontal(pl.lit(value=False), *(f"_broken_{n}" for n in range(number)))
    order = pl.col(_ORDER)
    earlier = pl.lit(value=False)
    if earlier_keys is not None and len(earlier_keys):
        earlier = _unique(contract).is_in(pl.Series(earlier_keys, dtype=pl.String).implode())
    first = pl.when(sound & ~earlier).then(order).min().over(contract.unique)
    return judged.with_row_index(_ORDER).with_columns(
        ((earlier | (order > first)) & key.is_not_null()).fill_null(value=False).alias(f"_broken_{number}")
    )


def _kept(contract: Contract, rows: pl.DataFrame) -> pa.Table:
    schema = contract.lake_schema()
    order = [DELIVERED_ON, *([contract.event] if contract.event else []), *contract.unique]
    return rows.select(schema.names).sort(order).to_arrow().cast(schema)


def _quarantined(
    contract: Contract, bad: pl.DataFrame, rules: list[Rule], raw: pa.Table
) -> tuple[pa.Table, dict[str, int]]:
    counts = {rule.label: int(bad[f"_broken_{number}"].sum()) for number, rule in enumerate(rules)}
    words = [pl.when(pl.col(f"_broken_{number}")).then(rule.words) for number, rule in enumerate(rules)]
    rows = bad.select(
        DELIVERED_ON,
        pl.col(contract.key).alias("key"),
        pl.concat_list(words).list.drop_nulls().alias("reasons"),
        pl.Series("original", raw[ORIGINAL].take(bad[_PLACE].to_arrow()), dtype=pl.String),
    ).sort(DELIVERED_ON, "key", "original", pl.col("reasons").list.join(";"))
    schema = pa.schema([field for field in QUARANTINE_SCHEMA if field.name != "run_id"])
    return rows.to_arrow().cast(schema), {label: count for label, count in counts.items() if count}
