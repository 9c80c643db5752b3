"""The confusion matrix of a classifier as a picture."""

import io

import numpy as np

from models.evaluation.curves import framed
from models.training.model import Labels, Vector

# matplotlib's types are incomplete.
# pyright: basic


def confusion_png(labels: Labels, probabilities: Vector) -> bytes:
    """Return a PNG: rows of a class by the class that was chosen, as shares of the class."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    classes = probabilities.shape[1]
    counts = np.zeros((classes, classes))
    np.add.at(counts, (labels, probabilities.argmax(axis=1)), 1.0)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1.0)
    figure = Figure(figsize=(5.2, 4.4), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    framed(axes, "Confusion (share of the class)", "chosen class", "class")
    axes.grid(visible=False)
    figure.colorbar(axes.imshow(shares, vmin=0, vmax=1, cmap="Blues"), ax=axes, shrink=0.8)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
