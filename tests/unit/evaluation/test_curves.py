"""The picture of a model."""

import base64
import struct

import numpy as np
import pytest

from models.evaluation.curves import curves_png, png_as_markdown


@pytest.mark.slow
def test_a_compact_png_that_is_the_same_every_time() -> None:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, 300).astype(np.int8)
    scores = {"candidate": np.clip(labels * 0.3 + rng.random(300) * 0.7, 0, 1), "champion": rng.random(300)}
    png = curves_png(labels, scores)
    assert png.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", png[16:24])
    assert (width, height) == (1140, 380)
    assert len(png) < 120_000
    assert png == curves_png(labels, scores)


def test_markdown_holds_the_picture_itself() -> None:
    text = png_as_markdown(b"\x89PNG1", "a picture")
    assert text.startswith("![a picture](data:image/png;base64,")
    assert base64.b64decode(text.rsplit(",", 1)[1].rstrip(")")) == b"\x89PNG1"
