"""The decision at a training whether a language model reads the tickets that the other models are unsure of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.compose.budget import Spending
from models.errors import TesseraError
from models.evaluation.bootstrap import Resampling, mean_interval
from models.support.answers import Answerer
from models.support.composition import asked_last
from models.support.config import IntentModelConfig
from models.support.intent_model import NAME, IntentModelPart, intent_prompt
from models.support.labelled import LabelledTickets
from models.support.training import TrainedTriage
from models.text.intent_training import LINEAR
from models.training.children import ChildFacts
from models.training.model import Vector

_FEWEST = 5


def with_language_model(
    trained: TrainedTriage, tickets: LabelledTickets, answerer: Answerer, config: IntentModelConfig, spending: Spending
) -> tuple[TrainedTriage, str]:
    """Return what was trained, with a language model as the last step if it reads unsure tickets as well, and why.

    Args:
        trained: parts, and the declaration of the intent.
        tickets: that choices are made on; the hold-out stays unseen.
        answerer: the language model.
        config: of the step.
        spending: budget of its calls.
    """
    child = trained.linear if trained.serves == LINEAR else trained.fused
    answers = child.columns(child.scores(list(tickets.texts)))
    unsure, threshold = _unsure(trained, np.asarray(answers["margin"], np.float64), tickets, config.max_share)
    part = _part(trained, answerer, config)
    asked = unsure[: config.measured_tickets]
    if len(asked) < _FEWEST:
        return trained, _left_out(f"{len(asked)} unsure tickets are too few to measure it on")
    said, problem = _said(part, [str(tickets.texts[int(row)]) for row in asked], spending)
    if all(one is None for one in said):
        return trained, _left_out(problem)
    labels = np.array([tickets.intents[row] for row in asked], dtype=object)
    theirs = (np.asarray(answers["intent"], dtype=object)[asked] == labels).astype(np.float64)
    # Where it fails, the other model's answer is kept.
    own = np.array(
        [right if one is None else float(one == label) for one, right, label in zip(said, theirs, labels, strict=True)]
    )
    gain = mean_interval(own - theirs, Resampling(1_000, 0, 0.95))
    numbers = f"{own.mean():.3f} right of {len(own)} unsure tickets, {theirs.mean():.3f} without it (gain {gain})"
    if own.mean() < theirs.mean():
        return trained, _left_out(numbers)
    part = replace(part, confidence=_confidence(said, labels))
    facts = ChildFacts(kind=answerer.name, metrics={"unsure_accuracy": float(own.mean())})
    intent = asked_last(trained.intent, child.kind, threshold, len(unsure) / len(tickets))
    children = {**trained.children, NAME: facts}
    return replace(trained, intent=intent, asked=part, children=children), f"the language model reads: {numbers}"


def _unsure(
    trained: TrainedTriage, margins: Vector, tickets: LabelledTickets, max_share: float
) -> tuple[NDArray[np.intp], float]:
    """Return the tickets of the smallest lead, the smallest first, and the threshold that they are below."""
    reached = np.arange(len(margins))
    if trained.intent["kind"] == "router":
        first = trained.linear.columns(trained.linear.scores(list(tickets.texts)))
        reached = np.flatnonzero(np.asarray(first["margin"]) < trained.intent["thresholds"][0])
    most = int(max_share * len(margins))
    ordered = reached[np.argsort(margins[reached], kind="stable")]
    if most == 0 or not ordered.size:
        return ordered[:0], 0.0
    threshold = (
        float(margins[ordered[most]]) if most < ordered.size else float(np.nextafter(margins[ordered[-1]], np.inf))
    )
    return ordered[margins[ordered] < threshold], threshold


def _said(part: IntentModelPart, texts: Sequence[str], spending: Spending) -> tuple[list[str | None], str]:
    """Return what the model chose for each text, None where it failed, and the first reason."""
    found, problem = list[str | None](), ""
    for text in texts:
        try:
            found.append(part.chosen(text, spending))
        except TesseraError as error:
            found.append(None)
            problem = problem or error.what.rstrip(".")
    return found, problem


def _confidence(said: Sequence[str | None], labels: NDArray[Any]) -> float:
    """Return the share of right answers, one more of each counted (Laplace)."""
    right = [one == label for one, label in zip(said, labels, strict=True) if one is not None]
    return (sum(right) + 1) / (len(right) + 2)


def _part(trained: TrainedTriage, answerer: Answerer, config: IntentModelConfig) -> IntentModelPart:
    labels = tuple(str(label) for label in trained.linear.linear.labels)
    return IntentModelPart(answerer, intent_prompt(labels, trained.words), labels, 0.0, config.max_tokens)


def _left_out(why: str) -> str:
    return f"the language model reads no intents: {why}"
