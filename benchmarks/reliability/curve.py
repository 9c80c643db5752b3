"""Hits against false alarms as the limits of the watch are scaled, and its picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from benchmarks.reliability.alarms import Faultless, nights
from benchmarks.reliability.catalogue import MUTATIONS
from benchmarks.reliability.home import prepared
from benchmarks.reliability.mutation import AppName, judged
from benchmarks.reliability.table_checks import USUAL, mutated, said_of
from models.watch.config import WatchConfig
from models.watch.measures import MEASURES, Effect, Measure

#: Factors of the limits; 1 is as shipped.
SCALES = (0.1, 0.2, 0.35, 0.6, 1.0, 1.6, 2.5, 4.0)


def points(app: AppName, shops: Sequence[Faultless]) -> list[dict[str, Any]]:
    """Return for each scale the shares of mutations that are seen and of faultless nights that are called odd."""
    home = prepared(app)
    changed = [(one, mutated(home, one)) for one in MUTATIONS[app]]
    found: list[dict[str, Any]] = []
    for scale in SCALES:
        measures, watch = scaled(scale), scaled_watch(scale)
        results = [judged(one.name, one.words, said_of(home, night, watch, measures)) for one, night in changed]
        seen = sum(one.outcome in ("block", "warn") and one.names_the_cause for one in results)
        quiet = [one.outcome for shop in shops for one in nights(app, shop, measures, scaled_watch(scale, shop.watch))]
        odd = sum(outcome in ("block", "warn") for outcome in quiet)
        point = {"scale": scale, "seen": seen, "mutations": len(results), "odd": odd, "nights": len(quiet)}
        found.append(point | {"blocked": quiet.count("block")})
    return found


def scaled(scale: float) -> Mapping[str, Measure]:
    """Return the measures with effects scaled: differences times the factor, factors to its power."""

    def effect(one: Effect, measure: Measure) -> Effect:
        power = measure.kind in ("count", "amount")
        values = {name: value**scale if power else value * scale for name, value in one.__dict__.items()}
        return Effect(**values)

    return {name: replace(one, effect=effect(one.effect, one)) for name, one in MEASURES.items()}


def scaled_watch(scale: float, watch: WatchConfig = USUAL) -> WatchConfig:
    """Return the settings with margin and budgets scaled: a hundredth of false alarms for limits ten times as wide."""
    budgets = {name: min(20.0, getattr(watch, name) / scale**2) for name in ("warn_budget", "block_budget")}
    return watch.model_copy(update={**budgets, "margin": max(1.0, watch.margin * scale)})


def picture(found: Mapping[str, Sequence[Mapping[str, Any]]], path: str) -> None:
    """Draw the curve of each application; the filled point is the scale that is shipped."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    axes = figure.subplots()
    for app, points_of in found.items():
        alarms = [100 * one["odd"] / one["nights"] for one in points_of]
        hits = [100 * one["seen"] / one["mutations"] for one in points_of]
        (line,) = axes.plot(alarms, hits, marker="o", markerfacecolor="white", label=app)
        shipped = next(place for place, one in enumerate(points_of) if one["scale"] == 1.0)
        axes.plot(alarms[shipped], hits[shipped], marker="o", markersize=9, color=line.get_color())
    axes.set_xlabel("faultless nights that are blocked or warned of, %")
    axes.set_ylabel("mutations seen, %")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=110)
