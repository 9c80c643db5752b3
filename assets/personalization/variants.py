"""Lists of the variants of experiments, shuffled where one says so, with the chance of each product's place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from assets.personalization.app import PERSONALIZATION
from assets.stages.experiments.serving import served_experiments
from models.errors import TesseraError
from models.experiments.config import NO_EXPERIMENT, Part
from models.experiments.serving import Dealt
from models.settings import Settings
from resources.lake.port import Lake

if TYPE_CHECKING:
    from models.compose.package import LoadedComposition
    from models.experiments.serving import Experiments
    from models.personalization.config import PartsConfig

#: Columns of a list that belong to its products, one element each.
_OF_PRODUCTS = ("product_ids", "scores", "sources", "reasons")


@dataclass(frozen=True, eq=False)
class Trial:
    """The experiments of a day over the champion; without one every list is the champion's.

    Attributes:
        loaded: the champion.
        experiments: that are served; None: there is none.
        shown_on: day on which the lists are shown.
        config: generators and rule sets by name.
        note: why a request is answered outside of an experiment that should be served; "" if there is no such reason.
    """

    loaded: LoadedComposition
    experiments: Experiments | None
    shown_on: date
    config: PartsConfig
    note: str = ""
    _made: dict[Any, LoadedComposition] = field(default_factory=dict, repr=False)

    def dealt(self, customer: str) -> Dealt:
        """Return the experiments and variants of a customer."""
        if self.experiments is None:
            return Dealt(NO_EXPERIMENT, NO_EXPERIMENT, ())
        return self.experiments.dealt(customer, self.shown_on)

    def composition(self, dealt: Dealt) -> LoadedComposition:
        """Return the composition that makes the lists of customers who have these parts."""
        if dealt.parts not in self._made:
            self._made[dealt.parts] = self._built(dealt.parts)
        return self._made[dealt.parts]

    def _built(self, parts: Sequence[tuple[Part, str]]) -> LoadedComposition:
        from models.personalization.variants import variant_of

        before = found = self.loaded.composition
        for kind, name in parts:
            found = variant_of(found, kind, name, self.config)
        return self.loaded if found is before else replace(self.loaded, composition=found, step=found.step())

    def shown(self, row: Mapping[str, Any], customer: str, dealt: Dealt) -> dict[str, Any]:
        """Return a list as it is shown, with experiments, variants and the chance of each product's place."""
        names = {"experiment": dealt.experiment, "variant": dealt.variant}
        if self.experiments is None:
            return {**row, **names, "propensities": [1.0] * len(row["product_ids"])}
        places = tuple(map(str, range(len(row["product_ids"]))))
        shown = self.experiments.shown(places, customer, self.shown_on)
        order = [int(one) for one in shown.products]
        moved = {name: _reordered(row[name], order) for name in _OF_PRODUCTS}
        return {**row, **moved, **names, "propensities": list(shown.propensities)}


def trial_of(loaded: LoadedComposition, lake: Lake, settings: Settings, as_of: date, *, is_night: bool) -> Trial:
    """Return the experiments of lists that are made as of the end of a day.

    Args:
        loaded: the champion.
        lake: with the decisions on variants.
        settings: of the profile.
        as_of: the day.
        is_night: by the decisions that hold for that night; else by those of now.

    Raises:
        TesseraError: it is a night, and the shares of an experiment are not those that it began with. A request is
            answered by the champion then, with a note.
    """
    shown_on, parts = as_of + timedelta(days=1), settings.personalization.parts
    try:
        found = served_experiments(lake, settings.experiments, PERSONALIZATION.name, as_of, is_night=is_night)
    except TesseraError as error:
        if is_night:
            raise
        return Trial(loaded, None, shown_on, parts, f"no experiment is served: {error.what}")
    return Trial(loaded, found, shown_on, parts)


def _reordered(values: Sequence[Any], order: Sequence[int]) -> list[Any]:
    return [values[place] for place in order]
