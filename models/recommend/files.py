"""Boosters of a ranker as files that run no code when they are read (UBJSON)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from models.errors import TesseraError
from models.recommend.config import RankerName
from models.recommend.rankers import BoostedRanker, Ranker, Trees, simple_ranker
from models.training.ubj_files import is_whole

# XGBoost is only partly typed.
# pyright: basic


def write_trees(ranker: Ranker, folder: Path) -> list[dict[str, float]]:
    """Write the boosters of a ranker to a folder, and return the rest of each; nothing for one that has none."""
    trees = ranker.trees if isinstance(ranker, BoostedRanker) else ()
    for number, each in enumerate(trees):
        each.booster.save_model(folder / _booster_file(number))
    return [{"mean": each.mean, "deviation": each.deviation} for each in trees]


def read_ranker(
    name: RankerName,
    trees: Sequence[Mapping[str, float]],
    folder: Path,
    *,
    ease_weight: float = 0.0,
    wants_weight: float = 0.0,
) -> Ranker:
    """Return the ranker whose trees `write_trees` wrote.

    Raises:
        TesseraError: a booster's file is damaged.
    """
    if not trees:
        return simple_ranker(name)
    read = tuple(Trees(_booster(folder / _booster_file(number)), **each) for number, each in enumerate(trees))
    return BoostedRanker(name, read, ease_weight, wants_weight)


def _booster(file: Path) -> Any:
    import xgboost

    if not is_whole(file):
        raise TesseraError(f"{file} is damaged.", expected="a whole file", todo="Train the ranker again.")
    booster = xgboost.Booster({"nthread": 1})
    booster.load_model(file)
    return booster


def _booster_file(number: int) -> str:
    return f"booster-{number}.ubj"
