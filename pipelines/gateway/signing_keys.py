"""Public keys of an issuer of tokens (JWKS, RFC 7517), read again when they are old or an unknown one is asked for."""

from __future__ import annotations

import http.client
import json
import logging
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jwt
from typing_extensions import override

from models.errors import TesseraError

_SECONDS, _LONGEST = 5, 1_000_000
#: Public keys have these types; `oct` is a shared secret.
_PUBLIC = ("RSA", "EC", "OKP")
_log = logging.getLogger("tessera.gateway")


class SigningKeys:
    """The issuer's keys by id. Threads may share it; one of them reads, the others wait.

    Args:
        read: returns the document; raises OSError, ValueError or http.client.HTTPException.
        seconds: after which the keys are read again.
        refresh_seconds: least time between two readings, whatever is asked for.
        clock: monotonic, seconds.
    """

    def __init__(
        self,
        read: Callable[[], bytes],
        *,
        seconds: float,
        refresh_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read, self._seconds, self._refresh_seconds, self._clock = read, seconds, refresh_seconds, clock
        self._keys: Mapping[str, jwt.PyJWK] = {}
        self._read_at, self._tried_at = float("-inf"), float("-inf")
        self._lock = threading.Lock()

    def known(self, id: str) -> jwt.PyJWK | None:
        """Return the key with this id if it is in memory and not too old."""
        return self._keys.get(id) if self._is_fresh() else None

    def find(self, id: str) -> jwt.PyJWK | None:
        """Return the key with this id, or None if the issuer has none; may read, which blocks.

        Raises:
            TesseraError: the keys are too old and cannot be read.
        """
        with self._lock:
            if (found := self.known(id)) is not None:
                return found
            if self._clock() - self._tried_at >= self._refresh_seconds:
                self._refresh()
            if not self._is_fresh():
                raise TesseraError(
                    "The keys of the issuer of tokens cannot be read.",
                    expected="the document at `settings.service.oidc.jwks`",
                    todo="Look at the server's log for the cause. API keys go on working.",
                )
            return self._keys.get(id)

    def _is_fresh(self) -> bool:
        return self._clock() - self._read_at < self._seconds

    def _refresh(self) -> None:
        """Read the keys; after a failure the old ones count until they are too old."""
        self._tried_at = self._clock()
        try:
            self._keys = _parsed(self._read())
        except (OSError, ValueError, http.client.HTTPException, jwt.PyJWTError) as error:
            _log.error("The keys of the issuer of tokens cannot be read: %s", error)
        else:
            self._read_at = self._tried_at


def reader(place: str, root: Path) -> Callable[[], bytes]:
    """Return what reads a JWKS from an address, or from a file, relative to `root`."""
    parts = urlsplit(place)
    if parts.scheme in ("", "file"):
        return (root / parts.path).read_bytes
    return lambda: _fetched(place)


def _fetched(address: str) -> bytes:
    opener = urllib.request.build_opener(_NoRedirect)
    with opener.open(address, timeout=_SECONDS) as answer:
        found = answer.read(_LONGEST + 1)
    if len(found) > _LONGEST:
        raise ValueError(f"more than {_LONGEST:,} bytes")
    return found


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect is an error: keys come from the address that the settings name."""

    @override
    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> None:
        return None


def _parsed(text: bytes) -> Mapping[str, jwt.PyJWK]:
    """Return the public keys for signatures, by id; other keys of the set are left out (RFC 7517, 5)."""
    document = json.loads(text)
    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        raise ValueError("the document has no list `keys`")
    wanted = [one for one in listed if isinstance(one, dict) and _is_for_signatures(one)]
    return {str(key.key_id): key for key in jwt.PyJWKSet.from_dict({"keys": wanted}).keys}


def _is_for_signatures(one: Mapping[str, Any]) -> bool:
    has_id = isinstance(one.get("kid"), str) and bool(one["kid"])
    return has_id and one.get("kty") in _PUBLIC and one.get("use", "sig") == "sig" and "d" not in one
