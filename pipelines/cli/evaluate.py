"""`tessera evaluate`: the compositions for texts on a benchmark of your own."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa

from models.errors import TesseraError
from models.evaluation.bootstrap import Interval
from models.evaluation.shares import wilson_interval
from models.text.embedder import Embedder
from models.text.intent_evaluation import ROUTED, IntentEvaluation, LabelledTexts, ModelResult, evaluate_intents
from models.text.intent_training import FUSED, ROUTER_MARGIN
from models.text.out_of_scope import FEWEST_KNOWN, OUT_OF_SCOPE
from models.text.retrieval import HybridRetriever
from pipelines.cli.console import counted, err, listing, literal, out, working
from pipelines.cli.tables import check_place, print_json, write_table
from resources.source.columns import text_columns

_ROLES = {FUSED: "composition", ROUTED: "router"}
#: Documents that are written for a query.
RETRIEVED = 10
_WORDS = {
    "linear": "linear: TF-IDF + SVM",
    "embedded": "embedder + regression",
    "fused": "composition: both fused",
    ROUTED: "router: linear, then fused",
}


def intents(
    train: Path, test: Path, embedder: str, retention: float, price_per_cpu_hour: float, *, as_json: bool = False
) -> None:
    """Train the intent composition on one file, evaluate it on the other, and print it beside its children.

    Raises:
        TesseraError: a file cannot be read, has too few labels, or the embedder is not installed.
    """
    rows, held = _labelled(train), _labelled(test)
    if all(label == OUT_OF_SCOPE for label in held.labels):
        raise TesseraError(
            f"{str(test)!r} holds no row in scope.",
            expected=f"test rows with labels other than {OUT_OF_SCOPE!r}",
            todo="Add rows with the labels of the training file.",
        )
    with progress_of() as progress:
        found = evaluate_intents(
            rows,
            held,
            opened_embedder(embedder),
            retention=retention,
            price_per_cpu_hour=price_per_cpu_hour,
            progress=progress,
        )
    if as_json:
        print_json(_as_json(found, embedder, price_per_cpu_hour))
    else:
        _show(found, price_per_cpu_hour)


def retrieval(corpus: Path, queries: Path, file: Path, embedder: str) -> None:
    """Write the ten best documents of each query.

    Raises:
        TesseraError: a file cannot be read or written, has no row, or two rows of one id.
    """
    check_place(file, [corpus, queries])
    documents, asked = _identified(corpus), _identified(queries)
    opened = opened_embedder(embedder)
    with working(f"index {counted(len(documents['id']), 'document')}"):
        retriever = HybridRetriever(documents["text"], opened)
    started = time.process_time()
    with working(f"search {len(asked['id']):,} queries"):
        found = retriever.search(asked["text"], RETRIEVED)
    cpu_ms = (time.process_time() - started) / len(found) * 1000
    hits = [
        (query, documents["id"][hit.document], hit.rank)
        for query, each in zip(asked["id"], found, strict=True)
        for hit in each
    ]
    columns = [list(column) for column in zip(*hits, strict=True)]
    write_table(pa.table(dict(zip(("query_id", "id", "rank"), columns, strict=True))), file, as_given=True)
    out.print(f"{len(hits):,} rows, up to {RETRIEVED} for each of {len(found):,} queries, written to {file}.")
    out.print(f"BM25 and vectors of passages ({opened.identity.name}), fused: {cpu_ms:.2f} CPU ms per query.")


def _identified(file: Path) -> dict[str, list[str]]:
    columns = text_columns(file, ("id", "text"))
    _refuse_without_rows(file, columns["text"], "rows with an id and a text")
    seen: set[str] = set()
    for one in columns["id"]:
        if one in seen:
            raise TesseraError(
                f"{str(file)!r} has two rows with the id {one!r}.",
                expected="an id for each row",
                todo="Correct the ids.",
            )
        seen.add(one)
    return columns


def _refuse_without_rows(file: Path, texts: Sequence[str], expected: str) -> None:
    if not texts:
        raise TesseraError(f"{str(file)!r} holds no row.", expected=expected, todo="Add rows to the file.")


def opened_embedder(kind: str) -> Embedder:
    """Return the embedder of a kind that needs no settings."""
    if kind == "hashed":
        from models.text.hashed import HashedEmbedder

        return HashedEmbedder()
    from models.text.minilm import load_minilm

    return load_minilm()


def _labelled(file: Path) -> LabelledTexts:
    columns = text_columns(file, ("text", "label"))
    _refuse_without_rows(file, columns["text"], "rows with a text and its label")
    return LabelledTexts(columns["text"], [label.strip() for label in columns["label"]])


@contextmanager
def progress_of() -> Iterator[Any]:
    """Show what is being done: a spinner on a terminal, else a line for each step."""
    if not err.is_terminal:
        yield lambda what: err.print(f"{what} ...")
        return
    with err.status("") as status:
        yield lambda what: status.update(literal(what))


def _show(found: IntentEvaluation, price: float) -> None:
    outside = f" and {found.train_rows[1]:,} out of scope" if found.train_rows[1] else ""
    out.print(
        f"Trained on {found.train_rows[0]:,} texts with {found.labels} labels{outside}; choices made on "
        f"{found.trained.validation_rows:,} of them by models that had not seen these."
    )
    out.print(f"Tested on {found.test_rows[0]:,} texts in scope and {found.test_rows[1]:,} out of scope.")
    columns = ("model", "accuracy", "composition leads by", "threshold keeps", "in scope", "out-of-scope recall")
    cells = ([_WORDS[name], *_cells(one)] for name, one in found.results.items())
    out.print(listing([*columns, "CPU ms per text", "EUR per 1,000"], cells))
    chosen = found.trained.choices[FUSED]
    names = "names of labels are training texts, too; " if found.trained.by_name else ""
    out.print(
        f"Chosen on validation rows: margins weigh {found.trained.weight:g} (accuracy {chosen.accuracy:.4f}); {names}"
        f"the threshold {chosen.threshold:.3f} keeps {chosen.retention:.1%} of texts in scope. {_router(found)}"
    )
    out.print(
        "accuracy: test texts in scope, nothing refused. in scope: answered at the threshold, and right. Intervals: "
        f"95 %, bootstrap over test texts. CPU costs {price:g} EUR per hour, an assumption: --price-per-cpu-hour."
    )
    for note in _notes(found):
        err.print(f"Note: {note}")


def _router(found: IntentEvaluation) -> str:
    chosen = found.trained.router
    where = f"where the linear model leads by less than {chosen.threshold:.3f}"
    if chosen.share in (0, 1):
        where = "always" if chosen.share else "never"
    return (
        f"The router asks the fusion {where}: {chosen.share:.1%} of validation texts, so that it loses at most "
        f"{ROUTER_MARGIN:.1%} of accuracy with a confidence of 95 %, and {found.asked:.1%} of test texts."
    )


def _cells(one: ModelResult) -> list[str]:
    recall = one.out_of_scope_recall
    return [
        interval_text(one.accuracy),
        "" if one.lead is None else f"{one.lead.value:+.4f} ({one.lead.low:+.4f} .. {one.lead.high:+.4f})",
        "" if one.choice is None else f"{one.choice.retention:.1%}",
        interval_text(one.in_scope_accuracy),
        "no such rows" if recall is None else interval_text(recall),
        f"{one.cpu_ms_per_text:.2f}",
        f"{one.eur_per_1000:.6f}",
    ]


def interval_text(found: Interval) -> str:
    """Return an estimate with its interval, four digits each."""
    return f"{found.value:.4f} ({found.low:.4f} .. {found.high:.4f})"


def _notes(found: IntentEvaluation) -> list[str]:
    notes: list[str] = []
    if found.unknown_labels:
        named = ", ".join(repr(label) for label in found.unknown_labels[:5])
        notes.append(
            f"labels of test texts without a training row, which count as wrong: {len(found.unknown_labels)} ({named})."
        )
    if _is_harder(found):
        notes.append(
            f"the composition is right for {found.trained.choices[FUSED].accuracy:.1%} of validation texts and for "
            f"{found.results[FUSED].accuracy.value:.1%} of test texts, which are unlike the training texts or have "
            "other shares of labels: thresholds and router were chosen on easier texts than they meet there."
        )
    if found.shared_texts:
        notes.append(f"test texts that are training texts, too, and flatter every model: {found.shared_texts:,}.")
    if not found.test_rows[1]:
        notes.append(f"no test row is labelled {OUT_OF_SCOPE!r}: out-of-scope recall cannot be measured.")
    if found.look_alikes:
        named = ", ".join(repr(label) for label in found.look_alikes)
        notes.append(f"{named} is taken for a label in scope: out of scope is written {OUT_OF_SCOPE!r}.")
    if 0 < found.train_rows[1] < FEWEST_KNOWN:
        notes.append(f"{found.train_rows[1]} training rows out of scope are too few to choose the threshold by them.")
    return notes


def _is_harder(found: IntentEvaluation) -> bool:
    """Return True if the 95 % intervals of the composition's accuracy on validation and on test texts are apart."""
    rows = found.trained.validation_rows
    return (
        wilson_interval(round(found.trained.choices[FUSED].accuracy * rows), rows)[0]
        > found.results[FUSED].accuracy.high
    )


def _as_json(found: IntentEvaluation, embedder: str, price: float) -> Mapping[str, Any]:
    models = {name: {**asdict(one), "role": _ROLES.get(name, "child")} for name, one in found.results.items()}
    return {
        "composition": FUSED,
        "embedder": embedder,
        "train": {"in_scope": found.train_rows[0], "out_of_scope": found.train_rows[1]},
        "test": {"in_scope": found.test_rows[0], "out_of_scope": found.test_rows[1]},
        "labels": found.labels,
        "validation_rows": found.trained.validation_rows,
        "weight": found.trained.weight,
        "by_name": found.trained.by_name,
        "validation_accuracy_by_weight": {str(w): value for w, value in found.trained.weight_accuracy.items()},
        "models": models,
        "router": {**asdict(found.trained.router), "share_of_test": found.asked},
        "eur_per_cpu_hour": price,
        "notes": _notes(found),
    }
