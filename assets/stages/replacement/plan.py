"""An application's part of a replacement: limits and costs, the decision, labels once they have matured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from models.replacement.config import ReplacementConfig
from resources.engine.port import Engine
from resources.lake.port import Lake

if TYPE_CHECKING:
    import pyarrow as pa

    from models.replacement.comparison import Decide


@dataclass(frozen=True)
class MaturedLabels:
    """Labels of scored entities.

    Attributes:
        horizon_days: days after the scored day that a label looks at.
        entity: key column.
        label: column of the labels: 0 or 1, or numbers in the unit of the scores.
        of: gives `entity` and `label` of the entities of a table that were scored on a day, as known at the end of
            another one.
    """

    horizon_days: int
    entity: str
    label: str
    of: Callable[[Lake, Engine, pa.Table, date, date], pa.Table]


@dataclass(frozen=True)
class ReplacementPlan:
    """A replacement of one application.

    Attributes:
        config: steps, limits, costs.
        decide: rows that are acted on, from the scores of a day; None: scores are numbers, whose errors are compared.
        labels: None: the application has none.
    """

    config: ReplacementConfig
    decide: Decide | None
    labels: MaturedLabels | None = None
