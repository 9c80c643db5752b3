"""Addresses of HTTP receivers as people write them: with user and password, an IPv6 host, a token in a query."""

from __future__ import annotations

import base64
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from models.errors import TesseraError

#: Signs that stay as they are written in a path and a query (RFC 3986, with `%` of what is encoded).
_KEPT = "%/:?#[]@!$&'()*+,;=~"


@dataclass(frozen=True)
class HttpAddress:
    """An address that can be asked.

    Attributes:
        url: without user, password and fragment.
        authorization: value of the header `Authorization` (Basic, RFC 7617); empty: none.
        shown: scheme, host and port; the rest is often the secret.
    """

    url: str
    authorization: str
    shown: str

    def request(self, data: bytes | None = None, headers: Mapping[str, str] | None = None) -> urllib.request.Request:
        """Return a request (POST with data, else GET); a redirect to another place does not get the password."""
        request = urllib.request.Request(self.url, data, dict(headers or {}))  # noqa: S310 - http(s), see below
        if self.authorization:
            request.add_unredirected_header("Authorization", self.authorization)
        return request


def http_address(text: str, setting: str) -> HttpAddress:
    """Read an address.

    Args:
        text: as it was written; blanks around it are dropped.
        setting: names where it stands, for the message.

    Raises:
        TesseraError: it is no http(s) address; the message does not quote it.
    """
    text = text.strip()
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
        ascii_host = host if ":" in host else host.encode("idna").decode()
    except ValueError:
        raise _refused(setting, "a host or a port that cannot be read") from None
    if parts.scheme not in ("http", "https"):
        raise _refused(setting, "no http:// or https:// at its beginning")
    if not host:
        raise _refused(setting, "no host")
    if any(sign.isspace() or not sign.isprintable() for sign in text):
        raise _refused(setting, "a blank or a control character in it")
    place = (f"[{ascii_host}]" if ":" in host else ascii_host) + (f":{port}" if port is not None else "")
    path, query = quote(parts.path, safe=_KEPT), quote(parts.query, safe=_KEPT)
    return HttpAddress(
        url=urlunsplit((parts.scheme, place, path or "/", query, "")),
        authorization=_basic(parts.username, parts.password),
        shown=f"{parts.scheme}://{place}",
    )


def _basic(user: str | None, password: str | None) -> str:
    if not user and not password:
        return ""
    pair = f"{unquote(user or '')}:{unquote(password or '')}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


def _refused(setting: str, why: str) -> TesseraError:
    return TesseraError(
        f"{setting} has {why}.",
        expected="an http(s) address, e.g. https://user:password@host:8443/path?token=...",
        todo="Correct it; write %2F for `/`, %3F for `?`, %23 for `#` and %40 for `@` in a user or password.",
    )
