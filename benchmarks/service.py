"""CPU of the service per request, over loopback, beside handlers that do nothing and the same work called directly.

python -m benchmarks.service [--entities 100000] [--requests 3000]

One server, and one client that keeps its connection; the kinds of requests take turns, so that load meets all of them.
What a request does is called in the benchmark's process, too, in the same turns: the online read of an entity, and the
model of inference (Open Inference Protocol), from columns and from the bytes of the body to those of the answer, where
values are JSON and where they are bytes (the protocol's extension for binary tensors).
Writes its section of docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from numpy.typing import NDArray
from pydantic_core import from_json, to_json

from assets.churn.scoring import scoring_task
from assets.stages.open_models import OpenModel, OpenModels
from benchmarks.report import replace_section
from benchmarks.service_with_empty_handler import PATH as EMPTY_PATH
from models.features.churn_definitions import FEATURES
from models.training.encoding import Encoder
from models.training.golden import GOLDEN, golden_text
from models.training.model_package import ModelCard, save
from pipelines.gateway.keys import KeyFile
from pipelines.gateway.same_origin import LOOPBACK_NAMES
from pipelines.service.build import behind_gateway
from pipelines.service.inference_bodies import LENGTH_HEADER, InferenceAsked
from pipelines.service.inference_tensors import answer_of, columns_of, given_values, wanted_outputs
from resources.conformance import score_sets
from resources.registry.port import Registry
from resources.stack.loader import ROOT, Stack, load_stack
from resources.traces.port import recorded
from resources.trainer.xgboost import XGBoostTrainerConfig

_ROUNDS = 6
_LIMITS = {"requests_per_second": 1e6, "burst": 1_000_000}
_REGISTRY = {"kind": "resources.registry.fake.FolderRegistryConfig", "path": "${home}/models"}
#: Features of the model that answers, rows of a request for inference, and entities whose features are online.
_FEATURES, _ROWS, _ONLINE = 30, (1, 256), 2_000
_SERVICE, _VIEW = "churn_v1", "churn_customer"
_OPEN, _KEYED, _PUBLISHED, _SCORED = "empty handler, no key", "small document, key", "published score", "score now"
_AFTER = "the read called after each"
_KEYED_IN_TURN, _SCORED_IN_TURN = f"small document, {_AFTER}", f"score now, {_AFTER}"
_EMPTY_IN_TURN, _EMPTY = f"empty handler given the same body, {_AFTER}", "empty handler given the body, "
_EMPTY_BYTES = "empty handler given the body in bytes, "
_WORK_CALLED, _BYTES_WORK_CALLED = "the service's work on the body, called, ", "the service's work on bytes, called, "
_BYTES, _BYTES_CALLED = "inference in bytes, ", "the model from bytes to bytes, called, "
#: Kinds of inference by the form of its values: the request, what receives it, the service's work on it.
_JSON_KINDS, _BYTES_KINDS = ("inference, ", _EMPTY, _WORK_CALLED), (_BYTES, _EMPTY_BYTES, _BYTES_WORK_CALLED)
_READ, _GATEWAY = "the online read, called", "gateway and its span, called"
Found = dict[str, list[float]]
Calls = Mapping[str, Callable[[int], Any]]


@dataclass(frozen=True)
class Served:
    """A server that runs, and the connection of its client."""

    process: psutil.Process
    client: http.client.HTTPConnection
    key: str

    def ms(
        self,
        paths: Sequence[str],
        bodies: Sequence[bytes] = (),
        beside: Calls = MappingProxyType({}),
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> list[float]:
        """Return ms of CPU per request of the server, then per call of this process of each kind of `beside`.

        Calls take turns with requests: caches are as cold for both.
        """
        before, called = sum(self.process.cpu_times()[:2]), dict.fromkeys(beside, 0.0)
        for number, path in enumerate(paths):
            self._ask(path, bodies[number] if bodies else b"", headers)
            for kind, call in beside.items():
                began = time.process_time()
                call(number)
                called[kind] += time.process_time() - began
        own = sum(self.process.cpu_times()[:2]) - before
        return [seconds / len(paths) * 1000 for seconds in (own, *called.values())]

    def _ask(self, path: str, body: bytes, more: Mapping[str, str]) -> None:
        headers = {"X-API-Key": self.key, "Content-Type": "application/json", **more}
        self.client.request("POST" if body else "GET", path, body or None, headers)
        answer = self.client.getresponse()
        answer.read()
        assert answer.status == 200, (path, answer.status)


def main() -> None:
    """Measure and write the section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entities", type=int, default=100_000)
    parser.add_argument("--requests", type=int, default=3_000)
    parser.add_argument("--dry", action="store_true", help="print the section instead of writing it")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        key = _home(folder, chosen.entities)
        with _server(folder) as (process, port):
            served = Served(process, http.client.HTTPConnection("127.0.0.1", port), key)
            found = _measured(folder, served, chosen.entities, chosen.requests)
    body = _section(found, chosen.entities, chosen.requests)
    sys.stdout.write(body + "\n")
    if not chosen.dry:
        replace_section("service", body, libraries=["fastapi", "uvicorn", "starlette", "xgboost", "feast"])


