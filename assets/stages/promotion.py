"""Promotion and loading of champions: the one place from which the champion is changed.

A version is fetched from the registry, past its cache, and scores its golden set before the alias moves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from models.errors import TesseraError
from models.ledger import Action, LedgerEntry, champions_before
from models.tracing import traced
from resources.registry.port import Registry

if TYPE_CHECKING:
    from models.compose.package import LoadedComposition
    from models.training.computed_features import ComputedFeatures
    from models.training.model_package import LoadedModel

V = TypeVar("V")


@dataclass(frozen=True)
class Verified:
    """A version that was loaded from the registry and scored `golden_rows` rows of its golden set as in training."""

    version: str
    model: LoadedModel
    golden_rows: int


@dataclass(frozen=True)
class VerifiedComposition:
    """A composition that was loaded from the registry and answered `golden_rows` golden records as when saved."""

    version: str
    composition: LoadedComposition
    golden_rows: int


@dataclass(frozen=True)
class Unusable:
    """A version that cannot be used, and the reason in words."""

    version: str
    why: str


@dataclass(frozen=True)
class Loadable:
    """The newest champion that can be used; `problems` names every later one, the champion first."""

    version: str
    model: LoadedModel
    problems: Sequence[Unusable]


def verified(registry: Registry, app: str, version: str) -> Verified:
    """Return the version as the registry hands it out, past every cache, after it scored its golden set.

    Raises:
        TesseraError: it cannot be fetched or loaded, or scores its golden set differently than in training.
    """
    return _model(registry.fetch_anew(app, version), registry, version)


def fetched(registry: Registry, app: str, version: str, computed: ComputedFeatures | None = None) -> Verified:
    """Return the same of the registry's cache, if it is there: every file is checked.

    Args:
        registry: holds the version.
        app: the application.
        version: the version.
        computed: features of this release, which the model must read; None: they are not compared.

    Raises:
        OtherRelease: the model reads other features.
        TesseraError: as for `verified`.
    """
    return _model(registry.fetch(app, version), registry, version, computed)


def fetched_composition(
    registry: Registry, app: str, version: str, live: Mapping[str, Any], rehearsal: Mapping[str, Any]
) -> VerifiedComposition:
    """Return the same of a composition over the resources `live`, after its golden records over `rehearsal`.

    Raises:
        TesseraError: as for `verified`.
    """
    return _rehearsed(registry.fetch(app, version), registry, version, live, rehearsal)


def model_of(registry: Registry, app: str, version: str) -> Verified:
    """Return a version, after it scored its golden set.

    Raises:
        TesseraError: it cannot be fetched or loaded, or scores its golden set differently than in training.
    """
    return _model(registry.fetch(app, version), registry, version)


def make_champion(
    registry: Registry,
    app: str,
    version: str,
    *,
    action: Action,
    why: str,
    who: str,
    run_id: str,
    metrics: Mapping[str, float],
    even_if_refused: bool = False,
    judged: str | None = None,
    resources: Mapping[str, Any] | None = None,
) -> tuple[LedgerEntry, Verified | VerifiedComposition]:
    """Return ledger's entry, after `version` was verified and is champion; the arguments are those of `set_champion`.

    `resources`: name -> what the parts of a composition need.

    Raises:
        TesseraError: the version cannot be used; the champion is unchanged.
    """
    with registry.lock(app):
        found = _verified_anew(registry, app, version, resources)
        further: dict[str, Any] = {"even_if_refused": True} if even_if_refused else {}
        further |= {"judged": judged} if judged else {}
        entry = registry.set_champion(
            app,
            version,
            action=action,
            why=why,
            who=who,
            run_id=run_id,
            metrics={"golden_rows": found.golden_rows, **metrics},
            **further,
        )
    return entry, found


def champion_composition(
    registry: Registry, app: str, resources: Mapping[str, Any] | None = None
) -> VerifiedComposition:
    """Return the champion, which is a composition, after it answered its golden records.

    Raises:
        TesseraError: there is no champion, or it cannot be used.
    """
    version = registry.champion(app)
    if version is None:
        raise TesseraError(f"There is no champion of {app}.", expected="a champion", todo="Build and promote one.")
    return _composition(registry.fetch(app, version), registry, version, resources)


def _verified_anew(
    registry: Registry, app: str, version: str, resources: Mapping[str, Any] | None
) -> Verified | VerifiedComposition:
    from models.compose.package import is_composition

    folder = registry.fetch_anew(app, version)
    if is_composition(folder):
        return _composition(folder, registry, version, resources)
    return _model(folder, registry, version)


def _model(folder: Path, registry: Registry, version: str, computed: ComputedFeatures | None = None) -> Verified:
    from models.training.golden import verified_package

    loaded, rows = verified_package(folder, registry.trusted_packages)
    if computed is not None:
        computed.check(loaded.encoder, loaded.card)
    return Verified(version, loaded, rows)


def _composition(
    folder: Path, registry: Registry, version: str, resources: Mapping[str, Any] | None
) -> VerifiedComposition:
    from models.compose.package import golden_answers, load_composition

    loaded = load_composition(folder, resources=resources, trusted=registry.trusted_packages)
    return VerifiedComposition(version, loaded, golden_answers(loaded))


@traced("load the champion")
def loadable_champion(app: str, registry: Registry, computed: ComputedFeatures | None = None) -> Loadable:
    """Return the champion, or else the newest champion before it that loads and scores its golden set as in training.

    Versions that were rolled back from are left out. `computed`: features of this release, which a model must read;
    None: they are not compared.

    Raises:
        TesseraError: there is no champion, or no champion of the ledger can be used.
    """
    found, problems = newest_usable(app, champions(app, registry, computed))
    return Loadable(found.version, found.model, problems)


def newest_usable(app: str, found: Iterable[V | Unusable]) -> tuple[V, Sequence[Unusable]]:
    """Return the first champion of `champions` or `composed_champions` that can be used, and why later ones cannot.

    Raises:
        TesseraError: there is no champion, or none of them can be used.
    """
    problems: list[Unusable] = []
    for one in found:
        if not isinstance(one, Unusable):
            return one, problems
        problems.append(one)
    if not problems:
        raise TesseraError(
            f"There is no champion of {app}.", expected="a champion", todo=f"Run `tessera run {app}_training`."
        )
    raise TesseraError(
        f"No champion of {app} can be used: " + "; ".join(f"version {one.version}: {one.why}" for one in problems),
        expected="a champion, or one before it, that loads and scores its golden set",
        todo=f"Restore the registry, or train a new model: `tessera run {app}_training`.",
    )


def champions(app: str, registry: Registry, computed: ComputedFeatures | None = None) -> Iterator[Verified | Unusable]:
    """Yield the champion, then those before it, newest first, each as it can be used or with the reason why not.

    `computed`: features of this release, which a model must read; None: they are not compared.
    """
    return _usable(app, registry, lambda folder, version: _model(folder, registry, version, computed))


def composed_champions(
    app: str, registry: Registry, live: Mapping[str, Any], rehearsal: Mapping[str, Any]
) -> Iterator[VerifiedComposition | Unusable]:
    """Yield the same of compositions, over the resources `live`, each after its golden records over `rehearsal`."""
    return _usable(app, registry, lambda folder, version: _rehearsed(folder, registry, version, live, rehearsal))


def _usable(app: str, registry: Registry, read: Callable[[Path, str], V]) -> Iterator[V | Unusable]:
    for version in champions_before(registry.ledger(app)):
        try:
            found = read(registry.fetch(app, version), version)
        except TesseraError as error:
            yield Unusable(version, error.what)
        else:
            yield found


def _rehearsed(
    folder: Path, registry: Registry, version: str, live: Mapping[str, Any], rehearsal: Mapping[str, Any]
) -> VerifiedComposition:
    from models.compose.package import over_resources

    found = _composition(folder, registry, version, rehearsal)
    trusted = registry.trusted_packages
    return replace(found, composition=over_resources(found.composition, folder, rehearsal, live, trusted))
