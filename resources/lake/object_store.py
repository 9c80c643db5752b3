"""Files of a lake at an address (S3-compatible and others), through the client that deltalake brings."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.fs as pa_fs
from deltalake.fs import DeltaStorageHandler


def object_store(address: str, options: Mapping[str, str]) -> pa_fs.FileSystem:
    """Return the files under `address`; `options` are those of deltalake (keys, region, endpoint)."""
    return _opened(address, frozenset(options.items()))


@lru_cache(maxsize=8)
def _opened(address: str, options: frozenset[tuple[str, str]]) -> pa_fs.FileSystem:
    """Return one client per address and options: each opens its own connections, and takes 20 ms of CPU to make."""
    return pa_fs.PyFileSystem(_Handler(address, dict(options)))


class _Handler(DeltaStorageHandler):
    """Writes bytes: pyarrow 25 hands its own buffers to a stream, which that of deltalake 1.6 refuses."""

    def open_output_stream(self, path: str, metadata: dict[str, str] | None = None) -> pa.PythonFile:
        return pa.PythonFile(_BytesStream(self._handler.open_output_stream(path, metadata)), mode="w")


class _BytesStream:
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, data: Any) -> int:
        return self._stream.write(bytes(data))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
