"""Reading of an import: the contract, the model's files, the golden rows."""

# pyright: basic
# pyarrow has no static types.

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from pydantic import ValidationError

from models.errors import TesseraError, choose_from, clause
from models.legacy.contract import MIN_GOLDEN_ROWS, InputFeature, LegacyContract
from models.legacy.pickle_names import PickleNames, pickle_names
from models.training.model import Matrix, Vector
from resources.legacy_model.command import RUN_PICKLE, CommandConfig
from resources.legacy_model.imported import ImportedModel
from resources.legacy_model.port import Signature, config_of

#: Ending of a model file -> kind, and its name in the package.
_FILES = {
    ".onnx": ("onnx", "model.onnx"),
    ".ubj": ("xgboost", "model.ubj"),
    ".json": ("xgboost", "model.json"),
    ".txt": ("lightgbm", "model.lgb"),
    ".lgb": ("lightgbm", "model.lgb"),
    ".skops": ("skops", "model.skops"),
}
#: Flavours of an MLflow model whose files run no code -> field of the file.
_FLAVOURS = {"xgboost": "data", "lightgbm": "data", "onnx": "data", "sklearn": "pickled_model"}


@dataclass(frozen=True)
class GoldenRows:
    """Inputs of the model with the scores that it gave where it ran before."""

    inputs: Matrix
    scores: Vector


@dataclass(frozen=True)
class Opened:
    """A model that can be asked, and the golden rows that it has to reproduce."""

    model: ImportedModel
    golden: GoldenRows


def open_import(
    contract_file: Path, model: Path | None, run_in: Path | None = None, trusted_names: Collection[str] = ()
) -> Opened:
    """Open a model as its contract describes it.

    Args:
        contract_file: YAML; relative paths start from its folder.
        model: file, or folder of MLflow; None: the contract's `runs` says everything.
        run_in: the Python of a virtual environment, in which a pickle is loaded.
        trusted_names: names in a pickle, beyond those of the usual libraries, that its owner vouches for.

    Raises:
        TesseraError: the contract, the model or the golden rows are not usable.
    """
    contract = _contract(contract_file)
    beside = contract_file.resolve().parent
    runs, files = _runs(contract, model, run_in, trusted_names)
    config = config_of(runs)
    if isinstance(config, CommandConfig):
        config = config.sealed(beside)
    sealed = contract.model_copy(update={"runs": config.model_dump(mode="json")})
    signature = Signature(sealed.features, sealed.output.of)
    folder = next(iter(files.values())).parent if files else beside
    settings = {**sealed.runs, "file": next(iter(files.values())).name} if files and sealed.runs else sealed.runs
    opened = config_of(settings or {}).open(folder, signature)
    return Opened(ImportedModel(sealed, opened, files), _golden(beside / contract.golden.file, sealed))


def _contract(file: Path) -> LegacyContract:
    try:
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise TesseraError(
            f"The contract {file} cannot be read: {str(error).splitlines()[0]}.",
            expected="a YAML file as docs/legacy-models.md has it",
            todo="Correct its path or its text.",
        ) from None
    try:
        return LegacyContract.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the whole"
        raise TesseraError(
            f"{file.name}: `{place}`: {clause(first['msg'])}.",
            expected="a contract as docs/legacy-models.md has it",
            todo="Correct it.",
        ) from None


def _runs(
    contract: LegacyContract, model: Path | None, run_in: Path | None, trusted_names: Collection[str]
) -> tuple[Mapping[str, Any], Mapping[str, Path]]:
    """Return the settings of the adapter, and the files that go into the package."""
    given = dict(contract.runs or {})
    if model is None:
        if not given:
            raise TesseraError(
                "No model is given, and the contract has no `runs`.",
                expected="a model file or folder, or `runs: {kind: command, ...}` or `{kind: endpoint, ...}`",
                todo="Name the file after the application, or add `runs`.",
            )
        return given, {}
    if not model.exists():
        raise TesseraError(f"There is no {model}.", expected="a model file or folder", todo="Correct the path.")
    file = _flavour(model) if model.is_dir() else model
    names = pickle_names(file.read_bytes()) if file.suffix != ".skops" else None
    if names is not None:
        return _pickle(file, names, run_in, trusted_names), {}
    if run_in is not None:
        raise TesseraError(
            f"{file.name} is no pickle.", expected="a pickle with `--run-in`", todo="Leave `--run-in` out."
        )
    if file.suffix not in _FILES:
        raise TesseraError(
            f"{file.name} has the ending {file.suffix!r}.",
            expected=choose_from(file.suffix, _FILES) + "; or a folder with MLmodel",
            todo="Convert the model, or run it as a command (docs/legacy-models.md).",
        )
    kind, name = _FILES[file.suffix]
    return {**given, "kind": kind, "file": name}, {name: file}


def _flavour(folder: Path) -> Path:
    """Return the file of an MLflow model's flavour that runs no code when it is read."""
    try:
        described = yaml.safe_load((folder / "MLmodel").read_text(encoding="utf-8"))
        flavours = dict(described["flavors"])
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError, ValueError):
        raise TesseraError(
            f"{folder} is no MLflow model.", expected="a folder with a file MLmodel", todo="Name the model's folder."
        ) from None
    for flavour, key in _FLAVOURS.items():
        name = dict(flavours.get(flavour) or {}).get(key)
        if isinstance(name, str):
            file = (folder / name).resolve()
            if folder.resolve() in file.parents and file.is_file():
                return file
    raise TesseraError(
        f"{folder} has the flavours {', '.join(sorted(flavours))}, and none of them is a file that runs no code.",
        expected=f"one of {', '.join(_FLAVOURS)} (scikit-learn saved with skops)",
        todo="Log the model in such a flavour, or run its pickle in its own environment: `--run-in VENV_PYTHON`.",
    )


