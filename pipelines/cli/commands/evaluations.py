"""Commands that evaluate a composition on a benchmark of your own."""

from pathlib import Path
from typing import Any

import click

from pipelines.cli.commands.root import JSON, PROFILE, app


@app.group()
def evaluate() -> None:
    """Evaluate the compositions for texts on your own benchmark; choices are made on a part of the training rows."""


_FILE = click.Path(path_type=Path)
_EMBEDDER = click.option(
    "--embedder",
    type=click.Choice(["minilm", "hashed"]),
    default="minilm",
    show_default=True,
    help="hashed: no weights.",
)


@evaluate.command("intents")
@PROFILE
@click.option("--train", required=True, type=_FILE, help="CSV or Parquet: text, label; `oos`: out of scope.")
@click.option("--test", required=True, type=_FILE, help="The same columns; nothing is chosen on it.")
@_EMBEDDER
@click.option(
    "--retention",
    type=click.FloatRange(0.5, 1.0),
    default=0.95,
    show_default=True,
    help="Share of texts in scope that thresholds keep, unless 30 `oos` training rows or more choose it.",
)
@click.option(
    "--price-per-cpu-hour", type=click.FloatRange(0.0), default=0.05, show_default=True, help="EUR, for the costs."
)
@JSON
def evaluate_intents(train: Path, test: Path, as_json: bool, **wishes: Any) -> None:
    """Train the intent models and their composition on one file, and evaluate them on another.

    Prints accuracy, in-scope accuracy and out-of-scope recall at the threshold, cost and CPU per text.
    """
    from pipelines.cli import evaluate as evaluating

    evaluating.intents(train, test, as_json=as_json, **wishes)


@evaluate.command("ranker")
@PROFILE
@click.option("--lists", required=True, type=_FILE, help="CSV or Parquet: list_id, slot, product_id, as it wants them.")
@click.option("--from", "first", required=True, metavar="YYYY-MM-DD", help="First day on which lists were shown.")
@click.option("--to", "last", required=True, metavar="YYYY-MM-DD", help="Last day, included.")
@click.option("--label", type=click.Choice(["clicked", "carted", "bought"]), default="clicked", show_default=True)
@JSON
def evaluate_ranker(lists: Path, first: str, last: str, label: str, as_json: bool) -> None:
    """Estimate what a ranker would have brought, from logged lists whose slots were shuffled (IPS, SNIPS)."""
    from pipelines.cli import experiments as command

    command.estimate_ranker(lists, first, last, label, as_json=as_json)


@evaluate.command("retrieval")
@PROFILE
@click.option("--corpus", required=True, type=_FILE, help="CSV or Parquet: id, text.")
@click.option("--queries", required=True, type=_FILE, help="The same columns.")
@click.option("--out", required=True, type=_FILE, help="A .parquet or .csv file: query_id, id, rank.")
@_EMBEDDER
def evaluate_retrieval(corpus: Path, queries: Path, out: Path, embedder: str) -> None:
    """Search a corpus for each query by BM25 and vectors, fused, and write the ten best documents."""
    from pipelines.cli import evaluate as evaluating

    evaluating.retrieval(corpus, queries, out, embedder)


@evaluate.command("recommendations")
@PROFILE
@click.option("--events", required=True, type=_FILE, help="CSV or Parquet: customer_id, product_id, at (if known).")
@click.option("--test", required=True, type=_FILE, help="The same columns: what customers took later.")
@click.option("--k", type=click.IntRange(1, 100), default=20, show_default=True, help="Products of a list.")
@JSON
def evaluate_recommendations(events: Path, test: Path, k: int, as_json: bool) -> None:
    """Train the recommender on the events of customers, and evaluate its lists on what they took later.

    Prints recall, NDCG, coverage and novelty beside popularity, own frequency and EASE, with paired intervals. Rankers
    are chosen on the last part of the events; nothing is chosen on the test file.
    """
    from pipelines.cli import evaluate_recommendations as evaluating

    evaluating.recommendations(events, test, k, as_json=as_json)
