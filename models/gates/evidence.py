"""Evidence that a gate decides on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date

import pyarrow as pa

from models.features.leakage import Recomputed
from models.gates.label_record import LABEL_RECORD, LabelRecord
from models.training.candidates import ShuffledControl
from models.training.dataset import Split
from models.training.model import FittedModel, Vector
from models.training.model_package import LoadedModel

# pyarrow has no static types.
# pyright: basic


@dataclass(frozen=True)
class NoChampion:
    """Said on purpose: the registry was asked, and there is nothing to compare with."""

    says: str = "there is no champion yet"


@dataclass(frozen=True)
class Champion:
    """The champion, or its evaluated settings trained on the candidate's rows.

    Attributes:
        version: of the champion.
        label_end: last day that any training label of `score` looked at.
        train_cutoffs: days of its training cut-offs.
        score: gives the probability of each row of a table of features.
        says: what is compared, in words; empty for the champion as it is.
        is_renewed: the candidate has its settings, trained on newer rows.
        recorded: labels and relations of features to them as its evaluation found them; None: it kept none.
    """

    version: str
    label_end: date
    train_cutoffs: tuple[date, ...]
    score: Callable[[pa.Table], Vector]
    says: str = ""
    is_renewed: bool = False
    recorded: LabelRecord | None = None


@dataclass(frozen=True)
class GateEvidence:
    """Everything that is put before the gate. None means missing, and a missing piece fails its check.

    Attributes:
        name: of the candidate, e.g. `xgboost`.
        model: the candidate.
        split: rows it was trained on, rows it was not.
        baselines: probabilities of the hold-out rows by simple models, that of `trained_baseline` among them.
        champion: the champion, or `NoChampion()`.
        control: what the candidate's trainer made of shuffled labels.
        size_bytes: of the candidate's package.
        loads: reads the package back as a night will; gives the number of golden rows that it scores as in training, or
            raises.
        recomputed: features of some past cut-offs, computed again from nothing but what was known then.
        plain_features: features that are known to be honest: those that the simple baselines go by.
        trained_baseline: name of the baseline that was trained on all features; the others go by one feature each.
        trained_until: last day that a label of the candidate's training looked at, as an importer states it; None: it
            was trained on the rows of the split.
    """

    name: str
    model: FittedModel | None
    split: Split | None
    baselines: Mapping[str, Vector] | None
    champion: Champion | NoChampion | None
    control: ShuffledControl | None
    size_bytes: int | None
    loads: Callable[[], int] | None
    recomputed: Recomputed | None = None
    plain_features: tuple[str, ...] = ()
    trained_baseline: str = "logistic_regression"
    trained_until: date | None = None


def champion_from(version: str, loaded: LoadedModel) -> Champion:
    """Return the champion, from its package."""
    card = loaded.card
    return Champion(version, card.label_end, card.train_cutoffs, loaded.score, recorded=recorded_labels(loaded))


def recorded_labels(loaded: LoadedModel) -> LabelRecord | None:
    """Return the record of labels that a package holds; None of packages that were made before there was one."""
    text = loaded.extras.get(LABEL_RECORD)
    return LabelRecord.model_validate_json(text) if text else None
