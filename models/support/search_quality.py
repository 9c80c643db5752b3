"""Quality of a version's search and drafts by the articles that agents named: recall, and precision of citations."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from models.evaluation.shares import wilson_interval
from models.support.hand_off import NOT_MEASURED, CitedPrecision


@dataclass(frozen=True)
class SearchQuality:
    """Counts of tickets whose label names the article that answered.

    Attributes:
        tickets: with such a label.
        first: of these, tickets whose article was found first.
        found: of these, tickets whose article was among those found.
        cited: precision of the citations in their drafts.
        problem: why nothing could be measured; "": it was.
    """

    tickets: int = 0
    first: int = 0
    found: int = 0
    cited: CitedPrecision = NOT_MEASURED
    problem: str = ""

    def metrics(self) -> dict[str, float]:
        """Return the shares that are known."""
        if not self.tickets:
            return {}
        shares = {"article_first": self.first / self.tickets, "article_found": self.found / self.tickets}
        if self.cited.drafts:
            shares["cited_precision"] = self.cited.right / self.cited.drafts
        return shares

    def __str__(self) -> str:
        if self.problem:
            return f"search: not measured: {self.problem}"
        first, found = (_share(count, self.tickets) for count in (self.first, self.found))
        return (
            f"search: the article that agents named came first for {first} and was found for {found} of "
            f"{self.tickets:,} tickets; drafts: {self.cited}"
        )


def not_measured(problem: str) -> SearchQuality:
    """Return the quality of a search that could not be measured, with the reason."""
    return SearchQuality(cited=CitedPrecision(problem=problem), problem=problem)


def search_quality(rows: Iterable[Mapping[str, Any]], named: Sequence[str | None], model: str) -> SearchQuality:
    """Return the quality of what was found, drafted and, by the other rules, would have been sent.

    Args:
        rows: of tickets: article_ids (best first), draft, cited, handed_off.
        named: for each row, the article that an agent named; None: the row does not count.
        model: name of the language model that drafted.
    """
    known = [(row, article) for row, article in zip(rows, named, strict=True) if article is not None]
    if not known:
        return not_measured("no label of these tickets names the article that answered")
    sent = [(row, article) for row, article in known if row["draft"] and not row["handed_off"]]
    right = sum(list(row["cited"]) == [article] for row, article in sent)
    return SearchQuality(
        tickets=len(known),
        first=sum(list(row["article_ids"])[:1] == [article] for row, article in known),
        found=sum(article in row["article_ids"] for row, article in known),
        cited=CitedPrecision(model=model, drafts=len(sent), right=right, problem=""),
    )


def _share(count: int, n: int) -> str:
    low, high = wilson_interval(count, n)
    return f"{count / n:.3f} [{low:.3f}, {high:.3f}]"
