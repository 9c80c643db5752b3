"""Measures of a day: kind of number, check that it belongs to, and the least change worth a word."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from models.watch.config import CheckName

#: `count`: rows or keys; `share`: part of `n` rows, 0..1; `amount`: a size of any unit, of `n` rows; `distance`: total
#: variation distance between two distributions, 0..1.
Kind = Literal["count", "share", "amount", "distance"]
_NEVER = float("inf")


@dataclass(frozen=True)
class Effect:
    """Least changes that matter, however certain they are.

    For counts and amounts they are factors: `warn_up=2` is twice the expected value, `warn_down=2` half of it. For
    shares and distances they are differences: 0.1 is ten percentage points.
    """

    warn_up: float = _NEVER
    block_up: float = _NEVER
    warn_down: float = _NEVER
    block_down: float = _NEVER


@dataclass(frozen=True)
class Measure:
    """One kind of number of a day.

    Attributes:
        kind: how it is compared.
        check: the check that it belongs to.
        effect: least changes that matter.
        words: what it is, with `{column}` and `{category}`, e.g. `share of {column} that is missing`.
        vanishes: for shares of categories: none at all, where rows are expected beyond chance, is worth a warning.
        closely: it belongs to those measures, of the completeness of a day, that have half of the budget of false
            alarms to themselves.
        fewest: rows below which it says nothing.
        factor: of a small share, the ratio that matters as much as the least change upwards; 0: none does.
        least: spread that is never undercut, where it is not the one of the kind (`models.watch.limits`).
    """

    kind: Kind
    check: CheckName
    effect: Effect
    words: str
    vanishes: bool = False
    least: float | None = None
    closely: bool = False
    factor: float = 0.0
    fewest: int = 5


def _both(warn: float, block: float) -> Effect:
    return Effect(warn, block, warn, block)


MEASURES: Mapping[str, Measure] = {
    "rows": Measure("count", "volume", Effect(2.5, 12, 1.07, 1.5), "rows", closely=True),
    "distinct": Measure("count", "volume", Effect(3, 15, 1.07, 2.5), "distinct {column}", closely=True),
    "per": Measure("amount", "volume", Effect(1.5, 3, 1.12, 2), "rows of one {column}", closely=True, least=0.015),
    "kept": Measure(
        "share", "volume", Effect(warn_down=0.04, block_down=0.3), "share of usual {column} with rows", closely=True
    ),
    "numbered": Measure(
        "share",
        "volume",
        Effect(warn_down=0.01, block_down=0.4),
        "share of rows with no hole in the running numbers before their {column}",
        closely=True,
    ),
    "gone": Measure(
        "amount",
        "volume",
        Effect(warn_up=1.5),
        "usual rows a day of the most frequent {column} without any",
        closely=True,
    ),
    "quarantined": Measure("share", "volume", Effect(warn_up=0.03), "share of rows in quarantine"),
    "refused": Measure("share", "volume", Effect(warn_up=0.015), "share of rows in quarantine for their {category}"),
    "null": Measure("share", "nulls", Effect(0.05, 0.25, 0.2, 0.6), "share of rows without {column}", vanishes=True),
    "filled": Measure("share", "nulls", Effect(), "share of rows with {column}", vanishes=True),
    "missing": Measure("share", "nulls", _both(0.1, 0.6), "share of rows without {column} among those of {category}"),
    "unknown": Measure("share", "identity", Effect(0.04, 0.2), "share of {column} that no register knows"),
    "seen": Measure("share", "identity", Effect(0.2, 0.5, 0.25, 0.6), "share of {column} seen in the days before"),
    "top": Measure("share", "identity", Effect(0.03, 0.4), "share of rows on one {column}"),
    "newcomer": Measure("share", "identity", Effect(0.02, 0.4), "share of rows on one new {column}"),
    "shape": Measure("share", "identity", _both(0.15, 0.45), "share of {column} of the form {category}"),
    "length": Measure("amount", "identity", _both(1.3, 2.2), "characters of {column}"),
    "mixed": Measure("share", "identity", _both(0.08, 0.4), "share of {column} with several {category}", fewest=20),
    "together": Measure("share", "identity", _both(0.1, 0.4), "share of {column} with the {category} of days before"),
    "fits": Measure(
        "distance",
        "labels",
        Effect(warn_down=0.1, block_down=0.25),
        "share of pairs of rows whose {column} fits the {category} better than exchanged (50 % is chance)",
    ),
    "steady": Measure(
        "share",
        "values",
        Effect(warn_down=0.01, block_down=0.3),
        "share of {column} with the {category} of days before",
    ),
    "quoted": Measure(
        "share",
        "identity",
        Effect(warn_down=0.2, block_down=0.6),
        "share of {column} that stand in the {category}",
        vanishes=True,
    ),
    "differs": Measure("share", "categories", _both(0.05, 0.3), "share of {column} other than that of {category}"),
    "typical": Measure("amount", "values", _both(1.9, 3), "typical {column}"),
    "mean": Measure("amount", "values", _both(3, 12), "mean {column}"),
    "spread": Measure("amount", "values", Effect(2.2, _NEVER, 2.5, 20), "spread of {column}"),
    "ratio": Measure(
        "amount", "values", _both(1.06, 1.9), "{column} over that of days before of the same {category}", least=0.008
    ),
    "change": Measure(
        "amount", "values", Effect(1.25, 3, 4, 50), "change of {column} of one {category} from day to day"
    ),
    "off": Measure(
        "share",
        "values",
        Effect(warn_up=0.05, block_up=0.4),
        "share of {column} a tenth off that of the same {category}",
    ),
    "far": Measure(
        "share",
        "values",
        Effect(0.1, 0.4),
        "share of {column} five times that of the same {category} or a fifth",
        factor=2,
    ),
    "low": Measure("amount", "values", _both(1.5, 20), "low end of {column}", least=0.06),
    "high": Measure("amount", "values", _both(1.6, 12), "high end of {column}", least=0.06),
    "agrees": Measure("share", "values", _both(0.05, 0.3), "correlation, as a share, of {column} with {category}"),
    "over": Measure("share", "values", _both(0.05, 0.3), "share of rows with more {column} than {category}"),
    "relative": Measure("amount", "values", _both(1.1, 1.9), "{column} over {category} of the same row", least=0.008),
    "age": Measure("amount", "values", _both(1.5, 20), "days since {column}"),
    "round": Measure("share", "values", _both(0.05, 0.6), "share of {column} that are {category}"),
    "whole": Measure("share", "values", _both(0.15, 0.5), "share of {column} without a fraction"),
    "same": Measure("share", "values", _both(0.15, 0.5), "share of rows with the same {column}", factor=3),
    "negative": Measure("share", "values", _both(0.1, 0.4), "share of negative {column}", vanishes=True, factor=3),
    "zero": Measure("share", "values", _both(0.1, 0.4), "share of {column} that is zero", factor=3),
    "true": Measure("share", "values", _both(0.1, 0.4), "share of rows with {column}", vanishes=True, factor=3),
    "signs": Measure("amount", "values", _both(1.5, 4), "share of {category} in characters of {column}"),
    "misread": Measure("share", "values", Effect(0.02, 0.3), "share of {column} with signs of a wrong encoding"),
    "word": Measure(
        "distance", "values", Effect(0.15, 0.6), "most that more texts of {column} than usual share a word"
    ),
    "text": Measure("amount", "values", _both(1.4, 4), "characters of {column}"),
    "letters": Measure("amount", "values", _both(1.8, 4), "share of characters of {column} beyond plain letters"),
    "sequence": Measure("share", "hours", _both(0.05, 0.3), "share of rows with {column} in the order of {category}"),
    "clock": Measure("amount", "hours", _both(1.05, 1.3), "mean hour of {column}, UTC", least=0.008),
    "hour": Measure("share", "hours", _both(0.2, 0.5), "share of rows at {category}:00 UTC"),
    "hours": Measure("distance", "hours", Effect(0.045, 0.4), "distance of the hours of the day from the usual ones"),
    "gap": Measure(  # the largest of n independent waits spreads by 1.28 / log(n): 0.26 of 128, 0.17 of 2,000
        "amount", "hours", Effect(warn_up=1.6), "rows usual in the longest time without any by {column}", least=0.2
    ),
    "category": Measure("share", "categories", _both(0.2, 0.5), "share of {column} {category}", vanishes=True),
    "repeated": Measure("share", "duplicates", Effect(0.05, 0.3), "share of rows that repeat the days before"),
    "doubled": Measure("share", "duplicates", Effect(0.05, 0.3), "share of rows that repeat others of the day"),
    "twice": Measure("share", "duplicates", Effect(0.04, 0.3), "share of rows that repeat others but for a detail"),
    "alike": Measure("share", "duplicates", Effect(0.1, 0.4), "share of rows with the same {column}", factor=3),
    "late": Measure("share", "timestamps", Effect(0.12, 0.4), "share of rows with {column} on earlier days"),
    "old": Measure("share", "timestamps", Effect(0.02, 0.2), "share of rows with {column} more than a month ago"),
    "inside": Measure("share", "swaps", Effect(0.1, 0.4), "share of {column} that are values of {category}"),
}
