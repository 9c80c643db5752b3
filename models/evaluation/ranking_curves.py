"""A picture of rankings: how many of the relevant items are among the highest scores."""

import io
from collections.abc import Mapping

import numpy as np

from models.evaluation.curves import COLOURS, INK, framed
from models.training.model import Labels, Vector

# matplotlib's types are incomplete.
# pyright: basic


def ranking_png(labels: Labels, predictions: Mapping[str, Vector]) -> bytes:
    """Return a PNG: share of the relevant items found against the share of rows looked at, the first model bold."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, 3.8), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    relevant, looked = (labels > 0).astype(np.float64), np.arange(1, labels.size + 1) / labels.size
    for index, (name, values) in enumerate(predictions.items()):
        found = np.cumsum(relevant[np.argsort(-values, kind="stable")]) / max(relevant.sum(), 1.0)
        axes.plot(looked, found, color=COLOURS[index % len(COLOURS)], lw=1.2 if index else 2.2, label=name)
    axes.plot([0, 1], [0, 1], color=INK, lw=0.8, ls=":")
    framed(axes, "Relevant items found", "share of rows, highest first", "share of relevant items")
    axes.legend(fontsize=8, frameon=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
