"""The training task that an application defines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa

from models.gates.config import GateConfig
from models.scoring.config import DriftConfig
from models.settings import TrainerSettings
from models.training.agreement import RefitConfig

if TYPE_CHECKING:
    from models.features.leakage import Recomputed
    from models.scoring.growth import HomeHistory
    from models.training.candidates import Candidate
    from models.training.dataset import Split, Whole
    from models.training.encoding import Encoder
    from models.training.model import FittedModel

#: The trained baseline where an application names no other.
BASELINE = TrainerSettings(kind="logistic_regression")

#: File of the model package that remembers how its features looked.
DRIFT = "drift.json"


@dataclass(frozen=True)
class TrainingTask:
    """An application's training task: its training rows, and the rows and limits it is evaluated with.

    Attributes:
        app: its name, e.g. `churn`.
        service: the feature service that the model reads.
        holdout: the days of the hold-out, in words.
        split: rows to learn from, rows to be judged on.
        features: columns that are learnt from.
        newest: rows as the features looked last: what scores are held against for drift.
        baseline: trainer of the baseline on all features; one of the candidates if they list its kind.
        baselines: name -> the one feature that it goes by; the candidate must not be behind it.
        recomputed: features of some past cut-offs, computed again from nothing but what was known then.
        gate: limits.
        drift: limits of drift.
        extras: further files of the model package, from the model that was chosen.
        refit: whether the judged settings are refit, and how far the refit may be from the judged model.
        whole: makes the rows of the refit: all whose label is known. None: there is no refit.
        tonight: feature rows that neither the judged model nor its refit has seen.
        refit_extras: further files of the refit's package, from its model and encoder.
        history: history behind the rows `newest`, where features grow with it.
    """

    app: str
    service: str
    holdout: str
    split: Split
    features: Sequence[str]
    newest: pa.Table
    baselines: Mapping[str, str]
    recomputed: Recomputed | None
    gate: GateConfig
    drift: DriftConfig
    baseline: TrainerSettings = BASELINE
    extras: Callable[[Candidate], Mapping[str, str]] = lambda _: {}
    refit: RefitConfig = field(default_factory=RefitConfig)
    whole: Callable[[], Whole] | None = None
    tonight: pa.Table | None = None
    refit_extras: Callable[[FittedModel, Encoder], Mapping[str, str]] = lambda *_: {}
    history: HomeHistory | None = None
