"""Variants of the composition: another generator, ranker or rule set in the place of the champion's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from models.compose.package import Composition
from models.experiments.config import Part as PartKind
from models.personalization.composition import personalization
from models.personalization.config import CURRENT, PartsConfig, StepsConfig
from models.personalization.margin import MarginOrder
from models.personalization.parts import CandidatesPart, FrequencyPart, RankerPart, RulesPart
from models.recommend.rankers import EaseRanker, FusedRanker


def variant_of(champion: Composition, kind: PartKind, name: str, config: PartsConfig) -> Composition:
    """Return the champion's composition with one part in the place of its own.

    Args:
        champion: the composition that serves.
        kind: of the part.
        name: of the part: `current`, a ranker without training, or a name in `config`.
        config: generators and rule sets by name.
    """
    if name == CURRENT:
        return champion
    candidates = cast("CandidatesPart", champion.parts["candidates"])
    by_margin = cast("FrequencyPart", champion.parts["frequency"]).by_margin
    rules, recommender = cast("RulesPart", champion.parts["rules"]).config, candidates.config
    rankers: Mapping[str, Any] = {one: each for one, each in champion.parts.items() if isinstance(each, RankerPart)}
    if kind == "generator":
        recommender = recommender.model_copy(update={"generators": config.generators[name]})
    elif kind == "rules":
        rules = config.rules[name]
    else:
        rankers = _plain(name, by_margin)
    steps = StepsConfig(recommender=recommender, rules=rules)
    return personalization(rankers, candidates.days, candidates.items, steps, by_margin)


def _plain(name: str, by_margin: MarginOrder | None) -> Mapping[str, Any]:
    """Return a ranker without training as parts of a composition; own frequency is always behind them."""
    made: Mapping[str, Any] = {"fused": FusedRanker, "ease": EaseRanker}
    return {name: RankerPart(made[name](), by_margin)} if name in made else {}
