"""CPU of the service per request, over loopback: published scores and inference beside a handler that does nothing.

python -m benchmarks.service [--entities 100000] [--requests 3000]

One server, and one client that keeps its connection; the kinds of requests take turns, so that load meets all of them.
Inference (Open Inference Protocol) is compared with the same model called in the benchmark's process, in turns, too.
Writes its section of docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import yaml
from numpy.typing import NDArray

from assets.churn.scoring import scoring_task
from assets.stages.open_models import OpenModel, OpenModels
from benchmarks.report import replace_section
from models.features.churn_definitions import FEATURES
from models.training.encoding import Encoder
from models.training.golden import GOLDEN, golden_text
from models.training.model_package import ModelCard, save
from pipelines.gateway.keys import KeyFile
from resources.conformance import score_sets
from resources.registry.port import Registry
from resources.stack.loader import ROOT, Stack, load_stack
from resources.trainer.xgboost import XGBoostTrainerConfig

_ROUNDS = 6
_LIMITS = {"requests_per_second": 1e6, "burst": 1_000_000}
_REGISTRY = {"kind": "resources.registry.fake.FolderRegistryConfig", "path": "${home}/models"}
#: Features of the model that answers, and rows of a request.
_FEATURES, _ROWS = 30, (1, 256)
Found = dict[str, list[float]]


def main() -> None:
    """Measure and write the section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entities", type=int, default=100_000)
    parser.add_argument("--requests", type=int, default=3_000)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        key = _home(Path(folder), chosen.entities)
        with _server(Path(folder)) as (process, port):
            found = _measured(Path(folder), process, port, key, chosen.entities, chosen.requests)
    _write(found, chosen.entities, chosen.requests)


def _home(folder: Path, entities: int) -> str:
    """Publish a day of churn and return a key."""
    document = yaml.safe_load((ROOT / "stack.yaml").read_text())
    document["profiles"]["local"].setdefault("settings", {})["service"] = _LIMITS
    document["profiles"]["local"]["ports"]["registry"] = _REGISTRY
    (folder / "stack.yaml").write_text(yaml.safe_dump(document))
    stack = load_stack(folder / "stack.yaml", "local", str(folder / "home"), os.environ)
    stack.open("notifier")
    rows = score_sets.score_rows(np.random.default_rng(1).random(entities).tolist(), contacts=entities // 10)
    sink, attempt = stack.open("sink"), score_sets.digest(rows)[:16]
    sink.write_attempt("churn", score_sets.DAY, attempt, rows.to_reader())
    score_sets.audit_and_publish(sink, score_sets.publication(attempt, rows))
    _promote(stack, folder / "package")
    return KeyFile(folder / "home").create("benchmark", "viewer")


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
        feature_service="churn_v1",
        feature_version="churn_v1",
        rows=4_000,
        labels={},
        parameters={},
        metrics={},
    )
    save(package, model, Encoder.fit(table, table.schema.names), card, {GOLDEN: golden_text(model, rows)})
    registry: Registry = stack.open("registry")
    version = registry.register("churn", package, parameters={}, metrics={}, tags={"gate": "passed"}, report="")
    registry.set_champion("churn", version, action="promote", why="measured", who="", run_id="", metrics={})


def _direct(folder: Path) -> OpenModel:
    """Return the champion, opened in this process."""
    stack = load_stack(folder / "stack.yaml", "local", str(folder / "home"), os.environ)
    return OpenModels(scoring_task(stack.settings.churn), stack.open("registry"), stack.settings).at(None)


@contextmanager
def _server(folder: Path) -> Iterator[tuple[psutil.Process, int]]:
    told = {"TESSERA_STACK": str(folder / "stack.yaml"), "TESSERA_HOME": str(folder / "home")}
    command = [str(Path(sys.executable).parent / "tessera"), "serve", "--port", "0"]
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


def _measured(folder: Path, server: psutil.Process, port: int, key: str, entities: int, requests: int) -> Found:
    """Return ms of CPU per request, one value for each round and kind: of the server, or of this process."""
    client, model = http.client.HTTPConnection("127.0.0.1", port), _direct(folder)
    draws = np.random.default_rng(2)
    values = {rows: draws.normal(size=(rows, _FEATURES)).astype(np.float32).astype(float) for rows in _ROWS}
    bodies = {rows: _body(model, values[rows]) for rows in _ROWS}
    found: Found = {"empty handler, no key": [], "published score": []}
    found |= {f"{kind}, {_shown(rows)}": [] for rows in _ROWS for kind in ("inference", "the same model, called")}
    for round_number in range(_ROUNDS + 1):  # the first warms up
        ids = draws.integers(0, entities, requests)
        spent = {
            "empty handler, no key": _server_ms(server, client, key, ["/v2/health/live"] * requests),
            "published score": _server_ms(server, client, key, [f"/v1/churn/scores/c{id:06d}" for id in ids]),
        }
        for rows in _ROWS:
            paths = ["/v2/models/churn/infer"] * (requests // 10)
            spent[f"inference, {_shown(rows)}"] = _server_ms(server, client, key, paths, bodies[rows])
            spent[f"the same model, called, {_shown(rows)}"] = _called_ms(model, values[rows], requests // 10)
        for kind, ms in spent.items() if round_number else ():
            found[kind].append(ms)
    return found


def _shown(rows: int) -> str:
    return "1 row" if rows == 1 else f"{rows} rows"


def _server_ms(
    server: psutil.Process, client: http.client.HTTPConnection, key: str, paths: Sequence[str], body: bytes = b""
) -> float:
    before = sum(server.cpu_times()[:2])
    for path in paths:
        headers = {"X-API-Key": key, "Content-Type": "application/json"}
        client.request("POST" if body else "GET", path, body or None, headers)
        answer = client.getresponse()
        answer.read()
        assert answer.status == 200, (path, answer.status)
    return (sum(server.cpu_times()[:2]) - before) / len(paths) * 1000


def _called_ms(model: OpenModel, rows: NDArray[Any], times: int) -> float:
    columns = {name: rows[:, place] for place, name in enumerate(model.inputs)}
    before = time.process_time()
    for _ in range(times):
        model.predict(columns, len(rows))
    return (time.process_time() - before) / times * 1000


def _body(model: OpenModel, rows: NDArray[Any]) -> bytes:
    tensors = [
        {"name": name, "shape": [len(rows)], "datatype": "FP64", "data": rows[:, place].tolist()}
        for place, name in enumerate(model.inputs)
    ]
    return json.dumps({"inputs": tensors}).encode()


def _write(found: Found, entities: int, requests: int) -> None:
    lines = ["## Requests to the service", ""]
    about = (
        f"{entities:,} published scores of churn; {_ROUNDS} rounds of {requests:,} requests of each kind "
        f"({requests // 10:,} of inference), one client. Inference: an XGBoost model of {_FEATURES} features, by the "
        "Open Inference Protocol; called: in another process, from columns to outputs."
    )
    heading = "| request | CPU ms, median of rounds (least to most) | per CPU second |"
    lines += [about, "", heading, "|---|---|---|"]
    for kind, values in found.items():
        middle = statistics.median(values)
        lines.append(f"| {kind} | {middle:.3f} ({min(values):.3f} to {max(values):.3f}) | {1000 / middle:,.0f} |")
    replace_section("service", "\n".join(lines), libraries=["fastapi", "uvicorn", "starlette", "xgboost"])
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
