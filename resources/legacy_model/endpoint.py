"""A model behind an HTTP endpoint: Open Inference Protocol (v2), or JSON whose fields the settings name."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import dagster as dg
import numpy as np
from pydantic import ConfigDict, Field
from typing_extensions import override

from models.errors import TesseraError
from models.training.model import Matrix
from resources.calls.failure import CallFailed
from resources.calls.guard import Answered, Guard
from resources.calls.policy import CallPolicy
from resources.calls.sdk import closed_with
from resources.conformance.capabilities import Gap
from resources.http_address import http_address
from resources.legacy_model.json_rows import json_columns, json_rows
from resources.legacy_model.port import LegacyModel, Outputs, Signature, checked_outputs

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

_BATCH_ROWS = 1_000
_MOST_BYTES = 64 * 2**20
#: Answers after which another try may help.
_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})


class EndpointConfig(dg.Config):
    """An endpoint, and how it takes rows and gives scores."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    gaps: ClassVar = {
        "contributions": Gap("the protocols have scores only", "^TesseraError: .*cannot say"),
        "nulls": Gap("tensors of the protocol v2 have none; JSON has", "^TesseraError: The input .* is NULL"),
    }

    kind: Literal["endpoint"] = "endpoint"
    url: str = Field(
        description="v2: address of the server, before `/v2/models/...`; json: the address that is posted to."
    )
    protocol: Literal["v2", "json"] = Field(default="v2", description="`v2`: Open Inference Protocol; `json`.")
    model: str = Field(default="", description="v2: name of the model.")
    model_version: str = Field(default="", description="v2: its version; empty: the server's choice.")
    tensor: str = Field(default="", description="v2: name of one tensor of all inputs; empty: a tensor per input.")
    output: str = Field(default="", description="v2: name of the output tensor; empty: the first one.")
    rows_field: str = Field(default="instances", description="json: field of the rows in what is posted.")
    rows_as: Literal["objects", "lists"] = Field(default="objects", description="json: a row is an object or a list.")
    scores_field: str = Field(
        default="predictions", description="json: field of the answer that lists a score per row; dots: inside."
    )
    score_field: str = Field(default="", description="json: field of each score, where it is an object.")
    token_env: str = Field(default="", description="Variable of the environment with a bearer token.")
    calls: CallPolicy = Field(default=CallPolicy(), description="Time limit and tries of a batch.")

    def open(self, folder: Path, signature: Signature) -> EndpointModel:  # noqa: ARG002 - it has no files
        """Return the model; nothing is asked yet.

        Raises:
            TesseraError: the address is none, the token is not set, or the protocol cannot carry the inputs.
        """
        if self.protocol == "v2" and not self.model:
            raise TesseraError(
                "`runs.model` of the contract is empty.", expected="the name of the model", todo="Add it."
            )
        if self.token_env and not os.environ.get(self.token_env):
            raise TesseraError(
                f"{self.token_env} is not set.", expected="the endpoint's bearer token in it", todo="Set it."
            )
        if self.tensor:
            signature.check_numbers("endpoint with one tensor")
        return EndpointModel(self, signature)


