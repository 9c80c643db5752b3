"""Search in the simulated knowledge base: is the article that answers a ticket found first, or among five?

python -m benchmarks.support_retrieval

The weight of the ranking by words is chosen on the tickets of seeds 1-3 and reported on those of seeds 4-6; no weights
of a language model are needed (embedder `hashed`). Intervals are 95 %, by the normal approximation.
"""

import tempfile
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pyarrow as pa

from assets.support.knowledge_base import COLLECTION, index_articles
from models.contracts import ORIGINAL
from models.simulation.defects import DefectShares
from models.simulation.shop import Shop
from models.text.hashed import HashedEmbedder
from models.vectors.filters import Equal
from resources.lake.delta import DeltaLake
from resources.vectors.qdrant_edge import QdrantEdgeConfig

FIRST, NIGHT = date(2025, 1, 1), date(2025, 3, 1)
WEIGHTS = ((1.0, 0.0), (0.0, 1.0), (1.0, 1.0), (1.0, 2.0), (1.0, 4.0))


@dataclass(frozen=True)
class Asked:
    """Ranks (1 best, 99 not found) of the right article, by weights, one number per ticket."""

    ranks: dict[tuple[float, float], list[int]]


def asked(seed: int, days: int = 15) -> Asked:
    """Index the articles of a night, and search for the tickets of the days before it."""
    shop = Shop(1000, seed, FIRST, DefectShares())
    with tempfile.TemporaryDirectory() as folder:
        lake, store = DeltaLake(f"{folder}/lake"), QdrantEdgeConfig(path=f"{folder}/vectors").open()
        nights = [FIRST + timedelta(days=n) for n in range((NIGHT - FIRST).days + 1)]
        rows = pa.concat_tables([shop.delivered("articles", day).drop_columns([ORIGINAL]) for day in nights])
        lake.replace("articles", rows, by="delivered_on", first=FIRST, last=NIGHT)
        embedder = HashedEmbedder()
        index_articles(store, lake, embedder)
        index = store.open(COLLECTION)
        ranks: dict[tuple[float, float], list[int]] = {weights: [] for weights in WEIGHTS}
        first = NIGHT - timedelta(days=days)
        texts = {
            row["ticket_id"]: row["text"]
            for n in range(days)
            for row in shop.delivered("tickets", first + timedelta(days=n)).to_pylist()
        }
        for row in shop.ticket_truth(first, NIGHT - timedelta(days=1)).to_pylist():
            right = set(shop.support.articles.relevant(row["intent"], row["language"], NIGHT.toordinal()))
            if not right:
                continue
            text = texts[row["ticket_id"]]
            vector = embedder.embed([text])
            for weights in WEIGHTS:
                where = Equal("language", row["language"])
                hits = index.hybrid(vector, [text], index.version.spec.space, k=20, where=where, weights=weights)[0]
                ids = list(dict.fromkeys(str(hit.payload["article_id"]) for hit in hits))
                ranks[weights].append(next((at for at, id in enumerate(ids, 1) if id in right), 99))
    return Asked(ranks)


def recall(ranks: list[int], k: int) -> str:
    """Return recall at k with its interval."""
    found = np.array(ranks) <= k
    half = 1.96 * np.sqrt(found.mean() * (1 - found.mean()) / len(found))
    return f"{found.mean():.3f} +- {half:.3f}"


def main() -> None:
    """Choose the weights, and print recall on the other seeds."""
    chosen_on, reported_on = ([asked(seed) for seed in seeds] for seeds in ((1, 2, 3), (4, 5, 6)))

    def of(runs: list[Asked], weights: tuple[float, float]) -> list[int]:
        return [rank for run in runs for rank in run.ranks[weights]]

    best = max(WEIGHTS, key=lambda weights: float((np.array(of(chosen_on, weights)) == 1).mean()))
    print(f"chosen weights (vectors, words): {best}")
    for weights in WEIGHTS:
        ranks = of(reported_on, weights)
        print(f"{weights}: R@1 {recall(ranks, 1)}, R@5 {recall(ranks, 5)}, {len(ranks)} tickets")


if __name__ == "__main__":
    main()
