"""Tombstones as files in one folder of the store that keeps them: append-only, no lock, no server.

`key` is the secret, and each tombstone is one file, `<entity>/<digest>-<fingerprint>.json`, whose name says everything
that a check needs: one listing (0.1 ms) before a write lists who was forgotten. Many that are left together, e.g. those
of a customer's visits, are one file, `<entity>/many-<sha256 of it>.json`: it never changes, so a process reads it once.
They are in the store itself, so that they are copied, moved and restored with it.
"""

import hashlib
import json
from collections.abc import Collection, Sequence
from datetime import date

import pyarrow.fs as pa_fs

from models.erasure.tombstones import Forgotten, Tombstone, new_key
from models.errors import TesseraError

_KEY = "key"
_UNFINISHED = ".part"
_MANY = "many-"
#: Name of a file of many tombstones -> them; the name is the digest of the content.
_READ: dict[str, Sequence[Tombstone]] = {}


class TombstoneFolder:
    """The tombstones in `folder` of a file system."""

    def __init__(self, files: pa_fs.FileSystem, folder: str) -> None:
        self._files = files
        self._folder = folder

    def forgotten(self, entity: str) -> Forgotten:
        """Return the erased ids of `entity` so far."""
        listed = self._files.get_file_info(pa_fs.FileSelector(f"{self._folder}/{entity}", allow_not_found=True))
        names = [info.base_name for info in listed if info.base_name.endswith(".json")]
        alone = [_named(name) for name in names if not name.startswith(_MANY)]
        together = [stone for name in names if name.startswith(_MANY) for stone in self._many(entity, name)]
        return Forgotten(entity, self._key() if names else b"", [*alone, *together])

    def add(self, entity: str, id: str, *, day: date, why: str) -> Tombstone:
        """Return the tombstone of `id`, which exists afterwards; an existing one stays as it is.

        The caller holds a lock of the store: two keys made at the same moment would be one too many.
        """
        stone = Forgotten(entity, self._new_key()).tombstone(id)
        if id not in self.forgotten(entity):
            about = json.dumps({"entity": entity, "forgotten_on": day.isoformat(), "why": why})
            self._write(f"{entity}/{stone.digest}-{stone.fingerprint:05x}.json", about.encode())
        return stone

    def add_many(self, entity: str, ids: Collection[str], *, day: date, why: str) -> None:
        """Leave the tombstones of `ids` in one file, all of them or none; existing ones stay as they are.

        The caller holds a lock of the store, as for `add`.
        """
        if not ids:
            return
        empty, known = Forgotten(entity, self._new_key()), self.forgotten(entity)
        stones = [empty.tombstone(id).model_dump() for id in sorted(set(ids)) if id not in known]
        if stones:
            about = {"entity": entity, "forgotten_on": day.isoformat(), "why": why, "tombstones": stones}
            content = json.dumps(about).encode()
            self._write(f"{entity}/{_MANY}{hashlib.sha256(content).hexdigest()}.json", content)

    def _many(self, entity: str, name: str) -> Sequence[Tombstone]:
        if name not in _READ:
            path = f"{self._folder}/{entity}/{name}"
            with self._files.open_input_stream(path) as stream:
                content = stream.read()
            if name != f"{_MANY}{hashlib.sha256(content).hexdigest()}.json":
                raise TesseraError(
                    f"The tombstones in {path} are damaged.",
                    expected="a file as it was written, named by its digest",
                    todo="Restore it from a backup; until then nothing is written, so that no one comes back.",
                )
            _READ[name] = [Tombstone.model_validate(one) for one in json.loads(content)["tombstones"]]
        return _READ[name]

    def _new_key(self) -> bytes:
        """Return the key, which is made where there is none."""
        if self._files.get_file_info(f"{self._folder}/{_KEY}").type == pa_fs.FileType.NotFound:
            self._write(_KEY, new_key())
        return self._key()

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
