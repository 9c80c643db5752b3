"""Intents and urgency as parts of a composition: trained models with their thresholds and calibration."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from models.compose.budget import Estimate
from models.compose.call import Call
from models.compose.fields import Column, FieldType
from models.compose.step import Leaf, Step
from models.support.fields import INTENT, TEXT, URGENCY
from models.text.embedder import Embedder
from models.text.intent_files import read_embedding, read_linear, write_embedding, write_linear
from models.text.intent_steps import margin
from models.text.intents import EmbeddingIntents, IntentModel, LinearIntents, Scores, fused
from models.text.out_of_scope import OUT_OF_SCOPE
from models.training.model import Vector

_RECORD = FieldType("record")
IntentKind = Literal["linear", "fused"]
_ADDRESS = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_NUMBER = re.compile(r"\d{4,}")
_SHARPNESS = (0.25, 0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0)
#: Labels that an answer lists with their shares.
_GUESSES = 5


def masked(text: str) -> str:
    """Return a text without addresses and long numbers: a model must not keep them among its terms."""
    return _NUMBER.sub("0000", _ADDRESS.sub("name@example.org", text))


@dataclass(frozen=True)
class Calibration:
    """Probability that a label is right, of its score and its margin: logistic, fitted on texts held out.

    `sharpness` is that of the softmax of all scores, which says how likely the other labels are.
    """

    intercept: float
    by_score: float
    by_margin: float
    sharpness: float = 1.0

    def probability(self, scores: Scores) -> Vector:
        """Return the probability of each row's best label, 0 to 1."""
        logit = self.intercept + self.by_score * scores.max(axis=1) + self.by_margin * margin(scores)
        return 1 / (1 + np.exp(-np.clip(logit, -40, 40)))

    def shares(self, scores: Scores) -> Scores:
        """Return the probability of each label in each row, shape `(n_texts, n_labels)`."""
        return softmax(scores * self.sharpness)


def softmax(scores: Scores) -> Scores:
    """Return shares of each row that add up to 1."""
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


def best_sharpness(scores: Scores, columns: NDArray[np.intp]) -> float:
    """Return the sharpness of the softmax under which the labels at `columns` are the likeliest, of `_SHARPNESS`."""
    if not len(columns):
        return 1.0
    rows = np.arange(len(columns))
    loss = {
        sharpness: -np.log(np.maximum(softmax(scores * sharpness)[rows, columns], 1e-12)).mean()
        for sharpness in _SHARPNESS
    }
    return min(_SHARPNESS, key=lambda sharpness: loss[sharpness])


