"""Inputs of a request for inference as columns, and columns as outputs of its answer: as JSON, or as bytes after it.

The bytes are those of the protocol's extension for binary tensors, as KServe and Triton have it: a parameter of each
tensor says how many of the bytes after the JSON are its values, in the order of the tensors.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import to_json

from assets.stages.open_models import OpenModel, Predicted
from assets.stages.operation import WrongRequest
from models.compose.fields import Column, FieldType
from models.errors import TesseraError, choose_from
from models.tensors import Tensor, bytes_of, read_bytes, read_tensor, read_texts, values_of
from pipelines.service.inference_bodies import (
    BINARY,
    BINARY_OUTPUTS,
    BINARY_SIZE,
    LENGTH_HEADER,
    MOST_ROWS,
    GivenTensor,
    InferenceAsked,
    Parameters,
)

#: Parameters that ask for extensions of the protocol which the server has not.
_UNSUPPORTED = ("classification", "shared_memory_region", "shared_memory_byte_size", "shared_memory_offset")
_EXTENSIONS = frozenset({BINARY, BINARY_OUTPUTS, BINARY_SIZE, *_UNSUPPORTED})


@dataclass(frozen=True)
class GivenValues:
    """An input with its values, as JSON had them or as bytes."""

    tensor: GivenTensor
    values: Sequence[Any] | memoryview

    def column(self, kind: FieldType) -> Column:
        """Return the column of a field.

        Raises:
            WrongRequest: the values do not fit.
        """
        one = self.tensor
        try:
            if isinstance(self.values, memoryview):
                return read_bytes(kind, one.datatype, one.shape, self.values)
            return read_tensor(kind, one.datatype, one.shape, self.values)
        except TesseraError as error:
            raise _wrong_input(one.name, error) from error

    def texts(self) -> list[str]:
        """Return its values as texts, without those that are missing.

        Raises:
            WrongRequest: they are bytes, and not as many texts as its shape says.
        """
        if not isinstance(self.values, memoryview):
            return [str(value) for value in self.values if value]
        try:
            return [text for text in read_texts(self.values, max(self.tensor.shape, default=0)) if text]
        except TesseraError as error:
            raise _wrong_input(self.tensor.name, error) from error


@dataclass(frozen=True)
class WantedOutput:
    """An output that is asked for, as bytes or as JSON."""

    tensor: Tensor
    as_bytes: bool


def given_values(asked: InferenceAsked) -> Mapping[str, GivenValues]:
    """Return the inputs of a request by name, each with its values.

    Raises:
        WrongRequest: an input is given twice, has no values, or the bytes are not those that their sizes say.
    """
    found, at, following = dict[str, GivenValues](), 0, asked.following
    for one in asked.inputs:
        _check_parameters(one.parameters, BINARY_SIZE)
        size = _size(one, following, at)
        values = one.data if size is None or following is None else following[at : at + size]
        if values is None:
            raise _wrong(f"The input {one.name!r} has no values", f"`data`, or `{BINARY_SIZE}` bytes after the JSON")
        found[one.name], at = GivenValues(one, values), at + (size or 0)
    if len(found) < len(asked.inputs):
        raise _wrong("An input is given twice", "each input once", "Correct the names.")
    if following is not None and at < len(following):
        raise _wrong(
            f"{len(following) - at:,} bytes after the JSON are of no input", f"the sum of each `{BINARY_SIZE}`"
        )
    return found


def columns_of(model: OpenModel, given: Mapping[str, GivenValues]) -> tuple[Mapping[str, Column], int]:
    """Return the columns of a model's inputs, and their number of rows.

    Raises:
        WrongRequest: another input, one is missing, or values or rows do not fit.
    """
    for name in given:
        if name not in model.inputs:
            raise _wrong(f"The model has no input {name!r}", choose_from(name, model.inputs), "Correct the name.")
    if missing := [name for name in model.inputs if name not in given]:
        raise _wrong(
            f"The input {missing[0]!r} is not given" + (f", nor are {len(missing) - 1} more" if missing[1:] else ""),
            "all inputs of the model's metadata",
            "Add it, with null where a value is missing.",
        )
    columns = {name: given[name].column(kind) for name, kind in model.inputs.items()}
    return columns, _rows({name: len(column) for name, column in columns.items()})


def wanted_outputs(model: OpenModel, asked: InferenceAsked) -> Sequence[WantedOutput]:
    """Return the outputs that are asked for, in the order of the request.

    Raises:
        WrongRequest: the model has no such output.
    """
    _check_parameters(asked.parameters, BINARY_OUTPUTS)
    known, as_bytes = {one.name: one for one in model.outputs}, _flag(asked.parameters, BINARY_OUTPUTS, default=False)
    if not asked.outputs:
        return [WantedOutput(one, as_bytes) for one in model.outputs]
    found = dict[str, WantedOutput]()
    for one in asked.outputs:
        _check_parameters(one.parameters, BINARY)
        if one.name not in known:
            raise _wrong(f"The model has no output {one.name!r}", choose_from(one.name, known), "Correct the name.")
        found[one.name] = WantedOutput(known[one.name], _flag(one.parameters, BINARY, default=as_bytes))
    return list(found.values())


def answer_of(
    about: Mapping[str, Any], wanted: Sequence[WantedOutput], predicted: Predicted, rows: int
) -> tuple[bytes, int | None]:
    """Return the body of an answer, and the length of its JSON where bytes follow it.

    Args:
        about: all of the answer but its outputs.
        wanted: outputs.
        predicted: their columns.
        rows: of each.

    Raises:
        WrongRequest: an output with a missing value is asked for as bytes, which have none.
    """
    outputs, following = list[dict[str, Any]](), list[bytes]()
    for one in wanted:
        made = {**described(one.tensor), "shape": [rows, *one.tensor.shape[1:]]}
        if one.as_bytes:
            try:
                following.append(bytes_of(one.tensor, predicted[one.tensor.name]))
            except TesseraError as error:
                raise _wrong(f"The output {one.tensor.name!r} {error.what}", error.expected, error.todo) from error
            outputs.append({**made, "parameters": {BINARY_SIZE: len(following[-1])}})
        else:
            outputs.append({**made, "data": values_of(predicted[one.tensor.name])})
    head = to_json({**about, "outputs": outputs}, inf_nan_mode="null")
    return (b"".join([head, *following]), len(head)) if following else (head, None)


def described(tensor: Tensor) -> dict[str, Any]:
    """Return the metadata of a tensor."""
    return {"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape}


def _size(one: GivenTensor, following: memoryview | None, at: int) -> int | None:
    """Return the number of bytes of an input, which follow from place `at` on; None where JSON has its values."""
    if one.parameters is None or BINARY_SIZE not in one.parameters:
        return None
    size, left = one.parameters[BINARY_SIZE], 0 if following is None else len(following) - at
    about = f"`{BINARY_SIZE}` of the input {one.name!r} is {str(size)[:40]}"
    if following is None:
        raise _wrong(about, f"the header `{LENGTH_HEADER}`, and as many bytes after the JSON", "Send both, or `data`.")
    if type(size) is not int or not 0 <= size <= left:
        raise _wrong(about, f"a number of bytes that are left after the JSON, at most {left:,}")
    if one.data is not None:
        raise _wrong(f"The input {one.name!r} has `data` and bytes", "one of both", "Leave one out.")
    return size


def _rows(of_columns: Mapping[str, int]) -> int:
    rows = set(of_columns.values())
    if len(rows) > 1:
        (least, few), (most, many) = (of(of_columns.items(), key=lambda one: one[1]) for of in (min, max))
        raise _wrong(
            f"The input {least!r} has {few} rows, and {most!r} has {many}",
            "as many rows of each",
            "Correct the shapes.",
        )
    number = next(iter(rows), 0)
    if not 0 < number <= MOST_ROWS:
        raise _wrong(f"{number:,} rows are given", f"1 to {MOST_ROWS:,}", "Send several requests.")
    return number


def _check_parameters(given: Parameters | None, taken: str) -> None:
    for name in given or ():
        if name != taken and (name in _EXTENSIONS or name.startswith("sequence_")):
            raise _wrong(
                f"The parameter {name!r} asks for an extension of the protocol, or stands in the wrong place",
                f"`{BINARY_OUTPUTS}` of the request, `{BINARY_SIZE}` of an input or `{BINARY}` of an output",
                "Leave it out.",
            )


def _flag(given: Parameters | None, name: str, *, default: bool) -> bool:
    found = default if given is None else given.get(name, default)
    if not isinstance(found, bool):
        raise _wrong(f"The parameter {name!r} is {str(found)[:40]!r}", "true or false")
    return found


def _wrong_input(name: str, error: TesseraError) -> WrongRequest:
    return _wrong(f"The input {name!r} {error.what}", error.expected, error.todo)


def _wrong(what: str, expected: str, todo: str = "Correct it.") -> WrongRequest:
    return WrongRequest(f"{what}.", expected=expected, todo=todo)
