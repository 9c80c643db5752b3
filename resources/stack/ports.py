"""The ports as Dagster resources: each one opens the adapter that the profile names.

In the launchpad a resource shows its adapter as a selector, so one run can be given another one. The profile's
values are class defaults of a generated subclass, because `configure_at_launch(backend=...)` silently drops a union.
"""

from functools import reduce
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
from resources.stack.loader import ADAPTERS, Stack, active_stack, adapter_class, opened
from resources.stack.no_values import no_values
from resources.stream_store.port import StreamStore


class SourceResource(dg.ConfigurableResource):
    """The source port: the shop's raw rows."""

    def open(self) -> Source:
        """Return the source that the profile, or this run's config, names."""
        return _open(self)

    def settings(self) -> Identity:
        """Return adapter and its settings, but for secrets: they stand for a source that has no identity of its own."""
        backend: dg.Config = getattr(self, "backend")  # noqa: B009 - the field exists on the generated subclass only
        secret = {name for name in type(backend).model_fields if isinstance(getattr(backend, name), dg.EnvVar)}
        values = backend.model_dump(mode="json", exclude=secret | {"cache"})
        return Identity({"adapter": f"{type(backend).__module__}.{type(backend).__qualname__}", **values})


class LakeResource(dg.ConfigurableResource):
    """The lake port: versioned tables."""

    def open(self) -> Lake:
        """Return the lake that the profile, or this run's config, names."""
        return _open(self)


class EngineResource(dg.ConfigurableResource):
    """The engine port: bulk SQL over tables."""

    def open(self) -> Engine:
        """Return the engine that the profile, or this run's config, names."""
        return _open(self)


class FeatureStoreResource(dg.ConfigurableResource):
    """The feature store port: register, join point in time and serve features."""

    def open(self) -> FeatureStore:
        """Return the feature store that the profile, or this run's config, names."""
        return _open(self)


class RegistryResource(dg.ConfigurableResource):
    """The registry port: model versions and the champion of each application."""

    def open(self) -> Registry:
        """Return the registry that the profile, or this run's config, names."""
        return _open(self)


class SinkResource(dg.ConfigurableResource):
    """The sink port: published scores."""

    def open(self) -> Sink:
        """Return the sink that the profile, or this run's config, names."""
        return _open(self)


class NotifierResource(dg.ConfigurableResource):
    """The notifier port: messages to people when something needs their attention."""

    def open(self) -> Notifier:
        """Return the notifier that the profile, or this run's config, names."""
        return _open(self)


class EventsResource(dg.ConfigurableResource):
    """The events port: a queue of events for consumer groups, ordered per subject."""

    def open(self) -> Events:
        """Return the queue that the profile, or this run's config, names."""
        return _open(self)


class StreamStoreResource(dg.ConfigurableResource):
    """The stream store port: window state, alerts and the read position of a stream."""

    def open(self) -> StreamStore:
        """Return the stream store that the profile, or this run's config, names."""
        return _open(self)


class SettingsResource(dg.ConfigurableResource):
    """The applications' settings, as the profile gives them."""

    profile: str = Field(description="The profile these settings were read from; change it with TESSERA_PROFILE.")

    def open(self) -> Settings:
        """Return the settings of the active profile."""
        return active_stack().settings


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
    """Every port of the profile as a resource, configured by the profile, changeable at launch."""
    ports = {port: _bound(resource, port, stack) for port, resource in _PORTS.items()}
    return {**ports, "settings": SettingsResource(profile=stack.name), "io_manager": no_values}


def _bound(resource: type[R], port: str, stack: Stack) -> Any:
    """`resource` with a field `backend`: a union of all adapters of the port, the profile's choice as default."""
    classes = [adapter_class(port, kind) for kind in ADAPTERS[port]]
    chosen = stack.config_class(port)
    members = list(dict.fromkeys([*classes, chosen]))
    union: Any = reduce(lambda left, right: left | right, members)
    field = Field(default=stack.config(port), discriminator="kind" if len(members) > 1 else None)
    name = f"{stack.name.title().replace('-', '')}{resource.__name__}"
    body = {
        "__annotations__": {"backend": union, "home": ClassVar[Path]},
        "__module__": __name__,
        "__doc__": resource.__doc__,
        "backend": field,
        "home": stack.home,
    }
    return type(name, (resource,), body).configure_at_launch()


def _open(resource: dg.ConfigurableResource) -> Any:
    home: Path | None = getattr(type(resource), "home", None)  # of the profile that the resource belongs to
    if home is not None:
        check_layout(home)
    return opened(getattr(resource, "backend"))  # noqa: B009 - the field exists on the generated subclass only