def _home(folder: Path, entities: int) -> str:
    """Publish a day of churn, bring features online, and return a key."""
    document = yaml.safe_load((ROOT / "stack.yaml").read_text())
    document["profiles"]["local"].setdefault("settings", {})["service"] = _LIMITS
    document["profiles"]["local"]["ports"]["registry"] = _REGISTRY
    (folder / "stack.yaml").write_text(yaml.safe_dump(document))
    stack = _stack(folder)
    stack.open("notifier")
    rows = score_sets.score_rows(np.random.default_rng(1).random(entities).tolist(), contacts=entities // 10)
    sink, attempt = stack.open("sink"), score_sets.digest(rows)[:16]
    sink.write_attempt("churn", score_sets.DAY, attempt, rows.to_reader())
    score_sets.audit_and_publish(sink, score_sets.publication(attempt, rows))
    _promote(stack, folder / "package")
    _bring_online(stack, folder / "features.parquet")
    return KeyFile(folder / "home").create("benchmark", "viewer")


def _stack(folder: Path) -> Stack:
    return load_stack(folder / "stack.yaml", "local", str(folder / "home"), os.environ)


def _bring_online(stack: Stack, file: Path) -> None:
    """Give entities features of noise, of an hour ago."""
    store, now = stack.open("feature_store"), datetime.now(UTC).replace(microsecond=0)
    store.apply()
    moments = pa.array([now - timedelta(hours=1)] * _ONLINE, pa.timestamp("us", "UTC"))
    draws = np.random.default_rng(4)
    columns: dict[str, Any] = {"customer_id": [_id(number) for number in range(_ONLINE)]}
    columns |= {name: draws.normal(size=_ONLINE) for name in FEATURES}
    columns |= {"country": ["DE"] * _ONLINE, "event_timestamp": moments, "created_timestamp": moments}
    pq.write_table(pa.table(columns), file)
    store.materialize(_VIEW, now - timedelta(days=1), now, files=[str(file)])


def _id(number: int) -> str:
    return f"c{number:06d}"


def _promote(stack: Stack, package: Path) -> None:
    """Make a model of noise, under the names of churn's first `_FEATURES` features, champion of churn."""
    draws = np.random.default_rng(3)
    rows = draws.normal(size=(4_000, _FEATURES)).astype(np.float32)
    labels = (rows[:, :5].sum(axis=1) + draws.normal(size=4_000) > 0).astype(np.int8)
    model = XGBoostTrainerConfig().open().fit(rows, labels, np.arange(4_000)).model
    table = pa.table({name: rows[:, place] for place, name in enumerate(FEATURES[:_FEATURES])})
    card = ModelCard(
        app="churn",
        as_of=score_sets.DAY,
        label_end=score_sets.DAY,
        train_cutoffs=(score_sets.DAY,),
        feature_service=_SERVICE,
        feature_version=_SERVICE,
        rows=4_000,
        labels={},
        parameters={},
        metrics={},
    )
    save(package, model, Encoder.fit(table, table.schema.names), card, {GOLDEN: golden_text(model, rows)})
    registry: Registry = stack.open("registry")
    version = registry.register("churn", package, parameters={}, metrics={}, tags={"gate": "passed"}, report="")
    registry.set_champion("churn", version, action="promote", why="measured", who="", run_id="", metrics={})


@contextmanager
def _server(folder: Path) -> Iterator[tuple[psutil.Process, int]]:
    told = {"TESSERA_STACK": str(folder / "stack.yaml"), "TESSERA_HOME": str(folder / "home")}
    command = [sys.executable, "-m", "benchmarks.service_with_empty_handler", "serve", "--port", "0"]
    with subprocess.Popen(command, env={**os.environ, **told}, cwd=ROOT, stderr=subprocess.DEVNULL) as served:
        try:
            yield psutil.Process(served.pid), _port(folder / "home" / "locks" / "serve.holder")
        finally:
            served.terminate()


def _port(holder: Path) -> int:
    for _ in range(1200):
        if holder.exists() and "http" in (text := holder.read_text()):
            return int(text.split("http://")[1].split(",")[0].rpartition(":")[2])
        time.sleep(0.1)
    raise SystemExit("the server does not serve")


def _measured(folder: Path, served: Served, entities: int, requests: int) -> Found:
    """Return ms of CPU per request, one value for each round and kind: of the server, or of this process."""
    stack, draws, found = _stack(folder), np.random.default_rng(2), Found()
    model = OpenModels(scoring_task(stack.settings.churn), stack.open("registry"), stack.settings).at(None)
    values = {rows: draws.normal(size=(rows, _FEATURES)).astype(np.float32).astype(float) for rows in _ROWS}
    bodies = {rows: _body(model, values[rows]) for rows in _ROWS}
    read, through = _online_read(stack), _through_gateway(stack, served.key)
    few = requests // 10
    for round_number in range(_ROUNDS + 1):  # the first warms up
        ids = [_id(number) for number in draws.integers(0, entities, requests)]
        known = [_id(number) for number in draws.integers(0, _ONLINE, requests)]
        asked = [json.dumps({"ids": [id]}).encode() for id in known]
        reads = {_READ: lambda number, known=known: read(known[number])}
        spent = {_OPEN: served.ms(["/v2/health/live"] * requests)[0], _KEYED: served.ms(["/v2"] * requests)[0]}
        spent[_PUBLISHED] = served.ms([f"/v1/churn/scores/{id}" for id in ids])[0]
        spent[_SCORED] = served.ms(["/v1/churn/score"] * requests, asked)[0]
        spent[_SCORED_IN_TURN], spent[_READ] = served.ms(["/v1/churn/score"] * requests, asked, reads)
        spent[_KEYED_IN_TURN] = served.ms(["/v2"] * requests, (), reads)[0]
        spent[_EMPTY_IN_TURN] = served.ms([EMPTY_PATH] * requests, asked, reads)[0]
        spent[_GATEWAY] = through(requests)
        for rows in _ROWS:
            of, infer = _shown(rows), ["/v2/models/churn/infer"] * few
            empty = [EMPTY_PATH] * few
            head, in_bytes = _in_bytes(model, values[rows])
            about_bytes = {LENGTH_HEADER: str(head), "Content-Type": "application/octet-stream"}
            called_bytes = {_BYTES_CALLED + of: lambda _, body=in_bytes, head=head: _direct_bytes(model, body, head)}
            for body, headers, length, calls, (asked_for, received, worked) in (
                (bodies[rows], {}, None, _calls(model, values[rows], bodies[rows]), _JSON_KINDS),
                (in_bytes, about_bytes, head, called_bytes, _BYTES_KINDS),
            ):
                found_now = served.ms(infer, [body] * few, calls, headers)
                spent |= dict(zip([asked_for + of, *calls], found_now, strict=True))
                # In turns of its own, so that its caches are as cold as those of the others.
                work = {worked: lambda _, body=body, length=length: _work(model, body, length)}
                found_now = served.ms(empty, [body] * few, work, headers)
                spent |= dict(zip([received + of, worked + of], found_now, strict=True))
        for kind, ms in spent.items() if round_number else ():
            found.setdefault(kind, []).append(ms)
    return found


def _calls(model: OpenModel, values: NDArray[Any], body: bytes) -> Calls:
    """Return what a request for inference is compared with."""
    of, columns = _shown(len(values)), {name: values[:, place] for place, name in enumerate(model.inputs)}
    return {
        f"the model from body to answer, called, {of}": lambda _: _direct(model, body),
        f"the model from columns, called, {of}": lambda _: model.predict(columns, len(values)),
        f"the body parsed by `pydantic_core`, {of}": lambda _: from_json(body),
        f"the body parsed by `json`, {of}": lambda _: json.loads(body),
    }


def _direct(model: OpenModel, body: bytes) -> bytes:
    """Answer a body as a script would that trusts it."""
    columns = {one["name"]: np.array(one["data"], np.float64) for one in from_json(body)["inputs"]}
    rows = len(next(iter(columns.values())))
    made = {name: column.tolist() for name, column in model.predict(columns, rows).items()}
    return to_json({"outputs": [{"name": name, "data": data} for name, data in made.items()]})


def _work(model: OpenModel, body: bytes, head: int | None = None) -> bytes:
    """Answer a body as the service does, with all that it checks, but without HTTP and the gateway."""
    asked = InferenceAsked.model_validate_json(body[:head])
    if head is not None:
        asked._following = memoryview(body)[head:]  # pyright: ignore[reportPrivateUsage] - as a request of bytes has it
    wanted, given = wanted_outputs(model, asked), given_values(asked)
    columns, rows = columns_of(model, given)
    return answer_of({}, wanted, model.predict(columns, rows), rows)[0]


def _direct_bytes(model: OpenModel, body: bytes, head: int) -> bytes:
    """Answer a body of bytes as a script would that trusts it."""
    columns, at = dict[str, NDArray[Any]](), head
    for one in from_json(body[:head])["inputs"]:
        size = one["parameters"]["binary_data_size"]
        columns[one["name"]] = np.frombuffer(body, "<f8", size // 8, at)
        at += size
    made = model.predict(columns, len(next(iter(columns.values()))))
    about = [{"name": name, "parameters": {"binary_data_size": column.nbytes}} for name, column in made.items()]
    return b"".join([to_json({"outputs": about}), *(column.tobytes() for column in made.values())])


def _shown(rows: int) -> str:
    return "1 row" if rows == 1 else f"{rows} rows"


def _online_read(stack: Stack) -> Callable[[str], Any]:
    store = stack.open("feature_store")
    return lambda id: store.online_rows(_SERVICE, [{"customer_id": id}])


def _through_gateway(stack: Stack, key: str) -> Callable[[int], float]:
    """Return what measures the gateway with a key, and the span of a request, around an application that is empty."""

    async def empty(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    async def asked(app: Any, times: int) -> None:
        for _ in range(times):
            headers = [(b"host", b"127.0.0.1:8000"), (b"x-api-key", key.encode())]
            scope = {"type": "http", "method": "GET", "path": "/v2", "query_string": b"", "headers": headers}
            await app(scope, _nothing, _nowhere)

    app = behind_gateway(stack, empty, lambda _: None, is_open=False, names=LOOPBACK_NAMES)

    def measured(times: int) -> float:
        began = time.process_time()
        with recorded(stack.home, stack.settings.traces):
            asyncio.run(asked(app, times))
        ended = time.process_time()
        asyncio.run(asked(empty, times))
        return (2 * ended - began - time.process_time()) / times * 1000

    return measured


async def _nothing() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _nowhere(message: dict[str, Any]) -> None:
    assert message.get("status", 200) == 200, message


def _body(model: OpenModel, rows: NDArray[Any]) -> bytes:
    tensors = [
        {"name": name, "shape": [len(rows)], "datatype": "FP64", "data": rows[:, place].tolist()}
        for place, name in enumerate(model.inputs)
    ]
    return json.dumps({"inputs": tensors}).encode()


def _in_bytes(model: OpenModel, rows: NDArray[Any]) -> tuple[int, bytes]:
    """Return the length of the JSON of a request, and its body: values are bytes, also in its answer."""
    size = {"parameters": {"binary_data_size": len(rows) * 8}}
    inputs = [{"name": name, "shape": [len(rows)], "datatype": "FP64", **size} for name in model.inputs]
    head = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}}).encode()
    return len(head), head + rows.T.astype("<f8").tobytes()


