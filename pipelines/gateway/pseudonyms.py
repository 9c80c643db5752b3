"""Keyed digests of ids, so that the service stores none: with the id one finds what is about it, without it nothing."""

from __future__ import annotations

import hmac
import os
import secrets
from contextlib import suppress
from pathlib import Path

from models.errors import TesseraError
from resources.durability import sync

_BYTES = 32


class Pseudonyms:
    """Digests under a secret of the home, `service/secret`, which is made when it is missing."""

    def __init__(self, home: Path) -> None:
        file = home / "service" / "secret"
        if not file.exists():
            _make(file)
        self._secret = file.read_bytes()
        if len(self._secret) != _BYTES:
            raise TesseraError(
                f"{file} has {len(self._secret)} bytes: ids would be pseudonyms in name only.",
                expected=f"{_BYTES} random bytes",
                todo="Remove it and start the service again; reads that were logged before are found no more.",
            )
        self._keyed = hmac.new(self._secret, digestmod="sha256")

    def of(self, *parts: str) -> str:
        """Return the digest of a text in parts, 32 hexadecimal digits."""
        made = self._keyed.copy()  # a digest under a key that is set up anew costs ten times as much
        made.update("\0".join(parts).encode())
        return made.hexdigest()[:32]


def _make(file: Path) -> None:
    """Make the secret, whole or not at all; the first of several processes makes it for all."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = file.with_suffix(f".{secrets.token_hex(4)}.tmp")
    with os.fdopen(os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as made:
        made.write(secrets.token_bytes(_BYTES))
    sync(unfinished)
    with suppress(FileExistsError):
        os.link(unfinished, file)
    unfinished.unlink()
    sync(file.parent)
