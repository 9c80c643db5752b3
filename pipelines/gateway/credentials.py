"""Keys, sessions and tokens of requests, and their holders."""

from __future__ import annotations

from pipelines.gateway import refusals
from pipelines.gateway.holder import LOCAL, Holder
from pipelines.gateway.keys import PREFIX, KeyFile
from pipelines.gateway.logins import Logins
from pipelines.gateway.request import header
from pipelines.gateway.same_origin import Scope
from pipelines.gateway.sessions import is_change
from pipelines.gateway.tokens import Tokens

#: By these a request is known that a proxy passed on: it may come from another machine.
_PROXIED = (b"forwarded", b"x-forwarded-for", b"via")


class Credentials:
    """Find the holder of what a request brings: a key or token in `Authorization: Bearer` or `X-API-Key`, or a session.

    Args:
        keys: of the home.
        tokens: of an issuer; None: none are taken.
        logins: of browsers; None: cookies are not looked at.
        is_open: nothing is needed while no key was ever made and no tokens are taken: only for a server on loopback.
    """

    def __init__(
        self,
        keys: KeyFile,
        logins: Logins | None = None,
        tokens: Tokens | None = None,
        *,
        is_open: bool,
    ) -> None:
        self._keys, self._logins, self._tokens = keys, logins, tokens
        self._is_open = is_open and tokens is None

    async def holder(self, scope: Scope) -> Holder:
        """Return who asks.

        Raises:
            Refusal: nothing lets the request in.
            TesseraError: keys cannot be read.
        """
        if given := given_text(scope):
            if self._tokens is not None and not given.startswith(f"{PREFIX}_"):
                return await self._tokens.holder(given)
            found = self._keys.holder(given)
            if found is None:
                raise refusals.unknown("The key is unknown or revoked.")
            return found
        if (found := await self._of_session(scope)) is not None:
            return found
        if self._is_open and not self._keys.keys():
            if any(header(scope, name) for name in _PROXIED):
                raise refusals.unknown("A proxy passed this on, and no key was ever made.")
            return LOCAL
        raise refusals.unknown("No key is given.")

    async def _of_session(self, scope: Scope) -> Holder | None:
        found = None if self._logins is None else await self._logins.holder(scope)
        if found is None:
            return None
        if is_change(scope) and not header(scope, b"origin"):
            raise refusals.no_origin()  # one that is given was compared with `Host` before
        return found[0]


def given_text(scope: Scope) -> str:
    """Return the key or token that the headers bring, or ""."""
    scheme, _, bearer = header(scope, b"authorization").partition(" ")
    if scheme.lower() == "bearer" and bearer.strip():
        return bearer.strip()
    return header(scope, b"x-api-key")
