"""One compact picture of a model: how it ranks, what it finds, how honest it is."""

import base64
import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from models.evaluation.metrics import auc, average_precision, reliability
from models.training.model import Labels, Vector

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# matplotlib's types are incomplete.
# pyright: basic

COLOURS = ("#2456a6", "#e07b39", "#7a7a7a", "#b8b8b8", "#c9b458")
INK = "#333333"
#: All axes go from 0 to 1: a layout that measures its labels finds the same, and takes twice the time.
MARGINS = {"left": 0.05, "right": 0.99, "bottom": 0.13, "top": 0.91, "wspace": 0.19}


def curves_png(labels: Labels, scores: Mapping[str, Vector]) -> bytes:
    """Return a PNG of about 1140 x 380 pixels.

    ROC, precision-recall and calibration of every score, the first one bold.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11.4, 3.8), dpi=100)
    FigureCanvasAgg(figure)
    roc, recall, calibration = figure.subplots(1, 3, gridspec_kw=MARGINS)
    for index, (name, values) in enumerate(scores.items()):
        style: dict[str, Any] = {"color": COLOURS[index % len(COLOURS)], "lw": 1.2 if index else 2.2}
        style["zorder"] = 10 - index
        _draw_roc(roc, name, labels, values, style)
        _draw_recall(recall, name, labels, values, style)
        _draw_calibration(calibration, labels, values, style)
    _finish(roc, "Ranking (ROC)", "false positive rate", "true positive rate", diagonal=True)
    _finish(recall, "Finding (precision and recall)", "recall", "precision", diagonal=False)
    recall.axhline(float(labels.mean()), color=INK, lw=0.8, ls=":", zorder=1)
    _finish(calibration, "Honesty (calibration)", "predicted probability", "observed rate", diagonal=True)
    for axes in (roc, recall):
        axes.legend(fontsize=8, frameon=False, loc="lower right" if axes is roc else "best")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def png_as_markdown(png: bytes, alt: str) -> str:
    """Return the picture as a Markdown image that needs no file."""
    return f"![{alt}](data:image/png;base64,{base64.b64encode(png).decode()})"


def _draw_roc(axes: "Axes", name: str, labels: Labels, scores: Vector, style: Mapping[str, Any]) -> None:
    found, false = _counts(labels, scores)
    axes.plot(false / false[-1], found / found[-1], label=f"{name}  {auc(labels, scores):.3f}", **style)


def _draw_recall(axes: "Axes", name: str, labels: Labels, scores: Vector, style: Mapping[str, Any]) -> None:
    found, false = _counts(labels, scores)
    precision = found[1:] / (found[1:] + false[1:])
    label = f"{name}  {average_precision(labels, scores):.3f}"
    axes.plot(found[1:] / found[-1], precision, label=label, **style)


def _draw_calibration(axes: "Axes", labels: Labels, scores: Vector, style: Mapping[str, Any]) -> None:
    bins = reliability(labels, scores)
    axes.plot(bins.predicted, bins.observed, marker="o", ms=4 if style["lw"] > 2 else 2.5, **style)


def _counts(labels: Labels, scores: Vector) -> tuple[Vector, Vector]:
    """Positives and negatives at or above each threshold, from none to all."""
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), labels.size - 1)
    found = np.cumsum(labels[order], dtype=np.float64)[ends]
    return np.append(0.0, found), np.append(0.0, ends + 1 - found)


def _finish(axes: "Axes", title: str, x: str, y: str, *, diagonal: bool) -> None:
    if diagonal:
        axes.plot([0, 1], [0, 1], color=INK, lw=0.8, ls=":", zorder=1)
    axes.set(xlim=(0, 1), ylim=(0, 1.01))
    framed(axes, title, x, y)


def framed(axes: "Axes", title: str, x: str, y: str) -> None:
    """Give a plot its title, labels and grid in the house's style."""
    axes.set_title(title, fontsize=10, color=INK, loc="left", weight="bold")
    axes.set_xlabel(x, fontsize=9, color=INK)
    axes.set_ylabel(y, fontsize=9, color=INK)
    axes.tick_params(labelsize=8, colors=INK)
    axes.grid(color="#eeeeee", lw=0.7)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
