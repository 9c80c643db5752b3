"""Context shared by the checks of one gate: hold-out scores and their resamples, each computed on first use."""

from datetime import date
from functools import cached_property
from typing import TypeVar

import numpy as np

from models.evaluation.bootstrap import Interval, Resampling, interval, resampled
from models.evaluation.metric import Metric
from models.evaluation.slices import SliceResult, compare_slices
from models.gates.config import GateConfig
from models.gates.evidence import Champion, GateEvidence, NoChampion
from models.tasks.task import Task
from models.training.dataset import Dataset, Split
from models.training.model import FittedModel, Vector

# pyarrow has no static types.
# pyright: basic

T = TypeVar("T")
CANDIDATE = "candidate"
CHAMPION = "champion"


class MissingEvidence(Exception):
    """A piece of evidence that was not put before the gate."""


def require(value: T | None, what: str) -> T:
    """`value`.

    Raises:
        MissingEvidence: it is None.
    """
    if value is None:
        raise MissingEvidence(f"The gate was not given {what}.")
    return value


class GateContext:
    """The evidence and the limits; scores are checked before anything is made of them."""

    def __init__(self, evidence: GateEvidence, config: GateConfig, task: Task) -> None:
        self.evidence = evidence
        self.config = config
        self.task = task
        self.resampling = Resampling(n=config.n_bootstrap, seed=config.seed, confidence=config.confidence)
        self._drawn: dict[str, Vector] = {}
        self._scores: dict[str, Vector] = {}

    @property
    def split(self) -> Split:
        """Training and hold-out rows."""
        return require(self.evidence.split, "the split")

    @property
    def holdout(self) -> Dataset:
        """The hold-out rows."""
        return self.split.holdout

    @property
    def model(self) -> FittedModel:
        """The candidate."""
        return require(self.evidence.model, "the candidate")

    @property
    def champion(self) -> Champion | None:
        """The champion; None if there is none yet."""
        champion = require(self.evidence.champion, "the champion, nor word that there is none")
        return None if isinstance(champion, NoChampion) else champion

    @property
    def no_champion(self) -> str:
        """Why there is no champion, in words."""
        champion = self.evidence.champion
        return champion.says if isinstance(champion, NoChampion) else ""

    @cached_property
    def holdout_day(self) -> date:
        """Day of the (earliest) hold-out cut-off."""
        return self.holdout.cutoffs.min().astype("datetime64[D]").astype(date)

    def scores(self, name: str) -> Vector:
        """Predictions of the hold-out rows by the candidate, the champion, or a baseline.

        Raises:
            MissingEvidence: there is no such model.
            ValueError: the model does not give what the task asks for, e.g. one probability for each row.
        """
        if name not in self._scores:
            scores = self._score(name)
            if problem := self.task.problem(scores, len(self.holdout)):
                raise ValueError(f"{name} gives {problem}")
            self._scores[name] = np.asarray(scores, dtype=np.float64)
        return self._scores[name]

    @property
    def metric(self) -> str:
        """The metric that models are compared by, in words."""
        return self._metric.words

    def quality(self, name: str) -> Interval:
        """Return the metric of a model on the hold-out, with its interval."""
        value = self._measured(name)
        return interval(value, self._resampled(name), self.config.confidence)

    def lead(self, over: str) -> Interval:
        """Return the metric of the candidate minus that of another model, with its paired interval."""
        value = self._measured(CANDIDATE) - self._measured(over)
        return interval(value, self._resampled(CANDIDATE) - self._resampled(over), self.config.confidence)

    @property
    def reference(self) -> str:
        """Reference that slices are compared with: the champion, or the trained baseline if there is none."""
        return self.evidence.trained_baseline if self.champion is None else CHAMPION

    @cached_property
    def slices(self) -> list[SliceResult]:
        """Every part of the hold-out, the candidate against `reference`."""
        mine, theirs = self.scores(CANDIDATE), self.scores(self.reference)
        held = self.holdout
        return compare_slices(held, mine, theirs, self.task.reference, self.resampling)

    def _score(self, name: str) -> Vector:
        if name == CANDIDATE:
            return self.model.predict(self.holdout.rows)
        if name == CHAMPION:
            return require(self.champion, "a champion").score(self.split.holdout_table)
        return require(require(self.evidence.baselines, "baselines").get(name), f"the baseline {name!r}")

    def _measured(self, name: str) -> float:
        held = self.holdout
        return self._metric.value(held.labels, self.scores(name), held.groups)

    @property
    def _metric(self) -> Metric:
        return self.task.metric(self.config.metric)

    def _resampled(self, name: str) -> Vector:
        if name not in self._drawn:
            holdout = self.holdout
            scores = {name: self.scores(name)}
            self._drawn |= resampled(self._metric, holdout.labels, holdout.groups, scores, self.resampling)
        return self._drawn[name]
