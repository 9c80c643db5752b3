"""UBJSON files that are whole: XGBoost trusts the sizes in a model file, and ends the process where they are wrong."""

import struct
from pathlib import Path

#: Bytes of a value by its marker; S and H are followed by a size.
_FIXED = {b"Z": 0, b"N": 0, b"T": 0, b"F": 0, b"i": 1, b"U": 1, b"C": 1, b"I": 2, b"l": 4, b"d": 4, b"L": 8, b"D": 8}
_SIZES = {b"i": ">b", b"U": ">B", b"I": ">h", b"l": ">i", b"L": ">q"}
_DEEPEST = 64


class _Broken(Exception):
    """The file ends too early, or holds a marker or a size that is none."""


def is_whole(file: Path) -> bool:
    """Return True if the file is one UBJSON object whose every part lies inside it, and nothing more."""
    reader = _Reader(file.read_bytes())
    try:
        return reader.marker() == b"{" and reader.skip(b"{", 0) is None and reader.place == len(reader.content)
    except _Broken:
        return False


class _Reader:
    def __init__(self, content: bytes) -> None:
        self.content, self.place = content, 0

    def marker(self) -> bytes:
        return self._take(1)

    def skip(self, marker: bytes, depth: int) -> None:
        """Go behind the value that the marker begins."""
        if depth > _DEEPEST:
            raise _Broken
        if marker in (b"S", b"H"):
            self._take(self._size(self.marker()))
        elif marker == b"[":
            self._container(b"]", depth, named=False)
        elif marker == b"{":
            self._container(b"}", depth, named=True)
        elif marker in _FIXED:
            self._take(_FIXED[marker])
        else:
            raise _Broken

    def _container(self, end: bytes, depth: int, *, named: bool) -> None:
        kind = self._given(b"$")
        count = self._size(self.marker()) if self._given(b"#") is not None else None
        if kind is not None and count is None:
            raise _Broken
        if kind in _FIXED and count is not None and not named:
            self._take(count * _FIXED[kind])
            return
        while count is None or count > 0:
            first = b"" if named or kind else self.marker()
            if count is None and (first or self.content[self.place : self.place + 1]) == end:
                self.place += not first
                return
            if named:
                self._take(self._size(self.marker()))
            self.skip(kind or first or self.marker(), depth + 1)
            count = None if count is None else count - 1

    def _given(self, sign: bytes) -> bytes | None:
        """Return what `$` gives (a marker), or an empty text for `#`; None if the sign is not next."""
        if self.content[self.place : self.place + 1] != sign:
            return None
        self.place += 1
        return self.marker() if sign == b"$" else b""

    def _size(self, marker: bytes) -> int:
        if marker not in _SIZES:
            raise _Broken
        (size,) = struct.unpack(_SIZES[marker], self._take(_FIXED[marker]))
        if size < 0:
            raise _Broken
        return int(size)

    def _take(self, count: int) -> bytes:
        if count > len(self.content) - self.place:
            raise _Broken
        self.place += count
        return self.content[self.place - count : self.place]
