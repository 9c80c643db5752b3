"""CPU per row of every adapter of the legacy model port against the direct call of its library.

The XGBoost booster is that of the newest trained version of churn in the home (`TESSERA_HOME`), also as an ONNX file
made from its trees; rows are the features of the newest day. The LightGBM and scikit-learn models learn that version's
decisions on these rows: they are measured for speed alone. A command's CPU counts with its process; an endpoint is a
server of this machine that answers at once, and its time is wall time.
"""

# pyright: basic, reportAttributeAccessIssue=false, reportArgumentType=false
# xgboost, onnx and scikit-learn have no static types.

import argparse
import json
import pickle
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import xgboost
from onnx import TensorProto, helper

from benchmarks.report import replace_section
from models.errors import TesseraError
from models.legacy.contract import InputFeature
from models.training.model import members_of
from models.training.model_package import LoadedModel, load
from resources.legacy_model.command import RUN_PICKLE, CommandConfig
from resources.legacy_model.endpoint import EndpointConfig
from resources.legacy_model.lightgbm import LightGBMConfig
from resources.legacy_model.onnx import OnnxConfig
from resources.legacy_model.port import LegacyModel, Signature
from resources.legacy_model.xgboost import XGBoostConfig
from resources.stack.ports import active_ports

SIZES = (1, 256, 2_000)
_SECONDS = 0.4


def main() -> None:
    """Measure, and write the section."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--dry", action="store_true", help="print the section instead of writing it")
    dry = arguments.parse_args().dry
    with tempfile.TemporaryDirectory() as place:
        body = section(Path(place))
    if dry:
        print(body)
    else:
        replace_section("legacy-models", body, libraries=("xgboost", "onnxruntime", "lightgbm", "scikit-learn"))


def section(folder: Path) -> str:
    """Measure every adapter, and return the section."""
    version, champion, rows = champion_of_home()
    booster = booster_of(champion)
    booster.save_model(folder / "model.ubj")
    write_onnx(booster, rows.shape[1], folder / "model.onnx")
    signature = Signature(tuple(InputFeature(name=f"f{place}") for place in range(rows.shape[1])), 1)
    truth = np.asarray(booster.inplace_predict(rows))
    direct = measured(lambda part: booster.inplace_predict(part), rows)
    onnx_model = OnnxConfig().open(folder, signature)
    difference = float(np.abs(onnx_model.predict(rows)[:, 0] - truth).max())
    lines = [
        line("XGBoost, direct (`inplace_predict`)", direct),
        line("`xgboost`", adapter(XGBoostConfig().open(folder, signature), rows)),
        line("`onnx`, the same trees", adapter(onnx_model, rows)),
        *lightgbm_lines(folder, signature, rows, truth),
        *command_lines(folder, signature, rows, truth),
        endpoint_line(signature, rows),
    ]
    trees = booster.num_boosted_rounds()
    return f"""## Models that were made elsewhere

Version {version} of churn: {trees} trees, {rows.shape[1]} inputs. µs of CPU per row (endpoint: wall), best of 3 rounds.

| | {" | ".join(f"{size:,} rows" for size in SIZES)} |
|---|{"---|" * len(SIZES)}
{chr(10).join(lines)}

ONNX against the booster: largest difference of a probability {difference:.1e}.
CPU seconds to import: {imports()}."""


def champion_of_home() -> tuple[str, LoadedModel, np.ndarray]:
    """Return the newest XGBoost version of churn, and the newest feature rows as its matrix."""
    ports = active_ports()
    for info in ports.registry.versions("churn"):
        if info.tags.get("kind", "").startswith("imported"):
            continue
        found = load(ports.registry.fetch("churn", info.version))
        if any(model.kind == "xgboost" for model in (found.model, *members_of(found.model))):
            day = ports.lake.days("churn_features")[-1]
            rows = found.encoder.matrix(ports.lake.scan("churn_features", first=day, last=day).to_table())
            return info.version, found, rows
    raise TesseraError(
        "No version of churn is of XGBoost.", expected="a home that trained", todo="`tessera run churn_nightly`"
    )


def booster_of(found: LoadedModel) -> xgboost.Booster:
    """Return its booster, on one thread."""
    models = (found.model, *members_of(found.model))
    booster: Any = next(model for model in models if model.kind == "xgboost")._booster
    booster = booster.copy()
    booster.feature_names = None
    booster.set_param({"nthread": 1})
    return booster


def write_onnx(booster: xgboost.Booster, width: int, file: Path) -> None:
    """Write the trees as an ONNX classifier's probability: NaN goes where the booster sends it."""
    nodes: dict[str, list[Any]] = {}
    leaves: dict[str, list[Any]] = {}

    def add(into: dict[str, list[Any]], **values: Any) -> None:
        for name, value in values.items():
            into.setdefault(name, []).append(value)

    def walk(tree: int, node: dict[str, Any]) -> None:
        number = node["nodeid"]
        common = {"nodes_treeids": tree, "nodes_nodeids": number, "nodes_hitrates": 1.0}
        if "leaf" in node:
            add(
                nodes, **common, nodes_featureids=0, nodes_modes="LEAF", nodes_values=0.0, nodes_truenodeids=0,
                nodes_falsenodeids=0, nodes_missing_value_tracks_true=0,
            )  # fmt: skip
            add(leaves, target_treeids=tree, target_nodeids=number, target_ids=0, target_weights=node["leaf"])
            return
        add(
            nodes, **common, nodes_featureids=int(node["split"].removeprefix("f")), nodes_modes="BRANCH_LT",
            nodes_values=node["split_condition"], nodes_truenodeids=node["yes"], nodes_falsenodeids=node["no"],
            nodes_missing_value_tracks_true=int(node["missing"] == node["yes"]),
        )  # fmt: skip
        for child in node["children"]:
            walk(tree, child)

    for tree, text in enumerate(booster.get_dump(dump_format="json")):
        walk(tree, json.loads(text))
    base = json.loads(booster.save_config())["learner"]["learner_model_param"]["base_score"]
    start = float(np.ravel(json.loads(base))[0])
    trees = helper.make_node(
        "TreeEnsembleRegressor", ["x"], ["margin"], domain="ai.onnx.ml", n_targets=1, post_transform="NONE",
        base_values=[float(np.log(start / (1 - start)))], **nodes, **leaves,
    )  # fmt: skip
    graph = helper.make_graph(
        [trees, helper.make_node("Sigmoid", ["margin"], ["probability"])],
        "booster",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, width])],
        [helper.make_tensor_value_info("probability", TensorProto.FLOAT, [None, 1])],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), file)