def _section(found: Found, entities: int, requests: int) -> str:
    about = (
        f"{entities:,} published scores of churn, features of {_ONLINE:,} entities in SQLite; {_ROUNDS} rounds of "
        f"{requests:,} requests of each kind ({requests // 10:,} of inference), one client. An XGBoost model of "
        f"{_FEATURES} features scores, and answers inference by the Open Inference Protocol. Called: in the client's "
        "process, after each request: caches are as cold for both then, and warmer where requests follow each other. "
        "From body to answer: the body parsed by `pydantic_core`, the fastest parser "
        "there is here, its columns, the model, and the answer as JSON, with nothing checked: what any service over "
        "JSON must do; in bytes the same with the extension for binary tensors. The service's work on the body: the "
        "same with all that the service checks, without HTTP and the gateway. The small document is `GET /v2`, and "
        "the empty handler one that receives a body and answers a constant, both behind the gateway with a key."
    )
    heading = "| request | CPU ms, median of rounds (least to most) | per CPU second |"
    lines = ["## Requests to the service", "", about, "", heading, "|---|---|---|"]
    for kind, values in found.items():
        middle = statistics.median(values)
        lines.append(f"| {kind} | {middle:.3f} ({min(values):.3f} to {max(values):.3f}) | {1000 / middle:,.0f} |")
    return "\n".join([*lines, "", *_verdicts(found)])


