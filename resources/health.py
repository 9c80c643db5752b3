"""Health report of a port: if it works, one sentence, and what to do."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Health:
    """The answer of one part: `ok`, what it is or what is wrong, and what to do about it."""

    ok: bool
    says: str
    todo: str = ""
