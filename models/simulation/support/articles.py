"""The knowledge base of the simulated shop: articles by intent and language, edited and replaced as time goes by."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from models.simulation.random_streams import Purpose, keys, uniform
from models.simulation.support.intents import NAMES
from models.simulation.support.wordings import LANGUAGES, Draws, chosen, filled, wordings

#: Subjects that have a second, nearly equal article: the same for business customers.
FOR_BUSINESS = ("return_request", "invoice_request", "refund_late", "shipping_cost", "warranty_repair", "cancel_order")
#: Share of the articles that are replaced from time to time: the old one is retired, another one takes its place.
REPLACED_SHARE = 0.15
#: Days between two edits, and between two replacements: each article has its own number of them, in these ranges.
EDITED_AFTER_DAYS, REPLACED_AFTER_DAYS = (60, 180), (200, 400)

_NUMBERS = ("7", "10", "14", "21", "30", "45", "48", "60")
_AT_SECOND = 5 * 3600


@dataclass(frozen=True)
class Topic:
    """Subject of an article: an intent, in one language, perhaps for business customers."""

    intent: str
    language: str
    for_business: bool


def _topics() -> tuple[Topic, ...]:
    found = [
        Topic(intent, language, for_business)
        for language in LANGUAGES
        for for_business in (False, True)
        for intent in NAMES
        if intent in wordings(f"articles_{language}").sections and (not for_business or intent in FOR_BUSINESS)
    ]
    return tuple(found)


@dataclass(frozen=True)
class ArticleVersion:
    """One version of an article, published on `day` at `second` (UTC)."""

    article_id: str
    title: str
    body: str
    language: str
    day: int
    second: int
    is_retired: bool


class Articles:
    """The articles of any day, each found without the days before."""

    def __init__(self, seed: int, first_day: int) -> None:
        self._seed, self._first = seed, first_day
        self.topics = _topics()
        self._number = {topic: number for number, topic in enumerate(self.topics)}

    def published(self, day: int) -> list[ArticleVersion]:
        """Return the versions published on `day`: all articles on the first one, edits and replacements later."""
        return [version for number in range(len(self.topics)) for version in self._published(number, day)]

    def relevant(self, intent: str, language: str, day: int) -> tuple[str, ...]:
        """Return the ids of the articles, as of the end of `day`, that answer an intent.

        In the language, if there is one in it; else in English; none of intents that nothing is written about.
        """
        for spoken in (language, LANGUAGES[0]):
            number = self._number.get(Topic(intent, spoken, False))
            if number is not None:
                return (self._id(number, self._state(number, day)[0]),)
        return ()

    def _published(self, number: int, day: int) -> Iterator[ArticleVersion]:
        if day < self._first:
            return
        now, before = self._state(number, day), self._state(number, day - 1)
        if day == self._first:
            yield self._version(number, now, day)
        elif now[0] != before[0]:
            yield self._version(number, before, day, is_retired=True)
            yield self._version(number, now, day)
        elif now != before:
            yield self._version(number, now, day)

    def _state(self, number: int, day: int) -> tuple[int, int]:
        """Return how often the article has been replaced and edited by the end of `day`."""
        is_replaced, *every = self._plans[number]
        replaced, edited = ((day - self._first + begun) // days for days, begun in every)
        return (replaced if is_replaced else 0), edited

    @cached_property
    def _plans(self) -> list[tuple[bool, tuple[int, int], tuple[int, int]]]:
        """Of each article: whether it is replaced, the rhythm of its replacements, and that of its edits."""
        number = np.arange(len(self.topics))
        draw = [uniform(self._seed, Purpose.ARTICLE, number, purpose, 0).tolist() for purpose in range(5)]
        return [
            (chance < REPLACED_SHARE, _rhythm(a, b, REPLACED_AFTER_DAYS), _rhythm(c, d, EDITED_AFTER_DAYS))
            for chance, a, b, c, d in zip(*draw, strict=True)
        ]

    def _id(self, number: int, replaced: int) -> str:
        return f"a{number:04d}" + (f"-{replaced + 1}" if replaced else "")

    def _version(self, number: int, state: tuple[int, int], day: int, *, is_retired: bool = False) -> ArticleVersion:
        topic, (replaced, edited) = self.topics[number], state
        sections = wordings(f"articles_{topic.language}").sections
        title, *sentences = sections[topic.intent]
        if topic.for_business:
            prefix, sentence = sections["business"]
            title, sentences = f"{prefix} {title}", [*sentences, sentence]
        draws = Draws(int(keys(self._seed, Purpose.ARTICLE, number, replaced, edited)[0]))
        # A title stays when the body is edited.
        named = Draws(int(keys(self._seed, Purpose.ARTICLE, number, replaced)[0]))
        body = "\n".join(line for line in (chosen(sentence, draws) for sentence in sentences) if line)
        return ArticleVersion(
            article_id=self._id(number, replaced),
            title=chosen(title, named),
            body=filled(body, {"n": _NUMBERS[draws.below(len(_NUMBERS))]}),
            language=topic.language,
            day=day,
            second=_AT_SECOND,
            is_retired=is_retired,
        )


def _rhythm(every: float, begun: float, after: tuple[int, int]) -> tuple[int, int]:
    """Return days between two changes, and days since the last one on the first day."""
    days = after[0] + int(every * (after[1] - after[0]))
    return days, int(begun * days)
