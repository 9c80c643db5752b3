"""A picture of an experiment: its effect over the days, and every metric as it is now."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from models.evaluation.curves import COLOURS, INK, framed
from models.experiments.effects import Effect
from models.experiments.evaluation import Evaluation

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# matplotlib's types are incomplete.
# pyright: basic


#: Colours of effects that decide something; the others are open.
_COLOURS_OF_STATES = {"better": "#2e8540", "kept": "#2e8540", "worse": "#b3261e", "broken": "#b3261e"}


def experiment_png(found: Evaluation) -> bytes:
    """Return a PNG of about 1060 x 380 pixels."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.6, 3.8), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    path, forest = figure.subplots(1, 2)
    _draw_path(path, found)
    _draw_metrics(forest, [one for one in found.effects if one.has_interval])
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _draw_path(axes: Axes, found: Evaluation) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    variants = list(dict.fromkeys(one.variant for one in found.effects))
    for index, variant in enumerate(variants):
        days = [(day.day, one) for day in found.path for one in day.effects if one.variant == variant]
        shown = [(day, one.effect) for day, one in days if one.has_interval]
        if shown:
            at, effects = zip(*shown, strict=True)
            colour = COLOURS[index % len(COLOURS)]
            axes.fill_between(at, [e.low for e in effects], [e.high for e in effects], color=colour, alpha=0.2, lw=0)
            axes.plot(at, [e.value for e in effects], color=colour, lw=2, label=variant)
    axes.axhline(0, color=INK, lw=0.8, ls=":")
    metric = found.effects[0].metric if found.effects else ""
    framed(axes, f"{found.name}: {metric} per unit, less control", "as of the end of each day, UTC", "effect")
    if variants and axes.lines[1:]:
        axes.legend(fontsize=8, frameon=False)
        locator = AutoDateLocator(maxticks=6)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    else:
        axes.text(0.5, 0.5, "too few mature units for an interval", transform=axes.transAxes, ha="center", color=INK)


def _draw_metrics(axes: Axes, effects: list[Effect]) -> None:
    """Draw effects as shares of the control's mean; a guardrail's limit is a small line, a broken one is red."""
    from matplotlib.ticker import PercentFormatter

    for place, one in enumerate(reversed(effects)):
        scale, colour = abs(one.control_mean) or 1.0, _COLOURS_OF_STATES.get(one.state, COLOURS[0])
        axes.plot(np.array([one.effect.low, one.effect.high]) / scale, [place, place], color=colour, lw=2)
        axes.plot([one.effect.value / scale], [place], "o", color=colour, ms=5)
        if one.limit is not None:
            axes.plot([one.limit / scale] * 2, [place - 0.2, place + 0.2], color=INK, lw=1.2)
            axes.annotate("limit", (one.limit / scale, place + 0.22), ha="center", fontsize=7, color=INK)
    names = [f"{one.metric}\n{one.variant}: {one.state}" for one in reversed(effects)]
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(-0.5, max(len(names), 1) - 0.4)
    axes.axvline(0, color=INK, lw=0.8, ls=":")
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    framed(axes, "Effect on each metric now", "of the control's mean, intervals over all looks", "")
