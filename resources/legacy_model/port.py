"""The legacy model port: rows in, scores out, whatever runs the model."""

from __future__ import annotations

import importlib
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from models.errors import TesseraError, choose_from, clause
from models.legacy.contract import InputFeature
from models.training.model import Matrix

Outputs = NDArray[np.float64]

#: Kind -> config class, by its dotted path: nothing of an adapter is imported before a model needs it.
KINDS: Mapping[str, str] = {
    "onnx": "resources.legacy_model.onnx.OnnxConfig",
    "xgboost": "resources.legacy_model.xgboost.XGBoostConfig",
    "lightgbm": "resources.legacy_model.lightgbm.LightGBMConfig",
    "skops": "resources.legacy_model.skops.SkopsConfig",
    "command": "resources.legacy_model.command.CommandConfig",
    "endpoint": "resources.legacy_model.endpoint.EndpointConfig",
}


@dataclass(frozen=True)
class Signature:
    """Inputs of a model in its order, and the number of outputs per row that its contract states."""

    features: tuple[InputFeature, ...]
    outputs: int

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the inputs."""
        return tuple(one.name for one in self.features)

    def check_names(self, found: Sequence[str] | None, model: str) -> None:
        """Check the names that a model itself gives its inputs; None: it gives none.

        Raises:
            TesseraError: another name, another order, or more or fewer of them.
        """
        if found is None or tuple(found) == self.names:
            return
        missing = [name for name in found if name not in self.names]
        strange = [name for name in self.names if name not in found]
        what = f"lacks {missing}" if missing else f"has {strange} more" if strange else "has them in another order"
        raise TesseraError(
            f"{model} names the inputs {list(found)}; the contract {what}.",
            expected="the inputs of the model in its own order",
            todo="Correct `features` in the contract.",
        )

    def check_width(self, found: int | None, model: str) -> None:
        """Check the number of inputs that a model takes; None: unknown.

        Raises:
            TesseraError: the contract names another number.
        """
        if found is not None and found != len(self.features):
            raise TesseraError(
                f"{model} takes {found} inputs, and the contract names {len(self.features)}.",
                expected="every input of the model, in its order",
                todo="Correct `features` in the contract.",
            )

    def check_numbers(self, kind: str) -> None:
        """Check that all inputs are numbers.

        Raises:
            TesseraError: one is a text.
        """
        for one in self.features:
            if one.type == "text":
                raise TesseraError(
                    f"The input {one.name!r} is text, which a model of kind {kind!r} does not take here.",
                    expected="numbers; 0 or 1 for a value: `{name: country_de, from: country, equals: DE}`",
                    todo="Correct the contract, or run the model as a command.",
                )


class LegacyModel(ABC):
    """A model that was made elsewhere. The same rows give the same outputs, whatever rows they come with.

    Attributes:
        kind: of the adapter.
        files: further files of its package, by name; the model's own file is copied by the importer.
        explains: it gives contributions.
    """

    kind: str
    explains: bool = False

    @abstractmethod
    def predict(self, inputs: Matrix) -> Outputs:
        """Return the outputs, shape `(n_rows, n_outputs)`; NaN in `inputs` means NULL, a text is its place in `values`.

        Raises:
            TesseraError: it does not answer, or not with so many finite numbers.
        """

    def contributions(self, inputs: Matrix) -> Matrix:  # noqa: ARG002 - the interface has it
        """Return the exact contribution of each input to the log-odds, shape of `inputs`.

        Raises:
            TesseraError: this kind of model gives none.
        """
        raise TesseraError(
            f"A model of kind {self.kind!r} cannot say what each input contributes.",
            expected="an XGBoost or LightGBM file",
            todo="Do without reasons, or import the model in one of these formats.",
        )

    def clock(self) -> float:
        """Return seconds by which the cost of a prediction is measured: CPU of everything that works for it."""
        return time.process_time()

    def close(self) -> None:  # noqa: B027 - most have nothing to close
        """Give back what it holds; it may be asked again."""


class LegacyConfig(Protocol):
    """Interface of every adapter's config class."""

    def open(self, folder: Path, signature: Signature) -> LegacyModel:
        """Return the model, whose files are in `folder`.

        Raises:
            TesseraError: it is not what the contract says.
        """
        ...

    def model_dump(self, *, mode: str) -> dict[str, Any]:
        """Return the settings as JSON values."""
        ...


def config_of(settings: Mapping[str, Any]) -> LegacyConfig:
    """Return the config of an adapter, of its `kind` and settings.

    Raises:
        TesseraError: no such kind, or a setting is wrong.
    """
    kind = str(settings.get("kind", ""))
    if kind not in KINDS:
        raise TesseraError(
            f"There is no kind {kind!r} of legacy model.",
            expected=choose_from(kind, KINDS),
            todo="Correct `runs.kind` in the contract.",
        )
    module, _, name = KINDS[kind].rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)(**settings)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise TesseraError(
            f"`runs.{place}` of the contract: {clause(first['msg'])}.",
            expected=f"the settings of a model of kind {kind!r} (docs/legacy-models.md)",
            todo="Correct it.",
        ) from None


def checked_outputs(found: Any, rows: int, signature: Signature, model: str) -> Outputs:
    """Return outputs of shape `(rows, n_outputs)`.

    Raises:
        TesseraError: they are no numbers, of another shape, or not finite.
    """
    try:
        values = np.asarray(found, dtype=np.float64)
    except (TypeError, ValueError):
        raise _wrong(model, "something that is no table of numbers", rows, signature) from None
    if values.ndim == 1 and signature.outputs == 1:
        values = values.reshape(-1, 1)
    if values.shape != (rows, signature.outputs):
        shape = " x ".join(map(str, values.shape)) or "one number"
        raise _wrong(model, f"{shape} numbers for {rows} rows", rows, signature)
    if not np.isfinite(values).all():
        place = int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])
        raise _wrong(model, f"{values[place].tolist()} for row {place} of {rows}", rows, signature)
    return values


def _wrong(model: str, what: str, rows: int, signature: Signature) -> TesseraError:
    return TesseraError(
        f"{model} answers {what}.",
        expected=f"{rows} x {signature.outputs} finite numbers (`output.of` of the contract)",
        todo="Correct `output` in the contract, or give `if_missing` for inputs whose NULL the model cannot take.",
    )


def not_installed(package: str) -> TesseraError:
    """Return the error that names the lock of a library."""
    return TesseraError(
        f"The package {package!r} is not installed.",
        expected="the extra `legacy`",
        todo="Install it: `.venv/bin/pip install --no-deps --require-hashes -r requirements/legacy.lock`.",
    )
