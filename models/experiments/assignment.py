"""Assignment of units to variants by hash: the same unit has the same variant, on any machine, with no state."""

# pyright: basic
# pyarrow ships no types.

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from hashlib import sha256
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from models.experiments.config import NO_EXPERIMENT

if TYPE_CHECKING:
    import polars as pl

    from models.experiments.config import ExperimentSettings, Layer

_SPAN = 2**64


class Assignment:
    """Variants by the first 64 bits of sha256(salt, line feed, unit): a number that is uniform over all units.

    Args:
        salt: another salt deals anew; experiments with different salts are independent. No line feed in it.
        shares: variant -> share of the units; they add up to 1 (`ExperimentSettings` refuses others).
        layer: only units of this part of a layer have a variant; None: all.
    """

    def __init__(self, salt: str, shares: Mapping[str, float], layer: Layer | None = None) -> None:
        self._prefix = f"{salt}\n".encode()
        self._names = tuple(shares)
        self._limits = [round(total * _SPAN) for total in accumulate(shares.values())][:-1]
        self._layer = layer and (
            f"layer {layer.name}\n".encode(),
            round(layer.above * _SPAN),
            round(layer.up_to * _SPAN),
        )

    def includes(self, unit: str) -> bool:
        """Return whether a unit has a variant at all: by the layer alone, whatever the salt."""
        if self._layer is None:
            return True
        prefix, first, end = self._layer
        return first <= _bits(prefix, unit) < end

    def variant(self, unit: str) -> str:
        """Return the variant of a unit; `none` of one that is not of its part of the layer."""
        if self._layer is not None and not self.includes(unit):
            return NO_EXPERIMENT
        return self._names[bisect_right(self._limits, _bits(self._prefix, unit))]

    def column(self, units: pa.Array | pa.ChunkedArray) -> pa.DictionaryArray:
        """Return the variant of each unit of an Arrow column of strings; NULL where the unit is NULL."""
        combined = units.combine_chunks() if isinstance(units, pa.ChunkedArray) else units
        encoded = combined.dictionary_encode()
        known = encoded.dictionary.to_pylist()
        codes = self._codes(known)
        if self._layer is not None:
            inside = [self.includes(unit) for unit in known]
            codes = np.where(inside, codes, len(self._names)).astype(np.int8)
        names = pa.array((*self._names, NO_EXPERIMENT))
        return pa.DictionaryArray.from_arrays(pa.array(codes).take(encoded.indices), names)

    def series(self, units: pl.Series) -> pl.Series:
        """Return the variant of each unit of a polars column, as strings; null where the unit is null."""
        import polars as pl

        found = self.column(units.to_arrow().cast(pa.string())).cast(pa.string())
        return pl.Series("variant", found, dtype=pl.String)

    def _codes(self, units: Iterable[str]) -> np.ndarray:
        prefix = self._prefix
        heads = b"".join([sha256(prefix + unit.encode()).digest()[:8] for unit in units])
        limits = np.array(self._limits, dtype=np.uint64)
        return np.searchsorted(limits, np.frombuffer(heads, dtype=">u8"), side="right").astype(np.int8)


def _bits(prefix: bytes, unit: str) -> int:
    return int.from_bytes(sha256(prefix + unit.encode()).digest()[:8])


def assignment_of(name: str, settings: ExperimentSettings) -> Assignment:
    """Return the assignment of an experiment; its name is the salt unless the settings have one."""
    return Assignment(settings.salt or name, settings.shares, settings.layer)
