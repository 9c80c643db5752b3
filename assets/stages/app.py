"""The record of one application: everything that code outside its packages must know about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

from models.errors import TesseraError
from models.scoring.output import OutputContract

if TYPE_CHECKING:
    import pyarrow as pa

    from assets.stages.operation import Operation
    from assets.stages.replacement.plan import ReplacementPlan
    from assets.stages.scoring_task import ScoringTask
    from assets.stages.training_task import TrainingTask
    from models.settings import Settings
    from models.stream_state import StreamState
    from resources.engine.port import Engine
    from resources.lake.port import Lake
    from resources.stack.ports import Ports


def golden_customers(rows: pa.Table) -> list[str]:
    """Return the customers in the golden set of a model with these training rows: `App.golden_ids` of most."""
    from assets.stages.cutoff_training import golden_entities

    return golden_entities(rows, "customer_id")


@dataclass(frozen=True)
class FeatureService:
    """Features of an application that Feast joins and serves by entity.

    Attributes:
        name: of the Feast service.
        view: of the Feast view over the application's feature table.
        entity: key column of the view, e.g. `customer_id`.
        write: computes the features of these days and stores them in the lake.
    """

    name: str
    view: str
    entity: str
    write: Callable[[Lake, Engine, Settings, Sequence[date]], object]


@dataclass(frozen=True)
class App:
    """An application: data only. Functions import what they need when they are called.

    Attributes:
        name: of its packages `assets/<name>` and `pipelines/<name>.py`, its settings, its jobs `<name>_nightly` and
            `<name>_training`, its asset group and its models in the registry.
        title: one line for people.
        made_from: contracted tables that its features are computed from; its scheduled jobs run only if the source
            delivers them.
        beside: contracted tables that it uses where the source delivers them -> days before the day of a run whose rows
            it needs.
        features: lake table of its features.
        training_set: lake table of its training sets, one day (`as_of`) per model.
        golden_ids: ids of the entities whose features are the golden set of a model with these training rows.
        history_days: days before the day of a run whose rows it needs; None: `settings.ingestion.history_days`.
        service: its features by entity; None if it has no Feast service.
        output: contract of the scores that it publishes to the sink; None if it publishes none.
        raises_alerts: it raises alerts that people label.
        state: the state of its stream, which an erasure reaches; None if it has none.
        streams: `tessera stream` scores its events as they come.
        rehearsal: what the parts of its compositions need when they answer golden records, of the profile's ports; None
            if its models are no compositions.
        scoring: its scoring on request, under these settings and over these ports; predictions are those of the night.
        operations: requests that it answers (`tessera serve`), beside those for its published scores; None: no others.
        training: its training task as of the end of a day, of the profile's ports: models that were made elsewhere are
            evaluated with it. None: it takes none.
        replacement: its part of a gradual replacement of the champion, under these settings; None: it has none.
        erases: kinds of entities (`models.erasure.tombstones.ENTITIES`) whose rows it learns from.
    """

    name: str
    title: str
    made_from: tuple[str, ...]
    features: str
    training_set: str
    golden_ids: Callable[[pa.Table], list[str]]
    history_days: Callable[[Settings], int] | None = None
    beside: Mapping[str, Callable[[Settings], int]] = field(default_factory=dict[str, "Callable[[Settings], int]"])
    service: FeatureService | None = None
    output: OutputContract | None = None
    raises_alerts: bool = False
    state: Callable[[], StreamState] | None = None
    streams: bool = False
    rehearsal: Callable[[Ports], Mapping[str, Any]] | None = None
    scoring: Callable[[Settings, Ports], ScoringTask] | None = None
    operations: Callable[[], Sequence[Operation]] | None = None
    training: Callable[[Ports, Settings, date], TrainingTask] | None = None
    replacement: Callable[[Settings], ReplacementPlan] | None = None
    erases: tuple[str, ...] = ("customer",)

    @property
    def tables(self) -> tuple[str, ...]:
        """Contracted tables that it uses, those that a source may lack at the end."""
        return (*self.made_from, *self.beside)

    @property
    def publishes(self) -> bool:
        """It publishes scores to the sink."""
        return self.output is not None

    @property
    def contract(self) -> OutputContract:
        """The contract of the scores that it publishes.

        Raises:
            TesseraError: it publishes none.
        """
        if self.output is None:
            raise TesseraError(
                f"{self.name} publishes no scores.", expected="an application that does", todo="Correct the name."
            )
        return self.output
