"""Checks of the gate that every task asks, one function each; a check that raises is a check that failed."""

import time
from collections.abc import Callable
from datetime import date

import numpy as np

from models.evaluation.slices import SliceResult
from models.gates.check import GateCheck
from models.gates.context import CANDIDATE, CHAMPION, GateContext, require
from models.training.dataset import Dataset

_LATENCY_ROWS = 2_000
_LATENCY_REPEATS = 5


def absolute_floor(context: GateContext) -> GateCheck:
    """Check that the lower end of the metric's interval reaches the floor."""
    found, limit = context.quality(CANDIDATE), context.config.min_quality
    says = f"{context.metric} {found}; the lower end must reach {limit:g}"
    return GateCheck("absolute_floor", found.low >= limit, found.low, limit, says)


def baseline(context: GateContext) -> GateCheck:
    """Check that no simple baseline is measurably ahead of the candidate."""
    margin = context.config.baseline_margin
    leads = {name: context.lead(name) for name in require(context.evidence.baselines, "baselines")}
    context.scores(context.evidence.trained_baseline)
    behind = [name for name, lead in leads.items() if lead.high < 0 or lead.value < -margin]
    worst = min(leads, key=lambda name: leads[name].value)
    says = f"{context.metric} {leads[worst]} over {worst}, the closest baseline"
    if behind:
        says = "behind " + ", ".join(f"{name} ({leads[name]})" for name in behind)
    return GateCheck("baseline", not behind, leads[worst].value, -margin, says)


def champion(context: GateContext) -> GateCheck:
    """Check that the candidate beats the champion beyond chance."""
    standing = context.champion
    if standing is None:
        return GateCheck("champion", True, None, None, context.no_champion)
    if standing.is_renewed:
        says = f"the settings of version {standing.version}, trained on newer rows: there is nothing else to beat"
        return GateCheck("champion", True, None, None, says)
    lead = context.lead(CHAMPION)
    how = f" ({standing.says})" if standing.says else ""
    says = f"{context.metric} {lead} over version {standing.version}{how}; the lower end must be above 0"
    return GateCheck("champion", lead.low > 0, lead.low, 0.0, says)


def slices(context: GateContext) -> GateCheck:
    """Check that no slice of the hold-out is served measurably worse than by the champion."""
    limits = context.config
    judged = [
        result for result in context.slices if result.difference is not None and result.rows >= limits.min_slice_rows
    ]
    broken = [result for result in judged if _is_broken(result, limits.max_slice_drop)]
    worst = min((result.difference.value for result in judged if result.difference), default=None)
    says = f"{len(judged)} parts compared with {context.reference}"
    if broken:
        says = "worse in " + ", ".join(
            f"{r.division} {r.part} ({context.task.reference.words} {r.difference})" for r in broken
        )
    return GateCheck("slices", not broken, worst, -limits.max_slice_drop, says)


def latency(context: GateContext) -> GateCheck:
    """Check the prediction latency: CPU time of the best of five runs on at least 2,000 rows.

    A model that works in another process or on another machine brings its own `clock`.
    """
    held = context.holdout.rows
    matrix = np.tile(held, (-(-_LATENCY_ROWS // len(held)), 1))
    clock = getattr(context.model, "clock", time.process_time)
    seconds = min(_seconds(clock, lambda: context.model.predict(matrix)) for _ in range(_LATENCY_REPEATS))
    value, limit = seconds / len(matrix) * 1e6, context.config.max_latency_us_per_row
    return GateCheck("latency", value <= limit, value, limit, f"{value:.1f} µs CPU per row")


def size(context: GateContext) -> GateCheck:
    """Check that the package is small enough to be fetched and held in memory."""
    value = require(context.evidence.size_bytes, "the size of the package") / 1e6
    limit = context.config.max_size_mb
    return GateCheck("size", value <= limit, value, limit, f"{value:.2f} MB")


def loads(context: GateContext) -> GateCheck:
    """Check that the package loads as a night loads it, and still scores its golden rows."""
    scored = require(context.evidence.loads, "a way to load the package")()
    return GateCheck("loads", scored > 0, float(scored), 1.0, f"loaded, {scored} golden rows scored as in training")


def holdout_unseen(context: GateContext) -> GateCheck:
    """Check that neither candidate nor champion was trained on anything that the hold-out's labels depend on."""
    split, day = context.split, context.holdout_day
    shared = len(_keys(split.train) & _keys(split.holdout))
    problems = [f"{shared} hold-out rows were trained on"] if shared else []
    until = context.evidence.trained_until
    if until is None:
        problems += _overlaps("the candidate", split.label_end, _cutoff_days(split.train), day)
    else:
        problems += _overlaps("the candidate", until, (), day)
    standing = context.champion
    if standing is not None:
        problems += _overlaps(f"version {standing.version}", standing.label_end, standing.train_cutoffs, day)
    ended = f"{until} (as stated)" if until else f"{split.label_end}"
    says = "; ".join(problems) or f"all training labels ended by {ended}, the hold-out begins after {day}"
    return GateCheck("holdout_unseen", not problems, float(shared), 0.0, says)


#: Checks that compare with the champion alone: a candidate that only these stop is sound, but no better.
COMPARISONS = frozenset({"champion", "precision_at_k", "slices"})


def has_seen(label_end: date, cutoffs: tuple[date, ...], holdout: date) -> bool:
    """Return True if a model with these training labels and cut-offs overlaps the hold-out that begins on that day."""
    return bool(_overlaps("it", label_end, cutoffs, holdout))


def _is_broken(result: SliceResult, max_drop: float) -> bool:
    """Worse by more than is allowed, and by more than chance explains."""
    return result.difference is not None and result.difference.value < -max_drop and result.difference.high < 0


def _seconds(clock: Callable[[], float], work: Callable[[], object]) -> float:
    start = clock()
    work()
    return clock() - start


def _keys(rows_: Dataset) -> set[tuple[int, int]]:
    return set(zip(rows_.groups.tolist(), rows_.cutoffs.astype(np.int64).tolist(), strict=True))


def _cutoff_days(rows_: Dataset) -> tuple[date, ...]:
    return tuple(np.unique(rows_.cutoffs.astype("datetime64[D]")).astype(date).tolist())


def _overlaps(who: str, label_end: date, cutoffs: tuple[date, ...], day: date) -> list[str]:
    if label_end > day:
        return [f"{who} was trained on labels up to {label_end}, after the hold-out's cut-off on {day}"]
    if any(cutoff >= day for cutoff in cutoffs):
        return [f"{who} was trained on rows of {max(cutoffs)}, not before the hold-out's cut-off on {day}"]
    return []
