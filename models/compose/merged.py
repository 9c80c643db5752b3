"""A merged model as the composition that it is: a fan-out of its members, and a merge.

A fan-out of classifiers is trained, gated, published and explained as one model (`models.training.merged_model`), whose
reasons add up and which scores a table of a million rows as fast as its members do. Here it is put together from steps
again, to be drawn, or joined to other steps; both give the same scores.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from models.compose.fan_out import FanOut
from models.compose.fields import Column, fields
from models.compose.merges import Mean, Stacking
from models.compose.sequence import Sequence as Steps
from models.compose.step import Leaf, Step
from models.training.merged_model import MergedModel, Scale
from models.training.model import FittedModel, Matrix, Vector


def fan_out_of(name: str, model: MergedModel, branches: Sequence[str], columns: int) -> Step:
    """Return the composition of a merged model: `features` (a vector of float32) in, `probability` out.

    Args:
        name: of the composition.
        model: its members are the branches.
        branches: a name for each member, in their order.
        columns: number of features.
    """
    features = f"vector({columns})"
    leaves = {
        branch: _member(branch, member, scale, features)
        for branch, member, scale in zip(branches, model.members, model.scales, strict=True)
    }
    if model.weights is None:
        together: Step = FanOut(f"{name}: parts", leaves, Mean("log_odds"))
        merged = "log_odds"
    else:
        together = FanOut(f"{name}: parts", leaves, Stacking("log_odds", partial(_weighted, model.weights), "stacked"))
        merged = "stacked"

    def calibrated(**found: Column) -> Mapping[str, Column]:
        return {"probability": model.platt(found[merged])}

    chance = fields("Prediction", {"probability": "number"})
    last = Leaf(f"{name}: calibration", fields("Merged", {merged: "number"}), chance, calibrated)
    return Steps(name, [together, last], gives=["probability"])


def _member(name: str, model: FittedModel, scale: Scale, features: str) -> Leaf:
    def log_odds(features: Column) -> Mapping[str, Column]:
        return {"log_odds": scale(model.raw(features.astype(np.float32)))}

    return Leaf(name, fields("Features", {"features": features}), fields("Part", {"log_odds": "number"}), log_odds)


def _weighted(weights: Sequence[float], log_odds: Matrix) -> Vector:
    return log_odds.astype(np.float64) @ np.asarray(weights)
