"""A browser exchanges a key for a cookie: what it may do with it, when it ends, and what other pages cannot do."""

import asyncio
import re
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from issuer_world import EC, NOW, OTHER_RSA, Issuer, jwk, keys_of, token

from models.errors import TesseraError
from pipelines.gateway.access import AccessRules, Gateway
from pipelines.gateway.credentials import Credentials
from pipelines.gateway.keys import KeyFile
from pipelines.gateway.limits import Limits
from pipelines.gateway.login import LOGIN, LOGOUT, LoginPages, login_instead, own_path
from pipelines.gateway.logins import Logins
from pipelines.gateway.request import PAGE_HEADERS, client_address
from pipelines.gateway.same_origin import LOOPBACK_NAMES, SameOrigin, Scope
from pipelines.gateway.sessions import Sessions
from pipelines.gateway.tokens import Tokens

NAME = "ui.example.com"
PLAIN, SECURE = "http://127.0.0.1:3000", f"https://{NAME}"
HTML = {"Accept": "text/html"}


class Site:
    """A server behind the gateway that says who asks, and a browser in front of it."""

    def __init__(self, home: Path, tokens: Tokens | None = None, name: str = "ada") -> None:
        self.now, self.home, self.keys = [1e9], home, KeyFile(home, look_seconds=0)
        logins = Logins(self.keys, Sessions(home, seconds=100, clock=lambda: self.now[0]), tokens)
        attempts = Limits(1, 3, 1, clock=lambda: self.now[0])
        app = LoginPages(self._said, logins, attempts)
        rules = AccessRules((LOGIN, LOGOUT), 1000, 5, PAGE_HEADERS, login_instead, 0.01)
        credentials = Credentials(self.keys, logins, tokens, is_open=True)
        origin = SameOrigin(app, (*LOOPBACK_NAMES, NAME))
        self.app = Gateway(app, credentials, Limits(1000, 1000, 9), rules, origin, lambda _: None)
        self.text = self.keys.create(name, "operator")

    async def _said(self, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            await asyncio.Event().wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": scope["tessera.holder"].name.encode()})

    def ask(self, method: str, path: str, site: str = PLAIN, **more: Any) -> httpx.Response:
        async def asked() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)  # pyright: ignore[reportArgumentType]
            async with httpx.AsyncClient(transport=transport, base_url=site) as client:
                return await client.request(method, path, **more)

        return asyncio.run(asked())

    def log_in(self, site: str = PLAIN, key: str | None = None, to: str = "/", **headers: str) -> httpx.Response:
        form = {"key": self.text if key is None else key, "next": to}
        return self.ask("POST", "/login", site, data=form, headers={"Origin": site, **headers})


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def cookie(answer: httpx.Response) -> dict[str, str]:
    """The header that brings the cookie back."""
    return {"Cookie": answer.headers["set-cookie"].split(";")[0]}


def test_a_person_without_a_session_is_sent_to_the_login_and_back(site: Site) -> None:
    sent = site.ask("GET", "/runs/1?tab=logs", headers=HTML)
    assert (sent.status_code, sent.headers["location"]) == (303, "/login?next=/runs/1%3Ftab%3Dlogs")
    page = site.ask("GET", sent.headers["location"], headers=HTML)
    assert 'name="next" value="/runs/1?tab=logs"' in page.text
    back = site.log_in(to="/runs/1?tab=logs")
    assert (back.status_code, back.headers["location"]) == (303, "/runs/1?tab=logs")
    assert site.ask("GET", "/runs/1?tab=logs", headers=cookie(back)).text == "ada"


def test_programs_and_scripts_are_refused_with_a_problem(site: Site) -> None:
    for method, headers in (("GET", {}), ("POST", HTML), ("GET", {"Accept": "application/json"})):
        answer = site.ask(method, "/graphql", headers=headers)
        assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json")


def test_the_cookie_is_closed_to_scripts_other_sites_and_plain_connections(site: Site) -> None:
    plain, secure = (site.log_in(one).headers["set-cookie"] for one in (PLAIN, SECURE))
    rest = "Path=/; HttpOnly; SameSite=Strict; Max-Age=100"
    assert re.fullmatch(rf"tessera-3000=[\w-]{{43}}; {rest}", plain)
    assert re.fullmatch(rf"__Host-tessera=[\w-]{{43}}; {rest}; Secure", secure)