def lightgbm_lines(folder: Path, signature: Signature, rows: np.ndarray, truth: np.ndarray) -> list[str]:
    """Return the lines of a LightGBM booster, called directly and by its adapter."""
    import lightgbm

    data = lightgbm.Dataset(rows, truth > 0.5, feature_name=list(signature.names))
    booster = lightgbm.train({"objective": "binary", "verbose": -1, "num_threads": 1}, data, 100)
    booster.save_model(folder / "model.lgb")
    direct = measured(lambda part: booster.predict(part, num_threads=1), rows)
    found = adapter(LightGBMConfig().open(folder, signature), rows)
    return [line("LightGBM, direct (100 trees)", direct), line("`lightgbm`", found)]


def command_lines(folder: Path, signature: Signature, rows: np.ndarray, truth: np.ndarray) -> list[str]:
    """Return the lines of a scikit-learn pickle, called here and run as a command."""
    from sklearn.ensemble import GradientBoostingClassifier

    known = np.nan_to_num(rows)
    model = GradientBoostingClassifier(n_estimators=60).fit(known, truth > 0.5)
    (folder / "old.pkl").write_bytes(pickle.dumps(model))
    config = CommandConfig(argv=[sys.executable, "-I", RUN_PICKLE, str(folder / "old.pkl")])
    command = config.open(folder, Signature(signature.features, 2))
    direct = measured(model.predict_proba, known)
    found = adapter(command, known)
    command.close()
    return [line("scikit-learn, direct (60 trees)", direct), line("`command`, the same pickle", found)]


class _AtOnce(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # head and body in one packet: two would wait for each other 40 ms

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        answer = json.dumps({"predictions": [0.5] * len(body["instances"])}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *_: Any) -> None:
        pass


def endpoint_line(signature: Signature, rows: np.ndarray) -> str:
    """Return the line of an endpoint on this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _AtOnce)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    config = EndpointConfig(url=f"http://127.0.0.1:{server.server_port}", protocol="json", rows_as="lists")
    model = config.open(Path(), signature)
    found = adapter(model, rows)
    model.close()
    server.shutdown()
    server.server_close()
    return line("`endpoint`, JSON, answered at once", found)


def adapter(model: LegacyModel, rows: np.ndarray) -> list[float]:
    """Return µs per row of an adapter, by its own clock."""
    model.predict(rows[:1])
    return measured(model.predict, rows, model.clock)


def measured(
    work: Callable[[Any], Any], rows: np.ndarray, clock: Callable[[], float] = time.process_time
) -> list[float]:
    """Return µs per row for each number of rows: the best of three rounds of some calls."""
    found: list[float] = []
    for size in SIZES:
        part = np.ascontiguousarray(rows[:size])
        work(part)
        began = time.perf_counter()
        work(part)
        calls = max(1, int(_SECONDS / 3 / max(time.perf_counter() - began, 1e-6)))
        rounds = [_round(work, part, calls, clock) for _ in range(3)]
        found.append(min(rounds) / calls / len(part) * 1e6)
    return found


def _round(work: Callable[[Any], Any], part: np.ndarray, calls: int, clock: Callable[[], float]) -> float:
    began = clock()
    for _ in range(calls):
        work(part)
    return clock() - began


def line(name: str, values: list[float]) -> str:
    """Return a line of the table."""
    return f"| {name} | {' | '.join(f'{value:,.2f}' for value in values)} |"


def imports() -> str:
    """Return CPU seconds to import each library, beside an empty Python and numpy."""
    names = ("numpy", "onnxruntime", "xgboost", "lightgbm", "sklearn.ensemble", "httpx")
    return ", ".join(f"{name} {_import_seconds(name):.2f}" for name in names)


def _import_seconds(name: str) -> float:
    code = f"import time, {name}; print(time.process_time())"
    return min(
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
        for _ in range(3)
    )


if __name__ == "__main__":
    main()
