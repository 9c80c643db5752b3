"""Feast's configuration from ours: the same settings for the code and for the `feast` command, secrets by reference."""

# Feast is only partly typed.
# pyright: basic

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from models.errors import TesseraError, choose_from
from resources.stack.secrets import environment_value

if TYPE_CHECKING:
    from feast.repo_config import RepoConfig

#: `online_store: {type: ...}` -> our class. Any other type is one of Feast's names or a dotted path; `feast.redis` is
#: Feast's own `redis`.
ONLINE_STORES = {
    "sqlite": "resources.feature_store.online.sqlite.MonotonicSqliteOnlineStore",
    "redis": "resources.feature_store.online.redis.MonotonicRedisOnlineStore",
    "postgres": "resources.feature_store.online.postgres.MonotonicPostgresOnlineStore",
}
PROJECT = "tessera"
_BUSY_SECONDS = 60
_CONNECT_SECONDS = 10
_WHERE = "feature_store.online_store"


def feast_settings(
    folder: Path | str,
    *,
    tables: Path | str,
    online_store: Mapping[str, Any] | None = None,
    registry: str = "",
    threads: int = 2,
    memory_limit_mb: int = 2000,
) -> dict[str, Any]:
    """Feast's configuration of the store in `folder`; feature_repo/feature_store.yaml is the default home's.

    Values `{env: NAME}` stay references: `revealed` and `for_yaml` say what becomes of them.
    """
    online = dict(online_store or {"type": "sqlite"})
    kind = online.pop("type", "sqlite")
    if kind == "sqlite":
        online.setdefault("path", f"{folder}/online.db")
    return {
        # Not Feast's: where feature_repo/feast_cli.py finds the lake.
        "tables": str(tables),
        "project": PROJECT,
        "provider": "local",
        "registry": _registry(
            registry.replace("postgresql://", "postgresql+psycopg://") or f"sqlite:///{folder}/registry.db"
        ),
        "offline_store": {
            "type": "resources.feature_store.offline.store.AsofOfflineStore",
            "threads": threads,
            "memory_limit_mb": memory_limit_mb,
            "temp_directory": f"{folder}/spilled",
        },
        "batch_engine": {"type": "resources.feature_store.feast.compute_engine.BulkEngine"},
        "online_store": {"type": ONLINE_STORES.get(kind, _feasts_own(kind)), **online},
        "entity_key_serialization_version": 3,
    }


def revealed(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings with the secrets that they refer to.

    Raises:
        TesseraError: an environment variable is not set.
    """
    return _resolved(settings, environment_value)


def for_yaml(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings as Feast's YAML has them: a secret is `${NAME}`, which Feast fills in from the environment.

    A registry URL with a password in it becomes `${FEAST_REGISTRY_URL}`: no secret is written to disk.
    """
    from sqlalchemy.engine import make_url

    written = _resolved(settings, lambda name: f"${{{name}}}")
    if make_url(settings["registry"]["path"]).password is not None:
        written["registry"] = {**written["registry"], "path": "${FEAST_REGISTRY_URL}"}
    return written


def repo_config(folder: Path, settings: Mapping[str, Any]) -> RepoConfig:
    """Build the Feast repository configuration.

    Raises:
        TesseraError: a type of online store that does not exist or whose client is not installed, or a wrong setting.
    """
    from feast.repo_config import RepoConfig

    online = settings["online_store"]
    config_class = _online_config_class(online["type"])
    try:
        config_class(**online)
    except ValidationError as error:
        raise _wrong_setting(error, list(config_class.model_fields)) from None
    return RepoConfig(repo_path=folder, **settings)


def _feasts_own(kind: str) -> str:
    name = kind.removeprefix("feast.")
    return name if name in ONLINE_STORES else kind


def _registry(url: str) -> dict[str, Any]:
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import SQLAlchemyError

    try:
        make_url(url).get_dialect()
    except (SQLAlchemyError, ValueError) as error:
        raise TesseraError(
            f"`feature_store.registry` is no address of a database: {error}.",
            expected="an address as postgresql+psycopg://user:password@host/database",
            todo="Correct it in stack.yaml, or the environment variable that it names.",
        ) from error
    if url.startswith("sqlite"):
        engine: dict[str, Any] = {"connect_args": {"timeout": _BUSY_SECONDS}}
    else:
        engine = {"pool_pre_ping": True}
        if url.startswith("postgresql"):
            engine["connect_args"] = {"connect_timeout": _CONNECT_SECONDS}
    return {"registry_type": "sql", "path": url, "cache_ttl_seconds": 60, "sqlalchemy_config_kwargs": engine}


def _resolved(value: Any, secret: Callable[[str], str]) -> Any:
    if isinstance(value, list):
        return [_resolved(item, secret) for item in value]
    if not isinstance(value, Mapping):
        return value
    if set(value) == {"env"}:
        return secret(value["env"])
    return {key: _resolved(item, secret) for key, item in value.items()}


def _online_config_class(kind: str) -> Any:
    from feast.errors import FeastClassImportError, FeastModuleImportError
    from feast.repo_config import ONLINE_STORE_CLASS_FOR_TYPE, get_online_config_from_type

    if "." not in kind and kind not in ONLINE_STORE_CLASS_FOR_TYPE:
        raise TesseraError(
            f"`{_WHERE}.type` in stack.yaml is {kind!r}.",
            expected=choose_from(kind, ONLINE_STORES) + ", another online store of Feast, or a dotted path",
            todo="Correct stack.yaml; docs/swapping.md shows how to serve features from Redis or Postgres.",
        )
    try:
        return get_online_config_from_type(kind)
    except (FeastClassImportError, FeastModuleImportError) as error:
        raise _not_importable(kind, error) from error


def _not_importable(kind: str, error: Exception) -> TesseraError:
    ours = {path: name for name, path in ONLINE_STORES.items()}
    cause = str(error.__cause__ or error).splitlines()[0]
    todo = "Correct `type`, or install the package that holds it into .venv."
    if ours.get(kind) in ("redis", "postgres"):
        todo = f"Install it: .venv/bin/pip install --no-deps --require-hashes -r requirements/{ours[kind]}.lock"
    return TesseraError(
        f"The online store {kind!r} cannot be imported: {cause}.", expected="its client in .venv", todo=todo
    )


def _wrong_setting(error: ValidationError, known: list[str]) -> TesseraError:
    # A misspelt setting first: what it leaves out is missed, too.
    first = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
    place = ".".join(str(part) for part in first["loc"])
    # Of a setting that should not be there, never the value: it may be a misspelt password.
    return TesseraError(
        f"`{_WHERE}.{place}` in stack.yaml: {first['msg'].lower()}.",
        expected=choose_from(place, known),
        todo="Correct stack.yaml.",
    )