def test_only_digests_are_stored_for_the_user_alone(site: Site) -> None:
    text = cookie(site.log_in())["Cookie"].partition("=")[2]
    file = site.home / "service" / "sessions.db"
    assert text.encode() not in file.read_bytes()
    assert file.stat().st_mode & 0o077 == 0


def test_a_session_ends_by_time_by_logout_and_with_its_key(site: Site) -> None:
    first, second = cookie(site.log_in()), cookie(site.log_in())
    out = site.ask("POST", "/logout", headers={**first, "Origin": PLAIN})
    assert (out.status_code, out.headers["location"]) == (303, "/login")
    assert "tessera-3000=; " in out.headers["set-cookie"]
    assert "Max-Age=0" in out.headers["set-cookie"]
    assert [site.ask("GET", "/", headers=one).status_code for one in (first, second)] == [401, 200]
    site.now[0] += 100
    assert site.ask("GET", "/", headers=second).status_code == 401
    third = cookie(site.log_in())
    assert site.ask("GET", "/", headers=third).status_code == 200
    site.keys.revoke("ada")
    assert site.ask("GET", "/", headers=third).status_code == 401
    assert site.log_in().status_code == 403


def test_a_login_ends_the_session_before_and_sessions_that_ended_are_removed(site: Site) -> None:
    before = cookie(site.log_in())
    after = cookie(site.log_in(**before))
    assert [site.ask("GET", "/", headers=one).status_code for one in (before, after)] == [401, 200]
    site.now[0] += 1000
    _ = site.log_in()
    with sqlite3.connect(site.home / "service" / "sessions.db") as database:
        assert database.execute("SELECT count(*) FROM login").fetchone() == (1,)
    database.close()


def test_a_session_changes_something_only_from_the_servers_own_pages(site: Site) -> None:
    held = cookie(site.log_in())
    assert site.ask("POST", "/", headers={**held, "Origin": PLAIN}).text == "ada"
    assert site.ask("POST", "/", headers=held).status_code == 403, "no browser says where it comes from"
    for origin in ("http://evil.example", "null", "http://127.0.0.1:8080"):
        assert site.ask("POST", "/", headers={**held, "Origin": origin}).status_code == 403
    assert site.ask("POST", "/", headers={"X-API-Key": site.text}).text == "ada", "a program with a key needs none"


@pytest.mark.parametrize("path", [LOGIN, LOGOUT])
@pytest.mark.parametrize("origin", [None, "http://evil.example", "null", "http://127.0.0.1:3001"])
def test_no_other_page_logs_a_browser_in_or_out(path: str, origin: str | None, site: Site) -> None:
    held = cookie(site.log_in())
    headers = {**held, **({"Origin": origin} if origin else {})}
    answer = site.ask("POST", path, data={"key": site.text}, headers=headers)
    assert (answer.status_code, "set-cookie" in answer.headers) == (403, False)
    assert site.ask("GET", "/", headers=held).text == "ada"


def websocket(site: Site, headers: Mapping[str, str]) -> tuple[list[str], Any]:
    """Types of the messages of a websocket that this site holds open, and its task; run in an event loop."""
    said: list[str] = []

    async def receive() -> Any:
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        said.append(message["type"])

    given = [(b"host", b"127.0.0.1:3000"), *((key.lower().encode(), value.encode()) for key, value in headers.items())]
    scope: Scope = {"type": "websocket", "path": "/graphql", "headers": given, "query_string": b""}
    return said, site.app(scope, receive, send)


def test_a_websocket_by_cookie_needs_an_origin_and_ends_with_the_session(site: Site) -> None:
    held = cookie(site.log_in())
    for headers in (held, {**held, "Origin": "http://evil.example"}, {"Origin": PLAIN}):
        said, answered = websocket(site, headers)
        asyncio.run(answered)
        assert said == ["websocket.close"], headers

    async def lived() -> list[str]:
        said, answered = websocket(site, {**held, "Origin": PLAIN})
        task = asyncio.ensure_future(answered)
        await asyncio.sleep(0.05)
        assert said == ["websocket.accept"]
        site.now[0] += 100
        await asyncio.wait_for(task, 5)
        return said

    assert asyncio.run(lived()) == ["websocket.accept", "websocket.close"]


