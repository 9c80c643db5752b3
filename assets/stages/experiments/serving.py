"""The experiments that an application serves on a day, with the variants that are stopped."""

from __future__ import annotations

from datetime import date, timedelta

from assets.stages.experiments.decisions import decisions_on, require_same_design
from models.experiments.config import ExperimentsConfig
from models.experiments.decisions import stops
from models.experiments.serving import Experiment, Experiments
from resources.lake.port import Lake


def served_experiments(
    lake: Lake, config: ExperimentsConfig, app: str, as_of: date, *, is_night: bool
) -> Experiments | None:
    """Return the experiments by which lists of a day are made; None: the application has none on that day.

    Lists that are made as of the end of a day are shown on the next one.

    Args:
        lake: with the decisions.
        config: experiments of the profile.
        app: the application.
        as_of: day at whose end the shop is known.
        is_night: by the decisions that hold for that night, so that a re-run gives the same; else by those of now.

    Raises:
        TesseraError: the shares of one are not those that it began with.
    """
    shown_on = as_of + timedelta(days=1)
    found: list[Experiment] = []
    for name, settings in config.trials.items():
        if settings.app == app and settings.first_day <= shown_on <= settings.last_day:
            require_same_design(lake, name, settings, shown_on)
            stopped = stops(decisions_on(lake, name), as_of if is_night else None)
            found.append(Experiment(name, settings, stopped=stopped))
    return Experiments(found) if found else None
