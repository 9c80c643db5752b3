"""ONNX files, run by ONNX Runtime in this process."""

# pyright: basic
# onnxruntime has no static types.

from pathlib import Path
from typing import Any, ClassVar, Literal

import dagster as dg
import numpy as np
from pydantic import ConfigDict, Field
from typing_extensions import override

from models.errors import TesseraError, choose_from
from models.training.model import Matrix
from resources.conformance.capabilities import Gap
from resources.legacy_model.port import LegacyModel, Outputs, Signature, checked_outputs, not_installed

#: A key of a tensor whose numbers are in another file, as protobuf writes it.
_EXTERNAL = b"\x0a\x08location"
_TYPES = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(int64)": np.int64}


class OnnxConfig(dg.Config):
    """An ONNX file. Needs the extra `legacy`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    gaps: ClassVar = {
        "contributions": Gap("ONNX has none", "^TesseraError: .*cannot say"),
        "texts": Gap("tensors here are numbers", "^TesseraError: The input .* is text"),
    }

    kind: Literal["onnx"] = "onnx"
    file: str = Field(default="model.onnx", description="File in the package.")
    output: str = Field(
        default="", description="Name of the model's output; empty: `probabilities`, else the last one."
    )

    def open(self, folder: Path, signature: Signature) -> "OnnxFile":
        """Return the model.

        Raises:
            TesseraError: it is none, takes other inputs, or ONNX Runtime is not installed.
        """
        signature.check_numbers(self.kind)
        return OnnxFile(folder / self.file, self.output, signature)


class OnnxFile(LegacyModel):
    """A session on one thread. The inputs are one tensor of all columns, or a tensor per input."""

    kind = "onnx"

    def __init__(self, file: Path, output: str, signature: Signature) -> None:
        self._signature, self._name = signature, file.name
        self._session = _session(file)
        inputs, outputs = self._session.get_inputs(), [one.name for one in self._session.get_outputs()]
        if len(inputs) > 1:
            signature.check_names([one.name for one in inputs], file.name)
        else:
            width = inputs[0].shape[-1] if len(inputs[0].shape) == 2 else None
            signature.check_width(width if isinstance(width, int) else None, file.name)
        self._inputs = [(one.name, _type(one, file.name)) for one in inputs]
        self._output = output or ("probabilities" if "probabilities" in outputs else outputs[-1])
        if self._output not in outputs:
            raise TesseraError(
                f"{file.name} has no output {output!r}.",
                expected=choose_from(output, outputs),
                todo="Correct `runs.output` in the contract.",
            )

    @override
    def predict(self, inputs: Matrix) -> Outputs:
        feed: dict[str, Any] = {}
        if len(self._inputs) == 1:
            ((name, kind),) = self._inputs
            feed[name] = np.ascontiguousarray(inputs, dtype=kind)
        else:
            for place, (name, kind) in enumerate(self._inputs):
                feed[name] = inputs[:, place : place + 1].astype(kind)
        try:
            (found,) = self._session.run([self._output], feed)
        except Exception as error:  # its exceptions have no base class of their own
            raise TesseraError(
                f"{self._name} cannot score {len(inputs)} rows: {type(error).__name__}: {error}.",
                expected="a model that takes these inputs",
                todo="Compare `features` in the contract with the inputs of the model.",
            ) from error
        if isinstance(found, list):  # ZipMap of scikit-learn's converter: a dictionary per row
            found = [list(row.values()) for row in found]
        return checked_outputs(found, len(inputs), self._signature, self._name)


def _session(file: Path) -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise not_installed("onnxruntime") from None
    content = file.read_bytes()
    if _EXTERNAL in content:
        raise TesseraError(
            f"{file.name} keeps numbers in other files.", expected="one file", todo="Save it with its weights inside."
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # likewise
        raise TesseraError(
            f"{file.name} is no ONNX model that can be run: {type(error).__name__}: {str(error)[:200]}.",
            expected="a whole ONNX file of operators that ONNX Runtime knows",
            todo="Convert the model again.",
        ) from error


def _type(found: Any, name: str) -> Any:
    if found.type not in _TYPES:
        raise TesseraError(
            f"The input {found.name!r} of {name} has the type {found.type}.",
            expected=f"one of {', '.join(_TYPES)}",
            todo="Convert the model with numeric inputs.",
        )
    return _TYPES[found.type]
