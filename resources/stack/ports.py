"""The ports as Dagster resources, and as one typed object outside of Dagster.

In the launchpad a resource's config is what `stack.yaml` has under the port's name, so one run can be given another
adapter, or other settings. The profile's values are class defaults of a generated subclass: of what is given to
`configure_at_launch(...)` itself, Dagster silently drops unions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property, partial
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, TypeVar, cast, get_args

import dagster as dg
from pydantic import BaseModel, ConfigDict, Field
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python

from models.settings import Settings, owner_of
from resources.alert_store.port import AlertStore
from resources.embedder.port import GuardedEmbedder
from resources.engine.port import Engine
from resources.events.port import Events
from resources.feature_store.port import FeatureStore
from resources.lake.port import Lake
from resources.language_model.port import GuardedLanguageModel
from resources.layout import check_layout
from resources.notifier.port import Notifier
from resources.outbox import Outbox, outbox_of
from resources.registry.port import Registry
from resources.sink.port import Sink
from resources.source.port import Identity, Source
from resources.stack.adapters import kinds_of
from resources.stack.interface import require_adapter
from resources.stack.loader import Stack, active_stack, opened, with_costs
from resources.stack.no_values import no_values
from resources.stack.run_config import adapter_of_run, changed_settings
from resources.stack.secrets import environment_value
from resources.stack.strictness import SecretReference
from resources.stack.table import Port
from resources.state_store.port import StateStore
from resources.vectors.port import Vectors

T = TypeVar("T")
#: A resource that takes any key.
_OPEN = ConfigDict(frozen=True, extra="allow")


class Ports:
    """The adapters of a profile for use outside of a Dagster run; each one is opened when it is first asked for.

    Raises:
        TesseraError: from an attribute, as `Stack.open`.
    """

    def __init__(self, stack: Stack) -> None:
        self.stack = stack

    @cached_property
    def source(self) -> Source:
        """Raw rows of the shop."""
        return self.stack.open("source")

    @cached_property
    def lake(self) -> Lake:
        """Tables."""
        return self.stack.open("lake")

    @cached_property
    def engine(self) -> Engine:
        """Bulk compute."""
        return self.stack.open("engine")

    @cached_property
    def feature_store(self) -> FeatureStore:
        """Features: defined, joined point in time, served."""
        return self.stack.open("feature_store")

    @cached_property
    def registry(self) -> Registry:
        """Model versions and champions."""
        return self.stack.open("registry")

    @cached_property
    def sink(self) -> Sink:
        """Published scores."""
        return self.stack.open("sink")

    @cached_property
    def notifier(self) -> Outbox:
        """Notices to people, from the home's outbox."""
        return outbox_of(self.stack.home, self.stack.open("notifier"), partial(owner_of, self.stack.settings))

    @cached_property
    def events(self) -> Events:
        """The queue of events."""
        return self.stack.open("events")

    @cached_property
    def state_store(self) -> StateStore:
        """Keyed state of streams."""
        return self.stack.open("state_store")

    @cached_property
    def alert_store(self) -> AlertStore:
        """Alerts, and what analysts say of them."""
        return self.stack.open("alert_store")

    @cached_property
    def vectors(self) -> Vectors:
        """Vector indexes."""
        return self.stack.open("vectors")

    @cached_property
    def embedder(self) -> GuardedEmbedder:
        """Vectors of texts."""
        return self.stack.open("embedder")

    @cached_property
    def language_model(self) -> GuardedLanguageModel:
        """Answers in text or JSON."""
        return self.stack.open("language_model")


def active_ports() -> Ports:
    """Return the ports of the profile that the environment chooses, as `active_stack`."""
    return Ports(active_stack())


