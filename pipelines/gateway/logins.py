"""Logins of browsers: a key or a token is exchanged for a session, which ends with what it was begun with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from models.errors import TesseraError
from pipelines.gateway.holder import Holder, Role
from pipelines.gateway.keys import PREFIX, KeyFile
from pipelines.gateway.problem import Refusal
from pipelines.gateway.same_origin import Scope
from pipelines.gateway.sessions import Sessions, session_text
from pipelines.gateway.tokens import Tokens

_Kind = Literal["key", "token"]


class KeyLogin(BaseModel):
    """A session that a key began."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["key"] = "key"
    key_id: str


class TokenLogin(BaseModel):
    """A session that a token began: what the token said, without the token.

    Attributes:
        signed_by: id of the issuer's key.
        settings: digest of the settings by which the token was read.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["token"] = "token"
    id: str
    name: str
    role: Role
    apps: frozenset[str] | None
    signed_by: str
    settings: str


_LOGIN: TypeAdapter[KeyLogin | TokenLogin] = TypeAdapter(Annotated[KeyLogin | TokenLogin, Field(discriminator="kind")])


@dataclass(frozen=True)
class Begun:
    """A credential that lets a browser in: its holder, and what begins the session.

    Attributes:
        kind: of the credential.
        login: to be stored.
        ends_at: no session of it is longer, seconds since 1970.
    """

    holder: Holder
    kind: _Kind
    login: KeyLogin | TokenLogin
    ends_at: float = float("inf")


class Logins:
    """Holders of sessions, as long as what each was begun with is valid.

    Args:
        keys: of the home; a session ends with its key.
        sessions: of the home.
        tokens: of an issuer; a session ends no later than its token, when the key that signed it is no longer the
            issuer's, and when the settings of tokens change. None: none are taken.
    """

    def __init__(self, keys: KeyFile, sessions: Sessions, tokens: Tokens | None = None) -> None:
        self._keys, self._sessions, self._tokens = keys, sessions, tokens

    @property
    def has_tokens(self) -> bool:
        """Tokens are taken beside keys."""
        return self._tokens is not None

    async def credential(self, text: str) -> Begun | None:
        """Return what a key or token lets in; None for an unknown key.

        Raises:
            Refusal: the token is not valid, has no role here, or the issuer's keys cannot be read.
            TesseraError: keys cannot be read.
        """
        if self._tokens is not None and not text.startswith(f"{PREFIX}_"):
            read = await self._tokens.read(text)
            said: Mapping[str, Any] = {**vars(read.holder), "signed_by": read.signed_by}
            login = TokenLogin(**said, settings=self._tokens.settings_digest)
            return Begun(read.holder, "token", login, read.ends_at)
        holder = self._keys.holder(text)
        return None if holder is None else Begun(holder, "key", KeyLogin(key_id=holder.id))

    def begin(self, begun: Begun) -> tuple[str, float]:
        """Return the text of a new session, and the seconds after which it ends.

        Raises:
            TesseraError: the sessions cannot be used.
        """
        return self._sessions.begin(begun.login.model_dump_json(), begun.ends_at)

    async def holder(self, scope: Scope) -> tuple[Holder, _Kind] | None:
        """Return the holder of the request's session and what it was begun with; None without a session that lives.

        Raises:
            Refusal: the issuer's keys cannot be read.
            TesseraError: sessions or keys cannot be read.
        """
        text = session_text(scope)
        stored = self._sessions.login(text) if text else None
        login = None if stored is None else _LOGIN.validate_json(stored)
        if isinstance(login, TokenLogin):
            return (_holder(login), "token") if await self._is_valid(login) else None
        found = None if login is None else self._keys.holder_by_id(login.key_id)
        return None if found is None else (found, "key")

    def end(self, scope: Scope) -> None:
        """End the session that the request's cookies bring, if any.

        Raises:
            TesseraError: the sessions cannot be used.
        """
        if text := session_text(scope):
            self._sessions.end(text)

    async def _is_valid(self, login: TokenLogin) -> bool:
        if self._tokens is None or login.settings != self._tokens.settings_digest:
            return False
        try:
            return await self._tokens.has_key(login.signed_by)
        except TesseraError as error:
            raise Refusal(503, error.what, expected=error.expected, todo=error.todo) from None


def _holder(login: TokenLogin) -> Holder:
    return Holder(login.id, login.name, login.role, login.apps)