@dataclass(frozen=True)
class IntentPart:
    """A model of intents. A text whose best score is below the threshold belongs to no intent (`oos`).

    Attributes:
        kind: `linear`, TF-IDF alone; `fused`, with a head on an embedder.
        linear: the TF-IDF model.
        embedded: the head; None of a linear part.
        weight: of the margins in the fusion.
        threshold: of the best score.
        calibration: of the probability that the label is right.
        cost: expected, of a text.
        digest: of its files; "" before it is saved: nothing that it gives is kept then.
    """

    kind: IntentKind
    linear: LinearIntents
    embedded: EmbeddingIntents | None
    weight: float
    threshold: float
    calibration: Calibration
    cost: Estimate
    digest: str = ""

    loader: ClassVar = "models.support.intent_part:IntentPart.read"

    @property
    def needs(self) -> tuple[str, ...]:
        """Resources that it uses."""
        return ("embedder",) if self.embedded is not None else ()

    @classmethod
    def read(cls, folder: Path, saved: Mapping[str, Any], resources: Mapping[str, Any]) -> IntentPart:
        """Return the part that `save` wrote.

        Raises:
            TesseraError: it was trained on vectors of another embedder.
        """
        embedded = None
        if "embedder" in saved:
            embedded = read_embedding(folder / "embedded", saved["embedder"], resources["embedder"])
        return cls(
            saved["kind"],
            read_linear(folder / "linear"),
            embedded,
            float(saved["weight"]),
            float(saved["threshold"]),
            Calibration(**saved["calibration"]),
            Estimate(**saved["cost"]),
            _digest(folder, saved),
        )

    def save(self, folder: Path) -> Mapping[str, Any]:
        """Write both models, and describe the rest."""
        (folder / "linear").mkdir()
        write_linear(self.linear, folder / "linear")
        found: dict[str, Any] = {
            "kind": self.kind,
            "weight": self.weight,
            "threshold": self.threshold,
            "calibration": vars(self.calibration),
            "cost": vars(self.cost),
        }
        if self.embedded is not None:
            (folder / "embedded").mkdir()
            found["embedder"] = dict(write_embedding(self.embedded, folder / "embedded"))
        return found

    def step(self, name: str) -> Step:
        """Return it as a step."""

        def read(text: Column, call: Call) -> Mapping[str, Column]:
            return self.columns(self.scores(text.tolist(), call))

        # To look a text up takes longer than the linear model does.
        kept = self.embedded is not None and bool(self.digest)
        return Leaf(name, TEXT, INTENT, read, cost=self.cost, version=self.digest, cached=kept, wants_call=True)

    def scores(self, texts: list[str], call: Call | None = None) -> Scores:
        """Return a score of each text and intent; vectors of a paid embedder are paid by the call."""
        plain = [masked(text) for text in texts]
        scores = self.linear.scores(plain)
        if self.embedded is None:
            return scores
        vectors = _embedded(self.embedded.embedder, plain, call)
        return fused(scores, self.embedded.scores_of(vectors), self.weight)

    def columns(self, scores: Scores) -> Mapping[str, Column]:
        """Return the fields of an answer, of the scores of its text."""
        in_scope = scores.max(axis=1) >= self.threshold
        labels = self.linear.labels[scores.argmax(axis=1)].astype(object)
        return {
            "intent": np.where(in_scope, labels, OUT_OF_SCOPE).astype(object),
            "in_scope": in_scope,
            "confidence": self.calibration.probability(scores),
            "margin": margin(scores),
            "guesses": _RECORD.column(self._guesses(scores)),
        }

    def _guesses(self, scores: Scores) -> list[dict[str, float]]:
        """Return the likeliest labels of each text with their shares, the first one first."""
        shares = self.calibration.shares(scores)
        best = np.argsort(-shares, axis=1, kind="stable")[:, :_GUESSES]
        return [
            {str(self.linear.labels[at]): round(float(row[at]), 6) for at in places}
            for row, places in zip(shares, best, strict=True)
        ]


def _digest(folder: Path, saved: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a part's files and of what is saved of it."""
    found = hashlib.sha256(json.dumps(saved, sort_keys=True, default=str).encode())
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        found.update(file.relative_to(folder).as_posix().encode() + b"\0")
        found.update(file.read_bytes())
    return found.hexdigest()


def _embedded(embedder: Embedder, texts: list[str], call: Call | None) -> Any:
    # Only the port's wrapper has a budget; embedders of this machine cost nothing.
    return embedder.layers(texts) if call is None else embedder.layers(texts, spending=call.spending)  # pyright: ignore


@dataclass(frozen=True)
class UrgencyPart:
    """Probability that a ticket is urgent; missing where too few labels say so (`model` is None)."""

    model: LinearIntents | None
    calibration: Calibration

    loader: ClassVar = "models.support.intent_part:UrgencyPart.read"
    needs: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def read(cls, folder: Path, saved: Mapping[str, Any], resources: Mapping[str, Any]) -> UrgencyPart:  # noqa: ARG003
        """Return the part that `save` wrote."""
        model = read_linear(folder) if saved["is_trained"] else None
        return cls(model, Calibration(**saved["calibration"]))

    def save(self, folder: Path) -> Mapping[str, Any]:
        """Write the model, and describe the rest."""
        if self.model is not None:
            write_linear(self.model, folder)
        return {"is_trained": self.model is not None, "calibration": vars(self.calibration)}

    def step(self, name: str) -> Step:
        """Return it as a step."""

        def urgency(text: Column) -> Mapping[str, Column]:
            return {"urgency": self.probability([masked(one) for one in text])}

        return Leaf(name, TEXT, URGENCY, urgency)

    def probability(self, texts: list[str]) -> Vector:
        """Return the probability of each text, NaN where it is unknown."""
        if self.model is None:
            return np.full(len(texts), np.nan)
        scores = self.model.scores(texts)
        logit = self.calibration.intercept + self.calibration.by_score * scores[:, 1]
        return 1 / (1 + np.exp(-np.clip(logit, -40, 40)))


def scores_of(model: IntentModel, texts: list[str]) -> Scores:
    """Return the scores of texts without addresses and long numbers."""
    return model.scores([masked(text) for text in texts])