def _verdicts(found: Found) -> Iterator[str]:
    """Compare within rounds; CPU of a core that others use, too, is the least of the rounds."""
    least = {kind: min(values) for kind, values in found.items()}
    yield _verdict(
        least[_PUBLISHED] <= 1000 / 1500,
        f"published scores per CPU second: {1000 / least[_PUBLISHED]:,.0f} (bar: 1,500).",
    )
    yield _verdict(least[_SCORED] <= 1, f"scores now per CPU second: {1000 / least[_SCORED]:,.0f} (bar: 1,000).")
    for handler, about in ((_KEYED_IN_TURN, "small document"), (_EMPTY_IN_TURN, "an empty handler given its body")):
        floor = [of_handler + read for of_handler, read in zip(found[handler], found[_READ], strict=True)]
        over = statistics.median(one - of for one, of in zip(found[_SCORED_IN_TURN], floor, strict=True))
        says = f"a score now over {about} and online read, all in turn: {over:.2f} ms (bar: 0.25)."
        yield _verdict(over <= 0.25, says)
    yield _verdict(least[_GATEWAY] <= 0.2, f"gateway and its span: {least[_GATEWAY]:.2f} ms (bar: 0.2).")
    of = _shown(max(_ROWS))
    columns, json_called = f"the model from columns, called, {of}", f"the model from body to answer, called, {of}"
    for kind, direct in (
        (_WORK_CALLED + of, json_called),
        (_BYTES_WORK_CALLED + of, _BYTES_CALLED + of),
    ):
        ratio = _ratio(found[kind], found[direct])
        yield _verdict(ratio <= 1.1, f"{kind} over {direct}: {ratio:.2f} (bar: 1.1), without HTTP.")
    for kind, direct, handler in (
        (f"inference, {of}", json_called, _EMPTY + of),
        (f"inference, {of}", columns, _EMPTY + of),
        (_BYTES + of, _BYTES_CALLED + of, _EMPTY_BYTES + of),
        (_BYTES + of, columns, _EMPTY_BYTES + of),
    ):
        ratio = _ratio(found[kind], found[direct])
        yield _verdict(ratio <= 1.1, f"{kind} over {direct}: {ratio:.2f} (bar: 1.1).")
        beside = [call + empty for call, empty in zip(found[direct], found[handler], strict=True)]
        ratio = _ratio(found[kind], beside)
        yield _verdict(ratio <= 1.1, f"{kind} over {direct} and an empty handler given its body: {ratio:.2f}.")


def _ratio(values: Sequence[float], others: Sequence[float]) -> float:
    return statistics.median(one / other for one, other in zip(values, others, strict=True))


def _verdict(is_met: bool, text: str) -> str:
    return f"- {'met' if is_met else '**missed**'}: {text}"


if __name__ == "__main__":
    main()
