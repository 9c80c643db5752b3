"""The ports as Dagster resources, and as one typed object outside of Dagster.

In the launchpad a resource shows its adapter as a selector, so one run can be given another one. The profile's
values are class defaults of a generated subclass, because `configure_at_launch(backend=...)` silently drops a union.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property, reduce
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import dagster as dg
from pydantic import Field

from models.settings import Settings
from resources.engine.port import Engine
from resources.events.port import Events
from resources.feature_store.port import FeatureStore
from resources.lake.port import Lake
from resources.layout import check_layout
from resources.notifier.port import Notifier
from resources.registry.port import Registry
from resources.sink.port import Sink
from resources.source.port import Identity, Source
from resources.stack.loader import ADAPTERS, Stack, active_stack, adapter_class, changed_settings, opened
from resources.stack.no_values import no_values
from resources.stream_store.port import StreamStore

T = TypeVar("T")


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
    def notifier(self) -> Notifier:
        """Notices to people."""
        return self.stack.open("notifier")

    @cached_property
    def events(self) -> Events:
        """The queue of events."""
        return self.stack.open("events")

    @cached_property
    def stream_store(self) -> StreamStore:
        """State and alerts of a stream."""
        return self.stack.open("stream_store")


def active_ports() -> Ports:
    """Return the ports of the profile that the environment chooses, as `active_stack`."""
    return Ports(active_stack())


class PortResource(dg.ConfigurableResource[T]):
    """A port in a Dagster run: opens the adapter that the profile, or this run's config, names."""

    def open(self) -> T:
        """The adapter, ready to use."""
        home: Path | None = getattr(type(self), "home", None)  # of the profile that the resource belongs to
        if home is not None:
            check_layout(home)
        return opened(self._adapter_config())

    def _adapter_config(self) -> Any:
        return getattr(self, "backend")  # noqa: B009 - the field exists on the generated subclass only


class SourceResource(PortResource[Source]):
    """The source port: the shop's raw rows."""

    def settings(self) -> Identity:
        """The adapter and its settings, but for secrets: they stand for a source that has no identity of its own."""
        backend: dg.Config = self._adapter_config()
        secret = {name for name in type(backend).model_fields if isinstance(getattr(backend, name), dg.EnvVar)}
        values = backend.model_dump(mode="json", exclude=secret | {"cache"})
        return Identity({"adapter": f"{type(backend).__module__}.{type(backend).__qualname__}", **values})


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


class EventsResource(PortResource[Events]):
    """The events port: a queue of events for consumer groups, ordered per subject."""


class StreamStoreResource(PortResource[StreamStore]):
    """The stream store port: window state, alerts and the read position of a stream."""


class SettingsResource(dg.ConfigurableResource):
    """The applications' settings: those of the profile, with what this run's config changes."""

    profile: str = Field(default="", description="The profile these settings are of; choose it with TESSERA_PROFILE.")

    def open(self) -> Settings:
        """The settings of this run.

        Raises:
            TesseraError: the run's config names no setting, or gives one a wrong value.
        """
        fields = type(self).model_fields
        given = {name: getattr(self, name) for name in Settings.model_fields if name in fields}
        return changed_settings(getattr(type(self), "unchanged", Settings()), given)


class HomeResource(dg.ConfigurableResource):
    """The folder that holds everything the profile makes."""

    path: str = Field(description="Change it with TESSERA_HOME.")

    @property
    def home(self) -> Path:
        """The folder."""
        return Path(self.path)


_PORTS: dict[str, type[dg.ConfigurableResource]] = {
    "source": SourceResource,
    "lake": LakeResource,
    "engine": EngineResource,
    "feature_store": FeatureStoreResource,
    "registry": RegistryResource,
    "sink": SinkResource,
    "notifier": NotifierResource,
    "events": EventsResource,
    "stream_store": StreamStoreResource,
}

R = TypeVar("R", bound=dg.ConfigurableResource)


def stack_resources(stack: Stack) -> dict[str, Any]:
    """Every port and the settings of the profile as resources, configured by the profile, changeable at launch."""
    ports = {port: _bound(resource, port, stack) for port, resource in _PORTS.items()}
    home = HomeResource(path=str(stack.home))
    return {**ports, "settings": _settings(stack), "home": home, "io_manager": no_values}


def _bound(resource: type[R], port: str, stack: Stack) -> Any:
    """`resource` with a field `backend`: a union of all adapters of the port, the profile's choice as default."""
    classes = [adapter_class(port, kind) for kind in ADAPTERS[port]]
    chosen = stack.config_class(port)
    members = list(dict.fromkeys([*classes, chosen]))
    union: Any = reduce(lambda left, right: left | right, members)
    field = Field(default=stack.config(port), discriminator="kind" if len(members) > 1 else None)
    return _generated(resource, stack, {"backend": (union, field)}, home=stack.home)


def _settings(stack: Stack) -> Any:
    """A field for each section of the settings, the profile's values as defaults; a run gives what it changes."""
    shown = stack.settings.model_dump(mode="json")
    fields: dict[str, tuple[Any, Any]] = {
        name: (dict[str, Any], Field(default=shown[name], description=f"settings.{name}; what is left out stays."))
        for name in Settings.model_fields
    }
    profile = SettingsResource.model_fields["profile"].description
    fields["profile"] = (str, Field(default=stack.name, description=profile))
    return _generated(SettingsResource, stack, fields, unchanged=stack.settings)


def _generated(resource: type[R], stack: Stack, fields: Mapping[str, tuple[Any, Any]], **of_class: Any) -> Any:
    body = {
        "__annotations__": {name: kind for name, (kind, _) in fields.items()} | dict.fromkeys(of_class, ClassVar[Any]),
        "__module__": __name__,
        "__doc__": resource.__doc__,
        **{name: field for name, (_, field) in fields.items()},
        **of_class,
    }
    return type(f"{stack.name.title().replace('-', '')}{resource.__name__}", (resource,), body).configure_at_launch()
