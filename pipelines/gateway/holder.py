"""Holders of keys, sessions and tokens, with their roles and applications."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: What a holder may do, the least first; each role may do what those before it may.
Role = Literal["viewer", "operator", "admin"]
ROLES: tuple[Role, ...] = ("viewer", "operator", "admin")
#: In place of an application's name: any holder will do; only a holder of all applications will do.
ANY, ALL = "*", ""


@dataclass(frozen=True)
class Holder:
    """Holder of what a request was let in by.

    Attributes:
        id: of the key or of the token's subject; limits and idempotency keys are per id.
        name: for logs and labels.
        apps: the only applications that may be asked; None: all of them.
    """

    id: str
    name: str
    role: Role
    apps: frozenset[str] | None = None

    def may(self, role: Role, app: str) -> bool:
        """Return True if the holder may do what needs this role, for this application, `ANY` or `ALL`."""
        is_in_scope = self.apps is None or app == ANY or app in self.apps
        return ROLES.index(self.role) >= ROLES.index(role) and is_in_scope


#: The holder of an open server's requests: the user of this machine.
LOCAL = Holder("local", "local", "admin")
