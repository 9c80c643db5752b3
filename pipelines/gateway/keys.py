"""API keys of a home: 256 random bits each, of which only the SHA-256 digest is stored, in `service/keys.json`.

A key is text `tsk_<id>_<secret>`. A password hash would add nothing: no one guesses 256 random bits, and argon2id
would cost 195 ms of CPU per request. With its first key a home gets a second file, outside of that folder, by which
servers refuse to be open when `keys.json` is missing; `tessera keys open` alone removes it.
"""

from __future__ import annotations

import hmac
import json
import os
import secrets
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from filelock import FileLock
from pydantic import BaseModel, ConfigDict, ValidationError

from models.errors import TesseraError, choose_from
from pipelines.gateway.holder import Holder, Role
from resources.durability import replace_durably, sync

PREFIX = "tsk"
_SECRET_BYTES, _ID_BYTES = 32, 4
_LONGEST_NAME = 64
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
#: In a home: keys were made, and requests need one.
MARKER = "keys-are-needed"
_MARKED = "Servers of this home need keys. `tessera keys open` removes the keys and this file.\n"


class Key(BaseModel):
    """A key as it is stored.

    Attributes:
        id: part of the key's text, to find it by.
        name: of its holder; unique among keys that are not revoked.
        app: the only application that it may ask; None: all of them.
        digest: SHA-256 of the whole text, hex.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    name: str
    role: Role
    app: str | None = None
    digest: str
    created_at: datetime
    revoked_at: datetime | None = None

    @property
    def holder(self) -> Holder:
        """The holder of the key, as routes see it."""
        return Holder(self.id, self.name, self.role, None if self.app is None else frozenset({self.app}))


class KeyFile:
    """The keys of a home.

    Args:
        home: folder of the profile's data.
        look_seconds: a change by another process is seen after so long at most.
        clock: monotonic, seconds.
    """

    def __init__(self, home: Path, *, look_seconds: float = 1.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._file, self._marker = home / "service" / "keys.json", home / MARKER
        self._look_seconds, self._clock = look_seconds, clock
        self._looked_at, self._read_of = float("-inf"), (0, 0, 0, 0)
        self._keys: Mapping[str, Key] = {}

    def keys(self) -> Mapping[str, Key]:
        """Return every key by its id, revoked ones too, oldest first.

        Raises:
            TesseraError: the file cannot be read, may be written by others, or is missing though keys were made.
        """
        if self._clock() - self._looked_at >= self._look_seconds:
            asked_at = self._clock()
            self._look()
            self._looked_at = asked_at  # not after an error: a file that cannot be read opens nothing
        return self._keys

    def holder(self, text: str) -> Holder | None:
        """Return the holder of the key of this text unless it is unknown or revoked.

        Digests are compared in constant time.
        """
        id = text.split("_")[1] if text.count("_") > 1 else ""
        found = self.keys().get(id)
        digest = sha256(text.encode()).hexdigest()
        is_right = hmac.compare_digest(digest, found.digest if found else "0" * len(digest))
        return found.holder if found is not None and is_right and found.revoked_at is None else None

    def holder_by_id(self, id: str) -> Holder | None:
        """Return the holder of the key with this id unless it is unknown or revoked."""
        found = self.keys().get(id)
        return found.holder if found is not None and found.revoked_at is None else None

    def create(self, name: str, role: Role, app: str | None = None) -> str:
        """Return the text of a new key, which is stored nowhere.

        Raises:
            TesseraError: the name is empty, too long or taken.
        """
        with self._changing() as keys:
            if not name.strip() or len(name) > _LONGEST_NAME or not name.isprintable():
                raise TesseraError(
                    f"A key cannot be called {name!r:.80}.",
                    expected=f"a name of 1 to {_LONGEST_NAME} printable characters",
                    todo="Give another name: `tessera keys create NAME --role viewer`.",
                )
            if any(key.name == name and key.revoked_at is None for key in keys.values()):
                raise TesseraError(
                    f"There is a key {name!r} already.",
                    expected="a name of its own for each key",
                    todo=f"Choose another name, or `tessera keys revoke {name}` first.",
                )
            id = secrets.token_hex(_ID_BYTES)
            text = f"{PREFIX}_{id}_{secrets.token_hex(_SECRET_BYTES)}"
            digest = sha256(text.encode()).hexdigest()
            made = Key(id=id, name=name, role=role, app=app, digest=digest, created_at=datetime.now(UTC))
            self._write({**keys, id: made})
        return text

    def revoke(self, name: str) -> Key:
        """Return the key, which opens nothing any more.

        Raises:
            TesseraError: there is none of this name.
        """
        with self._changing() as keys:
            live = {key.name: key for key in keys.values() if key.revoked_at is None}
            if name not in live:
                raise TesseraError(
                    f"There is no key {name!r}.", expected=choose_from(name, live), todo="Look at `tessera keys list`."
                )
            revoked = live[name].model_copy(update={"revoked_at": datetime.now(UTC)})
            self._write({**keys, revoked.id: revoked})
        return revoked

    def mark(self) -> None:
        """Keep in the home that keys were made, if any were; keys of an earlier release are marked by this.

        Raises:
            TesseraError: keys cannot be read, or the home cannot be written.
        """
        if self.keys() and not self._marker.exists():
            self._mark()

    def open(self) -> int:
        """Remove every key, also from a file that cannot be read, and what says that they are needed.

        Returns:
            int: number of keys that were not revoked; of a file that cannot be read, 0.

        Raises:
            TesseraError: the home cannot be written.
        """
        with self._locked():
            try:
                live = [key for key in self._stored().values() if key.revoked_at is None]
            except TesseraError:
                live = []
            try:
                self._file.unlink(missing_ok=True)
                self._marker.unlink(missing_ok=True)  # last: until then, servers are closed
            except OSError as error:
                raise self._unreadable(str(error)) from None
        return len(live)

    @contextmanager
    def _changing(self) -> Iterator[Mapping[str, Key]]:
        """Provide the keys as they are under the lock of writers; none if the file is missing."""
        with self._locked():
            yield self._stored()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with FileLock(self._file.with_suffix(".lock"), timeout=10):
            self._looked_at = float("-inf")
            yield
            self._looked_at = float("-inf")

    def _look(self) -> None:
        if not self._stored() and os.path.lexists(self._marker):
            raise TesseraError(
                f"The keys of this home are missing: there is no {self._file}.",
                expected="the file, because keys were made here",
                todo="Restore it from a backup, or create a new key: `tessera keys create NAME --role viewer`. To "
                "serve programs of this machine without keys again: `tessera keys open`.",
            )

    def _stored(self) -> Mapping[str, Key]:
        """Return the keys of the file; none if there is no file."""
        try:
            found = self._file.lstat()
        except FileNotFoundError:
            self._keys, self._read_of = {}, (0, 0, 0, 0)
            return self._keys
        except OSError as error:
            raise self._unreadable(str(error)) from None
        # Clocks of files are coarse and inodes are used again; the size grows with each change.
        state = (found.st_mtime_ns, found.st_ino, found.st_size, found.st_mode)
        if state != self._read_of:
            self._keys, self._read_of = self._read(found), state
        return self._keys

    def _read(self, found: os.stat_result) -> Mapping[str, Key]:
        if not stat.S_ISREG(found.st_mode):
            raise self._unreadable("it is no file")
        if found.st_mode & _OTHERS_WRITE:
            raise self._unreadable(
                "users beside its owner may write it", "`chmod 600` it, after a look at who is in it."
            )
        try:
            listed = json.loads(self._file.read_text())["keys"]
            keys = {key.id: key for key in map(Key.model_validate, listed)}
        except (OSError, ValueError, KeyError, TypeError, ValidationError) as error:
            raise self._unreadable(str(error).splitlines()[0]) from None
        if not keys:
            raise self._unreadable("it holds no key")
        return keys

    def _unreadable(self, why: str, todo: str = "") -> TesseraError:
        return TesseraError(
            f"The keys in {self._file} cannot be used: {why}.",
            expected="the file as `tessera keys` wrote it",
            todo=todo or "Restore it from a backup, or move it away and create new keys.",
        )

    def _mark(self) -> None:
        try:
            replace_durably(self._marker, _MARKED.encode())
        except OSError as error:
            raise self._unreadable(f"{self._marker} cannot be written: {error}") from None

    def _write(self, keys: Mapping[str, Key]) -> None:
        self._mark()  # first: a home that has the file alone is closed
        unfinished = self._file.with_suffix(".tmp")  # of one writer, under the lock; one that was killed left it
        text = json.dumps({"keys": [key.model_dump(mode="json") for key in keys.values()]}, indent=1)
        with os.fdopen(os.open(unfinished, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(self._file)
        sync(self._file.parent)
