"""Intent models as steps of a composition."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from models.compose.budget import Estimate
from models.compose.fields import Column, fields
from models.compose.replay import Replay
from models.compose.router import Below, Router
from models.compose.step import FREE, Leaf, Step
from models.text.intents import IntentModel, Scores, predicted

TEXT = fields("Text", {"text": "text"})
INTENT = fields("Intent", {"intent": "text", "confidence": "number", "margin": "number"})


def intent_step(name: str, model: IntentModel, *, cost: Estimate = FREE, version: str = "") -> Leaf:
    """Return an intent model as a step.

    It gives the label of the highest score, that score as `confidence`, and its lead over the second as `margin`:
    confidence tells texts that belong to no label, the margin those that a better model should be asked for.
    """

    def intents(text: Column) -> Mapping[str, Column]:
        scores = model.scores(text.tolist())
        labels = predicted(model, scores).astype(object)
        return {"intent": labels, "confidence": scores.max(axis=1).astype(np.float64), "margin": margin(scores)}

    return Leaf(name, TEXT, INTENT, intents, cost=cost, version=version, cached=bool(version))


def margin(scores: Scores) -> NDArray[np.float64]:
    """Return the lead of the highest score over the second one, shape `(n_texts,)`; 0 of models of one label."""
    if scores.shape[1] < 2:
        return np.zeros(scores.shape[0])
    two = np.partition(scores, -2, axis=1)[:, -2:]
    return (two[:, 1] - two[:, 0]).astype(np.float64)


def intent_router(name: str, cheap: Step, dear: Step, threshold: float, share: float) -> Router:
    """Return a router that asks `dear` where the lead of the cheap answer is below `threshold`.

    `share`: expected share of texts that it is asked for, from the calibration.
    """
    return Router(name, [cheap, dear], Below("margin", (threshold,)), shares=(share,))


def intent_replay(
    cheap: Scores, dear: Scores, right: NDArray[np.int64], *, cheap_cost: float, dear_cost: float
) -> Replay:
    """Return the replay of a cheap and a dear model's scores of the same texts.

    Args:
        cheap: scores of the cheap model, shape `(n_texts, n_labels)`, of texts that it was not trained on.
        dear: of the dear model.
        right: column of the right label of each text, shape `(n_texts,)`.
        cheap_cost: of a text.
        dear_cost: of a text, in the same unit.
    """
    n = right.size
    return Replay(
        margin(cheap),
        (cheap.argmax(axis=1) == right).astype(np.float64),
        (dear.argmax(axis=1) == right).astype(np.float64),
        np.full(n, cheap_cost),
        np.full(n, dear_cost),
    )
