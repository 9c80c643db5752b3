"""A recommender as files that run no code when they are read: arrays (npz), the booster (UBJSON) and JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import TesseraError
from models.evaluation.bootstrap import Interval
from models.recommend.choice import Choice
from models.recommend.config import RankerName, RecommenderConfig
from models.recommend.generators import Tables
from models.recommend.history import ProductNumbers, Profiles
from models.recommend.rankers import BoostedRanker, Ranker, Trees, simple_ranker
from models.recommend.recommender import Recommender
from models.recommend.sparse import Sparse
from models.training.ubj_files import is_whole

# XGBoost is only partly typed.
# pyright: basic

_ARRAYS, _SAYS = "arrays.npz", "recommender.json"
_PLAIN = ("customers", "products", "segments")


def write_recommender(found: Recommender, folder: Path) -> None:
    """Write a recommender to a folder that exists; equal ones give equal arrays."""
    np.savez(folder / _ARRAYS, **_arrays(found), allow_pickle=False)
    says = {
        "config": found.config.model_dump(mode="json"),
        "repeats": found.repeats,
        "choice": asdict(found.choice),
        "added": list(found.added),
        "trees": write_trees(found.ranker, folder),
    }
    (folder / _SAYS).write_text(json.dumps(says, indent=1, sort_keys=True))


def read_recommender(folder: Path) -> Recommender:
    """Return the recommender that `write_recommender` wrote.

    Raises:
        TesseraError: the booster's file is damaged.
    """
    says = json.loads((folder / _SAYS).read_text())
    with np.load(folder / _ARRAYS, allow_pickle=False) as arrays:
        held = {name: arrays[name] for name in arrays.files}
    config, choice = RecommenderConfig.model_validate(says["config"]), _choice(says["choice"])
    return Recommender(
        config,
        held["customers"],
        held["products"],
        Profiles(**{each.name: held[f"known.{each.name}"] for each in fields(Profiles)}),
        ProductNumbers(**{each.name: held[f"of_products.{each.name}"] for each in fields(ProductNumbers)}),
        _tables(held),
        bool(says["repeats"]),
        read_ranker(choice.name, says["trees"], folder),
        choice,
        held["segments"],
        {name: held[f"added.{name}"] for name in says["added"]},
    )


def write_trees(ranker: Ranker, folder: Path) -> list[dict[str, float]]:
    """Write the boosters of a ranker to a folder, and return the rest of each; nothing for one that has none."""
    trees = ranker.trees if isinstance(ranker, BoostedRanker) else ()
    for number, each in enumerate(trees):
        each.booster.save_model(folder / _booster_file(number))
    return [{"mean": each.mean, "deviation": each.deviation} for each in trees]


def read_ranker(name: RankerName, trees: Sequence[Mapping[str, float]], folder: Path) -> Ranker:
    """Return the ranker whose trees `write_trees` wrote.

    Raises:
        TesseraError: a booster's file is damaged.
    """
    if not trees:
        return simple_ranker(name)
    return BoostedRanker(
        name, tuple(Trees(_booster(folder / _booster_file(number)), **each) for number, each in enumerate(trees))
    )


def _arrays(found: Recommender) -> dict[str, NDArray[Any]]:
    arrays = {name: getattr(found, name) for name in _PLAIN}
    for prefix, held in (("known", found.known), ("of_products", found.of_products)):
        arrays |= {f"{prefix}.{each.name}": getattr(held, each.name) for each in fields(held)}
    for name in ("ease", "walks"):
        table = getattr(found.tables, name)
        arrays |= {f"{name}.{part}": getattr(table, part) for part in ("data", "indices", "indptr")}
    arrays |= {name: getattr(found.tables, name) for name in ("factors", "popular", "new")}
    return arrays | {f"added.{name}": values for name, values in found.added.items()}


def _tables(held: Mapping[str, NDArray[Any]]) -> Tables:
    from scipy.sparse import csr_array

    n = held["products"].size

    def table(name: str) -> Sparse:
        parts = tuple(held[f"{name}.{part}"] for part in ("data", "indices", "indptr"))
        return csr_array(parts, shape=(n, n))

    return Tables(table("ease"), table("walks"), held["factors"], held["popular"], held["new"])


def _choice(says: Mapping[str, Any]) -> Choice:
    return Choice(**{**says, "lead": {name: Interval(**each) for name, each in says["lead"].items()}})


def _booster(file: Path) -> Any:
    import xgboost

    if not is_whole(file):
        raise TesseraError(f"{file} is damaged.", expected="a whole file", todo="Fit the recommender again.")
    booster = xgboost.Booster({"nthread": 1})
    booster.load_model(file)
    return booster


def _booster_file(number: int) -> str:
    return f"booster-{number}.ubj"
