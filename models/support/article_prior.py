"""Articles that answered tickets of an intent before, by the labels of agents, and their fusion with a search."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

#: Intent -> language of the ticket -> article -> probability that it answers.
ArticlePrior = Mapping[str, Mapping[str, Mapping[str, float]]]
#: Tickets of no article that are added to those of each intent and language: few labels say little.
SMOOTHING = 2.0
#: Articles that are kept of each intent and language.
MOST = 5
#: Weight of the probability beside the reciprocal rank of the search, and damping of that rank: chosen on seeds 1-3 by
#: benchmarks/support_retrieval.py.
WEIGHT, DAMPING = 8.0, 20.0


def article_prior(
    intents: Sequence[str], languages: Sequence[str], articles: Sequence[str | None]
) -> dict[str, dict[str, dict[str, float]]]:
    """Return the share of each intent's tickets that each article answered, smoothed towards none.

    Args:
        intents: by the labels of tickets, shape `(n,)`.
        languages: of the tickets, shape `(n,)`.
        articles: that answered, shape `(n,)`; None: the label names none, and the ticket does not count.
    """
    counted: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for intent, language, article in zip(intents, languages, articles, strict=True):
        if article is not None:
            counted[intent, language][article] += 1
    found: defaultdict[str, dict[str, dict[str, float]]] = defaultdict(dict)
    for (intent, language), counts in sorted(counted.items()):
        best = sorted(counts, key=lambda article: (-counts[article], article))[:MOST]
        all_of_them = counts.total() + SMOOTHING
        found[intent][language] = {article: round(counts[article] / all_of_them, 6) for article in best}
    return dict(found)


def known_articles(prior: ArticlePrior, guesses: Mapping[str, float], language: str) -> dict[str, float]:
    """Return the articles that are likeliest to answer a ticket, by its likeliest intents with their shares."""
    found: defaultdict[str, float] = defaultdict(float)
    for intent, share in guesses.items():
        for article, probability in prior.get(intent, {}).get(language, {}).items():
            found[article] += share * probability
    best = sorted(found, key=lambda article: (-found[article], article))[:MOST]
    return {article: round(found[article], 6) for article in best}


def fused_score(rank: int | None, probability: float, *, weight: float = WEIGHT, damping: float = DAMPING) -> float:
    """Return the score of an article at `rank` (1 is best; None: not found) of a search, with its probability."""
    found = 0.0 if rank is None else (1 + damping) / (rank + damping)
    return found + weight * probability
