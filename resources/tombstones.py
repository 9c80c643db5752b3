"""Tombstones as files in one folder of the store that keeps them: append-only, no lock, no server.

`key` is the secret, and each tombstone is one file, `<entity>/<digest>-<fingerprint>.json`, whose name says everything
that a check needs: one listing (0.1 ms) before a write lists who was forgotten. They are in the store itself, so that
they are copied, moved and restored with it.
"""

import json
from datetime import date

import pyarrow.fs as pa_fs

from models.erasure.tombstones import Forgotten, Tombstone, new_key
from models.errors import TesseraError

_KEY = "key"
_UNFINISHED = ".part"


class TombstoneFolder:
    """The tombstones in `folder` of a file system."""

    def __init__(self, files: pa_fs.FileSystem, folder: str) -> None:
        self._files = files
        self._folder = folder

    def forgotten(self, entity: str) -> Forgotten:
        """Return the erased ids of `entity` so far."""
        listed = self._files.get_file_info(pa_fs.FileSelector(f"{self._folder}/{entity}", allow_not_found=True))
        names = [info.base_name for info in listed if info.base_name.endswith(".json")]
        return Forgotten(entity, self._key() if names else b"", [_named(name) for name in names])

    def add(self, entity: str, id: str, *, day: date, why: str) -> Tombstone:
        """Return the tombstone of `id`, which exists afterwards; an existing one stays as it is.

        The caller holds a lock of the store: two keys made at the same moment would be one too many.
        """
        if self._files.get_file_info(f"{self._folder}/{_KEY}").type == pa_fs.FileType.NotFound:
            self._write(_KEY, new_key())
        stone = Forgotten(entity, self._key()).tombstone(id)
        if id not in self.forgotten(entity):
            about = json.dumps({"entity": entity, "forgotten_on": day.isoformat(), "why": why})
            self._write(f"{entity}/{stone.digest}-{stone.fingerprint:05x}.json", about.encode())
        return stone

    def _key(self) -> bytes:
        try:
            with self._files.open_input_stream(f"{self._folder}/{_KEY}") as stream:
                return stream.read()
        except FileNotFoundError:
            raise TesseraError(
                f"The key of the tombstones in {self._folder} is gone.",
                expected="the file `key` beside the tombstones; without it no one can be recognised",
                todo="Restore it from a backup; until then nothing is written, so that no one comes back.",
            ) from None

    def _write(self, name: str, content: bytes) -> None:
        path = f"{self._folder}/{name}"
        self._files.create_dir(path.rpartition("/")[0], recursive=True)
        with self._files.open_output_stream(path + _UNFINISHED) as stream:
            stream.write(content)
        self._files.move(path + _UNFINISHED, path)


def _named(name: str) -> Tombstone:
    digest, _, fingerprint = name.removesuffix(".json").partition("-")
    return Tombstone(digest=digest, fingerprint=int(fingerprint, 16))
