"""Feast, opened once: its registry as last read, what follows from it, and the right to write it."""

# Feast is only partly typed.
# pyright: basic

from __future__ import annotations

import contextlib
import importlib
import os
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any
from weakref import finalize

from models.errors import TesseraError, choose_from
from resources.feature_store.feast.registry_lock import registry_lock
from resources.feature_store.feast.settings import for_yaml, repo_config, revealed

if TYPE_CHECKING:
    from feast import FeatureService, FeatureView
    from feast import FeatureStore as Feast

    from resources.feature_store.feast.few_rows import FewRowsPlan
    from resources.feature_store.feast.service_plan import ServicePlan

_LOCK_SECONDS = 1800
_REFRESH_SECONDS = 60
_LOADING = Lock()


class FeastSession:
    """Feast on the store in `folder`; threads share it.

    Args:
        folder: place of locks and files.
        settings: Feast's, with references to secrets.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        self._folder = folder
        self._settings = settings
        self._file = folder / "feature_store.yaml"
        self._feast: Feast | None = None
        self._opening = Lock()
        self._plans: dict[tuple[str, Any], ServicePlan] = {}
        self._few: dict[str, tuple[ServicePlan, FewRowsPlan | None]] = {}
        self._refresh_at = 0.0

    @property
    def feast(self) -> Feast:
        """Feast itself. In a folder that was never used, opening makes tables: one process at a time."""
        if self._feast is None:
            with contextlib.nullcontext() if self._is_made() else self.exclusive():
                self._open()
        return self._feast or self._open()

    @property
    def online_store(self) -> Any:
        """The online store that Feast uses."""
        provider: Any = self.feast.provider
        return provider.online_store

    def exclusive(self) -> contextlib.AbstractContextManager[None]:
        """Inside, no other process writes the registry."""
        return registry_lock(self._folder, self._settings["registry"]["path"], _LOCK_SECONDS)

    def apply(self, definitions: Any) -> list[str]:
        """Names of the registered feature services, after what `definitions` gives for the lake is registered.

        Also writes `feature_store.yaml` for the `feast` command (see feature_repo/feast_cli.py).
        """
        with self.exclusive():
            feast = self._open()
            feast.apply(definitions(self._settings["tables"]))
            part = self._file.with_suffix(f".{os.getpid()}.part")
            part.write_text(self._yaml())
            part.replace(self._file)
            return sorted(service.name for service in feast.list_feature_services())

    def view(self, name: str) -> FeatureView:
        """Return a feature view as it is registered now.

        Raises:
            TesseraError: there is none of this name.
        """
        self._refresh()
        known = {view.name: view for view in self.feast.list_batch_feature_views()}
        if name not in known:
            raise _unknown("feature view", name, known)
        return known[name]

    def plan(self, service: str, *, fresh: bool = False) -> ServicePlan:
        """Return the read plan of a service, resolved again when the registry was reloaded (at most one minute old).

        If the registry is unavailable meanwhile, plans already resolved stay in use.

        Raises:
            TesseraError: unknown service.
        """
        if fresh or time.monotonic() >= self._refresh_at:
            self._refresh()
        plan = self._plans.get((service, self._state()))
        if plan is None and service not in self._services():
            self._refresh()  # it may have been registered since
        return plan or self._planned(service)

    def few_rows_plan(self, service: str) -> FewRowsPlan | None:
        """Return the plan for reads of a few entities, None if there is none; otherwise as `plan`."""
        from resources.feature_store.feast.few_rows import FewRowsPlan

        plan = self.plan(service)
        held = self._few.get(service)
        if held is None or held[0] is not plan:
            held = self._few[service] = (plan, FewRowsPlan.of(plan))
        return held[1]

    def knows(self, service: str) -> bool:
        """Return True if `plan` would read nothing now."""
        return (
            self._feast is not None and time.monotonic() < self._refresh_at and (service, self._state()) in self._plans
        )

    def _planned(self, service: str) -> ServicePlan:
        from resources.feature_store.feast.service_plan import service_plan

        state, known = self._state(), self._services()
        if service not in known:
            raise _unknown("feature service", service, known)
        plan = service_plan(self.feast, known[service])
        current = {key: standing for key, standing in self._plans.items() if key[1] == state}
        self._plans = {**current, (service, state): plan}
        return plan

    def _services(self) -> Mapping[str, FeatureService]:
        found = self.feast.registry.list_feature_services(self.feast.project, allow_cache=True)
        return {service.name: service for service in found}

    def _refresh(self) -> None:
        self._refresh_at = time.monotonic() + _REFRESH_SECONDS
        self.feast.refresh_registry()

    def _state(self) -> Any:
        """Another one whenever Feast has read the registry again."""
        registry: Any = self.feast.registry
        return registry.cached_registry_proto_created

    def _open(self) -> Feast:
        with self._opening:
            if self._feast is None:
                load_feast()
                from feast import FeatureStore as Feast

                feast = Feast(config=repo_config(self._folder, revealed(self._settings)))
                registry: Any = feast.registry
                finalize(self, registry.write_engine.dispose)
                self._feast = feast
            return self._feast

    def _is_made(self) -> bool:
        """Return True if registry and online store were created with these settings: the file is written last."""
        return self._file.exists() and self._file.read_text() == self._yaml()

    def _yaml(self) -> str:
        import yaml

        return yaml.safe_dump(for_yaml(self._settings), sort_keys=False)


def load_feast() -> None:
    """Import Feast without what its import does beside: type checks, and deprecation warnings shown to users.

    Feast has typeguard compile its classes again, with checks of their arguments, in every process that imports it:
    four fifths of the time. Modules of ours that import Feast at their top are imported after this.
    """
    with _LOADING, warnings.catch_warnings(), without_type_checks():
        importlib.import_module("feast")


@contextlib.contextmanager
def without_type_checks() -> Iterator[None]:
    """Inside, typeguard's decorator leaves what it decorates as it is."""
    import typeguard

    kept = typeguard.typechecked
    typeguard.typechecked = _unchanged
    try:
        yield
    finally:
        typeguard.typechecked = kept


def _unchanged(target: Any = None, **_: Any) -> Any:
    """Stand in for `typeguard.typechecked`, as a decorator and as a maker of decorators."""
    return target if target is not None else _unchanged


def _unknown(what: str, name: str, known: Iterable[str]) -> TesseraError:
    return TesseraError(
        f"There is no {what} {name!r}.",
        expected=choose_from(name, known),
        todo="Correct the name, or define it in feature_repo/ and run the job once.",
    )
