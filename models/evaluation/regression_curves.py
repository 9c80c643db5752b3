"""One picture of predicted numbers: how far labels follow them, and how large the errors are."""

import io
from collections.abc import Mapping

import numpy as np

from models.evaluation.curves import COLOURS, INK, framed
from models.training.model import Labels, Vector

# matplotlib's types are incomplete.
# pyright: basic

_BINS = 10


def numbers_png(labels: Labels, predictions: Mapping[str, Vector]) -> bytes:
    """Return a PNG of about 1140 x 380 pixels.

    By tenth of each model's prediction: mean label against mean prediction, and mean absolute error; the first model
    bold. Axes are symmetric-logarithmic, for numbers of many sizes.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11.4, 3.8), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    honest, errors = figure.subplots(1, 2)
    for index, (name, values) in enumerate(predictions.items()):
        style = {"color": COLOURS[index % len(COLOURS)], "lw": 1.2 if index else 2.2, "zorder": 10 - index}
        parts = [part for part in np.array_split(np.argsort(values, kind="stable"), _BINS) if part.size]
        means = [float(values[part].mean()) for part in parts]
        honest.plot(means, [float(labels[part].mean()) for part in parts], marker="o", ms=4, label=name, **style)
        error = [float(np.abs(values - labels)[part].mean()) for part in parts]
        errors.plot(means, error, marker="o", ms=4, label=f"{name}  {np.abs(values - labels).mean():.3g}", **style)
    highest = max(float(np.abs(values).max()) for values in predictions.values())
    honest.plot([0, highest], [0, highest], color=INK, lw=0.8, ls=":", zorder=1)
    framed(honest, "Honesty (mean label)", "predicted", "observed mean")
    framed(errors, "Mean absolute error", "predicted", "absolute error")
    for axes in (honest, errors):
        axes.set_xscale("symlog")
        axes.set_yscale("symlog")
        axes.legend(fontsize=8, frameon=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
