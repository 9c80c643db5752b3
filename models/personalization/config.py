"""Settings of personalization that its steps and its gate share; imports nothing heavy."""

from collections.abc import Mapping
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.experiments.config import Part
from models.recommend.config import GeneratorsConfig, RankerName, RecommenderConfig
from models.recommend.rules_config import RulesConfig

#: What variants of an experiment call the part of the champion, as its settings have it.
CURRENT = "current"
#: Rankers that need no training.
PLAIN_RANKERS: tuple[RankerName, ...] = ("frequency", "fused", "ease")


class StepsConfig(BaseModel):
    """Settings of the steps from a customer to a list."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    recommender: RecommenderConfig = RecommenderConfig()
    cutoffs: int = Field(
        default=3, ge=1, le=12, description="Past cut-offs that the ranker learns from, beside that of the gate."
    )
    deadline_ms: float | None = Field(
        default=500, gt=0, description="Wall time of a request, ms; a later list is the popular one, flagged."
    )
    rules: RulesConfig = RulesConfig()
    margin_weight: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Order of the candidates: conversion of the place that the ranker gave, times the margin of a "
        "piece (price less unit cost) to this power. 0: by conversion alone; 1: by expected margin. It costs NDCG: "
        "`gate.max_loss` says how much may be lost (docs/personalization.md has what both are worth).",
    )

    @model_validator(mode="after")
    def _leaves_room(self) -> Self:
        if self.recommender.generators.own > self.recommender.candidates:
            raise ValueError("recommender.generators.own must not be more than recommender.candidates")
        return self


class PartsConfig(BaseModel):
    """Other generators and rule sets by name, which variants of an experiment may use; `current` is what serves."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    generators: Mapping[str, GeneratorsConfig] = Field(
        default={},
        description="Candidates of each generator, by name; tables (`ease_penalty`, `factor_size`, ...) are those of "
        "the index, whatever is set here.",
    )
    rules: Mapping[str, RulesConfig] = Field(default={}, description="Rule sets by name.")

    @model_validator(mode="after")
    def _leave_current_alone(self) -> Self:
        if CURRENT in (*self.generators, *self.rules):
            raise ValueError(f"{CURRENT!r} names what the champion and its settings say; choose another name")
        return self

    def names(self, part: Part) -> tuple[str, ...]:
        """Return the names that a variant of this part may use."""
        named = {"generator": self.generators, "ranker": PLAIN_RANKERS, "rules": self.rules}
        return (CURRENT, *named[part])


class RankingLimits(BaseModel):
    """Limits of the gate of lists, on customers whose later products are known."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_customers: int = Field(default=100, ge=10, description="Customers of the comparison, at least.")
    min_coverage: float = Field(
        default=0.02, ge=0, le=1, description="Share of the products that is in any list, at least."
    )
    min_novelty_bits: float = Field(
        default=2.0,
        ge=0,
        description="Mean of -log2 of the share of interactions that a listed product has, at least: lists of nothing "
        "but best sellers have few bits.",
    )
    max_loss: float = Field(
        default=0.0,
        ge=0,
        description="NDCG and recall that lists may lose measurably against popularity, own frequency, EASE, champion.",
    )
    max_part_loss: float = Field(
        default=0.1,
        ge=0,
        description="The same of own and of new products, each by themselves: a list that has more of one has less "
        "of the other.",
    )
    min_segment: int = Field(
        default=100, ge=10, description="Customers of a segment, at least; smaller ones are not compared."
    )
    min_diversity: float = Field(
        default=0.3,
        ge=0,
        le=1,
        description="Mean share of a list's pairs of products that are of different categories, at least; not asked "
        "where the shop has fewer than two categories.",
    )
    max_lost: float = Field(
        default=0.5, ge=0, le=1, description="Share of the best places that rules take from their products, at most."
    )
    confidence: float = Field(default=0.95, gt=0.5, lt=1, description="Of the two-sided paired intervals.")
    resamples: int = Field(default=1_000, ge=100, description="Bootstrap resamples of the customers.")
