"""Keyed digests of ids, so that the service stores none: with the id one finds what is about it, without it nothing."""

from __future__ import annotations

import hmac
import os
import secrets
from hashlib import sha256
from pathlib import Path


class Pseudonyms:
    """Digests under a secret of the home, `service/secret`, which is made when it is missing."""

    def __init__(self, home: Path) -> None:
        folder = home / "service"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = folder / "secret"
        try:
            descriptor = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        except FileExistsError:
            self._secret = file.read_bytes()
            return
        self._secret = secrets.token_bytes(32)
        with os.fdopen(descriptor, "wb") as made:
            made.write(self._secret)

    def of(self, *parts: str) -> str:
        """Return the digest of a text in parts, 32 hexadecimal digits."""
        text = "\0".join(parts).encode()
        return hmac.new(self._secret, text, sha256).hexdigest()[:32]
