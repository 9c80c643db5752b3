"""The Open Inference Protocol, by its published client: the champion predicts as the night does, bit for bit."""

import asyncio
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import scoring_world
from open_inference.openapi.client import AsyncOpenInferenceClient
from open_inference.openapi.types import InferenceRequest, RequestInput, TensorData
from service_world import ServiceWorld

from assets.stages.batch_scoring import score
from pipelines.gateway.reads import ReadLog

DAY, FEATURES = scoring_world.DAY, scoring_world.FEATURES
MODEL = "/v2/models/churn"
ROWS = 4
FOLDERS = {"registry": {"kind": "resources.registry.fake.FolderRegistryConfig", "path": "${home}/models"}}


@dataclass(frozen=True)
class Night:
    """A service over versions of a model: 2 is the champion, whose scores of a night are `scores`; 3 was stopped."""

    served: ServiceWorld
    scores: Any


def service_of(folder: Path, *weights: float) -> tuple[scoring_world.World, ServiceWorld]:
    """A home whose champions had these weights, one after the other, and its service."""
    world = ServiceWorld(folder / "home", ports=FOLDERS)
    world.stack.open("notifier")
    made = scoring_world.made(folder / "home")
    for weight in weights:
        made.promote(weight)
    return made, world


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Night:
    folder = tmp_path_factory.mktemp("inference")
    made, world = service_of(folder, 2.0)
    stopped = scoring_world.package(folder / "stopped", 3.0)
    made.registry.register("churn", stopped, parameters={}, metrics={}, tags={"gate": "stopped by leakage"}, report="")
    attempt = score(made.night()).draft.attempt
    rows = made.sink.read_attempt("churn", DAY, attempt).read_all()
    return Night(world, rows["score"].to_numpy()[:ROWS])


@pytest.fixture
def served(night: Night) -> ServiceWorld:
    return night.served


def tensors(rows: int = ROWS) -> list[dict[str, Any]]:
    table = scoring_world.feature_rows(DAY).slice(0, rows)
    return [{"name": name, "shape": [rows], "datatype": "FP64", "data": table[name].to_pylist()} for name in FEATURES]


def infer(world: ServiceWorld, path: str = MODEL, **body: Any) -> httpx.Response:
    return world.ask(f"{path}/infer", "POST", json={"inputs": tensors(), **body})


@pytest.mark.slow
def test_the_published_client_gets_the_scores_of_the_night(night: Night) -> None:
    inputs = [RequestInput(**{**one, "data": TensorData(__root__=one["data"])}) for one in tensors()]

    async def asked(client: AsyncOpenInferenceClient) -> tuple[Any, Any, Any]:
        await client.check_model_readiness("churn")
        await client.check_model_version_readiness("churn", "1")
        metadata = await client.read_model_metadata("churn")
        made = await client.model_infer("churn", request=InferenceRequest(id="7", inputs=inputs))
        return await client.read_server_metadata(), metadata, made

    server, metadata, made = with_client(night.served, asked)
    assert server.name == "tessera"
    assert [(one.name, one.datatype, one.shape) for one in metadata.inputs] == [(n, "FP64", [-1]) for n in FEATURES]
    assert [(one.name, one.datatype, one.shape) for one in metadata.outputs] == [("score", "FP32", [-1])]
    assert metadata.versions == ["2", "1"]
    assert (made.model_name, made.model_version, made.id) == ("churn", "2", "7")
    np.testing.assert_array_equal(np.array(made.outputs[0].data.__root__, np.float32), night.scores)


def with_client(world: ServiceWorld, ask: Any) -> Any:
    async def of_client() -> Any:
        transport = httpx.ASGITransport(world.app)  # pyright: ignore[reportArgumentType]
        async with httpx.AsyncClient(transport=transport) as http:
            return await ask(AsyncOpenInferenceClient(base_url="http://127.0.0.1:8000", httpx_client=http))

    return asyncio.run(of_client())