def test_attempts_of_one_address_are_limited(site: Site) -> None:
    answers = [site.log_in(key="tsk_0_0") for _ in range(4)]
    assert [one.status_code for one in answers] == [403, 403, 403, 429]
    assert answers[3].headers["retry-after"] == "1"
    assert site.log_in(**{"X-Forwarded-For": "10.0.0.7"}).status_code == 303, "another person behind the proxy"
    site.now[0] += 1
    assert site.log_in().status_code == 303


def test_an_address_is_believed_from_a_proxy_on_this_machine_only() -> None:
    headers = [(b"x-forwarded-for", b"1.1.1.1, 10.0.0.7")]
    assert client_address({"client": ("127.0.0.1", 1), "headers": headers}) == "10.0.0.7"
    assert client_address({"client": ("10.0.0.9", 1), "headers": headers}) == "10.0.0.9"
    assert client_address({"client": None, "headers": headers}) == ""
    for forged in (b"unknown", b"\x1b[31m", b"", b"10.0.0.7:80"):
        assert client_address({"client": ("::1", 1), "headers": [(b"x-forwarded-for", forged)]}) == "::1"


def test_addresses_that_do_not_come_back_are_forgotten() -> None:
    now = [0.0]
    limits = Limits(1, 2, 1, clock=lambda: now[0])
    for number in range(30_000):
        now[0] += 0.01
        assert limits.wait_seconds(str(number)) == 0
    assert len(limits) <= 10_000


def test_the_page_is_plain_labelled_and_loads_nothing(site: Site) -> None:
    page = site.ask("GET", "/login")
    assert page.status_code == 200
    assert page.headers["content-security-policy"].startswith("default-src 'none'; style-src 'sha256-")
    assert page.headers["cache-control"] == "no-store"
    assert '<label for="key">' in page.text
    assert '<html lang="en">' in page.text
    assert re.findall(r"(?:src|href)=\"([^\"]*)\"", page.text) == ["/"]
    wrong = site.log_in(key="<script>")
    assert (wrong.status_code, 'role="alert"' in wrong.text, "<script>" in wrong.text) == (403, True, False)


