"""Digests of embedders whose weights cannot be read."""

import numpy as np
import pytest

from models.text.embedder import EmbedderIdentity
from models.text.probing import PROBES, is_same_digest, probed_digest
from models.vectors.exact import normalised


def vectors(seed: int, dimension: int) -> np.ndarray:
    return normalised(np.random.default_rng(seed).normal(size=(len(PROBES), dimension)).astype(np.float32))


@pytest.mark.parametrize("dimension", [16, 384, 3072])
def test_rounding_errors_are_the_same_model_and_other_weights_are_not(dimension: int) -> None:
    for seed in range(20):
        noise = np.random.default_rng(seed + 500).normal(size=(len(PROBES), dimension)) / np.sqrt(dimension)
        given = vectors(seed, dimension)
        known = probed_digest("m", given)
        assert is_same_digest(known, probed_digest("m", normalised((given + 0.01 * noise).astype(np.float32))))
        # At a cosine of 0.98, as after some fine-tuning.
        assert not is_same_digest(known, probed_digest("m", normalised((given + 0.2 * noise).astype(np.float32))))
        assert not is_same_digest(known, probed_digest("m", vectors(seed + 100, dimension)))
        assert not is_same_digest(known, probed_digest("another", given))


def test_other_digests_are_the_same_only_if_they_are_equal() -> None:
    for one, other in (("a", "b"), ("", "a"), ("a:b:c", "a:b:d"), ("probed-1:x:00", "probed-1:x:0000")):
        assert not is_same_digest(one, other)
        assert is_same_digest(one, one)
    assert not EmbedderIdentity("m", "d", 3).is_same(EmbedderIdentity("m", "d", 4))
