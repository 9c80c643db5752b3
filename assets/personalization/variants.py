"""Lists of the variants of an experiment, shuffled where it says so, with the chance of each product's place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from assets.personalization.app import PERSONALIZATION
from assets.stages.experiments.serving import served_experiment
from models.errors import TesseraError
from models.experiments.config import NO_EXPERIMENT
from models.settings import Settings
from resources.lake.port import Lake

if TYPE_CHECKING:
    from models.compose.package import LoadedComposition
    from models.experiments.serving import Experiment
    from models.personalization.config import PartsConfig

#: Columns of a list that belong to its products, one element each.
_OF_PRODUCTS = ("product_ids", "scores", "sources", "reasons")


@dataclass(frozen=True, eq=False)
class Trial:
    """The experiment of a day over the champion; without one every list is the champion's.

    Attributes:
        loaded: the champion.
        experiment: that is served; None: there is none.
        shown_on: day on which the lists are shown.
        config: generators and rule sets by name.
        note: why a request is answered outside of an experiment that should be served; "" if there is no such reason.
    """

    loaded: LoadedComposition
    experiment: Experiment | None
    shown_on: date
    config: PartsConfig
    note: str = ""
    _made: dict[str, LoadedComposition] = field(default_factory=dict, repr=False)

    def variant(self, customer: str) -> str:
        """Return the variant of a customer; `none` outside of an experiment."""
        return self.experiment.variant(customer, self.shown_on) if self.experiment else NO_EXPERIMENT

    def composition(self, variant: str) -> LoadedComposition:
        """Return the composition that makes the lists of a variant."""
        if self.experiment is None:
            return self.loaded
        name = self.experiment.part(variant)
        if name not in self._made:
            self._made[name] = self._built(name)
        return self._made[name]

    def _built(self, name: str) -> LoadedComposition:
        from models.personalization.variants import variant_of

        assert self.experiment is not None  # noqa: S101 - the caller has asked
        before = self.loaded.composition
        found = variant_of(before, self.experiment.settings.part, name, self.config)
        return self.loaded if found is before else replace(self.loaded, composition=found, step=found.step())

    def shown(self, row: Mapping[str, Any], customer: str, variant: str) -> dict[str, Any]:
        """Return a list as it is shown, with experiment, variant and the chance of each product's place."""
        if self.experiment is None:
            chances = [1.0] * len(row["product_ids"])
            return {**row, "experiment": NO_EXPERIMENT, "variant": NO_EXPERIMENT, "propensities": chances}
        shown = self.experiment.shown(tuple(map(str, range(len(row["product_ids"])))), customer, self.shown_on)
        order = [int(one) for one in shown.products]
        return {
            **row,
            **{name: _reordered(row[name], order) for name in _OF_PRODUCTS},
            "experiment": self.experiment.experiment(variant),
            "variant": variant,
            "propensities": list(shown.propensities),
        }


def trial_of(loaded: LoadedComposition, lake: Lake, settings: Settings, as_of: date, *, is_night: bool) -> Trial:
    """Return the experiment of lists that are made as of the end of a day.

    Args:
        loaded: the champion.
        lake: with the decisions on variants.
        settings: of the profile.
        as_of: the day.
        is_night: by the decisions that hold for that night; else by those of now.

    Raises:
        TesseraError: it is a night, and the shares of the experiment are not those that it began with. A request is
            answered by the champion then, with a note.
    """
    shown_on, parts = as_of + timedelta(days=1), settings.personalization.parts
    try:
        found = served_experiment(lake, settings.experiments, PERSONALIZATION.name, as_of, is_night=is_night)
    except TesseraError as error:
        if is_night:
            raise
        return Trial(loaded, None, shown_on, parts, f"no experiment is served: {error.what}")
    return Trial(loaded, found, shown_on, parts)


def _reordered(values: Sequence[Any], order: Sequence[int]) -> list[Any]:
    return [values[place] for place in order]
