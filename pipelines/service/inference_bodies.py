"""Bodies of the Open Inference Protocol, version 2, as its OpenAPI document has them."""

from __future__ import annotations

import struct
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from models.tensors import Datatype
from pipelines.service.arguments import OCTETS, BodyWithBytes

MOST_ROWS = 10_000
#: The extension for binary tensors: how long the JSON is, the bytes of a tensor, and whether outputs are to be bytes.
LENGTH_HEADER = "Inference-Header-Content-Length"
BINARY_SIZE, BINARY, BINARY_OUTPUTS = "binary_data_size", "binary_data", "binary_data_output"
_LONGEST_NAME = 200
_EXAMPLE_ID = "6f0c2a51"
Parameters = dict[str, bool | int | float | str]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class ServerMetadata(_Body):
    """The server."""

    name: str
    version: str
    extensions: list[str] = Field(description="Extensions of the protocol.")


class TensorMetadata(_Body):
    """One input or output; -1 in its shape is the number of rows."""

    name: str
    datatype: Datatype
    shape: list[int]


class ModelMetadata(_Body):
    """A version of a model."""

    name: str
    versions: list[str] = Field(description="Versions that may answer, newest first.")
    platform: str = Field(description="Kind of the model.")
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]
    model_version: str = Field(description="Version that these inputs and outputs are of.")


class ModelReady(_Body):
    """The version can answer."""

    name: str
    ready: bool
    model_version: str


class GivenTensor(_Body):
    """Values of one input."""

    name: str = Field(max_length=_LONGEST_NAME)
    shape: list[int] = Field(max_length=2, description="`[rows]` or `[rows, 1]`; of a vector `[rows, width]`.")
    datatype: str = Field(max_length=20, description="That of the metadata; of numbers also FP32, FP64, INT32, INT64.")
    parameters: Parameters | None = Field(
        default=None, description="`binary_data_size`: as many bytes after the JSON are its values, in place of `data`."
    )
    data: list[Any] | None = Field(
        default=None, description="In row-major order, flat or nested; null, of numbers also NaN, is missing."
    )


class WantedTensor(_Body):
    """An output that is asked for."""

    name: str = Field(max_length=_LONGEST_NAME)
    parameters: Parameters | None = Field(default=None, description="`binary_data`: true for bytes after the JSON.")


class InferenceAsked(_Body, BodyWithBytes):
    """Rows to answer, one tensor for each input."""

    length_header = LENGTH_HEADER

    id: str | None = Field(default=None, max_length=_LONGEST_NAME, description="Given back with the answer.")
    parameters: Parameters | None = Field(default=None, description="`binary_data_output`: true for bytes, of all.")
    inputs: list[GivenTensor] = Field(max_length=5_000)
    outputs: list[WantedTensor] | None = Field(default=None, max_length=5_000, description="Default: all.")


class MadeTensor(_Body):
    """Values of one output."""

    name: str
    shape: list[int]
    datatype: Datatype
    data: list[Any] = Field(description="Flat, in row-major order; null where a value is missing.")


class InferenceMade(_Body):
    """The answer to each row."""

    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[MadeTensor]


#: The JSON of a body with bytes, and the bytes of its number 7.0 as text.
_HEAD = (
    '{"inputs":[{"name":"orders_total","shape":[1],"datatype":"FP64","parameters":{"binary_data_size":8}}],'
    '"parameters":{"binary_data_output":true}}'
)
_SEVEN = struct.pack("<d", 7.0).decode("ascii")
#: For the OpenAPI document: the header, and the body that it is about.
INFERENCE_REQUEST: dict[str, Any] = {
    "parameters": [
        {
            "name": LENGTH_HEADER,
            "in": "header",
            "description": "Bytes of the JSON, where values follow it as bytes (the extension `binary_tensor_data`).",
            "schema": {"type": "integer", "minimum": 1},
        }
    ],
    "requestBody": {
        "content": {
            OCTETS: {
                "schema": {"type": "string", "format": "binary"},
                "examples": {"example": {"summary": f"{LENGTH_HEADER}: {len(_HEAD)}", "value": _HEAD + _SEVEN}},
            }
        }
    },
}
EXAMPLE = {
    "id": _EXAMPLE_ID,
    "inputs": [
        {"name": "recency_days", "shape": [2], "datatype": "FP64", "data": [12.0, 80.5]},
        {"name": "orders_total", "shape": [2], "datatype": "FP64", "data": [7.0, None]},
        {"name": "country", "shape": [2], "datatype": "BYTES", "data": ["DE", None]},
    ],
    "outputs": [{"name": "score"}],
}
EXAMPLE_ANSWER = {
    "model_name": "churn",
    "model_version": "3",
    "id": _EXAMPLE_ID,
    "outputs": [{"name": "score", "shape": [2], "datatype": "FP32", "data": [0.125, 0.75]}],
}
EXAMPLE_SERVER = {"name": "tessera", "version": "0.1.0", "extensions": ["binary_tensor_data"]}
EXAMPLE_READY = {"name": "churn", "ready": True, "model_version": "3"}
EXAMPLE_MODEL = {
    "name": "churn",
    "versions": ["3", "2"],
    "platform": "tessera_xgboost",
    "inputs": [
        {"name": "recency_days", "datatype": "FP64", "shape": [-1]},
        {"name": "country", "datatype": "BYTES", "shape": [-1]},
    ],
    "outputs": [{"name": "score", "datatype": "FP32", "shape": [-1]}],
    "model_version": "3",
}