class PortResource(dg.ConfigurableResource[T]):
    """A port in a Dagster run: opens the adapter that the profile, or this run's config, names."""

    def open(self) -> T:
        """The adapter, ready to use.

        Raises:
            TesseraError: the run's config names no adapter or a wrong setting, or the home is of another layout.
        """
        stack: Stack | None = getattr(type(self), "tessera_stack", None)  # of the profile that the resource belongs to
        if stack is None:
            return opened(self._adapter_config(environment_value))
        check_layout(stack.home)
        config = self._adapter_config(environment_value)
        found, port = opened(config), getattr(type(self), "tessera_port")  # noqa: B009
        require_adapter(found, port, type(config).__qualname__, stack.table[port].interface)
        return with_costs(found, stack.home)

    def config(self) -> dg.Config:
        """The adapter's config in this run; secrets are still references."""
        return self._adapter_config(lambda name: dg.EnvVar(name))

    def _adapter_config(self, secret: Callable[[str], str]) -> Any:
        if hasattr(self, "backend"):  # a subclass that names one config, and no profile
            return getattr(self, "backend")  # noqa: B009
        stack, port = getattr(type(self), "tessera_stack"), getattr(type(self), "tessera_port")  # noqa: B009
        return adapter_of_run(stack, port, self._given(port), secret)

    def _given(self, port: str) -> dict[str, Any]:
        """Return what this run's config gives, without what Dagster adds from the profile."""
        context = self._state__internal__.resource_context
        run = context.run if context is not None else None
        config: Any = run.run_config if run is not None else {}
        return config.get("resources", {}).get(port, {}).get("config") or {}


class SourceResource(PortResource[Source]):
    """The source port: the shop's raw rows."""

    def settings(self) -> Identity:
        """The adapter and its settings, but for secrets: they stand for a source that has no identity of its own."""
        config = self.config()
        secret = {name for name in type(config).model_fields if isinstance(getattr(config, name), dg.EnvVar)}
        values = config.model_dump(mode="json", exclude=secret | {"cache"})
        return Identity({"adapter": f"{type(config).__module__}.{type(config).__qualname__}", **values})


class LakeResource(PortResource[Lake]):
    """The lake port: versioned tables."""


class EngineResource(PortResource[Engine]):
    """The engine port: bulk SQL over tables."""


class FeatureStoreResource(PortResource[FeatureStore]):
    """The feature store port: register, join point in time and serve features."""


class RegistryResource(PortResource[Registry]):
    """The registry port: model versions and the champion of each application."""


class SinkResource(PortResource[Sink]):
    """The sink port: published scores."""


class NotifierResource(PortResource[Notifier]):
    """The notifier port: messages to people when something needs their attention."""

    def open(self) -> Notifier:
        """The home's outbox, which delivers by the adapter.

        Raises:
            TesseraError: as `PortResource.open`.
        """
        stack: Stack | None = getattr(type(self), "tessera_stack", None)
        return (
            super().open()
            if stack is None
            else outbox_of(stack.home, super().open(), partial(owner_of, stack.settings))
        )


class EventsResource(PortResource[Events]):
    """The events port: a queue of events for consumer groups, ordered per subject."""


class StateStoreResource(PortResource[StateStore]):
    """The state store port: keyed state of streams, with the position of each."""


class AlertStoreResource(PortResource[AlertStore]):
    """The alert store port: alerts and the feedback of analysts."""


class VectorsResource(PortResource[Vectors]):
    """The vectors port: vector indexes, their versions and the one that is served."""


class EmbedderResource(PortResource[GuardedEmbedder]):
    """The embedder port: vectors of texts."""


class LanguageModelResource(PortResource[GuardedLanguageModel]):
    """The language model port: answers in text, or as JSON by a schema."""


class SettingsResource(dg.ConfigurableResource):
    """The applications' settings: those of the profile, with what this run's config changes."""

    profile: str = Field(default="", description="The profile these settings are of; choose it with TESSERA_PROFILE.")

    def open(self) -> Settings:
        """The settings of this run.

        Raises:
            TesseraError: the run's config names no setting, or gives one a wrong value.
        """
        shown = {name: field for name, field in type(self).model_fields.items() if name in Settings.model_fields}
        sections = {name: getattr(self, name) for name in shown}
        given = {name: section for name, section in sections.items() if section != shown[name].default}
        return changed_settings(getattr(type(self), "unchanged", Settings()), given)


class HomeResource(dg.ConfigurableResource):
    """The folder that holds everything the profile makes."""

    path: str = Field(description="Change it with TESSERA_HOME.")

    @property
    def home(self) -> Path:
        """The folder."""
        return Path(self.path)


R = TypeVar("R", bound=dg.ConfigurableResource)


