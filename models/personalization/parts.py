"""Parts of the composition of personalization: each is kept as files, read again, and used as a step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from models.compose.fields import Column, FieldType
from models.compose.step import Leaf, Step
from models.errors import OtherRelease
from models.personalization.block import FEATURES, Block, block_features, block_of
from models.personalization.fields import (
    CANDIDATES,
    CONTEXT,
    DAY,
    GATHERED,
    LISTED,
    PROFILE,
    RANKED,
    RANKING,
    RULED,
    VISIT,
    WHO,
)
from models.personalization.known import Days, Known
from models.personalization.listing import Listed, Lister
from models.personalization.margin import MarginOrder
from models.personalization.tables import ItemTables
from models.recommend.config import RecommenderConfig
from models.recommend.files import read_ranker, write_trees
from models.recommend.ranker_training import ranked_by
from models.recommend.rankers import BoostedRanker, FrequencyRanker, Ranker
from models.recommend.rules_config import RulesConfig

_TEXT, _TEXTS, _RECORD = (FieldType(name) for name in ("text", "texts", "record"))
#: Weights of a ranker beside its trees.
_WEIGHTS = ("ease_weight", "wants_weight")
#: Need of every part that reads what is known of a day.
KNOWN = "known"
#: Need of the parts that read the tables of products.
ITEMS = "items"


@dataclass(frozen=True)
class _OfDay:
    """A part that reads what is known of a day."""

    days: Days

    needs: ClassVar[tuple[str, ...]] = (KNOWN,)

    @classmethod
    def read(cls, folder: Path, saved: Mapping[str, Any], resources: Mapping[str, Any]) -> Self:  # noqa: ARG003
        """Return the part, over what is known now."""
        return cls(resources[KNOWN])

    def save(self, folder: Path) -> Mapping[str, Any]:  # noqa: ARG002 - it has no files
        """Describe it."""
        return {}


@dataclass(frozen=True)
class _ByRules:
    """A part that applies the rules to what is known of a day."""

    days: Days
    config: RulesConfig

    needs: ClassVar[tuple[str, ...]] = (KNOWN,)

    @classmethod
    def read(cls, folder: Path, saved: Mapping[str, Any], resources: Mapping[str, Any]) -> Self:  # noqa: ARG003
        """Return the part, over what is known now."""
        return cls(resources[KNOWN], RulesConfig.model_validate(saved["rules"]))

    def save(self, folder: Path) -> Mapping[str, Any]:  # noqa: ARG002 - it has no files
        """Describe it."""
        return {"rules": self.config.model_dump(mode="json")}


@dataclass(frozen=True)
class ProfilePart(_OfDay):
    """The customer: place among the known ones, and country."""

    loader: ClassVar = "models.personalization.parts:ProfilePart.read"

    def step(self, name: str) -> Step:
        """Return it as a step."""

        def profile(customer_id: Column, as_of: Column) -> Mapping[str, Column]:
            places = [self.days.at(day).customer(id) for id, day in zip(customer_id, as_of, strict=True)]
            countries = [
                "" if place < 0 else str(self.days.at(day).countries[place])
                for place, day in zip(places, as_of, strict=True)
            ]
            return {"customer": np.array(places, dtype=np.int64), "country": _TEXT.column(countries)}

        return Leaf(name, WHO, PROFILE, profile)


@dataclass(frozen=True)
class ContextPart(_OfDay):
    """Products of this visit, the newest first; events of products that the shop does not know are counted."""

    loader: ClassVar = "models.personalization.parts:ContextPart.read"

    def step(self, name: str) -> Step:
        """Return it as a step."""

        def context(as_of: Column, session: Column) -> Mapping[str, Column]:
            found = [visited(self.days.at(day), visit) for day, visit in zip(as_of, session, strict=True)]
            return {"context": _RECORD.column(found)}

        return Leaf(name, VISIT, CONTEXT, context)


def visited(known: Known, session: Mapping[str, Any]) -> dict[str, Any]:
    """Return the known products of a visit, the newest first, each once, and how many events name others."""
    events: Sequence[Mapping[str, Any]] = session.get("events", ())
    places = [known.places.get(str(event["product_id"]), -1) for event in events]
    return {
        "products": list(dict.fromkeys(place for place in reversed(places) if place >= 0)),
        "carted": [place for place, event in zip(places, events, strict=True) if event.get("kind") == "cart"],
        "unknown": sum(place < 0 for place in places),
    }


@dataclass(frozen=True)
class CandidatesPart:
    """Candidates of all generators, merged."""

    days: Days
    items: ItemTables
    config: RecommenderConfig

    loader: ClassVar = "models.personalization.parts:CandidatesPart.read"
    needs: ClassVar[tuple[str, ...]] = (KNOWN, ITEMS)

    @classmethod
    def read(cls, folder: Path, saved: Mapping[str, Any], resources: Mapping[str, Any]) -> CandidatesPart:  # noqa: ARG003
        """Return the part, over what is known now."""
        config = {name: value for name, value in saved["recommender"].items() if name != "ranker"}
        return cls(resources[KNOWN], resources[ITEMS], RecommenderConfig.model_validate(config))

    def save(self, folder: Path) -> Mapping[str, Any]:  # noqa: ARG002 - it has no files
        """Describe it, without the settings of training."""
        return {"recommender": self.config.model_dump(mode="json", exclude={"ranker"})}

    def step(self, name: str) -> Step:
        """Return it as a step."""

        def candidates(as_of: Column, customer: Column, country: Column, context: Column) -> Mapping[str, Column]:
            found: list[Any] = [None] * len(as_of)
            for day in dict.fromkeys(as_of):
                rows = np.flatnonzero(as_of == day)
                known = self.days.at(day)
                asked = (customer[rows], country[rows].tolist(), context[rows].tolist())
                block = block_of(known, self.items.over(known), self.config, *asked)
                for row, place in enumerate(rows.tolist()):
                    found[place] = {"block": block, "row": row}
            return {"candidates": _RECORD.column(found)}

        return Leaf(name, GATHERED, CANDIDATES, candidates, waits=True)


def ranked(
    candidates: Column, context: Column, ranker: Ranker, by_margin: MarginOrder | None = None
) -> Mapping[str, Column]:
    """Return the candidates of each request, best first, without those in the cart of the visit."""
    found: list[Any] = [None] * len(candidates)
    blocks = {id(one["block"]): one["block"] for one in candidates}
    for key, whole in blocks.items():
        places = [place for place, one in enumerate(candidates) if id(one["block"]) == key]
        block = whole.take(np.array([candidates[place]["row"] for place in places]))
        scores = ranked_by(ranker, block.found, block_features(block), block.known.history.of_products)
        if by_margin is not None:
            scores = by_margin.scores(scores, block.known.margins[block.found.product])
        order = np.argsort(-scores, axis=1, kind="stable")
        for row, place in enumerate(places):
            best = order[row][: int(np.isfinite(scores[row]).sum())]
            found[place] = _with_visit(block, row, best, scores[row], context[place])
    return {"ranked": _RECORD.column(found)}


def _with_visit(
    block: Block, row: int, best: NDArray[np.int64], scores: NDArray[np.float32], context: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the candidates of a request; what is in the cart of the visit is no longer recommended."""
    product = block.found.product[row][best].astype(np.int64)
    stays = ~np.isin(product, context["carted"])
    best, product = best[stays], product[stays]
    return {"products": product, "places": best, "scores": scores[best], "block": block, "row": row}