class EndpointModel(LegacyModel):
    """An endpoint; its time counts as it passes, for its CPU is on another machine."""

    kind = "endpoint"

    def __init__(self, config: EndpointConfig, signature: Signature) -> None:
        address = http_address(config.url, "`runs.url` of the contract")
        self._config, self._signature, self._name = config, signature, address.shown
        self._headers = {"content-type": "application/json"}
        if address.authorization:
            self._headers["authorization"] = address.authorization
        if config.token_env:
            self._headers["authorization"] = f"Bearer {os.environ[config.token_env]}"
        version = f"/versions/{config.model_version}" if config.model_version else ""
        path = f"/v2/models/{config.model}{version}/infer" if config.protocol == "v2" else ""
        self._url = address.url.rstrip("/") + path if path else address.url
        self._guard = Guard(self._name, "score", config.calls, is_remote=False)
        self._client: httpx.Client | None = None

    @override
    def predict(self, inputs: Matrix) -> Outputs:
        parts = [self._scored(part) for part in _batches(inputs)]
        return np.concatenate(parts) if parts else np.empty((0, self._signature.outputs))

    @override
    def clock(self) -> float:
        return time.perf_counter()

    @override
    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def _scored(self, inputs: Matrix) -> Outputs:
        body = json.dumps(self._body(inputs), allow_nan=False).encode()
        answer = self._guard.call(lambda seconds: Answered(self._answer(body, seconds)), tokens=0)
        found = self._tensor(answer) if self._config.protocol == "v2" else self._listed(answer)
        return checked_outputs(found, len(inputs), self._signature, self._name)

    def _body(self, inputs: Matrix) -> dict[str, Any]:
        config, features = self._config, self._signature.features
        if config.protocol == "json":
            rows = json_rows(inputs, features)
            named = self._signature.names
            objects = [dict(zip(named, row, strict=True)) for row in rows] if config.rows_as == "objects" else rows
            return {config.rows_field: objects}
        self._check_known(inputs)
        if config.tensor:
            flat = [value for row in json_rows(inputs, features) for value in row]
            return {"inputs": [_tensor(config.tensor, [len(inputs), len(features)], "FP32", flat)]}
        columns = zip(features, json_columns(inputs, features), strict=True)
        kinds = {"number": "FP32", "text": "BYTES"}
        return {"inputs": [_tensor(one.name, [len(inputs), 1], kinds[one.type], values) for one, values in columns]}

    def _check_known(self, inputs: Matrix) -> None:
        missing = np.isnan(inputs).any(axis=0)
        if missing.any():
            name = self._signature.names[int(np.flatnonzero(missing)[0])]
            raise TesseraError(
                f"The input {name!r} is NULL in some row, which tensors of the protocol v2 cannot hold.",
                expected="a number in its place",
                todo="Give `if_missing` for it in the contract.",
            )

    def _answer(self, body: bytes, seconds: float) -> Any:
        import httpx

        client = self._client or closed_with(self, httpx.Client(trust_env=False, follow_redirects=False))
        self._client = client
        try:
            content = self._content(client, body, seconds)
        except httpx.TimeoutException:
            raise CallFailed(f"{self._name} gave no answer within {seconds:g} s.", is_temporary=True) from None
        except httpx.HTTPError as error:
            raise CallFailed(f"{self._name} cannot be reached: {error}.", is_temporary=True) from None
        try:
            return json.loads(content)
        except (ValueError, RecursionError):
            raise CallFailed(f"{self._name} answers {content[:80]!r}, no JSON.", is_temporary=False) from None

    def _content(self, client: httpx.Client, body: bytes, seconds: float) -> bytes:
        """Return the whole answer; raises where it takes longer than `seconds`, however it trickles."""
        deadline, content = time.monotonic() + seconds, bytearray()
        with client.stream("POST", self._url, content=body, headers=self._headers, timeout=seconds) as answer:
            if answer.status_code != 200:
                says, again = f"{self._name} answers {answer.status_code}.", answer.status_code in _AGAIN
                raise CallFailed(says, is_temporary=again, retry_after_seconds=_retry_after(answer.headers))
            for piece in answer.iter_bytes():
                content += piece
                if len(content) > _MOST_BYTES:
                    raise CallFailed(f"{self._name} answers more than {_MOST_BYTES >> 20} MB.", is_temporary=False)
                if time.monotonic() > deadline:
                    raise CallFailed(f"{self._name} gave no whole answer within {seconds:g} s.", is_temporary=True)
        return bytes(content)

    def _tensor(self, answer: Any) -> Any:
        """Return the output tensor as it is shaped; a list for `checked_outputs` where it is none."""
        outputs = answer.get("outputs") if isinstance(answer, dict) else None
        named = [one for one in outputs or () if isinstance(one, dict) and one.get("name") == self._config.output]
        found = (named or ([] if self._config.output else (outputs or [])))[:1]
        if not found or not isinstance(found[0], dict) or not isinstance(found[0].get("data"), list):
            raise self._unlike(f"an output tensor {self._config.output!r}".replace(" ''", ""), answer)
        data = found[0]["data"]
        flat = [*_flat(data)]
        return [flat[start : start + self._signature.outputs] for start in range(0, len(flat), self._signature.outputs)]

    def _listed(self, answer: Any) -> Any:
        found = answer
        for name in self._config.scores_field.split(".") if self._config.scores_field else ():
            found = found.get(name) if isinstance(found, dict) else None
        if not isinstance(found, list):
            raise self._unlike(f"a list in {self._config.scores_field!r}", answer)
        name = self._config.score_field
        return [one.get(name) if isinstance(one, dict) else None for one in found] if name else found

    def _unlike(self, expected: str, answer: Any) -> TesseraError:
        return TesseraError(
            f"{self._name} answers {json.dumps(answer)[:120]}.",
            expected=expected,
            todo="Correct `runs` in the contract, or look at the endpoint.",
        )


def _tensor(name: str, shape: Sequence[int], kind: str, data: Sequence[Any]) -> dict[str, Any]:
    return {"name": name, "shape": list(shape), "datatype": kind, "data": list(data)}


def _flat(data: list[Any]) -> Iterator[Any]:
    """Return the numbers of nested lists, which the protocol allows in place of a flat one."""
    for one in data:
        if isinstance(one, list):
            yield from _flat(one)
        else:
            yield one


def _batches(inputs: Matrix) -> Iterator[Matrix]:
    return (inputs[start : start + _BATCH_ROWS] for start in range(0, len(inputs), _BATCH_ROWS))


def _retry_after(headers: Mapping[str, str]) -> float | None:
    try:
        return min(60.0, max(0.0, float(headers.get("retry-after", ""))))
    except ValueError:
        return None