def test_a_version_is_pinned_and_other_versions_are_refused(served: ServiceWorld) -> None:
    found = {name: infer(served, f"{MODEL}/versions/{name}") for name in ("1", "2", "3", "33")}
    assert {name: one.status_code for name, one in found.items()} == {"1": 200, "2": 200, "3": 409, "33": 404}
    scores = [found[name].json()["outputs"][0]["data"] for name in "12"]
    assert scores[0] != scores[1] == infer(served).json()["outputs"][0]["data"]
    assert "leakage" in found["3"].json()["detail"]
    assert "did you mean '3'" in found["33"].json()["expected"]


def test_a_version_whose_files_were_changed_is_refused(tmp_path: Path) -> None:
    made, world = service_of(tmp_path, 2.0)
    made.break_version("1")
    assert world.ask(f"{MODEL}/versions/1/ready").status_code == 503
    assert world.ask(f"{MODEL}/ready").json() == {"name": "churn", "ready": True, "model_version": "2"}


def test_null_and_nan_are_the_same_missing_value(served: ServiceWorld) -> None:
    first, second = tensors(1), tensors(1)
    first[0]["data"], second[0]["data"] = [None], [math.nan]
    found = [
        served.ask(
            f"{MODEL}/infer",
            "POST",
            content=json.dumps({"inputs": inputs}),
            headers={"Content-Type": "application/json"},
        )
        for inputs in (first, second)
    ]
    assert found[0].json() == found[1].json() != infer(served, inputs=tensors(1)).json()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"name": "recency_dasy"}, "did you mean 'recency_days'"),
        ({"name": "orders_total"}, "given twice"),
        ({"datatype": "BYTES", "data": ["1"] * ROWS}, "one of 'FP32', 'FP64', 'INT32', 'INT64'"),
        ({"datatype": "INT64"}, "as value 0"),
        ({"shape": [ROWS, 2]}, "[rows]"),
        ({"shape": [0], "data": []}, "[rows]"),
        ({"shape": [ROWS - 1]}, "3 values"),
        ({"shape": [1], "data": [1.0]}, "as many rows"),
        ({"data": [1.0, 2.0, True, 4.0]}, "has True as value 2"),
        ({"data": [1.0, 2.0, 3.0, 10**400]}, "too large"),
        ({"datatype": "FP32", "data": [1.0, 2.0, 3.0, 1e39]}, "finite"),
        ({"data": [1.0, 2.0, 3.0, 1e39]}, "float32"),
        ({"parameters": {"binary_data_size": 8}}, "`Inference-Header-Content-Length`"),
        ({"parameters": {"binary_data": True}}, "`binary_data` of an output"),
        ({"parameters": {"shared_memory_region": "r"}}, "asks for an extension"),
        ({"data": None}, "has no values"),
    ],
)
def test_wrong_inputs_are_named(served: ServiceWorld, change: dict[str, Any], says: str) -> None:
    first, *others = tensors()
    answer = infer(served, inputs=[{**first, **change}, *others])
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert says in answer.json()["detail"] + answer.json()["expected"]


def in_bytes(datatype: str, as_bytes: int, **more: Any) -> tuple[bytes, bytes]:
    """A request whose first inputs are bytes, the others JSON: the JSON, and the bytes after it."""
    form = {"FP64": "<f8", "FP32": "<f4"}[datatype]
    inputs, parts = tensors(), list[bytes]()
    for one in inputs[:as_bytes]:
        parts.append(np.array(one.pop("data"), form).tobytes())
        one |= {"datatype": datatype, "parameters": {"binary_data_size": len(parts[-1])}}
    return json.dumps({"inputs": inputs, **more}).encode(), b"".join(parts)


def ask_in_bytes(served: ServiceWorld, head: bytes, rest: bytes, length: object, **headers: str) -> httpx.Response:
    given = {"Inference-Header-Content-Length": str(length), **headers}
    return served.ask(f"{MODEL}/infer", "POST", content=head + rest, headers=given)


