"""Addresses of receivers as people write them: each is asked as it was meant, and no message quotes what is secret."""

import base64
import http.server
import socket
import threading
from collections.abc import Iterator

import pytest

from models.errors import TesseraError
from pipelines.heartbeats import ping
from resources.http_address import http_address
from resources.notifier.webhook import WebhookNotifierConfig

SECRET = "canary4711"  # noqa: S105 - of tests


def basic(pair: str) -> str:
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


#: Address (PORT is the receiver's) -> path and authorization that arrive.
WRITTEN = {
    "http://127.0.0.1:PORT/x": ("/x", None),
    "http://127.0.0.1:PORT": ("/", None),
    "HTTP://LocalHost:PORT/X": ("/X", None),
    " http://127.0.0.1:PORT/x\n": ("/x", None),
    f"http://user:{SECRET}@127.0.0.1:PORT/x": ("/x", basic(f"user:{SECRET}")),
    f"http://user:p%40%2F%3A{SECRET}@127.0.0.1:PORT/x": ("/x", basic(f"user:p@/:{SECRET}")),
    f"http://user:p@{SECRET}@127.0.0.1:PORT/x": ("/x", basic(f"user:p@{SECRET}")),
    f"http://us%C3%A9r:%C3%BC{SECRET}@127.0.0.1:PORT/x": ("/x", basic(f"usér:ü{SECRET}")),
    f"http://{SECRET}@127.0.0.1:PORT/x": ("/x", basic(f"{SECRET}:")),
    f"http://:{SECRET}@127.0.0.1:PORT/x": ("/x", basic(f":{SECRET}")),
    f"http://127.0.0.1:PORT/x?token={SECRET}&a=%2F": (f"/x?token={SECRET}&a=%2F", None),
    f"http://127.0.0.1:PORT?token={SECRET}#part": (f"/?token={SECRET}", None),
    f"http://127.0.0.1:PORT/größe/{SECRET}": (f"/gr%C3%B6%C3%9Fe/{SECRET}", None),
    f"http://user:{SECRET}@[::1]:PORT/x": ("/x", basic(f"user:{SECRET}")),
}
REFUSED = (
    f"http://user:ab/{SECRET}@host/x",
    f"http://user:ab?{SECRET}@host/x",
    f"http://user:ab#{SECRET}@host/x",
    f"http://host:{SECRET}/x",
    f"http://[::1/{SECRET}",
    f"http://host..name/{SECRET}",
    f"http://user:{SECRET}@/x",
    f"http://host/a b{SECRET}",
    f"http://host/a\r\n{SECRET}",
    f"http://host/\x1b{SECRET}",
    f"ftp://user:{SECRET}@host/x",
    f"user:{SECRET}@host/x",
    "",
)


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.seen.append((self.path, self.headers["Authorization"]))  # pyright: ignore[reportAttributeAccessIssue]
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_POST = do_GET

    def log_message(self, *args: object) -> None: ...


class _Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6

    def server_bind(self) -> None:
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()


@pytest.fixture(scope="module")
def receiver() -> Iterator[_Server]:
    with _Server(("::", 0), _Handler) as server:
        server.seen = []  # pyright: ignore[reportAttributeAccessIssue]
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()


@pytest.mark.parametrize("written", WRITTEN)
def test_it_is_asked_as_it_was_meant(written: str, receiver: _Server) -> None:
    address, seen = written.replace("PORT", str(receiver.server_port)), receiver.seen  # pyright: ignore[reportAttributeAccessIssue]
    seen.clear()
    notifier = WebhookNotifierConfig(url=address).open()
    notifier.notify("info", "s", "b", {})
    assert ping(address) == ""
    assert seen == [WRITTEN[written]] * 2
    assert SECRET not in notifier.check().says


@pytest.mark.parametrize("written", REFUSED)
def test_what_is_no_address_is_refused_without_its_secret(written: str) -> None:
    with pytest.raises(TesseraError, match="url` has") as refused:
        WebhookNotifierConfig(url=written).open()
    assert SECRET not in f"{refused.value}"
    assert refused.value.__context__ is None or refused.value.__suppress_context__
    said = ping(written)
    assert "has" in said
    assert SECRET not in said


@pytest.mark.slow
def test_a_receiver_that_is_down_is_named_without_what_is_secret() -> None:
    down = f"http://user:{SECRET}@[::1]:9/{SECRET}?token={SECRET}"
    with pytest.raises(TesseraError, match=r"http://\[::1\]:9") as failed:
        WebhookNotifierConfig(url=down).open().notify("info", "s", "b", {})
    assert SECRET not in f"{failed.value}{ping(down)}"
    assert http_address(down, "x").shown == "http://[::1]:9"


def test_a_redirect_to_another_place_gets_no_password() -> None:
    request = http_address(f"http://user:{SECRET}@host/x", "x").request()
    assert request.unredirected_hdrs == {"Authorization": basic(f"user:{SECRET}")}
    assert request.headers == {}