def test_a_key_of_one_application_does_not_log_in_and_logins_are_logged(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", "tessera.gateway"):
        answer = site.log_in(key=site.keys.create("one", "admin", "churn"), **{"X-Forwarded-For": "10.0.0.7"})
        _ = site.log_in()
    assert (answer.status_code, "of one application" in answer.text) == (403, True)
    assert caplog.messages == [
        "A login from 10.0.0.7 is refused: The key is of one application; the UI shows all of them.",
        "ada (operator) logged in from 127.0.0.1",
    ]


def test_who_is_logged_in_sees_it_and_can_log_out(site: Site) -> None:
    page = site.ask("GET", "/login", headers=cookie(site.log_in())).text
    assert "Logged in by the key ada, role operator." in page
    assert 'action="/logout"' in page


FOREIGN = ["//evil.example", "/\\evil.example", "https://evil.example", "evil", "", "/\t/evil.example", "/ /e", "/\n/e",
           "\\/evil.example", "javascript:alert(1)", "/login", "/logout?x", "/é", "/a\\b", "/\x00"]  # fmt: skip


@pytest.mark.parametrize("to", FOREIGN)
def test_no_redirect_leads_elsewhere(to: str, site: Site) -> None:
    assert own_path(to) == "/"
    assert site.log_in(to=to).headers["location"] == "/"


@given(text=st.text(alphabet="/\\\t\n :?#%.@ae", max_size=8))
def test_what_a_redirect_leads_to_is_a_path_of_this_server(text: str) -> None:
    found = httpx.URL(SECURE).join(own_path(text))
    assert (found.scheme, found.host) == ("https", NAME)


def test_what_is_no_form_is_refused(site: Site) -> None:
    own = {"Origin": PLAIN}
    assert site.ask("POST", "/login", content=b"key=" + b"x" * 990, headers=own).status_code == 403
    assert site.ask("POST", "/login", content=b"x" * 1001, headers=own).status_code == 413
    assert site.ask("POST", "/login", content=b"\xff\x00&&==", headers=own).status_code == 403
    assert site.ask("DELETE", "/login", headers=own).status_code == 405
    assert site.ask("GET", "/logout").status_code == 405


def test_a_damaged_file_of_sessions_opens_nothing(site: Site) -> None:
    held = cookie(site.log_in())
    (site.home / "service" / "sessions.db").write_bytes(b"nothing" * 1000)
    assert site.ask("GET", "/", headers=held).status_code == 503
    assert site.ask("GET", "/", headers={"X-API-Key": site.text}).text == "ada", "keys go on"
    with pytest.raises(TesseraError, match=r"sessions\.db cannot be used"):
        _ = Sessions(site.home, seconds=1).begin("x")


def test_a_token_is_exchanged_like_a_key_and_its_session_is_no_longer_than_it(tmp_path: Path) -> None:
    issuer = Issuer()
    site = Site(tmp_path, issuer.tokens)
    site.now[0] = NOW - 1000.0
    assert "Max-Age=100" in site.log_in(key=token()).headers["set-cookie"]
    site.now[0] = NOW - 60.5
    assert "Key or token" in site.ask("GET", "/login").text
    begun = site.log_in(key=token(), to="/runs")
    assert (begun.status_code, begun.headers["location"]) == (303, "/runs")
    assert begun.headers["set-cookie"].endswith("; Path=/; HttpOnly; SameSite=Strict; Max-Age=60")
    held = cookie(begun)
    assert site.ask("GET", "/", headers=held).text == "oidc:u-17"
    assert "Logged in by the token of oidc:u-17, role operator." in site.ask("GET", "/login", headers=held).text
    assert site.ask("POST", "/", headers=held).status_code == 403, "no origin"
    assert site.ask("POST", "/", headers={**held, "Origin": PLAIN}).text == "oidc:u-17"
    assert token().encode() not in (site.home / "service" / "sessions.db").read_bytes()
    site.now[0] += 60.4
    assert site.ask("GET", "/", headers=held).status_code == 200
    site.now[0] += 0.1
    assert site.ask("GET", "/", headers=held).status_code == 401


@pytest.mark.parametrize(
    ("given", "status", "said"),
    [
        (lambda: token(exp=1_600_000_000), 403, "The token has expired."),
        (lambda: token(OTHER_RSA), 403, "wrong signature"),
        (lambda: token(roles=["cook"]), 403, "gives no role"),
        (lambda: token(apps=["churn"]), 403, "The token is of one application"),
        (lambda: "x", 403, "is damaged"),
        (lambda: "tsk_0_0", 403, "The key is unknown"),
    ],
)
def test_a_token_that_is_refused_logs_no_one_in(
    given: Callable[[], str], status: int, said: str, tmp_path: Path
) -> None:
    site = Site(tmp_path, Issuer(applications_claim="apps").tokens)
    answer = site.log_in(key=given())
    assert (answer.status_code, said in answer.text, "set-cookie" in answer.headers) == (status, True, False)
    for origin in (None, "http://evil.example"):
        headers = {"Origin": origin} if origin else {}
        answer = site.ask("POST", "/login", data={"key": token(apps=["*"])}, headers=headers)
        assert (answer.status_code, "set-cookie" in answer.headers) == (403, False)


def test_a_session_of_a_token_ends_with_the_key_that_signed_it_and_with_the_settings(tmp_path: Path) -> None:
    issuer = Issuer()
    site = Site(tmp_path, issuer.tokens)
    held = cookie(site.log_in(key=token()))
    for name, other in (("no tokens", None), ("other roles", Issuer(roles={"operator": "viewer"}).tokens)):
        assert Site(tmp_path, other, name).ask("GET", "/", headers=held).status_code == 401
    issuer.now, issuer.document = 700, b""
    assert site.ask("GET", "/", headers=held).status_code == 503, "the issuer's keys are too old, and it is away"
    assert site.log_in(key=token()).status_code == 503
    issuer.now, issuer.document = 800, keys_of(jwk("ec", EC))
    assert site.ask("GET", "/", headers=held).status_code == 401
    assert site.ask("GET", "/", headers={"X-API-Key": site.text}).text == "ada"
