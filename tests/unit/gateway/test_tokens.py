"""Tokens of an issuer: what is taken, what is refused and how, and what happens when its keys change or are gone."""

import asyncio
import base64
import hmac
import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given, settings
from hypothesis import strategies as st
from issuer_world import AUDIENCE, BOTH, EC, ISSUER, NOW, OTHER_RSA, PEM, RSA, Issuer, jwk, keys_of, token
from pydantic import ValidationError

from models.oidc import OidcSettings
from pipelines.gateway.access import AccessRules, Gateway
from pipelines.gateway.credentials import Credentials
from pipelines.gateway.keys import KeyFile
from pipelines.gateway.limits import Limits
from pipelines.gateway.problem import Refusal
from pipelines.gateway.same_origin import SameOrigin
from pipelines.gateway.signing_keys import reader
from pipelines.service.build import build_service
from resources.stack.loader import ROOT, load_stack


def test_a_token_gives_name_role_and_all_applications() -> None:
    found = Issuer().holder(token())
    assert (found.name, found.role, found.apps) == ("oidc:u-17", "operator", None)
    assert found.id == Issuer().holder(token(EC, "ec", "ES256")).id, "one person, whatever the key"
    assert found.id != Issuer().holder(token(sub="u-18")).id


REFUSED: dict[str, tuple[Callable[[], str], str]] = {
    "expired": (lambda: token(exp=1_600_000_000), "has expired"),
    "not yet valid": (lambda: token(nbf=NOW - 10), "is not valid yet"),
    "made in the future": (lambda: token(iat=NOW - 10), "is not valid yet"),
    "audience": (lambda: token(aud="another"), "another audience"),
    "no audience": (lambda: token(aud=None), "lacks one of the claims"),
    "issuer": (lambda: token(iss="https://evil.example/"), "another issuer"),
    "issuer almost": (lambda: token(iss=ISSUER[:-1]), "another issuer"),
    "no expiry": (lambda: token(exp=None), "lacks one of the claims"),
    "no subject": (lambda: token(sub=None), "lacks one of the claims"),
    "another's key": (lambda: token(OTHER_RSA), "wrong signature"),
    "no key id": (lambda: token(id=None), "names no key"),
    "unknown key id": (lambda: token(id="new"), "its issuer does not have"),
    "algorithm that is not set": (lambda: token(algorithm="RS512"), "not taken here"),
    "key of another kind": (lambda: token(EC, "rsa", "ES256"), "not taken here"),
    "none": (lambda: token(None, algorithm="none"), "not taken here"),
    "too long": (lambda: token(padding="x" * 8192), "more than 8,192 characters"),
    # So long that what is left of the signature is no base64: four fewer are, of one token in sixteen.
    "cut": (lambda: token()[:-5], "is damaged"),
    "no token": (lambda: "nothing", "is damaged"),
    "two parts": (lambda: ".".join(token().split(".")[:2]), "is damaged"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_valid_is_refused_with_the_reason(name: str) -> None:
    made, said = REFUSED[name]
    refusal = Issuer().refuses(made())
    assert (refusal.status, refusal.headers) == (401, {"WWW-Authenticate": 'Bearer error="invalid_token"'})
    assert said in refusal.what


def part(value: Any) -> str:
    plain = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(plain).decode().rstrip("=")


def test_the_public_key_is_no_shared_secret() -> None:
    """HS256 by the public key, which everybody has: the oldest forgery."""
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "x", "exp": NOW, "roles": "admin"}
    signed = f"{part({'alg': 'HS256', 'typ': 'JWT', 'kid': 'rsa'})}.{part(claims)}"
    for secret in (PEM, PEM.strip(), BOTH):
        forged = f"{signed}.{part(hmac.digest(secret, signed.encode(), 'sha256'))}"
        assert "not taken here" in Issuer().refuses(forged).what
    with pytest.raises(ValidationError):
        _ = OidcSettings(issuer=ISSUER, audience=AUDIENCE, jwks="x", algorithms=("HS256",))  # pyright: ignore[reportArgumentType]


def test_a_shared_secret_or_an_encryption_key_in_the_set_signs_nothing() -> None:
    secret = {"kty": "oct", "kid": "oct", "k": part(b"0" * 32), "alg": "HS256"}
    strange = [{"kty": "future", "kid": "f"}, {"kty": 1}, {"kty": "RSA", "kid": "half"}]
    issuer = Issuer(keys_of(secret, jwk("enc", RSA, use="enc"), jwk("ec", EC), *strange))
    assert "does not have" in issuer.refuses(token("0" * 32, "oct", "HS256")).what
    assert "does not have" in issuer.refuses(token(id="enc")).what
    assert issuer.holder(token(EC, "ec", "ES256")).role == "operator"


def test_a_short_key_is_refused() -> None:
    short = rsa.generate_private_key(public_exponent=65_537, key_size=1024)  # noqa: S505 - it is what is refused
    with pytest.warns(match="below the minimum"):
        text = token(short, "short")
    assert Issuer(keys_of(jwk("short", short))).refuses(text).status == 401


@settings(max_examples=25, deadline=None)
@given(header=st.binary(max_size=40), claims=st.binary(max_size=40), text=st.text(max_size=40))
def test_no_text_is_more_than_refused(header: bytes, claims: bytes, text: str) -> None:
    issuer = Issuer()
    for tried in (f"{part(header)}.{part(claims)}.{part(b'x')}", text, f"{text}.{text}.{text}"):
        assert issuer.refuses(f"!{tried}").status == 401


@pytest.mark.parametrize(
    ("more", "claims", "role"),
    [
        ({}, {"roles": "viewer"}, "viewer"),
        ({}, {"roles": ["viewer", "other", "admin", 7]}, "admin"),
        ({"role_claim": "realm_access.roles"}, {"realm_access": {"roles": ["viewer"]}}, "viewer"),
        ({"role_claim": "https://x.example/r"}, {"https://x.example/r": "admin"}, "admin"),
        ({"roles": {"ml-ops": "operator"}}, {"roles": ["admin", "ml-ops"]}, "operator"),
    ],
)
def test_the_role_is_the_highest_that_the_claim_gives(more: Any, claims: Any, role: str) -> None:
    assert Issuer(**more).holder(token(**claims)).role == role


@pytest.mark.parametrize("roles", [None, [], "boss", {"admin": True}, 3, [["admin"]]])
def test_a_token_without_a_role_may_nothing(roles: Any) -> None:
    refusal = Issuer().refuses(token(roles=roles))
    assert (refusal.status, refusal.what) == (403, "The token gives no role of this server in the claim `roles`.")


def test_applications_are_those_of_the_claim() -> None:
    issuer = Issuer(applications_claim="apps")
    one, every = issuer.holder(token(apps=["churn", "fraud"])), issuer.holder(token(apps="*"))
    assert [one.may("viewer", app) for app in ("churn", "fraud", "support", "")] == [True, True, False, False]
    assert every.may("operator", "")
    assert issuer.refuses(token()).status == 403, "the claim is missing: none, not all"


def test_keys_are_read_once_and_again_for_an_unknown_one_but_not_often() -> None:
    issuer = Issuer(keys_of(jwk("rsa", RSA)))
    for _ in range(3):
        assert issuer.holder(token()).role == "operator"
    assert issuer.reads == 1
    issuer.document = BOTH  # the issuer adds a key
    assert issuer.refuses(token(EC, "ec", "ES256")).status == 401, "read a moment ago"
    issuer.now = 30
    assert issuer.holder(token(EC, "ec", "ES256")).role == "operator"
    for number in range(5):
        _ = issuer.refuses(token(id=f"new-{number}"))
    assert issuer.reads == 2, "unknown ids are no way to make the server ask"


def test_a_key_that_the_issuer_took_back_signs_nothing_once_the_set_is_old() -> None:
    issuer = Issuer()
    text = token()
    assert issuer.holder(text).role == "operator"
    issuer.document, issuer.now = keys_of(jwk("ec", EC)), 600
    assert issuer.refuses(text).status == 401


NO_KEYS = [b"", b"{", b"[]", b'{"keys": 1}', b'{"keys": []}', b"\xff", keys_of({"kty": "RSA"})]


@pytest.mark.parametrize("document", NO_KEYS)
def test_without_the_issuers_keys_tokens_are_refused_for_now(document: bytes) -> None:
    issuer = Issuer(document)
    refusal = issuer.refuses(token())
    assert (refusal.status, "API keys go on working" in refusal.todo) == (503, True)
    assert (issuer.refuses(token()).status, issuer.reads) == (503, 1), "not asked again at once"
    issuer.document, issuer.now = BOTH, 30
    assert issuer.holder(token()).role == "operator"


def test_known_keys_go_on_while_the_issuer_is_away_until_they_are_old() -> None:
    issuer = Issuer()
    text = token()
    _ = issuer.holder(text)
    issuer.document, issuer.now = b"", 599
    assert issuer.refuses(token(id="new")).status == 401
    assert issuer.holder(text).role == "operator"
    issuer.now = 1300
    assert issuer.refuses(text).status == 503


def test_keys_and_tokens_open_a_server_side_by_side(tmp_path: Path) -> None:
    issuer, keys = Issuer(b""), KeyFile(tmp_path)
    text = keys.create("ada", "viewer")

    async def said(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": scope["tessera.holder"].name.encode()})

    credentials = Credentials(keys, None, issuer.tokens, is_open=True)
    app = Gateway(said, credentials, Limits(99, 99, 9), AccessRules((), 99, 5), SameOrigin(said), lambda _: None)

    async def asked(given: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {given}"} if given else {}
        transport = httpx.ASGITransport(app)  # pyright: ignore[reportArgumentType]
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.get("/", headers=headers)

    def ask(given: str) -> tuple[int, str]:
        answer = asyncio.run(asked(given))
        return answer.status_code, answer.text if answer.status_code == 200 else answer.json()["detail"]

    assert ask(token()) == (503, "The keys of the issuer of tokens cannot be read.")
    assert ask(text) == (200, "ada")
    issuer.document, issuer.now = BOTH, 30
    assert ask(token()) == (200, "oidc:u-17")
    keys.revoke("ada")
    assert ask(text)[0] == 401
    fresh = Credentials(KeyFile(tmp_path / "none"), None, issuer.tokens, is_open=True)
    with pytest.raises(Refusal):
        asyncio.run(fresh.holder({"type": "http", "headers": []}))


class _Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b"x" * 1_000_001 if self.path == "/long" else BOTH
        self.send_response(302 if self.path == "/moved" else 200)
        self.send_header("Location", "/keys")
        self.end_headers()
        with suppress(BrokenPipeError, ConnectionResetError):  # the reader has read enough
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None: ...


@pytest.fixture
def address() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), _Answers) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_keys_are_read_from_an_address_that_does_not_lead_elsewhere(address: str, tmp_path: Path) -> None:
    assert reader(f"{address}/keys", tmp_path)() == BOTH
    with pytest.raises(OSError, match="302"):
        _ = reader(f"{address}/moved", tmp_path)()
    with pytest.raises(ValueError, match="more than"):
        _ = reader(f"{address}/long", tmp_path)()


def test_keys_are_read_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_bytes(BOTH)
    for place in ("keys.json", f"{tmp_path}/keys.json", f"file://{tmp_path}/keys.json"):
        assert reader(place, tmp_path)() == BOTH


@pytest.mark.parametrize("place", ["http://login.example.com/keys", "ftp://x/keys", "http://127.0.0.1.evil.example/k"])
def test_keys_come_by_tls_or_from_this_machine(place: str) -> None:
    with pytest.raises(ValidationError, match="who is between"):
        _ = OidcSettings(issuer=ISSUER, audience=AUDIENCE, jwks=place)
    assert OidcSettings(issuer=ISSUER, audience=AUDIENCE, jwks="http://127.0.0.1:1/keys").jwks


def test_the_service_takes_tokens_by_its_settings_and_is_open_to_no_one_then(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_bytes(BOTH)
    stack = load_stack(ROOT / "stack.yaml", "local", str(tmp_path / "home"), os.environ)
    oidc = OidcSettings(issuer=ISSUER, audience=AUDIENCE, jwks=str(tmp_path / "keys.json"), applications_claim="apps")
    service = stack.settings.service.model_copy(update={"oidc": oidc})
    stack.settings = stack.settings.model_copy(update={"service": service})
    app = build_service(stack, is_open=True)

    async def status(path: str, **headers: str) -> int:
        transport = httpx.ASGITransport(app)  # pyright: ignore[reportArgumentType]
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return (await client.get(path, headers=headers)).status_code

    held = {"Authorization": f"Bearer {token(apps=['churn'])}"}
    scores = [asyncio.run(status(f"/v1/{one}/scores/c1", **held)) for one in ("churn", "demand")]
    assert (scores, asyncio.run(status("/openapi.json"))) == ([404, 403], 401)
