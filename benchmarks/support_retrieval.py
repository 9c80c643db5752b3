"""Search in the simulated knowledge base: is the article that answers a ticket found first, among three, among five?

python -m benchmarks.support_retrieval

Four ways are compared: the words of a ticket alone; with the words of its intent; articles that answered tickets of its
likeliest intents before, alone; and all of it, fused. All is learned from the labels that agents had given by the day
before; the embedder is `hashed`, which needs no weights of a model. Weight and damping of the fusion are chosen on the
tickets of seeds 1-3, by the sum of the three shares, and reported on those of seeds 4-6. Intervals are 95 %, by the
normal approximation.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

import numpy as np
import pyarrow as pa

from assets.support.knowledge_base import WITHOUT_MODEL, index_articles
from models.contracts import ORIGINAL
from models.simulation.defects import DefectShares
from models.simulation.shop import Shop
from models.support.article_prior import DAMPING, WEIGHT, article_prior, fused_score, known_articles
from models.support.intent_part import best_sharpness, softmax
from models.support.search_words import search_words, searched_for
from models.text.hashed import HashedEmbedder
from models.text.intents import fit_linear_intents, predicted
from models.text.language import LanguageDetector
from models.text.ticket_labels import labels_at
from models.vectors.filters import Equal
from resources.lake.delta import DeltaLake
from resources.vectors.port import VectorIndex
from resources.vectors.qdrant_edge import QdrantEdgeConfig

FIRST, NIGHT = date(2025, 1, 1), date(2025, 6, 1)
DAYS, CUSTOMERS = 15, 2000
#: Share of the labelled tickets, the newest, on which the sharpness of the intents' shares is chosen.
HELD = 0.1
FUSIONS = tuple((weight, damping) for weight in (1.0, 2.0, 4.0, 8.0) for damping in (1.0, 5.0, 20.0))
RANKS = (1, 3, 5)


@dataclass(frozen=True)
class Asked:
    """One ticket: articles that answer it, rankings of the search, and articles of its likeliest intents."""

    right: frozenset[str]
    words: Sequence[str]
    words_of_intent: Sequence[str]
    known: Mapping[str, float]

    def fused(self, weight: float, damping: float) -> list[str]:
        """Return the articles by the search and by what is known of them, best first."""
        rank = {article: at for at, article in enumerate(self.words_of_intent, 1)}
        every = [*rank, *(article for article in self.known if article not in rank)]
        scores = {
            article: fused_score(rank.get(article), self.known.get(article, 0.0), weight=weight, damping=damping)
            for article in every
        }
        return sorted(every, key=lambda article: (-scores[article], article))


def days(first: date, n: int) -> list[date]:
    """Return `n` days."""
    return [first + timedelta(days=each) for each in range(n)]


def delivered(shop: Shop, table: str, of: list[date]) -> pa.Table:
    """Return what the shop delivers on these days."""
    return pa.concat_tables([shop.delivered(table, day).drop_columns([ORIGINAL]) for day in of])


def asked(seed: int) -> list[Asked]:
    """Index the articles of a night, and search for the tickets of the days before it."""
    shop, embedder = Shop(CUSTOMERS, seed, FIRST, DefectShares()), HashedEmbedder()
    history, first = days(FIRST, (NIGHT - FIRST).days + 1), NIGHT - timedelta(days=DAYS)
    texts = {row["ticket_id"]: row["text"] or "" for row in delivered(shop, "tickets", history).to_pylist()}
    known = labels_at(delivered(shop, "ticket_labels", history), datetime.combine(first, time(), UTC)).to_pylist()
    known = sorted((row for row in known if texts.get(row["ticket_id"])), key=lambda row: row["labelled_at"])
    detector = LanguageDetector(("en", "de", "fr"), "en")
    learned, intents = [texts[row["ticket_id"]] for row in known], [row["intent"] for row in known]
    languages = [detector.detect(text).language for text in learned]
    words = search_words(learned, intents, languages)
    prior = article_prior(intents, languages, [row["article_id"] for row in known])
    cut = round(len(learned) * (1 - HELD))
    model = fit_linear_intents(learned[:cut], intents[:cut])
    column = {label: at for at, label in enumerate(model.labels.tolist())}
    held = [at for at in range(cut, len(learned)) if intents[at] in column]
    sharpness = best_sharpness(
        model.scores([learned[at] for at in held]), np.array([column[intents[at]] for at in held])
    )
    found: list[Asked] = []
    with tempfile.TemporaryDirectory() as folder:
        lake, store = DeltaLake(f"{folder}/lake"), QdrantEdgeConfig(path=f"{folder}/vectors").open()
        lake.replace("articles", delivered(shop, "articles", history), by="delivered_on", first=FIRST, last=NIGHT)
        index_articles(store, lake, embedder)
        index = store.open("articles")
        for row in shop.ticket_truth(first, NIGHT - timedelta(days=1)).to_pylist():
            right = frozenset(shop.support.articles.relevant(row["intent"], row["language"], NIGHT.toordinal()))
            text = texts.get(row["ticket_id"])
            if not right or not text:
                continue
            scores, language = model.scores([text]), detector.detect(text).language
            shares = softmax(scores * sharpness)[0]
            guesses = {str(model.labels[at]): float(shares[at]) for at in np.argsort(-shares)[:5]}
            more = searched_for(text, str(predicted(model, scores)[0]), words)
            plain, wide = (ranking(index, embedder, query, language) for query in (text, more))
            found.append(Asked(right, plain, wide, known_articles(prior, guesses, language)))
    return found


def ranking(index: VectorIndex, embedder: HashedEmbedder, query: str, language: str) -> list[str]:
    """Return the articles that the search finds, best first."""
    (hits,) = index.hybrid(
        embedder.embed([query]),
        [query],
        index.version.spec.space,
        k=100,
        where=Equal("language", language),
        weights=WITHOUT_MODEL,
    )
    return list(dict.fromkeys(str(hit.payload["article_id"]) for hit in hits))


def ranks(tickets: Sequence[Asked], rankings: Sequence[Sequence[str]]) -> list[int]:
    """Return the rank of the first right article of each ticket (1 best, 999 not found)."""
    return [
        next((at for at, article in enumerate(found, 1) if article in one.right), 999)
        for one, found in zip(tickets, rankings, strict=True)
    ]


def recall(places: Sequence[int], k: int) -> float:
    """Return the share of tickets whose article is among the first `k`."""
    return float((np.array(places) <= k).mean())


def shown(places: Sequence[int], k: int) -> str:
    """Return recall at k with its interval."""
    share = recall(places, k)
    return f"R@{k} {share:.3f} +- {1.96 * np.sqrt(share * (1 - share) / len(places)):.3f}"


def main() -> None:
    """Choose the fusion, and print recall on the other seeds."""
    chosen_on, reported_on = ([one for seed in seeds for one in asked(seed)] for seeds in ((1, 2, 3), (4, 5, 6)))

    def quality(fusion: tuple[float, float]) -> float:
        places = ranks(chosen_on, [one.fused(*fusion) for one in chosen_on])
        return sum(recall(places, k) for k in RANKS)

    best = max(FUSIONS, key=quality)
    print(f"chosen (weight, damping): {best}; in use: {(WEIGHT, DAMPING)}; {len(reported_on)} tickets")
    ways = {
        "words of the ticket": [one.words for one in reported_on],
        "and words of its intent": [one.words_of_intent for one in reported_on],
        "articles of its likeliest intents": [list(one.known) for one in reported_on],
        "fused": [one.fused(*best) for one in reported_on],
    }
    for name, rankings in ways.items():
        places = ranks(reported_on, rankings)
        print(f"{name}: " + ", ".join(shown(places, k) for k in RANKS))


if __name__ == "__main__":
    main()
