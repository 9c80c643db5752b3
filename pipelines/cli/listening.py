"""The address that a server of the project listens on: one that other machines reach only with a key."""

from __future__ import annotations

from models.errors import TesseraError
from pipelines.cli.arguments import listening_address
from pipelines.gateway.keys import KeyFile


def listened_on(host: str, keys: KeyFile, *, has_tokens: bool = False) -> tuple[str, bool]:
    """Return the address to listen on, and True if only this machine reaches it.

    Raises:
        TesseraError: other machines reach it, no key is valid, and no tokens are taken; or keys cannot be read, or are
            missing though some were made.
    """
    keys.mark()
    address = listening_address(host)
    is_closed = has_tokens or any(key.revoked_at is None for key in keys.keys().values())
    if not address.is_loopback and not is_closed:
        raise TesseraError(
            f"`--host {host}` is reached from other machines, and there is no API key.",
            expected="a loopback address, or at least one key",
            todo="Create one: `tessera keys create NAME --role viewer`; put a proxy that ends TLS in front. From "
            "your own machine: `ssh -L PORT:127.0.0.1:PORT MACHINE`.",
        )
    return str(address), address.is_loopback
