"""CPU of support triage per ticket and path, in the simulated shop: batches as at night, and one ticket at a time.

python -m benchmarks.triage [--dry]

Trained on what agents had labelled by the night, with the embedder `hashed` and the answerer `extractive`, so that no
model of others is measured. Rates are those of one core: 1,000 / (CPU ms per ticket).
"""

import argparse
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from assets.support.knowledge_base import index_articles
from assets.support.learning import composed
from assets.support.resources import triage_resources
from benchmarks.report import replace_section
from benchmarks.support_retrieval import CUSTOMERS, FIRST, NIGHT, days, delivered
from models.compose.batch import from_records
from models.compose.call import new_call
from models.compose.checking import walk
from models.compose.step import Step
from models.settings import SupportSettings
from models.simulation.defects import DefectShares
from models.simulation.shop import Shop
from models.support.composition import STEPS
from models.support.config import TriageGateConfig
from models.support.hand_off import NOT_MEASURED
from models.support.labelled import LabelledTickets
from models.support.training import train_triage
from models.text.ticket_labels import labels_at
from resources.embedder.hashed import HashedEmbedderConfig
from resources.lake.delta import DeltaLake
from resources.language_model.extractive import ExtractiveModelConfig
from resources.vectors.qdrant_edge import QdrantEdgeConfig

TICKETS, ROUNDS, SINGLE = 1_000, 5, 100
#: The steps that every ticket takes without an embedding, a search or a language model.
CHEAP = ("language", "linear", "sentiment", "urgency")


def main() -> None:
    """Measure and write the section."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--dry", action="store_true", help="print the section instead of writing it")
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        body = _section(folder)
    print(body)
    if not options.dry:
        replace_section("triage", body, libraries=["scikit-learn", "qdrant-edge-py"])


def _section(folder: str) -> str:
    step, texts = _trained(folder)
    records = [{"text": text, "history": {}} for text in texts]
    by_step = _by_step(step, records)
    batch = _cpu_ms(lambda: step.run(from_records(records, step.takes), new_call())) / len(records)
    one = (
        _cpu_ms(lambda: [step.run(from_records([each], step.takes), new_call()) for each in records[:SINGLE]]) / SINGLE
    )
    cheap = sum(by_step[name] for name in CHEAP)
    rows = [f"| {name} | {ms:.3f} | {1000 / ms:,.0f} |" for name, ms in by_step.items()]
    return "\n".join(
        [
            "## Triage",
            "",
            f"| {len(records):,} tickets of the simulated shop, one batch | CPU ms per ticket | tickets/s on a core |",
            "|---|---|---|",
            *rows,
            f"| **cheap path** ({', '.join(CHEAP)}) | **{cheap:.3f}** | **{1000 / cheap:,.0f}** |",
            f"| **the whole graph** | **{batch:.3f}** | **{1000 / batch:,.0f}** |",
            f"| the whole graph, one ticket at a time (`tessera ask`, an event) | {one:.2f} | {1000 / one:,.0f} |",
            "",
            "`fused` is asked for all tickets here, whatever the router sends it at night. Histories are empty: the "
            "lake is read once a night for all tickets.",
        ]
    )


def _trained(folder: str) -> tuple[Step, list[str]]:
    """Train on the labels of a night, and return the graph over live resources with texts of the next days."""
    shop, settings = Shop(CUSTOMERS, 7, FIRST, DefectShares()), SupportSettings(gate=TriageGateConfig(min_tickets=100))
    history = days(FIRST, (NIGHT - FIRST).days + 1)
    texts = {row["ticket_id"]: row["text"] for row in delivered(shop, "tickets", history).to_pylist() if row["text"]}
    known = labels_at(delivered(shop, "ticket_labels", history), datetime.combine(NIGHT, datetime.min.time(), UTC))
    rows = sorted((row for row in known.to_pylist() if row["ticket_id"] in texts), key=lambda row: row["labelled_at"])
    labelled = LabelledTickets(
        [row["ticket_id"] for row in rows],
        [texts[row["ticket_id"]] for row in rows],
        *([row[name] for row in rows] for name in ("intent", "urgent", "article_id")),
    )
    lake, store = DeltaLake(f"{folder}/lake"), QdrantEdgeConfig(path=f"{folder}/vectors").open()
    embedder, model = HashedEmbedderConfig().open(), ExtractiveModelConfig().open()
    lake.replace("articles", delivered(shop, "articles", history), by="delivered_on", first=FIRST, last=NIGHT)
    index_articles(store, lake, embedder)
    live = triage_resources(store, embedder, model)
    trained = train_triage(labelled, embedder, settings.steps, settings.gate)
    newest = [
        row["text"]
        for row in delivered(shop, "tickets", days(NIGHT + timedelta(days=1), 200)).to_pylist()
        if row["text"]
    ]
    return composed(trained, live, settings, NOT_MEASURED).step(), newest[:TICKETS]


def _by_step(step: Step, records: list[dict[str, Any]]) -> Mapping[str, float]:
    """Return CPU ms per ticket of each step alone, with the values that it has in the graph."""
    call = new_call(keep_outputs=True)
    given = {name: [record[name] for record in records] for name in ("text", "history")}
    for run in (step.run(from_records(records, step.takes), call), *(run.outcome for run in call.log)):
        if run is not None and len(run.batch) == len(records):
            given |= {name: list(run.batch[name]) for name in run.batch.columns}
    leaves = {leaf.name: leaf for leaf in walk(step) if not leaf.steps}
    found: defaultdict[str, float] = defaultdict(float)
    for name in (step for step in STEPS if step in leaves):
        leaf = leaves[name]
        rows = [
            dict(zip(leaf.takes, values, strict=True)) for values in zip(*(given[f] for f in leaf.takes), strict=True)
        ]
        batch = from_records(rows, leaf.takes)
        found[name] = _cpu_ms(lambda leaf=leaf, batch=batch: leaf.run(batch, new_call())) / len(records)
    return found


def _cpu_ms(work: Callable[[], object]) -> float:
    """Return CPU ms of the fastest of some rounds: other processes only make it slower."""
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.process_time()
        work()
        best = min(best, time.process_time() - began)
    return best * 1000


if __name__ == "__main__":
    main()