@pytest.mark.parametrize("as_bytes", [1, len(FEATURES)])
def test_bytes_get_the_answer_of_json(served: ServiceWorld, as_bytes: int) -> None:
    head, rest = in_bytes("FP64", as_bytes, parameters={"binary_data_output": True}, id="7")
    made = ask_in_bytes(served, head, rest, len(head))  # without a Content-Type, as Triton's client asks
    length = int(made.headers["Inference-Header-Content-Length"])
    about = json.loads(made.content[:length])
    expected = infer(served).json()
    (output,) = expected["outputs"]
    scores = np.array(output.pop("data"), np.float32)
    assert made.headers["content-type"] == "application/octet-stream"
    assert about == {**expected, "id": "7", "outputs": [{**output, "parameters": {"binary_data_size": 4 * ROWS}}]}
    assert made.content[length:] == scores.tobytes()


def test_outputs_are_json_where_they_say_so(served: ServiceWorld) -> None:
    outputs = [{"name": "score", "parameters": {"binary_data": False}}]
    head, rest = in_bytes("FP32", 2, parameters={"binary_data_output": True}, outputs=outputs)
    made = ask_in_bytes(served, head, rest, len(head), **{"Content-Type": "application/octet-stream"})
    assert made.json() == infer(served).json()


@pytest.mark.parametrize(
    ("length", "cut", "status", "says"),
    [
        ("-1", 0, 400, "1 to"),
        ("0", 0, 400, "1 to"),
        ("9" * 30, 0, 400, "1 to"),
        (100_000, 0, 400, "1 to"),
        (10, 0, 422, "OpenAPI"),
        (None, 1, 422, "are left after the JSON"),
        (None, -1, 422, "are of no input"),
    ],
)
def test_bytes_that_do_not_fit_are_a_problem(
    served: ServiceWorld, length: object, cut: int, status: int, says: str
) -> None:
    head, rest = in_bytes("FP64", len(FEATURES))
    rest = rest[: len(rest) - cut] if cut >= 0 else rest + b"\0"
    found = ask_in_bytes(served, head, rest, len(head) if length is None else length)
    assert (found.status_code, found.headers["content-type"]) == (status, "application/problem+json")
    assert says in found.json()["detail"] + found.json()["expected"]
    assert found.json()["todo"]


@pytest.mark.parametrize("size", [-1, 1.5, True, "8", 2**70, 8])
def test_sizes_that_are_none_are_a_problem(served: ServiceWorld, size: object) -> None:
    inputs = tensors()
    inputs[0] |= {"parameters": {"binary_data_size": size}}
    del inputs[0]["data"]
    head = json.dumps({"inputs": inputs}).encode()
    found = ask_in_bytes(served, head, b"\0" * 8, len(head))
    assert (found.status_code, found.headers["content-type"]) == (422, "application/problem+json")


def test_missing_inputs_unknown_outputs_and_models_are_named(served: ServiceWorld) -> None:
    assert "'orders_total'" in infer(served, inputs=tensors()[:1]).json()["detail"]
    assert "did you mean 'score'" in infer(served, outputs=[{"name": "scroe"}]).json()["expected"]
    unknown = infer(served, "/v2/models/chrun")
    assert (unknown.status_code, unknown.json()["expected"][-23:]) == (404, "(did you mean 'churn'?)")
    assert infer(served, "/v2/models/demand").status_code == 404


def test_a_key_of_another_application_may_not_ask(tmp_path: Path) -> None:
    world = ServiceWorld(tmp_path / "home")
    key = world.key(app="fraud")
    statuses = [world.ask(f"/v2/models/{name}/ready", headers=key).status_code for name in ("churn", "chrun", "fraud")]
    assert statuses == [403, 403, 404]  # fraud has no champion
    assert world.ask("/v2", headers=key).status_code == 200
    assert not list(ReadLog(world.home).about("churn", "c00000"))
