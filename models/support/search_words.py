"""Words by which customers ask about an intent: the search for a ticket's articles looks for them, too.

Customers and articles name the same thing in different words; tickets of one intent name it in many ways, and some of
them are the article's.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from math import log

from models.text.out_of_scope import OUT_OF_SCOPE
from models.vectors.tokens import words

#: Words of each intent and language, and tickets in which a word occurs at least: fewer may hold a person's name.
MOST, FEWEST_TICKETS = 6, 3
_SHORTEST = 3


def search_words(texts: Sequence[str], intents: Sequence[str], languages: Sequence[str]) -> dict[str, str]:
    """Return intent -> its most characteristic words in each language, separated by blanks; none of `oos`.

    A word counts by the share of the intent's tickets that have it, times its inverse document frequency among all
    tickets of the language.

    Args:
        texts: of labelled tickets, shape `(n,)`.
        intents: by their labels, shape `(n,)`.
        languages: of the texts, shape `(n,)`.
    """
    having: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    anywhere: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for text, intent, language in zip(texts, intents, languages, strict=True):
        found = {word for word in words(text) if len(word) >= _SHORTEST}
        having[intent, language].update(found)
        anywhere[language].update(found)
    tickets, all_tickets = Counter(zip(intents, languages, strict=True)), Counter(languages)
    chosen: defaultdict[str, list[str]] = defaultdict(list)
    for (intent, language), counts in sorted(having.items()):
        if intent == OUT_OF_SCOPE:
            continue
        weights = {
            word: count / tickets[intent, language] * log((all_tickets[language] + 1) / anywhere[language][word])
            for word, count in counts.items()
            if count >= FEWEST_TICKETS
        }
        chosen[intent] += sorted(weights, key=lambda word: (-weights[word], word))[:MOST]
    return {intent: " ".join(found) for intent, found in chosen.items()}


def searched_for(text: str, intent: str, known: Mapping[str, str]) -> str:
    """Return a ticket's text with the words of its intent."""
    return f"{text} {known.get(intent, '')}".strip()
