"""Settings of tokens by OpenID Connect: whose tokens the service takes, and what their claims mean here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator

#: Signatures whose keys are public: with a symmetric one, who may check tokens could make them.
Algorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"
]  # fmt: skip
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class OidcSettings(BaseModel):
    """Tokens (JWT) of an issuer, which the servers take beside their own keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    issuer: str = Field(min_length=1, description="The claim `iss`, exactly as the issuer writes it.")
    audience: str = Field(min_length=1, description="The claim `aud` names this server by it.")
    jwks: str = Field(
        description="The issuer's public keys (JWKS): an https address (http only for loopback), or a file."
    )
    algorithms: Sequence[Algorithm] = Field(
        default=("RS256", "ES256"), min_length=1, description="Signatures that are taken; none with a shared secret."
    )
    name_claim: str = Field(default="sub", description="Claim with the name for logs and labels.")
    role_claim: str = Field(
        default="roles",
        description="Claim with a role or a list of them; dots lead into objects: `realm_access.roles`.",
    )
    roles: Mapping[str, Literal["viewer", "operator", "admin"]] = Field(
        default={"viewer": "viewer", "operator": "operator", "admin": "admin"},
        description="Role by a value of `role_claim`; the highest counts, other values count for nothing.",
    )
    applications_claim: str | None = Field(
        default=None, description="Claim with the applications that may be asked, `*` for all; null: all of them."
    )
    leeway_seconds: float = Field(default=30, ge=0, le=300, description="By how much clocks may differ.")
    keys_seconds: float = Field(
        default=600, gt=0, description="Seconds after which the issuer's keys are read again; without them, 503."
    )
    refresh_seconds: float = Field(
        default=30,
        ge=0,
        description="Least seconds between two readings: an unknown key's id causes one, and so does a failure.",
    )

    @field_validator("jwks")
    @classmethod
    def _read_safely(cls, place: str) -> str:
        parts = urlsplit(place)
        if parts.scheme in ("", "file", "https") or (parts.scheme == "http" and parts.hostname in _LOOPBACK):
            return place
        raise ValueError("input should be an https address or a file: who is between could put in keys of their own")
