"""Digest of an embedder whose weights cannot be read: what it makes of some fixed texts.

Services compute with rounding errors that differ from call to call. So the digest holds the probes' vectors, coarsely,
and two digests are of the same model if they are nearly equal: another model's differ in almost every number.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray

#: A digest is of these texts and of this way to project: another number is another kind of digest.
_PREFIX = "probed-1"
PROBES = (
    "How do I reset my password?",
    "The parcel arrived two weeks late.",
    "La factura es incorrecta.",
    "Quarterly revenue grew by 4 percent",
)
_PROJECTIONS, _STEPS = 8, 16
#: Steps of a sixteenth by which two digests of one model differ at most.
_TOLERANCE = 2


def probed_digest(about: str, vectors: NDArray[np.float32]) -> str:
    """Return the digest of an embedder.

    Args:
        about: what is known of it, as kind, name and dimension; must be equal.
        vectors: of `PROBES`, at length 1.
    """
    signs = np.random.default_rng(0).choice([-1.0, 1.0], (vectors.shape[1], _PROJECTIONS))
    steps = np.clip(np.rint(vectors @ signs * _STEPS), -127, 127).astype(np.int8)
    return f"{_PREFIX}:{hashlib.sha256(about.encode()).hexdigest()[:16]}:{steps.tobytes().hex()}"


def is_same_digest(one: str, other: str) -> bool:
    """Return True if both digests are of the same model: equal, or probed and nearly equal."""
    if one == other:
        return True
    (kind, about, steps), (its_kind, its_about, its_steps) = _parts(one), _parts(other)
    if (kind, about) != (its_kind, its_about) or kind != _PREFIX or len(steps) != len(its_steps):
        return False
    pair = [np.frombuffer(bytes.fromhex(each), np.int8).astype(int) for each in (steps, its_steps)]
    return bool((np.abs(pair[0] - pair[1]) <= _TOLERANCE).all())


def _parts(digest: str) -> tuple[str, str, str]:
    parts = digest.split(":")
    return (parts[0], parts[1], parts[2]) if len(parts) == 3 else (digest, "", "")
