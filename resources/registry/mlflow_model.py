"""A package as an MLflow model folder: the package itself, and what MLflow needs to show and load it."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

#: Path of the package inside the MLflow model.
PACKAGE = "package"

_BOOSTER = "model.ubj"


def write_mlflow_model(folder: Path, package: Path, *, run_id: str, model_id: str) -> None:
    """`folder` (new) is an MLflow model: `MLmodel`, `requirements.txt`, and the package untouched in `package/`.

    A package with `model.ubj` gets MLflow's `xgboost` flavor: `mlflow.xgboost.load_model` then gives the booster.
    There is no `python_function` flavor on purpose: it would give scores without encoder and calibration.
    """
    from mlflow.models import Model

    manifest = json.loads((package / "manifest.json").read_bytes())
    shutil.copytree(package, folder / PACKAGE)
    libraries: dict[str, str] = manifest.get("libraries", {})
    model = Model(run_id=run_id, model_id=model_id, signature=_signature(manifest))
    if (package / _BOOSTER).is_file():
        model.add_flavor(
            "xgboost",
            data=f"{PACKAGE}/{_BOOSTER}",
            model_class="xgboost.core.Booster",
            model_format="ubj",
            xgb_version=libraries.get("xgboost", "unknown"),
        )
    model.add_flavor("tessera", package=PACKAGE, kind=manifest.get("kind", "unknown"))
    model.save(folder / "MLmodel")
    requirements = "".join(f"{name}=={version}\n" for name, version in sorted(libraries.items()))
    (folder / "requirements.txt").write_text(requirements)


def _signature(manifest: dict[str, Any]) -> Any:
    """Return the matrix columns as MLflow's signature, or the fields of a composition; None for any other package."""
    if manifest.get("kind") == "composition":
        return _signature_of_fields(manifest["takes"], manifest["gives"])
    if "encoder" not in manifest:
        return None
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema

    from models.training.encoding import Encoder

    names = Encoder.from_json(manifest["encoder"]).feature_names
    columns: list[Any] = [ColSpec(DataType.float, name, required=False) for name in names]
    return ModelSignature(inputs=Schema(columns), outputs=Schema([ColSpec(DataType.float)]))


def _signature_of_fields(takes: Mapping[str, str], gives: Mapping[str, str]) -> Any:
    """Return contracts of a composition as MLflow's signature."""
    from mlflow.models import ModelSignature
    from mlflow.types.schema import AnyType, Array, ColSpec, DataType, Schema

    types: dict[str, Any] = {
        "text": DataType.string,
        "texts": Array(DataType.string),
        "number": DataType.double,
        "integer": DataType.long,
        "flag": DataType.boolean,
        "timestamp": DataType.datetime,
        "record": AnyType(),
        "vector": Array(DataType.float),
    }

    def schema(fields: Mapping[str, str]) -> Any:
        # `vector(384)?`: the width is no part of MLflow's types, the question mark says that it may be missing.
        columns: list[Any] = [
            ColSpec(types[kind.rstrip("?").partition("(")[0]], name, required=not kind.endswith("?"))
            for name, kind in fields.items()
        ]
        return Schema(columns)

    return ModelSignature(inputs=schema(takes), outputs=schema(gives))