@dataclass(frozen=True)
class FrequencyPart:
    """The order of what customers chose before: own products by their number, then by the rank of the generators.

    `by_margin`: weighs margins; None: they count for nothing.
    """

    by_margin: MarginOrder | None = None

    loader: ClassVar = "models.personalization.parts:FrequencyPart.read"
    needs: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def read(cls, folder: Path, saved: Mapping[str, Any], resources: Mapping[str, Any]) -> FrequencyPart:  # noqa: ARG003
        """Return the part."""
        return cls(MarginOrder.read(saved.get("margin")))

    def save(self, folder: Path) -> Mapping[str, Any]:  # noqa: ARG002 - it has no files
        """Describe it."""
        return _margin(self.by_margin)

    def step(self, name: str) -> Step:
        """Return it as a step."""

        def order(context: Column, candidates: Column) -> Mapping[str, Column]:
            return ranked(candidates, context, FrequencyRanker(), self.by_margin)

        return Leaf(name, RANKING, RANKED, order)


def _margin(order: MarginOrder | None) -> dict[str, Any]:
    return {} if order is None else {"margin": order.as_json()}


@dataclass(frozen=True)
class RankerPart:
    """The order by a trained ranker; `by_margin` weighs margins, None: they count for what it learned of them alone."""

    ranker: Ranker
    by_margin: MarginOrder | None = None

    loader: ClassVar = "models.personalization.parts:RankerPart.read"
    needs: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def read(cls, folder: Path, saved: Mapping[str, Any], resources: Mapping[str, Any]) -> RankerPart:  # noqa: ARG003
        """Return the part that `save` described.

        Raises:
            OtherRelease: its trees know other numbers of the candidates than there are now.
        """
        if saved["trees"] and tuple(saved["features"]) != FEATURES:
            other = sorted(set(FEATURES) ^ set(saved["features"]))
            raise OtherRelease(
                f"The ranker was trained on other numbers of the candidates than this release computes: {len(other)} "
                f"differ{f', e.g. {other[0]}' if other else ' in order only'}.",
                expected=f"the {len(FEATURES)} numbers of this release",
                todo="Run `tessera run personalization_nightly`, which trains a new one.",
            )
        weights = {name: saved.get(name, 0.0) for name in _WEIGHTS}
        ranker = read_ranker(saved["kind"], saved["trees"], folder, **weights)
        return cls(ranker, MarginOrder.read(saved.get("margin")))

    def save(self, folder: Path) -> Mapping[str, Any]:
        """Write its trees, if it has any."""
        described: dict[str, Any] = {
            "kind": self.ranker.name,
            "trees": write_trees(self.ranker, folder),
            "features": list(FEATURES),
        }
        if isinstance(self.ranker, BoostedRanker):
            described |= {name: getattr(self.ranker, name) for name in _WEIGHTS}
        return {**described, **_margin(self.by_margin)}

    def step(self, name: str) -> Step:
        """Return it as a step."""

        def order(context: Column, candidates: Column) -> Mapping[str, Column]:
            return ranked(candidates, context, self.ranker, self.by_margin)

        return Leaf(name, RANKING, RANKED, order, waits=True)


