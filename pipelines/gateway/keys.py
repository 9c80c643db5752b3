"""API keys of a home: 256 random bits each, of which only the SHA-256 digest is stored, in `service/keys.json`.

A key is text `tsk_<id>_<secret>`. A password hash would add nothing: no one guesses 256 random bits, and argon2id
would cost 195 ms of CPU per request.
"""

from __future__ import annotations

import hmac
import json
import os
import secrets
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
from resources.durability import sync

PREFIX = "tsk"
_SECRET_BYTES, _ID_BYTES = 32, 4
_LONGEST_NAME = 64


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
        self._file = home / "service" / "keys.json"
        self._look_seconds, self._clock = look_seconds, clock
        self._looked_at, self._read_of = float("-inf"), (0, 0, 0)
        self._keys: Mapping[str, Key] = {}

    def keys(self) -> Mapping[str, Key]:
        """Return every key by its id, revoked ones too, oldest first.

        Raises:
            TesseraError: the file cannot be read.
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

    @contextmanager
    def _changing(self) -> Iterator[Mapping[str, Key]]:
        """Provide the keys as they are under the lock of writers."""
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with FileLock(self._file.with_suffix(".lock"), timeout=10):
            self._looked_at = float("-inf")
            yield self.keys()

    def _look(self) -> None:
        try:
            found = self._file.stat()
        except FileNotFoundError:
            self._keys, self._read_of = {}, (0, 0, 0)
            return
        # Clocks of files are coarse and inodes are used again; the size grows with each change.
        if (state := (found.st_mtime_ns, found.st_ino, found.st_size)) != self._read_of:
            self._keys, self._read_of = self._read(), state

    def _read(self) -> Mapping[str, Key]:
        try:
            listed = json.loads(self._file.read_text())["keys"]
            return {key.id: key for key in map(Key.model_validate, listed)}
        except (OSError, ValueError, KeyError, TypeError, ValidationError) as error:
            raise TesseraError(
                f"The keys in {self._file} cannot be read: {str(error).splitlines()[0]}.",
                expected="the file as `tessera keys` wrote it",
                todo="Restore it from a backup, or move it away and create new keys.",
            ) from None

    def _write(self, keys: Mapping[str, Key]) -> None:
        unfinished = self._file.with_suffix(".tmp")  # of one writer, under the lock; one that was killed left it
        text = json.dumps({"keys": [key.model_dump(mode="json") for key in keys.values()]}, indent=1)
        with os.fdopen(os.open(unfinished, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(self._file)
        sync(self._file.parent)
        self._looked_at = float("-inf")
