"""Files pinned for a feature view's source during one call: one version of the lake, not a folder listing."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

_pinned: ContextVar[Mapping[str, Sequence[str]]] = ContextVar("_pinned", default={})  # noqa: B039 - never changed


@contextmanager
def pinned(files: Mapping[str, Sequence[str]]) -> Iterator[None]:
    """Inside, `pinned_files(view)` gives `files[view]`; other threads and later calls do not see it."""
    token = _pinned.set(files)
    try:
        yield
    finally:
        _pinned.reset(token)


def pinned_files(view: str) -> Sequence[str] | None:
    """Return the Parquet files of the view in this call, or None: read what its source says."""
    return _pinned.get().get(view)
