"""Parts of the composition of personalization: each is kept as files, read again, and used as a step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np

from models.compose.fields import Column, FieldType
from models.compose.step import Leaf, Step
from models.personalization.candidates import Source, merged, own_products
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
from models.recommend.rules_config import RulesConfig

_TEXT, _TEXTS, _RECORD = (FieldType(name) for name in ("text", "texts", "record"))
#: Need of every part that reads what is known of a day.
KNOWN = "known"


@dataclass(frozen=True)
class ProfilePart:
    """The customer: place among the known ones, and country."""

    days: Days

    loader: ClassVar = "models.personalization.parts:ProfilePart.read"
    needs: ClassVar[tuple[str, ...]] = (KNOWN,)

    @classmethod
    def read(cls, folder: Path, saved: Mapping[str, Any], resources: Mapping[str, Any]) -> ProfilePart:  # noqa: ARG003
        """Return the part, over what is known now."""
        return cls(resources[KNOWN])

    def save(self, folder: Path) -> Mapping[str, Any]:  # noqa: ARG002 - it has no files
        """Describe it."""
        return {}

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
class ContextPart:
    """Products of this visit, the newest first; events of products that the shop does not know are counted."""

    days: Days

    loader: ClassVar = "models.personalization.parts:ContextPart.read"
    needs: ClassVar[tuple[str, ...]] = (KNOWN,)

    @classmethod
    def read(cls, folder: Path, saved: Mapping[str, Any], resources: Mapping[str, Any]) -> ContextPart:  # noqa: ARG003
        """Return the part, over what is known now."""
        return cls(resources[KNOWN])

    def save(self, folder: Path) -> Mapping[str, Any]:  # noqa: ARG002 - it has no files
        """Describe it."""
        return {}

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
    most: int
    popular: int
    new: int

    loader: ClassVar = "models.personalization.parts:CandidatesPart.read"
    needs: ClassVar[tuple[str, ...]] = (KNOWN,)

    @classmethod
    def read(cls, folder: Path, saved: Mapping[str, Any], resources: Mapping[str, Any]) -> CandidatesPart:  # noqa: ARG003
        """Return the part, over what is known now."""
        return cls(resources[KNOWN], **saved)

    def save(self, folder: Path) -> Mapping[str, Any]:  # noqa: ARG002 - it has no files
        """Describe it."""
        return {"most": self.most, "popular": self.popular, "new": self.new}

    def step(self, name: str) -> Step:
        """Return it as a step."""

        def candidates(as_of: Column, customer: Column, country: Column, context: Column) -> Mapping[str, Column]:
            rows = zip(as_of, customer, country, context, strict=True)
            return {"candidates": _RECORD.column([self._of(self.days.at(day), *row) for day, *row in rows])}

        return Leaf(name, GATHERED, CANDIDATES, candidates)

    def _of(self, known: Known, customer: int, country: str, context: Mapping[str, Any]) -> dict[str, Any]:
        popular = known.popular.get(country, known.popular[""])
        own = own_products(known, customer)[0][: self.most - self.popular - self.new]
        found = {
            "visit": np.array(context["products"], dtype=np.int64),
            "own": own,
            "new": known.new[: self.new],
            "popular": popular[: self.most],
        }
        products, sources = merged(cast("dict[Source, Any]", found), self.most)
        return {"products": products, "sources": sources}


@dataclass(frozen=True)
class FrequencyPart:
    """The order of what customers took before: products of the visit, own ones by their number, then the popular."""

    days: Days

    loader: ClassVar = "models.personalization.parts:FrequencyPart.read"
    needs: ClassVar[tuple[str, ...]] = (KNOWN,)

    @classmethod
    def read(cls, folder: Path, saved: Mapping[str, Any], resources: Mapping[str, Any]) -> FrequencyPart:  # noqa: ARG003
        """Return the part, over what is known now."""
        return cls(resources[KNOWN])

    def save(self, folder: Path) -> Mapping[str, Any]:  # noqa: ARG002 - it has no files
        """Describe it."""
        return {}

    def step(self, name: str) -> Step:
        """Return it as a step."""

        def ranked(
            as_of: Column, customer: Column, country: Column, context: Column, candidates: Column
        ) -> Mapping[str, Column]:
            del country
            rows = zip(as_of, customer, context, candidates, strict=True)
            return {"ranked": _RECORD.column([self._of(self.days.at(day), *row) for day, *row in rows])}

        return Leaf(name, RANKING, RANKED, ranked)

    def _of(
        self, known: Known, customer: int, context: Mapping[str, Any], candidates: Mapping[str, Any]
    ) -> dict[str, Any]:
        products = candidates["products"]
        recent = known.history.of_products.recent[products].astype(np.float64)
        scores = recent / (1 + known.history.of_products.recent.max(initial=0.0))
        own, count = own_products(known, customer)
        order = np.argsort(own)
        place = np.searchsorted(own[order], products)
        is_own = np.isin(products, own)
        scores[is_own] += count[order][place[is_own]]
        scores += 1000.0 * np.isin(products, context["carted"]) + 500.0 * np.isin(products, context["products"])
        best = np.lexsort((products, -scores))
        return {"products": products[best], "sources": candidates["sources"][best], "scores": scores[best]}


@dataclass(frozen=True)
class RulesPart:
    """The rules: they have the last word, and what they remove is filled with what is popular."""

    days: Days
    config: RulesConfig

    loader: ClassVar = "models.personalization.parts:RulesPart.read"
    needs: ClassVar[tuple[str, ...]] = (KNOWN,)

    @classmethod
    def read(cls, folder: Path, saved: Mapping[str, Any], resources: Mapping[str, Any]) -> RulesPart:  # noqa: ARG003
        """Return the part, over what is known now."""
        return cls(resources[KNOWN], RulesConfig.model_validate(saved["rules"]))

    def save(self, folder: Path) -> Mapping[str, Any]:  # noqa: ARG002 - it has no files
        """Describe it."""
        return {"rules": self.config.model_dump(mode="json")}

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
class PopularPart:
    """The list where steps failed: what is popular in the shop, after the rules; it needs nothing of the customer."""

    days: Days
    config: RulesConfig

    loader: ClassVar = "models.personalization.parts:PopularPart.read"
    needs: ClassVar[tuple[str, ...]] = (KNOWN,)

    @classmethod
    def read(cls, folder: Path, saved: Mapping[str, Any], resources: Mapping[str, Any]) -> PopularPart:  # noqa: ARG003
        """Return the part, over what is known now."""
        return cls(resources[KNOWN], RulesConfig.model_validate(saved["rules"]))

    def save(self, folder: Path) -> Mapping[str, Any]:  # noqa: ARG002 - it has no files
        """Describe it."""
        return {"rules": self.config.model_dump(mode="json")}

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
