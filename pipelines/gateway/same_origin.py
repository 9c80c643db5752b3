"""ASGI middleware that answers its own pages and scripts, and refuses pages of other sites.

A server on loopback without a login trusts all who reach it, and every page in a browser on the same machine does. So
a request is served only if `Host` is a name of this server (another name is DNS rebinding), and only if `Origin` and
`Sec-Fetch-Site`, which no page can forge, say that it comes from here. Programs send neither, and are served.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv6Address
from typing import Any

from models.errors import TesseraError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

#: Names by which a browser on the same machine reaches loopback without asking a name server.
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
_AUTHORITY = re.compile(r"(\[[0-9a-f:.]{2,45}\]|[a-z0-9](?:[a-z0-9._-]{0,253}))(?::([0-9]{1,5}))?", re.IGNORECASE)
_DEFAULT_PORTS = {"http": 80, "https": 443}
_LONGEST_SHOWN, _LARGEST_PORT = 80, 65_535
#: Key of a scope: its headers as they were given, and their values by name.
_HELD = "tessera.headers"
_log = logging.getLogger("tessera.gateway")


@dataclass(frozen=True)
class Authority:
    """Name and port of a server; `port` is None for the scheme's default."""

    name: str
    port: int | None = None

    @classmethod
    def parse(cls, text: str) -> Authority | None:
        """Return the authority that a `Host` header or an address names, in one spelling; None if it names none."""
        found = _AUTHORITY.fullmatch(text)
        if found is None or int(found[2] or 0) > _LARGEST_PORT:
            return None
        name = found[1].lower().removesuffix(".")
        if name.startswith("["):
            try:
                name = f"[{IPv6Address(name[1:-1]).compressed}]"
            except AddressValueError:
                return None
        return cls(name, int(found[2]) if found[2] else None)


@dataclass(frozen=True)
class Refusal:
    """HTTP status and sentence of a refused request."""

    status: int
    error: TesseraError


class SameOrigin:
    """Serve `app` to its own origin and to programs.

    Args:
        app: any ASGI application, websockets included.
        names: of this server, without port: a tunnel or a proxy may have another one.
        post_only: paths where GET with a query could have an effect (GraphQL); it is refused there.
    """

    def __init__(self, app: App, names: Iterable[str] = LOOPBACK_NAMES, *, post_only: Iterable[str] = ()) -> None:
        self._app = app
        self._names = frozenset(map(server_name, names))
        self._post_only = frozenset(post_only)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it with the refusal."""
        refusal = self.refusal(scope) if scope["type"] in ("http", "websocket") else None
        if refusal is None:
            await self._app(scope, receive, send)
            return
        _log.warning("%s", refusal.error.what)
        await _answer(scope, send, refusal)

    def refusal(self, scope: Scope) -> Refusal | None:
        """Return why a request is refused, or None."""
        hosts, origins = header_values(scope, b"host"), header_values(scope, b"origin")
        host = Authority.parse(hosts[0]) if len(hosts) == 1 else None
        if host is None:
            return Refusal(400, _error(f"`Host` is {_shown(hosts)}", "exactly one name of this server", _USE))
        if host.name not in self._names:
            todo = f"{_USE} If a proxy passes this name on, start the server with `--allow-host {host.name}`."
            return Refusal(403, _error(f"`Host` {_shown(hosts)} is none of this server's names", self._listed(), todo))
        if origins and (len(origins) > 1 or not _is_same(origins[0], host)):
            return Refusal(
                403,
                _error(
                    f"`Origin` {_shown(origins)} is another site", "no `Origin`, or the address of this server", _USE
                ),
            )
        return self._cross_site(scope) or self._get_with_effect(scope)

    def _cross_site(self, scope: Scope) -> Refusal | None:
        """Return the refusal of a request that a page of another site caused; a link to a page may be followed."""
        if not {"cross-site", "same-site"}.intersection(header_values(scope, b"sec-fetch-site")):
            return None
        follows_a_link = (
            scope["type"] == "http"
            and scope["method"] in ("GET", "HEAD")
            and header_values(scope, b"sec-fetch-mode") == ["navigate"]
            and header_values(scope, b"sec-fetch-dest") == ["document"]
        )
        if follows_a_link:
            return None
        what = "A page of another site asked for this (`Sec-Fetch-Site`)"
        return Refusal(403, _error(what, "a request of this server's own pages, or a link that is followed", _USE))

    def _get_with_effect(self, scope: Scope) -> Refusal | None:
        is_get = scope["type"] == "http" and scope["method"] in ("GET", "HEAD")
        if not is_get or scope["path"].rstrip("/") not in self._post_only or not scope.get("query_string"):
            return None
        what = f"GET {scope['path']} with a query could have an effect"
        return Refusal(405, _error(what, "POST with `Content-Type: application/json`", "Send the same query by POST."))

    def _listed(self) -> str:
        return "one of " + ", ".join(sorted(self._names))


_USE = "Open the address that the server printed when it started."


def server_name(text: str) -> str:
    """Return a name as the middleware compares it.

    Raises:
        TesseraError: it is neither a host name nor an IP address, or has a port.
    """
    bare = f"[{text}]" if ":" in text and not text.startswith("[") else text
    found = Authority.parse(bare)
    if found is None or found.port is not None:
        raise TesseraError(
            f"{text!r} is no name of a server.",
            expected="a host name or an IP address without port and path: ui.example.com",
            todo="Correct it.",
        )
    return found.name


def header_values(scope: Scope, name: bytes) -> list[str]:
    """Return the values of each header of this lower-case name; all headers of a request are sorted out once."""
    given, held = scope["headers"], scope.get(_HELD)
    if held is None or held[0] is not given:
        found = dict[bytes, list[str]]()
        for key, value in given:
            found.setdefault(key.lower(), []).append(value.decode("latin-1").strip())
        scope[_HELD] = held = given, found
    return held[1].get(name, [])


def _is_same(origin: str, host: Authority) -> bool:
    """Return True if an origin is the server that the request was sent to: name and port."""
    scheme, separator, rest = origin.partition("://")
    default = _DEFAULT_PORTS.get(scheme.lower())
    of_page = Authority.parse(rest) if separator else None
    if default is None or of_page is None:  # `null`, an extension, a file
        return False
    return (of_page.name, of_page.port or default) == (host.name, host.port or default)


def _shown(values: list[str]) -> str:
    if not values:
        return "missing"
    text = ", ".join(values)
    return repr(text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]} ...")


def _error(what: str, expected: str, todo: str) -> TesseraError:
    return TesseraError(f"{what}.", expected=expected, todo=todo)


async def _answer(scope: Scope, send: Send, refusal: Refusal) -> None:
    if scope["type"] == "websocket":  # before it is accepted: the server answers 403
        await send({"type": "websocket.close", "code": 1008, "reason": "refused"})
        return
    body = f"{refusal.error}\n".encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"cache-control", b"no-store"),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
