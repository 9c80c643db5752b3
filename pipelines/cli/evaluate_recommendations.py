"""`tessera evaluate recommendations`: the recommender on events of your own, evaluated on what came later."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any, cast

from models.errors import TesseraError
from models.evaluation.bootstrap import Interval
from models.recommend.config import FittedConfig
from models.recommend.evaluation import PARTS, SHIPPED, Evaluation, Measured, evaluate_recommendations
from models.recommend.interactions import Ids, Interactions, interactions
from models.recommend.rows import days_of, ids_of, repeated_rows
from pipelines.cli.console import err, listing, out
from pipelines.cli.evaluate import interval_text, progress_of
from pipelines.cli.tables import print_json
from resources.source.columns import column_names, text_columns

_WORDS = {
    SHIPPED: "recommender",
    "popularity": "popularity, last 28 days",
    "own_frequency": "own frequency",
    "ease": "EASE",
}
#: Below so many customers an interval says little.
_FEW_CUSTOMERS = 50


@dataclass(frozen=True)
class _Rows:
    """Rows of the two files.

    Attributes:
        events: earlier rows.
        test_customers: customers of the later rows.
        test_products: products of the later rows.
        repeated: events that repeat a customer's product of the same day.
        not_later: rows of the test file on days before that of the newest event; 0 if one of the files has no times.
        newest: that day.
    """

    events: Interactions
    test_customers: Ids
    test_products: Ids
    repeated: int
    not_later: int = 0
    newest: date | None = None


def recommendations(events: Path, test: Path, k: int, *, as_json: bool = False) -> None:
    """Train the recommender on one file, evaluate it on the other, and print it beside its baselines.

    Raises:
        TesseraError: a file cannot be read or has no row, or no row of the test file is about known customers.
    """
    rows = _read(events, test)
    with progress_of() as progress:
        found = evaluate_recommendations(
            rows.events, rows.test_customers, rows.test_products, FittedConfig(k=k), progress=progress
        )
    if found is None:
        raise TesseraError(
            f"No row of {str(test)!r} has both a customer and a product of {str(events)!r}.",
            expected="later rows of customers and products that the events know, with the same ids",
            todo="Check that both files spell ids alike: a customer of the events is "
            f"{str(rows.events.customers[0])!r}, of the test file {str(rows.test_customers[0])!r}, a product "
            f"{str(rows.events.products[0])!r} and {str(rows.test_products[0])!r}.",
        )
    if as_json:
        print_json(_as_json(found, rows))
    else:
        _show(found, rows)


def _read(events: Path, test: Path) -> _Rows:
    columns, later = (text_columns(file, _present(file)) for file in (events, test))
    for file, found in ((events, columns), (test, later)):
        if not found["customer_id"]:
            raise TesseraError(f"{str(file)!r} holds no row.", expected="one row or more", todo="Add rows to the file.")
    customer, product = ids_of(columns["customer_id"]), ids_of(columns["product_id"])
    day, later_day = (
        days_of(found["at"], str(file)) if "at" in found else None for file, found in ((events, columns), (test, later))
    )
    newest = cast("date | None", None if day is None or later_day is None else day.max())
    return _Rows(
        interactions(customer, product, day),
        ids_of(later["customer_id"]),
        ids_of(later["product_id"]),
        repeated_rows(customer, product, day),
        0 if later_day is None or newest is None else int((later_day < newest).sum()),
        newest,
    )


def _present(file: Path) -> tuple[str, ...]:
    """Return the columns to read; times may be missing."""
    return ("customer_id", "product_id", "at") if "at" in column_names(file) else ("customer_id", "product_id")


def _show(found: Evaluation, rows: _Rows) -> None:
    out.print(
        f"Trained on {found.interactions:,} interactions of {rows.events.customers.size:,} customers with "
        f"{found.products:,} products; tested on {found.taken:,} that {found.customers:,} customers took later."
    )
    for part in PARTS:
        if part not in found.results[SHIPPED].parts:
            continue
        columns = (f"{part} products", f"recall@{found.k}", "recommender leads by", f"NDCG@{found.k}", "leads by")
        cells = ([_WORDS[name], *_cells(one.parts[part])] for name, one in found.results.items())
        out.print(listing([*columns], cells))
    cells = ([_WORDS[name], f"{one.coverage:.1%}", f"{one.novelty:.2f}"] for name, one in found.results.items())
    out.print(listing(["lists of all products", "coverage", "novelty, bits"], cells))
    out.print(_chosen(found))
    out.print(
        "repeat: only products that the customer had; new: only others. Intervals: 95 %, paired bootstrap over "
        f"customers. A list of {found.k} can reach a recall of {found.ceiling:.3f} at most."
    )
    for note in _notes(found, rows):
        err.print(f"Note: {note}")


def _cells(one: Measured) -> list[str]:
    return [interval_text(one.recall), _lead(one.recall_lead), interval_text(one.ndcg), _lead(one.ndcg_lead)]


def _lead(found: Interval | None) -> str:
    return "" if found is None else f"{found.value:+.4f} ({found.low:+.4f} .. {found.high:+.4f})"


def _chosen(found: Evaluation) -> str:
    choice = found.choice
    if not choice.customers:
        return "The events are too few for a validation part: own frequency orders the candidates."
    told = ", ".join(f"{name} {value:.4f}" for name, value in choice.ndcg.items())
    return (
        f"Ranker chosen on {choice.customers:,} customers of the last part of the events: {choice.name} "
        f"(NDCG@{found.k}: {told}); one that does not beat own frequency is refused."
    )


def _notes(found: Evaluation, rows: _Rows) -> list[str]:
    notes: list[str] = []
    if not found.is_timed:
        notes.append("the events have no column at: repeats, recency and age of products are not used.")
    if rows.repeated:
        notes.append(f"{rows.repeated:,} rows repeat a customer's product on the same day, and count once.")
    if rows.not_later:
        notes.append(
            f"{rows.not_later:,} of {rows.test_customers.size:,} test rows are from before {rows.newest}, the day of "
            "the newest event: what came later is not all that is tested."
        )
    if found.unknown_customers:
        notes.append(f"{found.unknown_customers:,} test customers have no earlier event, and are not evaluated.")
    if found.unknown_products:
        notes.append(f"{found.unknown_products:,} test products have no earlier event: no method can find them.")
    if found.customers < _FEW_CUSTOMERS:
        notes.append(f"{found.customers} customers are too few for intervals to mean much.")
    return notes


def _as_json(found: Evaluation, rows: _Rows) -> Mapping[str, Any]:
    document = asdict(found)
    del document["choice"]["taken_at"]  # hundreds of shares, from which only an order by margin is made
    return {**document, "repeated_rows": rows.repeated, "notes": _notes(found, rows)}
