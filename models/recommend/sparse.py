"""The type of scipy's sparse arrays in rows (`csr_array`), which have no static types."""

from typing import Any, TypeAlias

Sparse: TypeAlias = Any
