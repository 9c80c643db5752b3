"""Frontier of a calibrated router as a picture and a table."""

import io

import numpy as np

from models.compose.replay import Calibration, Replay
from models.compose.threshold import Choice
from models.evaluation.bootstrap import Interval
from models.evaluation.curves import COLOURS, INK

# matplotlib's types are incomplete.
# pyright: basic

_TABLE = (
    ("share escalated", "share", "{:.1%}"),
    ("quality", "quality", "{:.4f}"),
    ("quality less cheap alone", "over_cheap", "{:+.4f}"),
    ("quality less dear alone", "over_dear", "{:+.4f}"),
    ("quality less random escalation of the same share", "over_random", "{:+.4f}"),
    ("cost over dear alone", "cost_share", "{:.1%}"),
    ("kept although the dear step is better", "wrong_cheap", "{:.1%}"),
    ("escalated although the dear step is no better", "needless", "{:.1%}"),
    ("APGR (random 0.5)", "apgr", "{:.3f}"),
    ("CPT50 (random 50 %)", "cpt50", "{:.1%}"),
    ("CPT80 (random 80 %)", "cpt80", "{:.1%}"),
)


def calibration_table(found: Calibration) -> str:
    """Return the measures as a Markdown table with their intervals."""
    lines = [f"| {found.n:,} records, threshold {found.threshold:.4g} | value | 95 % interval |", "|---|---|---|"]
    for words, name, form in _TABLE:
        one: Interval = getattr(found, name)
        lines.append(f"| {words} | {form.format(one.value)} | {form.format(one.low)} to {form.format(one.high)} |")
    lines.append(f"| APGR of the oracle | {found.apgr_oracle:.3f} | |")
    lines.append(f"| AIQ | {found.aiq:.4f} | |")
    return "\n".join(lines) + "\n"


def frontier_png(replay: Replay, choice: Choice, *, quality: str = "quality", cost: str = "cost per record") -> bytes:
    """Return a PNG of about 760 x 420 pixels: the frontier beside random escalation and the oracle."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.6, 4.2), dpi=100)
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    frontier, oracle = replay.frontier, replay.oracle
    axes.plot(oracle.cost, oracle.quality, color=COLOURS[3], lw=1.2, label="oracle")
    axes.plot(frontier.cost, frontier.quality, color=COLOURS[0], lw=2.2, label="router")
    ends = [0, -1]
    axes.plot(frontier.cost[ends], frontier.quality[ends], color=COLOURS[2], lw=1.2, ls="--", label="random escalation")
    axes.scatter([choice.cost], [choice.quality], color=COLOURS[1], zorder=10, label=f"chosen: {choice.share:.0%}")
    for place, name in ((0, "cheap alone"), (-1, "always escalated")):
        axes.annotate(name, (frontier.cost[place], frontier.quality[place]), fontsize=8, color=INK)
    axes.set_xlabel(cost)
    axes.set_ylabel(quality)
    low, high = float(np.min(frontier.quality)), float(np.max(oracle.quality))
    axes.set_ylim(low - 0.08 * (high - low), high + 0.08 * (high - low))
    axes.legend(fontsize=8, frameon=False, loc="lower right")
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
