"""A model as a folder: its files, its encoder, its card, and a checksum of everything."""

import importlib
import importlib.metadata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, ValidationError

from models.errors import TesseraError, choose_from
from models.training.children import ChildFacts
from models.training.encoding import Encoder
from models.training.manifest import (
    MANIFEST,
    check_sums,
    imported,
    new_folder,
    read_extras,
    read_manifest,
    seal,
    top_package,
    write_extras,
)
from models.training.model import FittedModel, Vector, members_of

# pyarrow has no static types.
# pyright: basic

FORMAT = 2
_LIBRARIES = ("numpy", "scikit-learn", "skops", "xgboost")


class ModelCard(BaseModel):
    """Facts needed to evaluate a model. Days are UTC.

    Attributes:
        app: the application it is for, e.g. `churn`.
        as_of: the day up to which it was allowed to know anything.
        label_end: the last day that any of its training labels looked at.
        train_cutoffs: the days its training features were taken on.
        feature_service: the Feast service whose features it reads.
        feature_version: version of the definitions of these features.
        rows: training rows.
        labels: numbers of their labels, e.g. `positives` (`models.tasks`).
        parameters: everything that shapes the model, defaults included.
        metrics: out-of-fold and hold-out numbers.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    app: str
    as_of: date
    label_end: date
    train_cutoffs: tuple[date, ...]
    feature_service: str
    feature_version: str
    rows: int
    labels: dict[str, float]
    parameters: dict[str, str]
    metrics: dict[str, float]


@dataclass(frozen=True)
class LoadedModel:
    """A model that was read back, every checksum right."""

    model: FittedModel
    encoder: Encoder
    card: ModelCard
    extras: Mapping[str, str]
    sha256: str
    size_bytes: int

    def score(self, table: pa.Table | pa.RecordBatch) -> Vector:
        """Prediction of each row of a table of features; of a binary task the probability of the positive class."""
        return self.model.predict(self.encoder.matrix(table))

    def score_few(self, rows: Sequence[Mapping[str, Any]]) -> Vector:
        """`score` of a few rows that are Python's values by column."""
        return self.model.predict(self.encoder.few(rows))

    @cached_property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the matrix columns, in order."""
        return self.encoder.feature_names


def save(
    folder: Path,
    model: FittedModel,
    encoder: Encoder,
    card: ModelCard,
    extras: Mapping[str, str] | None = None,
    children: Mapping[str, ChildFacts] | None = None,
) -> str:
    """Return package's sha256, after `folder` (created; must be empty) holds it. The same model gives the same bytes.

    `extras` (file name -> text) are kept and checked beside the model, e.g. what its features looked like in training.
    `children`: what training knows of the models that this one merges, by `models.training.children.member_name`.

    Raises:
        TesseraError: the folder is not empty.
    """
    new_folder(folder)
    described = _saved(folder, model)
    write_extras(folder, extras or {})
    manifest: dict[str, Any] = {
        "format": FORMAT,
        **described,
        "formats": sorted(_formats(model)),
        "encoder": encoder.to_json(),
        "card": card.model_dump(mode="json"),
        "extras": sorted(extras or {}),
        "libraries": _libraries(_loaders(described)),
        **({"children": {name: facts.model_dump() for name, facts in children.items()}} if children else {}),
    }
    return seal(folder, manifest)


def load(folder: Path, *, sha256: str | None = None, trusted: Collection[str] = ()) -> LoadedModel:
    """Return the model in `folder`, after every file was found to be the one that was saved.

    Args:
        folder: made by `save`.
        sha256: of the package, as known from elsewhere (the registry); None: only the package's own is checked.
        trusted: packages of third parties whose loaders may run (`registry.trusted_packages` of the profile).

    Raises:
        TesseraError: a file is missing, added or changed, of an unknown kind, or holds a type we never write.
    """
    manifest = _read_manifest(folder)
    check_sums(folder, manifest, sha256, partial(_refused, folder))
    return LoadedModel(
        model=_loaded(folder, manifest, trusted),
        encoder=Encoder.from_json(manifest["encoder"]),
        card=_card(folder, manifest["card"]),
        extras=read_extras(folder, manifest),
        sha256=str(manifest["sha256"]),
        size_bytes=package_bytes(folder),
    )


def described(folder: Path) -> tuple[Encoder, ModelCard]:
    """Return what the manifest of a package says of the model's inputs and its training, without reading the model.

    Raises:
        TesseraError: the manifest cannot be read.
    """
    manifest = _read_manifest(folder)
    return Encoder.from_json(manifest["encoder"]), _card(folder, manifest["card"])


def package_bytes(folder: Path) -> int:
    """Size of all files of a package."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def formats_of(folder: Path, trusted: Collection[str]) -> frozenset[str]:
    """Return the file endings that the loaders of trusted third parties read, as the manifest names them."""
    manifest = _read_manifest(folder)
    theirs = {top_package(loader) for loader in _loaders(manifest) if loader not in LOADERS.values()}
    return frozenset(manifest.get("formats", ())) if theirs and theirs <= set(trusted) else frozenset()


