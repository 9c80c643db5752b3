"""`/login` and `/logout`: a browser exchanges a key, or a token of the issuer, for a session cookie."""

from __future__ import annotations

import html
import logging
import math
import re
from base64 import b64encode
from dataclasses import dataclass
from hashlib import sha256
from http import HTTPStatus
from urllib.parse import parse_qs, quote

from pipelines.gateway import refusals
from pipelines.gateway.holder import ALL, Holder
from pipelines.gateway.limits import Limits
from pipelines.gateway.logins import Begun, Logins
from pipelines.gateway.problem import Refusal
from pipelines.gateway.request import client_address, header
from pipelines.gateway.same_origin import App, Receive, Scope, Send
from pipelines.gateway.sessions import cookie_name

_log = logging.getLogger("tessera.gateway")
LOGIN, LOGOUT = "/login", "/logout"
_LONGEST_FORM = 16_384
#: A path of this server; browsers take `//` and `/\` for another one, and drop tabs and line ends.
_OWN_PATH = re.compile(r"/(?:[^/\\\s\x00-\x1f\x7f][^\\\s\x00-\x1f\x7f]*)?")
_STYLE = """
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif }
main { max-width: 24rem; margin: 15vh auto; padding: 0 1rem }
label, input, button { display: block; width: 100%; box-sizing: border-box; font: inherit }
input, button { margin: .25rem 0 1rem; padding: .5rem }
[role=alert] { border-left: .25rem solid #c62828; padding-left: .75rem }
""".strip()
_POLICY = (
    f"default-src 'none'; style-src 'sha256-{b64encode(sha256(_STYLE.encode()).digest()).decode()}'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)


class LoginPages:
    """Serve the pages, and pass every other request on to `app`.

    Args:
        app: behind the gateway, which lets the two paths pass without a credential.
        logins: of the home.
        attempts: logins of one address.
    """

    def __init__(self, app: App, logins: Logins, attempts: Limits) -> None:
        self._app, self._logins, self._attempts = app, logins, attempts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        path = scope["path"] if scope["type"] == "http" else ""
        if path not in (LOGIN, LOGOUT):
            await self._app(scope, receive, send)
        elif scope["method"] == "POST":
            form = await _form(scope, receive)
            await (await self._log_in(scope, form) if path == LOGIN else self._log_out(scope)).send(send)
        elif scope["method"] in ("GET", "HEAD") and path == LOGIN:
            await (await self._shown(scope)).send(send)
        else:
            raise Refusal(405, f"{path} takes no {scope['method']}.", expected="POST", todo="Use the page `/login`.")

    async def _shown(self, scope: Scope) -> _Page:
        asked = parse_qs(scope.get("query_string", b"").decode("latin-1"))
        found = await self._logins.holder(scope)
        to = own_path(asked.get("next", ["/"])[0])
        return _Page(200, self._form_page(to) if found is None else _logged_in_page(*found))

    async def _log_in(self, scope: Scope, form: dict[str, list[str]]) -> _Page:
        to = own_path(form.get("next", ["/"])[0])
        if wait := self._attempts.wait_seconds(client_address(scope)):
            seconds = math.ceil(wait)
            said = f"Too many attempts from your address. Try again in {seconds} s."
            return _Page(429, self._form_page(to, said), ((b"retry-after", str(seconds).encode()),))
        begun, status, refused = await self._begun(form.get("key", [""])[0].strip())
        if begun is None:
            _log.warning("A login from %s is refused: %s", client_address(scope), refused)
            return _Page(status, self._form_page(to, refused))
        holder = begun.holder
        _log.info("%s (%s) logged in from %s", holder.name, holder.role, client_address(scope))
        self._logins.end(scope)
        cookie = self._cookie(scope, *self._logins.begin(begun))
        return _Page(303, "", ((b"location", to.encode()), (b"set-cookie", cookie)))

    async def _begun(self, text: str) -> tuple[Begun | None, int, str]:
        """Return what begins a session, or the status of the answer and why it does not."""
        try:
            begun = await self._logins.credential(text)
        except Refusal as refusal:
            status = refusal.status if refusal.status == HTTPStatus.SERVICE_UNAVAILABLE else HTTPStatus.FORBIDDEN
            return None, status, str(refusal.what)
        if begun is None:
            return None, HTTPStatus.FORBIDDEN, "The key is unknown or revoked."
        if not begun.holder.may("viewer", ALL):
            said = f"The {begun.kind} is of one application; the UI shows all of them."
            return None, HTTPStatus.FORBIDDEN, said
        return begun, HTTPStatus.SEE_OTHER, ""

    def _form_page(self, to: str, error: str = "") -> str:
        return _form_page(to, "Key or token" if self._logins.has_tokens else "Key", error)

    def _log_out(self, scope: Scope) -> _Page:
        self._logins.end(scope)
        return _Page(303, "", ((b"location", LOGIN.encode()), (b"set-cookie", self._cookie(scope, "", 0))))

    def _cookie(self, scope: Scope, text: str, seconds: float) -> bytes:
        """Return the header: for TLS only if the page came by TLS, as the browser's `Origin` says."""
        is_secure = header(scope, b"origin").lower().startswith("https://")
        name = cookie_name(scope, is_secure=is_secure)
        parts = [f"{name}={text}", "Path=/", "HttpOnly", "SameSite=Strict", f"Max-Age={math.floor(seconds)}"]
        return "; ".join([*parts, *(["Secure"] if is_secure else [])]).encode()


@dataclass(frozen=True)
class _Page:
    """A page, or a redirect without one."""

    status: int
    text: str
    headers: tuple[tuple[bytes, bytes], ...] = ()

    async def send(self, send: Send) -> None:
        body = self.text.encode()
        headers = [
            (b"content-type", b"text/html; charset=utf-8"),
            (b"content-length", str(len(body)).encode()),
            (b"content-security-policy", _POLICY.encode()),
            (b"cache-control", b"no-store"),
            *self.headers,
        ]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def own_path(text: str) -> str:
    """Return a path of this server, or "/": no redirect leads to another one, or back to the login."""
    is_own = _OWN_PATH.fullmatch(text) is not None and text.isascii()
    return text if is_own and not text.startswith((LOGIN, LOGOUT)) else "/"


def login_instead(scope: Scope) -> Refusal | None:
    """Return the redirect to the login for a page that a person opens; None for what a program or a script asks."""
    if scope["method"] not in ("GET", "HEAD") or "text/html" not in header(scope, b"accept"):
        return None
    query = scope.get("query_string", b"").decode("latin-1")
    to = own_path(quote(scope["path"]) + (f"?{query}" if query else ""))
    found = refusals.unknown("No session.")
    where = f"{LOGIN}?next={quote(to, safe='/')}"
    return Refusal(303, found.what, expected=found.expected, todo=found.todo, headers={"Location": where})


async def _form(scope: Scope, receive: Receive) -> dict[str, list[str]]:
    """Return the fields of a form that one of the server's own pages sent.

    Raises:
        Refusal: no browser says that it came from here, or it is too long.
    """
    if not header(scope, b"origin"):
        raise refusals.no_origin()
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
        if len(body) > _LONGEST_FORM:
            raise refusals.too_long(_LONGEST_FORM)
    return parse_qs(body.decode("latin-1"))


def _form_page(to: str, label: str, error: str) -> str:
    alert = f'<p role="alert" id="error">{html.escape(error)}</p>' if error else ""
    described = ' aria-describedby="error" aria-invalid="true"' if error else ""
    return _page(
        "Log in",
        f"""{alert}<form method="post" action="{LOGIN}">
<input type="hidden" name="next" value="{html.escape(to)}">
<label for="key">{label}</label>
<input id="key" name="key" type="password" autocomplete="current-password" required autofocus{described}>
<button>Log in</button>
</form>
<p>A key is made by <code>tessera keys create NAME --role viewer</code>.
After a link from another site: <a href="{html.escape(to)}">continue</a> if you are logged in.</p>""",
    )


def _logged_in_page(holder: Holder, kind: str) -> str:
    who = f"{kind} {'of ' if kind == 'token' else ''}{html.escape(holder.name)}"
    return _page(
        "Logged in",
        f"""<p>Logged in by the {who}, role {holder.role}. <a href="/">Open Dagster</a></p>
<form method="post" action="{LOGOUT}"><button>Log out</button></form>""",
    )


def _page(title: str, content: str) -> str:
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title} - Tessera</title><style>{_STYLE}</style></head>
<body><main><h1>{title}</h1>
{content}
</main></body></html>
"""