def _pickle(file: Path, names: PickleNames, run_in: Path | None, trusted_names: Collection[str]) -> Mapping[str, Any]:
    """Return the command that runs a pickle in its own environment.

    Raises:
        TesseraError: `--run-in` is not given, or it names what no `--trust-name` vouches for.
    """
    strange = [name for name in names.strange if name not in trusted_names]
    told = f"it imports {_listed(names.names) or 'nothing'}" + (f"; {'; '.join(names.unread)}" if names.unread else "")
    if run_in is None:
        raise TesseraError(
            f"{file.name} is a pickle: reading it runs the code that it names. If it were read, {told}."
            + (f" {_listed(strange)}: not of scikit-learn and its like." if strange else ""),
            expected="a file that runs no code: ONNX, XGBoost (.ubj, .json), LightGBM (.txt), skops",
            todo="Convert it where it was made, or run it in an environment of its own: `--run-in VENV_PYTHON`.",
        )
    if strange or names.unread:
        raise TesseraError(
            f"{file.name} is not run: {told}. Not of scikit-learn and its like: "
            f"{_listed(strange) or 'unknown, for a part cannot be followed'}.",
            expected="a pickle of scikit-learn, XGBoost or LightGBM that can be followed to its end",
            todo="Do not run it unless you know who made it; vouch for a name of your own with `--trust-name NAME`.",
        )
    return {
        "kind": "command",
        "argv": [str(run_in.absolute()), "-I", RUN_PICKLE, str(file.resolve())],
        "files": [str(file.resolve())],
        "network": "none_if_possible",
    }


def _listed(names: Collection[str]) -> str:
    shown = list(names)[:30]
    return ", ".join(shown) + (f" and {len(names) - len(shown)} more" if len(names) > len(shown) else "")


def _golden(file: Path, contract: LegacyContract) -> GoldenRows:
    table = _table(file)
    for name in (*contract.names, contract.golden.score):
        if name not in table.column_names:
            raise TesseraError(
                f"The golden rows in {file.name} have no column {name!r}. What they have is "
                f"{choose_from(name, table.column_names)}.",
                expected=f"every input by the model's own name, and the stored score as {contract.golden.score!r}",
                todo="Add the column, or name another one: `golden.score` is that of the score.",
            )
    if table.num_rows < MIN_GOLDEN_ROWS:
        raise TesseraError(
            f"{file.name} has {table.num_rows} golden rows.",
            expected=f"at least {MIN_GOLDEN_ROWS}, unlike each other",
            todo="Score more rows with the model where it runs today, and store them with their scores.",
        )
    scores = _numbers(table[contract.golden.score], contract.golden.score, file)
    _check_scores(scores, contract, file)
    columns = [_column(table[one.name], one, file) for one in contract.features]
    return GoldenRows(np.column_stack(columns).astype(np.float32), scores)


def _check_scores(scores: Vector, contract: LegacyContract, file: Path) -> None:
    is_number = contract.output.is_number
    wrong = scores[~(np.isfinite(scores) if is_number else (scores >= 0) & (scores <= 1))]
    if not wrong.size:
        return
    says = (
        "Store probabilities; `output: {is: log_odds}` turns the model's own logits into them, `{is: number}` is for "
    )
    raise TesseraError(
        f"A stored score in {file.name} is {wrong[0]:g}.",
        expected="numbers, none missing" if is_number else "probabilities of the positive class, from 0 to 1",
        todo="Store the model's predictions." if is_number else f"{says}a model that predicts a number.",
    )


def _column(values: Any, one: InputFeature, file: Path) -> Vector:
    if one.type == "number":
        return _numbers(values, one.name, file)
    known = {value: float(place) for place, value in enumerate(one.values)}
    found = values.to_pylist()
    unknown = next((value for value in found if value not in (None, "") and str(value) not in known), None)
    if unknown is not None:
        raise TesseraError(
            f"The golden rows in {file.name} have {unknown!r} in {one.name!r}.",
            expected=choose_from(str(unknown), known),
            todo="Add it to `values` in the contract.",
        )
    return np.array([np.nan if value in (None, "") else known[str(value)] for value in found])


def _numbers(values: Any, name: str, file: Path) -> Vector:
    import pyarrow as pa

    try:
        return values.cast(pa.float64()).to_numpy().astype(np.float64)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise TesseraError(
            f"The column {name!r} of {file.name} has the type {values.type}.", expected="numbers", todo="Correct it."
        ) from None


def _table(file: Path) -> Any:
    import pyarrow as pa
    import pyarrow.csv as csv
    import pyarrow.parquet as pq

    if not file.is_file():
        raise TesseraError(
            f"There is no file of golden rows {file}.",
            expected="a CSV or Parquet file; its path starts from the contract's folder",
            todo="Correct `golden.file`, or score rows with the model where it runs today and store them there.",
        )
    try:
        return pq.read_table(file) if file.suffix == ".parquet" else csv.read_csv(file)
    except (OSError, pa.ArrowInvalid) as error:
        raise TesseraError(
            f"The golden rows cannot be read: {error}.", expected="a CSV or Parquet file", todo="Correct `golden.file`."
        ) from None
