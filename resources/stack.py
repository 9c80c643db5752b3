"""The whole stack as one typed object, read from `stack.yaml`; the only place where the environment chooses a part.

A *profile* names an adapter for every port (`kind`), the calendar and the settings of the applications. Strings may
hold `${root}` (the project), `${home}` (where this profile keeps its data), `${NAME}` and `${NAME:-default}`
(environment). A value `{env: NAME}` stays a reference until the adapter is opened: use it for every secret.
"""

import importlib
import os
import re
from collections.abc import Mapping
from datetime import date, time
from functools import cache
from pathlib import Path
from typing import Any, Protocol, cast

import dagster as dg
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.errors import TesseraError, choose_from
from models.settings import Settings

ROOT = Path(__file__).resolve().parent.parent

#: Port -> kind -> the adapter's config class. Any other kind must be a dotted path to such a class.
ADAPTERS: dict[str, dict[str, str]] = {
    "source": {
        "simulated": "resources.source.simulated.SimulatedSourceConfig",
        "files": "resources.source.files.FilesSourceConfig",
    },
    "lake": {"delta": "resources.lake.delta.DeltaLakeConfig"},
    "engine": {"local": "resources.engine.local.LocalEngineConfig"},
    "feature_store": {"feast": "resources.feature_store.feast_store.FeastStoreConfig"},
    "registry": {"mlflow": "resources.registry.mlflow_registry.MLflowRegistryConfig"},
    "trainer": {
        "xgboost": "resources.trainer.xgboost.XGBoostTrainerConfig",
        "logistic_regression": "resources.trainer.logistic_regression.LogisticRegressionTrainerConfig",
        "hist_gradient_boosting": "resources.trainer.hist_gradient_boosting.HistGradientBoostingTrainerConfig",
    },
    "challenger": {},
    "sink": {"delta": "resources.sink.delta.DeltaSinkConfig"},
    "notifier": {
        "log": "resources.notifier.log.LogNotifierConfig",
        "webhook": "resources.notifier.webhook.WebhookNotifierConfig",
    },
    "events": {
        "sqlite": "resources.events.sqlite_events.SqliteEventsConfig",
        "redis": "resources.events.redis_events.RedisEventsConfig",
        "postgres": "resources.events.postgres_events.PostgresEventsConfig",
    },
    "stream_store": {
        "sqlite": "resources.stream_store.sqlite_stream_store.SqliteStreamStoreConfig",
        "postgres": "resources.stream_store.postgres_stream_store.PostgresStreamStoreConfig",
    },
}
ADAPTERS["challenger"] = ADAPTERS["trainer"]  # a second trainer: the candidate that is neither baseline nor favourite

_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")


class AdapterConfig(Protocol):
    """What every adapter's config class offers."""

    def open(self) -> Any:
        """The adapter itself."""
        ...


class Calendar(BaseModel):
    """The shop's first day, and when (UTC, like all days of the shop) the nightly job starts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    first_day: date = Field(description="The first day that can be scored: the first partition.")
    nightly_at: time = Field(default=time(2, 0), description="When churn_nightly starts, UTC.")


class Profile(BaseModel):
    """One profile of `stack.yaml`, checked: unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    home: str
    calendar: Calendar
    ports: dict[str, dict[str, Any]]
    settings: Settings


class Stack:
    """The active profile: what each port is, where data lives, and the applications' settings."""

    def __init__(self, name: str, profile: Profile, home: Path) -> None:
        self.name = name
        self.home = home
        self.calendar = profile.calendar
        self.settings = profile.settings
        self._ports = profile.ports

    def kind(self, port: str) -> str:
        """The kind of adapter that this profile names for `port`."""
        return str(self._ports[port]["kind"])

    def config_class(self, port: str) -> type[dg.Config]:
        """The config class of the adapter that this profile names for `port`."""
        return adapter_class(port, self.kind(port))

    def config(self, port: str) -> dg.Config:
        """The adapter's config as the profile gives it; secrets are still references."""
        return self._build(port, lambda name: dg.EnvVar(name))

    def open(self, port: str) -> Any:
        """The adapter of `port`, ready to use outside a Dagster run.

        Raises:
            TesseraError: a setting is wrong, or a secret's environment variable is not set.
        """
        config = cast(AdapterConfig, self._build(port, _secret))
        return config.open()

    def _build(self, port: str, secret: Any) -> dg.Config:
        values = {key: _resolve_secrets(value, secret) for key, value in self._ports[port].items()}
        if self.kind(port) not in ADAPTERS[port]:
            values.pop("kind")
        try:
            return self.config_class(port)(**values)
        except ValidationError as error:
            raise _wrong_setting(f"{self.name}.ports.{port}", error) from None