def _saved(folder: Path, model: FittedModel) -> dict[str, Any]:
    """Write the model's files, those of its members (of a mean) in folders `0`, `1`, ...; return how to read them."""
    folder.mkdir(exist_ok=True)
    loader = str(getattr(model, "loader", LOADERS.get(model.kind, "")))
    found: dict[str, Any] = {"kind": model.kind, "loader": loader, "model": dict(model.save(folder))}
    members = [_saved(folder / str(place), member) for place, member in enumerate(members_of(model))]
    return {**found, "members": members} if members else found


def _loaders(described: Mapping[str, Any]) -> set[str]:
    members = described.get("members", ())
    return {str(described.get("loader", "")), *(loader for member in members for loader in _loaders(member))}


def _formats(model: FittedModel) -> set[str]:
    """File endings of the model and its members."""
    return {*getattr(model, "formats", ()), *(ending for member in members_of(model) for ending in _formats(member))}


def _loaded(folder: Path, manifest: Mapping[str, Any], trusted: Collection[str]) -> FittedModel:
    """Read the model with the loader that the manifest names: ours, or that of a package that the profile trusts."""
    kind, loader = str(manifest["kind"]), str(manifest.get("loader", ""))
    if not loader:
        raise TesseraError(
            f"{folder} holds a model of kind {kind!r}, which names no loader.",
            expected=f"{choose_from(kind, LOADERS)}; or a model with an attribute `loader`, the dotted path of a "
            "function of (folder, saved)",
            todo="Give the model class its loader, e.g. `loader = 'acme.models:load'`, and train again.",
        )
    if loader not in LOADERS.values() and top_package(loader) not in trusted:
        raise TesseraError(
            f"{folder} is read by {loader!r}, and the profile does not trust the package {top_package(loader)!r}.",
            expected="a model of ours, or of a package that `registry.trusted_packages` names",
            todo=f"If you trust it, add it in stack.yaml: registry: {{trusted_packages: [{top_package(loader)}]}}.",
        )
    members = [
        _loaded(folder / str(place), member, trusted) for place, member in enumerate(manifest.get("members", ()))
    ]
    todo = f"Install {top_package(loader)} again, or roll back to a version of another trainer."
    read = imported(folder, loader, made_with="model was trained", todo=todo)
    model = read(folder, manifest["model"], members) if members else read(folder, manifest["model"])
    if model.kind != kind:
        raise _refused(folder, f"it holds a model of kind {model.kind!r}, and its {MANIFEST} says kind {kind!r}")
    return model


def _libraries(loaders: Collection[str]) -> dict[str, str]:
    """Return versions of the libraries that read and wrote the model."""
    names = [
        *_LIBRARIES,
        *sorted({top_package(loader) for loader in loaders if loader and loader not in LOADERS.values()}),
    ]
    found = {}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:  # a package whose distribution has another name
            continue
    return found


#: Kind of model -> function that reads it, as manifests name it: `module:function`.
LOADERS: Mapping[str, str] = {
    "xgboost": "models.training.xgboost_model:XGBoostModel.load",
    "logistic_regression": "models.training.linear_model:LinearModel.load",
    "fan_out": "models.training.merged_model:MergedModel.load",
    "hist_gradient_boosting": "models.training.boosted_model:HistogramModel.load",
    "xgboost_regression": "models.training.regression_models:XGBoostRegressionModel.load",
    "ridge_regression": "models.training.regression_models:RidgeModel.load",
    "imported": "resources.legacy_model.imported:ImportedModel.load",
}


def _read_manifest(folder: Path) -> dict[str, Any]:
    manifest = read_manifest(folder, partial(_refused, folder))
    if manifest.get("format") != FORMAT:
        raise _refused(folder, f"its {MANIFEST} is not of format {FORMAT}")
    return manifest


def _card(folder: Path, values: object) -> ModelCard:
    try:
        return ModelCard.model_validate(values)
    except ValidationError as error:
        raise _refused(folder, f"its card cannot be read ({error.error_count()} mistakes)") from error


def _refused(folder: Path, why: str) -> TesseraError:
    return TesseraError(
        f"The model package {folder} is refused: {why}.",
        expected="exactly what was saved",
        todo="Make an earlier version champion with `tessera rollback`, or train again.",
    )
