"""An issuer of tokens: its keys, the tokens that it makes, and how a server reads them."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from models.oidc import OidcSettings
from pipelines.gateway.holder import Holder
from pipelines.gateway.problem import Refusal
from pipelines.gateway.signing_keys import SigningKeys
from pipelines.gateway.tokens import Tokens

ISSUER, AUDIENCE, NOW = "https://login.example.com/", "tessera", 4_000_000_000
RSA, OTHER_RSA = (rsa.generate_private_key(public_exponent=65_537, key_size=2048) for _ in range(2))
EC = ec.generate_private_key(ec.SECP256R1())
PEM = RSA.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def jwk(id: str, key: Any, **more: str) -> dict[str, Any]:
    kind = {rsa.RSAPrivateKey: "RS256", ec.EllipticCurvePrivateKey: "ES256", ed25519.Ed25519PrivateKey: "EdDSA"}
    algorithm = next(name for one, name in kind.items() if isinstance(key, one))
    made = jwt.get_algorithm_by_name(algorithm).to_jwk(key.public_key(), as_dict=True)
    return {**made, "kid": id, "use": "sig", **more}


def keys_of(*listed: Mapping[str, Any]) -> bytes:
    return json.dumps({"keys": listed}).encode()


BOTH = keys_of(jwk("rsa", RSA, alg="RS256"), jwk("ec", EC))


def token(key: Any = RSA, id: str | None = "rsa", algorithm: str = "RS256", **claims: Any) -> str:
    """A token that is valid but for what is given; a claim of None is left out."""
    all_claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "u-17", "exp": NOW, "roles": ["operator"], **claims}
    made = {name: value for name, value in all_claims.items() if value is not None}
    return jwt.encode(made, key, algorithm, headers={"kid": id} if id is not None else None)


class Issuer:
    """The document with keys, how often it was read, and a clock."""

    def __init__(self, document: bytes = BOTH, **more: Any) -> None:
        self.document, self.reads, self.now = document, 0, 0.0
        self.settings = OidcSettings(issuer=ISSUER, audience=AUDIENCE, jwks="keys.json", **more)
        keys = SigningKeys(self._read, seconds=600, refresh_seconds=30, clock=lambda: self.now)
        self.tokens = Tokens(self.settings, keys)

    def _read(self) -> bytes:
        self.reads += 1
        if not self.document:
            raise OSError("unreachable")
        return self.document

    def holder(self, text: str) -> Holder:
        return asyncio.run(self.tokens.holder(text))

    def refuses(self, text: str) -> Refusal:
        with pytest.raises(Refusal) as refused:
            _ = self.holder(text)
        assert text not in str(refused.value)
        return refused.value