@dataclass(frozen=True)
class RulesPart(_ByRules):
    """The rules: they have the last word, and what they remove is filled with what is popular."""

    loader: ClassVar = "models.personalization.parts:RulesPart.read"

    def step(self, name: str) -> Step:
        """Return it as a step."""
        lister = Lister(self.config)

        def rules(
            as_of: Column, customer: Column, country: Column, context: Column, ranked: Column
        ) -> Mapping[str, Column]:
            rows = zip(as_of, customer, country, context, ranked, strict=True)
            return columns([lister.listed(self.days.at(day), *row) for day, *row in rows])

        return Leaf(name, RULED, LISTED, rules)


@dataclass(frozen=True)
class PopularPart(_ByRules):
    """The list where steps failed: what is popular in the shop, after the rules; it needs nothing of the customer."""

    loader: ClassVar = "models.personalization.parts:PopularPart.read"

    def step(self, name: str) -> Step:
        """Return it as a step."""
        lister = Lister(self.config)

        def popular(as_of: Column) -> Mapping[str, Column]:
            lists = {day: lister.popular(self.days.at(day)) for day in dict.fromkeys(as_of)}
            return columns([lists[day] for day in as_of])

        return Leaf(name, DAY, LISTED, popular)


def columns(lists: Sequence[Listed]) -> dict[str, Column]:
    """Return lists as the columns of their contract."""
    return {
        "product_ids": _TEXTS.column([one.product_ids for one in lists]),
        "scores": _RECORD.column([{"values": one.scores} for one in lists]),
        "sources": _TEXTS.column([one.sources for one in lists]),
        "reasons": _TEXTS.column([one.reasons for one in lists]),
        "counts": _RECORD.column([one.counts for one in lists]),
    }
