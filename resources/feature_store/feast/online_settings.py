"""Settings of the shipped online stores, checked when stack.yaml is read.

They are those of Feast's classes, once more: importing Feast for it would take too long.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from resources.stack.document import Place
from resources.stack.strictness import Expanded, WrongSetting, is_reference, strict


class _OnlineSettings(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Sqlite(_OnlineSettings):
    path: str = ""
    vector_enabled: bool | None = None
    similarity: str | None = None
    text_search_enabled: bool = False
    enable_openai_compatible_store: bool = False


class _Redis(_OnlineSettings):
    connection_string: str = ""
    redis_type: Literal["redis", "redis_cluster", "redis_sentinel"] = "redis"
    client: Literal["redis", "glide"] = "redis"
    sentinel_master: str = ""
    key_ttl_seconds: int | None = Field(default=None, ge=1)
    full_scan_for_deletion: bool | None = None
    skip_dedup: bool = False


class _Postgres(_OnlineSettings):
    host: str
    port: int = Field(default=5432, ge=1, le=65535)
    database: str
    db_schema: str = ""
    user: str
    password: str
    sslmode: str | None = None
    sslkey_path: str | None = None
    sslcert_path: str | None = None
    sslrootcert_path: str | None = None
    keepalives_idle: int | None = Field(default=None, ge=0)
    min_conn: int = Field(default=1, ge=0)
    max_conn: int = Field(default=10, ge=1)
    conn_type: Literal["singleton", "pool"] = "singleton"
    max_batched_result_rows: int = Field(default=2048, ge=1)
    vector_enabled: bool | None = None
    similarity: str | None = None
    enable_openai_compatible_store: bool | None = None


#: Type of online store -> its settings, beside `type`. Those of any other type are checked by Feast, when it is opened.
ONLINE_SETTINGS: Mapping[str, type[BaseModel]] = {"sqlite": _Sqlite, "redis": _Redis, "postgres": _Postgres}


def check_online_settings(given: Mapping[str, Any]) -> None:
    """Return if the settings fit the online store's type.

    Raises:
        ValidationError: an unknown or missing setting, or a value of another type or out of range; its place is that
            of the setting, and it holds no value of a setting that may be a secret.
    """
    kind = given.get("type", "sqlite")
    if not isinstance(kind, str):
        raise _wrong(("type",), f"expected one of {', '.join(map(repr, ONLINE_SETTINGS))} or a dotted path")
    if (settings := ONLINE_SETTINGS.get(kind)) is None:
        return
    values = {name: _as_written(value) for name, value in given.items() if name != "type"}
    try:
        typed = strict(settings, values)
    except WrongSetting as error:
        raise _wrong(error.place, f"expected {error.expected}") from None
    settings.model_validate({name: "" if is_reference(given[name]) else value for name, value in typed.items()})


def _as_written(value: Any) -> Any:
    """Variables may have been filled in (`port: ${PORT}`): such text is the number that it stands for."""
    return Expanded(value, value) if isinstance(value, str) else value


def _wrong(place: Place, says: str) -> ValidationError:
    error = PydanticCustomError("setting", "{says}", {"says": says})
    details = InitErrorDetails(type=error, loc=tuple(place), input=None)
    return ValidationError.from_exception_data("online_store", [details])