def stack_resources(stack: Stack) -> dict[str, Any]:
    """Every port and the settings of the profile as resources, configured by the profile, changeable at launch."""
    ports = {name: _bound(stack, name, port) for name, port in stack.table.items()}
    home = HomeResource(path=str(stack.home))
    return {**ports, "settings": _settings(stack), "home": home, "io_manager": no_values}


def _bound(stack: Stack, name: str, port: Port) -> Any:
    """The port's resource: `kind` and the settings of the profile's adapter, as `stack.yaml` has them.

    Another kind has other settings, so any key is taken; the adapter that is named in the end refuses wrong ones.
    """
    module, _, resource = port.resource.rpartition(".")
    kinds = ", ".join(kinds_of(name, port.adapters))
    says = f"The adapter: {kinds}, or the dotted path of a config class. Another one takes its own settings."
    found = getattr(import_module(module), resource)
    fields: dict[str, tuple[Any, Any]] = {"kind": (str, Field(default=stack.kind(name), description=says))}
    for setting, field in stack.config_class(name).model_fields.items():
        key = field.alias or setting
        if not hasattr(found, key) and key.isidentifier() and key not in fields:
            default = _plain(stack.values(name).get(key, _default(field)))
            kind = type(default) if isinstance(default, bool | int | float) else Any
            fields[key] = (kind, Field(default=default, description=_about(field)))
    return _generated(found, stack, fields, tessera_stack=stack, tessera_port=name, model_config=_OPEN)


def _default(field: FieldInfo) -> Any:
    return None if field.is_required() else field.get_default(call_default_factory=True)


def _plain(value: Any) -> Any:
    """Return a setting as it would be written in a run's config."""
    return to_jsonable_python(
        value, fallback=lambda one: {"env": one.name} if isinstance(one, SecretReference) else str(one)
    )


def _settings(stack: Stack) -> Any:
    """A field for each section of the settings, the profile's values as defaults; a run gives what it changes."""
    shown = stack.settings.model_dump(mode="json")
    fields: dict[str, tuple[Any, Any]] = {
        name: (dict[str, Any], Field(default=_without_null(shown[name]), description=_described(name, field)))
        for name, field in Settings.model_fields.items()
    }
    profile = SettingsResource.model_fields["profile"].description
    fields["profile"] = (str, Field(default=stack.name, description=profile))
    return _generated(SettingsResource, stack, fields, unchanged=stack.settings)


def _without_null(section: Mapping[str, Any]) -> dict[str, Any]:
    """Return a section without settings that are null: Dagster's maps take none, and what is left out stays."""
    return {name: value for name, value in section.items() if value is not None}


def _described(section: str, field: FieldInfo) -> str:
    """Description of a section of the settings: Dagster shows one text for a mapping, so it lists its settings."""
    lines = [f"settings.{section}; what is left out stays."]
    for name, setting in cast(type[BaseModel], field.annotation).model_fields.items():
        of_list = [f"- {name}: {setting.description}"] if setting.description else []
        lines += [*of_list, *_block(setting, f"{name}.")]
    return "\n".join(lines)


def _about(field: FieldInfo) -> str | None:
    """Description of a setting of an adapter; of a block, with each setting in it."""
    inside = _block(field)
    return "\n".join([str(field.description), *inside]) if inside else field.description


def _block(field: FieldInfo, prefix: str = "") -> list[str]:
    """List the settings of a block, or of each block of a list, with their descriptions; else nothing."""
    lines: list[str] = []
    for inner in (field.annotation, *get_args(field.annotation)):
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            for name, about in inner.model_fields.items():
                lines += [f"- {prefix}{name}: {about.description}"] if about.description else []
                lines += _block(about, f"{prefix}{name}.")
    return lines


def _generated(resource: type[R], stack: Stack, fields: Mapping[str, tuple[Any, Any]], **of_class: Any) -> Any:
    body = {
        "__annotations__": {name: kind for name, (kind, _) in fields.items()}
        | {name: ClassVar[Any] for name in of_class if name != "model_config"},
        "__module__": __name__,
        "__doc__": resource.__doc__,
        **{name: field for name, (_, field) in fields.items()},
        **of_class,
    }
    return type(f"{stack.name.title().replace('-', '')}{resource.__name__}", (resource,), body).configure_at_launch()