def adapter_class(port: str, kind: str) -> type[dg.Config]:
    """The config class of a kind: one of ours, or any class by its dotted path.

    Raises:
        TesseraError: no such kind, or the dotted path cannot be imported.
    """
    path = ADAPTERS[port].get(kind, kind)
    module, _, name = path.rpartition(".")
    if not module:
        raise TesseraError(
            f"stack.yaml names {kind!r} for port {port!r}.",
            expected=choose_from(kind, ADAPTERS[port]) + " or the dotted path of a config class",
            todo="Correct `kind` in stack.yaml; docs/swapping.md shows how to add an adapter.",
        )
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise TesseraError(
            f"The adapter {path!r} of port {port!r} cannot be imported: {error}.",
            expected="an importable config class",
            todo="Install the package that holds it into .venv, or correct `kind` in stack.yaml.",
        ) from error


def load_stack(file: Path, name: str | None, home: str | None, environment: Mapping[str, str]) -> Stack:
    """The stack of profile `name` (None: the file's default), every setting checked.

    Raises:
        TesseraError: unreadable file, unknown profile, unknown or missing key, wrong type.
    """
    document = _document(file)
    profiles = document.get("profiles") or {}
    chosen = name or str(document.get("default_profile"))
    if chosen not in profiles:
        raise TesseraError(
            f"There is no profile {chosen!r} in {file.name}.",
            expected=choose_from(chosen, profiles),
            todo="Set TESSERA_PROFILE, or pass --profile.",
        )
    raw = _inherited(profiles, chosen)
    place = Path(home or _expanded(str(raw.get("home", "var")), {"root": str(file.parent), **environment}))
    place = place if place.is_absolute() else file.parent / place
    names = {**environment, "root": str(file.parent), "home": str(place)}
    return Stack(chosen, _checked(chosen, _walk(raw, names)), place)


@cache
def active_stack() -> Stack:
    """The stack that TESSERA_PROFILE, TESSERA_HOME and TESSERA_STACK (another file) choose for this process."""
    file = Path(os.environ.get("TESSERA_STACK", ROOT / "stack.yaml")).resolve()
    return load_stack(file, os.environ.get("TESSERA_PROFILE"), os.environ.get("TESSERA_HOME"), os.environ)


def _document(file: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(file.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise TesseraError(
            f"{file} cannot be read: {error}.", expected="a YAML file", todo="Correct it, or set TESSERA_STACK."
        ) from error
    if not isinstance(document, dict):
        raise TesseraError(f"{file} holds no mapping.", expected="the key `profiles`", todo="See docs/stack.md.")
    return document


def _inherited(profiles: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A profile over the one it `extends`: a port is replaced whole, settings are merged key by key."""
    own = dict(profiles[name])
    parent = own.pop("extends", None)
    if parent is None:
        return own
    if parent not in profiles:
        raise TesseraError(
            f"Profile {name!r} extends {parent!r}.", expected=choose_from(parent, profiles), todo="Correct `extends`."
        )
    inherited = _inherited(profiles, parent)
    ports = {**inherited.get("ports", {}), **own.get("ports", {})}
    settings = _merged(inherited.get("settings", {}), own.get("settings", {}))
    return {**inherited, **own, "ports": ports, "settings": settings}


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = _merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def _checked(name: str, raw: dict[str, Any]) -> Profile:
    ports = raw.get("ports", {})
    for port in ADAPTERS.keys() - ports.keys():
        raise TesseraError(
            f"Profile {name!r} names no adapter for port {port!r}.",
            expected=choose_from("", ADAPTERS[port]),
            todo=f"Add `{port}: {{kind: ...}}` to its `ports` in stack.yaml.",
        )
    for port in ports.keys() - ADAPTERS.keys():
        raise TesseraError(
            f"Profile {name!r} has a port {port!r}.", expected=choose_from(port, ADAPTERS), todo="Correct stack.yaml."
        )
    try:
        return Profile(**raw)
    except ValidationError as error:
        raise _wrong_setting(name, error) from None


def _wrong_setting(place: str, error: ValidationError) -> TesseraError:
    first = error.errors()[0]
    where = ".".join([place, *(str(part) for part in first["loc"])])
    return TesseraError(
        f"`{where}` in stack.yaml is {first.get('input')!r}: {first['msg'].lower()}.",
        expected="the settings that docs/stack.md lists",
        todo="Correct stack.yaml.",
    )


def _walk(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _walk(item, names) for key, item in value.items()}
    if isinstance(value, list):
        return [_walk(item, names) for item in value]
    return _expanded(value, names) if isinstance(value, str) else value


def _expanded(text: str, names: Mapping[str, str]) -> str:
    def replace(match: re.Match[str]) -> str:
        name, default = match[1], match[2]
        if name in names:
            return names[name]
        if default is None:
            raise TesseraError(
                f"stack.yaml asks for ${{{name}}}, which is not set.",
                expected=f"the environment variable {name}",
                todo=f"Set it, or write ${{{name}:-default}}.",
            )
        return default

    return _VARIABLE.sub(replace, text)


def _resolve_secrets(value: Any, secret: Any) -> Any:
    if isinstance(value, dict) and set(value) == {"env"}:
        return secret(value["env"])
    return value


def _secret(name: str) -> str:
    if name not in os.environ:
        raise TesseraError(
            f"The environment variable {name!r} is not set.",
            expected="the secret that stack.yaml takes from it",
            todo=f"Set {name}, for example in a file .env beside stack.yaml.",
        )
    return os.environ[name]
