"""Settings that every adapter with tables of its own in Postgres has."""

from typing import Any

from pydantic import Field


def address() -> Any:
    """Return the field of the database's address."""
    return Field(
        default="postgresql://127.0.0.1/tessera",
        description="Address as libpq takes it, `?sslmode=...` included. With a password in it: `{env: NAME}`.",
    )


def schema(default: str, description: str) -> Any:
    """Return the field of the name of a schema, which no quoting could turn into anything else."""
    return Field(default=default, pattern=r"^[a-z_][a-z0-9_]{0,62}$", description=description)
