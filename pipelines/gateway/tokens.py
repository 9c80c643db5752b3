"""Tokens of an issuer (JWT, RFC 7519): checked by its public keys, and read as a holder with a role."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import jwt

from models.errors import TesseraError
from models.oidc import OidcSettings
from pipelines.gateway.holder import ROLES, Holder
from pipelines.gateway.problem import Refusal
from pipelines.gateway.signing_keys import SigningKeys, reader

_LONGEST, _LONGEST_NAME = 8192, 255
_REASONS: tuple[tuple[type[jwt.PyJWTError], str], ...] = (
    (jwt.ExpiredSignatureError, "has expired"),
    (jwt.ImmatureSignatureError, "is not valid yet"),
    (jwt.InvalidAudienceError, "is for another audience"),
    (jwt.InvalidIssuerError, "is of another issuer"),
    (jwt.InvalidAlgorithmError, "has a signature that is not taken here"),
    (jwt.InvalidSignatureError, "has a wrong signature"),
    (jwt.MissingRequiredClaimError, "lacks one of the claims exp, iss, aud and sub"),
)


@dataclass(frozen=True)
class ReadToken:
    """A valid token.

    Attributes:
        holder: of it.
        signed_by: id of the issuer's key.
        ends_at: its `exp`, seconds since 1970.
    """

    holder: Holder
    signed_by: str
    ends_at: float


class Tokens:
    """Tokens of one issuer.

    Args:
        settings: of the service.
        keys: of the issuer.
    """

    def __init__(self, settings: OidcSettings, keys: SigningKeys) -> None:
        self._settings, self._keys = settings, keys
        self.settings_digest = sha256(settings.model_dump_json().encode()).hexdigest()

    async def holder(self, text: str) -> Holder:
        """Return the holder of a token; raises as `read` does."""
        return (await self.read(text)).holder

    async def has_key(self, id: str) -> bool:
        """Return True if the issuer has a key with this id.

        Raises:
            TesseraError: its keys cannot be read.
        """
        return (self._keys.known(id) or await asyncio.to_thread(self._keys.find, id)) is not None

    async def read(self, text: str) -> ReadToken:
        """Return what a token says.

        Raises:
            Refusal: 401 for a token that is not valid, 403 for one without a role or application of this server, 503
                if the issuer's keys cannot be read.
        """
        signed_by, claims = await self._claims(text)
        role, apps = self._role(claims), self._apps(claims)
        id = sha256(f"{claims['iss']}\0{claims['sub']}".encode()).hexdigest()[:16]
        name = claim(claims, self._settings.name_claim)
        named = name if isinstance(name, str) and name.isprintable() else claims["sub"]
        holder = Holder(f"oidc:{id}", f"oidc:{named[:_LONGEST_NAME]}", role, apps)
        return ReadToken(holder, signed_by, float(claims["exp"]))

    async def _claims(self, text: str) -> tuple[str, Mapping[str, Any]]:
        if len(text) > _LONGEST:
            raise _invalid(f"has more than {_LONGEST:,} characters")
        try:
            id = jwt.get_unverified_header(text).get("kid")
            if not id:
                raise _invalid("names no key (`kid`)")
            key = self._keys.known(id) or await asyncio.to_thread(self._keys.find, id)
            if key is None:
                raise _invalid("is signed by a key that its issuer does not have")
            return id, self._verified(text, key)
        except jwt.PyJWTError as error:
            raise _invalid(next((said for kind, said in _REASONS if isinstance(error, kind)), "is damaged")) from None
        except Refusal:
            raise
        except TesseraError as error:
            raise Refusal(503, error.what, expected=error.expected, todo=error.todo) from None

    def _verified(self, text: str, key: jwt.PyJWK) -> Mapping[str, Any]:
        settings = self._settings
        return jwt.decode(
            text,
            key,
            algorithms=list(settings.algorithms),
            audience=settings.audience,
            issuer=settings.issuer,
            leeway=settings.leeway_seconds,
            options={"require": ["exp", "iss", "aud", "sub"], "enforce_minimum_key_length": True},
        )

    def _role(self, claims: Mapping[str, Any]) -> Any:
        given = _texts(claim(claims, self._settings.role_claim))
        known = [self._settings.roles[one] for one in given if one in self._settings.roles]
        if not known:
            raise _without("role", self._settings.role_claim, ", ".join(self._settings.roles))
        return max(known, key=ROLES.index)

    def _apps(self, claims: Mapping[str, Any]) -> frozenset[str] | None:
        where = self._settings.applications_claim
        if where is None:
            return None
        given = frozenset(_texts(claim(claims, where)))
        if not given:
            raise _without("application", where, "names of applications, or `*` for all")
        return None if "*" in given else given


def open_tokens(settings: OidcSettings | None, root: Path) -> Tokens | None:
    """Return the tokens that the settings describe; nothing is read yet.

    Args:
        settings: of the service; None: there are no tokens.
        root: folder that a file with keys is relative to.
    """
    if settings is None:
        return None
    read = reader(settings.jwks, root)
    return Tokens(settings, SigningKeys(read, seconds=settings.keys_seconds, refresh_seconds=settings.refresh_seconds))


def claim(claims: Mapping[str, Any], name: str) -> Any:
    """Return a claim by its name, or along dots; None if there is none."""
    if name in claims:
        return claims[name]
    found: Any = claims
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _texts(value: Any) -> list[str]:
    listed = value if isinstance(value, list) else [value]
    return [one for one in listed if isinstance(one, str) and one]


def _invalid(why: str) -> Refusal:
    return Refusal(
        401,
        f"The token {why}.",
        expected="a token of the issuer of `settings.service.oidc` for this audience",
        todo="Get a new token from the issuer.",
        headers={"WWW-Authenticate": 'Bearer error="invalid_token"'},
    )


def _without(what: str, where: str, expected: str) -> Refusal:
    return Refusal(
        403,
        f"The token gives no {what} of this server in the claim `{where}`.",
        expected=expected,
        todo="Ask who runs the issuer of tokens for it.",
    )
