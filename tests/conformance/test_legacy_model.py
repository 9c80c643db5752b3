"""Every adapter of the legacy model port keeps its promises; commands and endpoints fail in sentences."""

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import onnx
import psutil
import pytest
import xgboost
from onnx import TensorProto, helper
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from models.errors import TesseraError
from models.training.skops_files import write_skops
from resources.calls.policy import CallPolicy
from resources.conformance import LegacyModelConformance
from resources.conformance.legacy_model import INPUTS, ROWS, SIGNATURE
from resources.legacy_model.command import CommandConfig, CommandModel
from resources.legacy_model.endpoint import EndpointConfig
from resources.legacy_model.lightgbm import LightGBMConfig
from resources.legacy_model.line_process import can_take_network
from resources.legacy_model.onnx import OnnxConfig
from resources.legacy_model.port import LegacyModel, Signature, config_of
from resources.legacy_model.skops import SkopsConfig
from resources.legacy_model.xgboost import XGBoostConfig

NAMES = [one.name for one in INPUTS]
TRAIN = np.tile(ROWS, (20, 1))
LABELS = np.tile([1.0, 0, 1, 0, 1], 20)
QUICK = CallPolicy(timeout_seconds=5, tries=2, first_pause_seconds=0)
#: A command of a few lines: the score of a row is made of its numbers and the length of its texts.
SCRIPT = """
import json, sys
for line in sys.stdin:
    asked = json.loads(line)
    scores = [sum(n if isinstance(n, (int, float)) else 0.5 if n is None else len(n) for n in row) / 1e8
              for row in asked["rows"]]
    if len(asked["features"]) != 3:
        print(json.dumps({"id": asked["id"], "error": "three inputs, please"}), flush=True)
    else:
        print(json.dumps({"id": asked["id"], "scores": scores}), flush=True)
"""


def closing(models: list[LegacyModel], model: LegacyModel) -> LegacyModel:
    models.append(model)
    return model


@pytest.fixture
def models() -> Iterator[list[LegacyModel]]:
    found: list[LegacyModel] = []
    yield found
    for model in found:
        model.close()


Open = Callable[[Signature], LegacyModel]


class TestXGBoost(LegacyModelConformance):
    config = XGBoostConfig

    @pytest.fixture(params=["model.ubj", "model.json"])
    def opened(self, tmp_path: Path, request: pytest.FixtureRequest) -> Open:
        data = xgboost.DMatrix(TRAIN, LABELS, feature_names=NAMES, nthread=1)
        booster = xgboost.train({"objective": "binary:logistic", "max_depth": 2, "nthread": 1}, data, 5)
        booster.save_model(tmp_path / request.param)
        return lambda signature: XGBoostConfig(file=request.param).open(tmp_path, signature)


class TestLightGBM(LegacyModelConformance):
    config = LightGBMConfig

    @pytest.fixture
    def opened(self, tmp_path: Path) -> Open:
        import lightgbm

        data = lightgbm.Dataset(TRAIN.astype(np.float64), LABELS, feature_name=NAMES)
        settings = {"objective": "binary", "verbose": -1, "num_threads": 1, "min_data_in_leaf": 1, "min_data_in_bin": 1}
        lightgbm.train(settings, data, 5).save_model(tmp_path / "model.lgb")
        return lambda signature: LightGBMConfig().open(tmp_path, signature)


def linear_onnx(file: Path, *, apart: bool = False) -> None:
    """A logistic regression; `apart`: a tensor per input."""
    numbers = np.array([1e-3, 1e-2, 1e-6], np.float32).tobytes()
    weights = helper.make_tensor("w", TensorProto.FLOAT, [3, 1], numbers, raw=True)
    zero = helper.make_tensor("zero", TensorProto.FLOAT, [1], [0.0])
    if apart:
        inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 1]) for name in NAMES]
        first = [helper.make_node("Concat", NAMES, ["x"], axis=1)]
    else:
        inputs, first = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 3])], []
    known = [helper.make_node("IsNaN", ["x"], ["n"]), helper.make_node("Where", ["n", "zero", "x"], ["k"])]
    nodes = [*first, *known, helper.make_node("MatMul", ["k", "w"], ["m"]), helper.make_node("Sigmoid", ["m"], ["p"])]
    output = helper.make_tensor_value_info("p", TensorProto.FLOAT, [None, 1])
    graph = helper.make_graph(nodes, "linear", inputs, [output], [weights, zero])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    file.write_bytes(model.SerializeToString())


class TestOnnx(LegacyModelConformance):
    config = OnnxConfig

    @pytest.fixture(params=[False, True], ids=["one tensor", "a tensor per input"])
    def opened(self, tmp_path: Path, request: pytest.FixtureRequest) -> Open:
        linear_onnx(tmp_path / "model.onnx", apart=request.param)
        return lambda signature: OnnxConfig().open(tmp_path, signature)


class TestSkops(LegacyModelConformance):
    config = SkopsConfig

    @pytest.fixture
    def opened(self, tmp_path: Path) -> Open:
        write_skops(make_pipeline(StandardScaler(), Ridge()).fit(TRAIN, LABELS), tmp_path / "model.skops")
        return lambda signature: SkopsConfig().open(tmp_path, signature)


def command(script: Path, source: str = SCRIPT, **settings: Any) -> CommandConfig:
    script.write_text(source)
    chosen: dict[str, Any] = {"calls": QUICK, **settings}
    return CommandConfig(argv=[sys.executable, "-I", "-S", str(script)], files=[str(script)], **chosen)


class TestCommand(LegacyModelConformance):
    config = CommandConfig

    @pytest.fixture
    def opened(self, tmp_path: Path, models: list[LegacyModel]) -> Open:
        config = command(tmp_path / "score.py").sealed(tmp_path)
        return lambda signature: closing(models, config.open(tmp_path, signature))


class Answers(BaseHTTPRequestHandler):
    """An endpoint of both protocols; `faults` are answered first, each once: a status, a body or seconds."""

    faults: ClassVar[list[int | bytes | float]] = []
    asked: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.asked.append(str(self.headers.get("authorization")))
        fault = self.faults.pop(0) if self.faults else None
        if isinstance(fault, float):
            time.sleep(fault)
        status = fault if isinstance(fault, int) else 200
        answer = fault if isinstance(fault, bytes) else json.dumps(self._answer(body)).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        try:
            self.wfile.write(answer)
        except BrokenPipeError:  # the client gave up
            self.close_connection = True

    def _answer(self, body: Any) -> Any:
        if "inputs" not in body:
            return {"out": {"scores": [{"p": _sum(list(row.values()))} for row in body["instances"]]}}
        tensors = body["inputs"]
        if len(tensors) == 1:
            width = tensors[0]["shape"][1]
            data = tensors[0]["data"]
            rows = [data[start : start + width] for start in range(0, len(data), width)]
        else:
            rows = [list(row) for row in zip(*(one["data"] for one in tensors), strict=True)]
        if any(len(row) != 3 for row in rows):
            return {"error": "three inputs, please"}
        return {"outputs": [{"name": "p", "shape": [len(rows)], "datatype": "FP64", "data": [*map(_sum, rows)]}]}

    def log_message(self, format: str, *_: Any) -> None:
        pass


def _sum(row: Any) -> float:
    values = list(row)
    return (
        sum(len(n) if isinstance(n, str) else 0.5 if n is None else n for n in values) / 1e8
        if len(values) == 3
        else 9e9
    )


@pytest.fixture
def server() -> Iterator[str]:
    Answers.faults.clear()
    Answers.asked.clear()
    running = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{running.server_port}"
    running.shutdown()
    running.server_close()
    thread.join()


V2: dict[str, Any] = {"model": "old", "calls": QUICK}
LISTED: dict[str, Any] = {"protocol": "json", "scores_field": "out.scores", "score_field": "p", "calls": QUICK}


class TestEndpoint(LegacyModelConformance):
    config = EndpointConfig

    @pytest.fixture
    def opened(self, server: str, tmp_path: Path, models: list[LegacyModel]) -> Open:
        return lambda signature: closing(models, EndpointConfig(url=server, **V2).open(tmp_path, signature))


def test_an_endpoint_of_json_and_one_of_a_single_tensor_give_the_same(
    server: str, tmp_path: Path, models: list[LegacyModel]
) -> None:
    kinds: list[dict[str, Any]] = [V2, {**V2, "tensor": "x", "output": "p"}, LISTED]
    found = [
        closing(models, EndpointConfig(url=server, **kind).open(tmp_path, SIGNATURE)).predict(ROWS) for kind in kinds
    ]
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[0], found[2])
    rows = ROWS.copy()
    rows[0, 0] = np.nan
    assert np.isfinite(models[2].predict(rows)).all(), "JSON has null"


def test_a_token_comes_from_the_environment_and_is_in_no_setting(
    server: str, tmp_path: Path, models: list[LegacyModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = EndpointConfig(url=server, token_env="OLD_TOKEN", **LISTED)  # noqa: S106 - its name
    with pytest.raises(TesseraError, match="OLD_TOKEN is not set"):
        config.open(tmp_path, SIGNATURE)
    monkeypatch.setenv("OLD_TOKEN", "s3cret")
    closing(models, config.open(tmp_path, SIGNATURE)).predict(ROWS)
    assert Answers.asked == ["Bearer s3cret"]
    assert "s3cret" not in str(config.model_dump(mode="json"))


@pytest.mark.parametrize(
    ("faults", "says"),
    [
        ([500, 503], "answers 503"),
        ([404], "answers 404"),
        ([302], "answers 302"),
        ([b"<html>"], "no JSON"),
        ([b'{"outputs": []}'], "Expected an output tensor"),
        ([b'{"outputs": [{"name": "p", "data": [1, 2]}]}'], "2 x 1 numbers for 5 rows"),
        ([b'{"outputs": [{"name": "p", "data": [1, 2, 3, 4, NaN]}]}'], "nan. for row 4 of 5"),
        ([b'{"outputs": [{"name": "p", "data": [1, 2, 3, 4, null]}]}'], "nan. for row 4 of 5"),
        ([b'{"outputs": [{"name": "p", "data": [1, 2, 3, 4, "x"]}]}'], "no table of numbers"),
        ([0.5, 0.5], "gave no answer within 0.1 s"),
    ],
)
def test_an_endpoint_that_fails_is_named_in_a_sentence(
    server: str, tmp_path: Path, models: list[LegacyModel], faults: list[Any], says: str
) -> None:
    calls = CallPolicy(timeout_seconds=0.1 if isinstance(faults[0], float) else 5, tries=2, first_pause_seconds=0)
    settings: dict[str, Any] = {**V2, "calls": calls}
    model = closing(models, EndpointConfig(url=server, **settings).open(tmp_path, SIGNATURE))
    Answers.faults.extend(faults)
    with pytest.raises(TesseraError, match=says) as failed:
        model.predict(ROWS)
    assert failed.value.todo
    Answers.faults.clear()
    assert len(Answers.asked) == len(faults), "only what may pass is tried again"


def test_an_endpoint_that_recovers_is_asked_again(server: str, tmp_path: Path, models: list[LegacyModel]) -> None:
    model = closing(models, EndpointConfig(url=server, **V2).open(tmp_path, SIGNATURE))
    Answers.faults.append(503)
    assert model.predict(ROWS).shape == (5, 1)
    nobody = EndpointConfig(url="http://127.0.0.1:9", **V2).open(tmp_path, SIGNATURE)
    with pytest.raises(TesseraError, match="cannot be reached"):
        closing(models, nobody).predict(ROWS)


BEGIN = "import json, os, sys, time\nfor line in sys.stdin:\n    asked = json.loads(line)\n"
GOOD = '    print(json.dumps({"id": asked["id"], "scores": [0.5] * len(asked["rows"])}), flush=True)\n'


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("    sys.exit(3)\n", "exit code 3"),
        ("    os.kill(os.getpid(), 9)\n", "killed by SIGKILL"),
        ("    time.sleep(60)\n", "gave no answer within 0.3 s"),
        ("    sys.stderr.write('no such column\\n'); sys.exit(1)\n", "no such column"),
        ("    print('loading model...', flush=True)\n" + GOOD, "loading model"),
        ("    sys.stdout.buffer.write(b'\\xff\\xfe\\n'); sys.stdout.flush()\n", "no UTF-8"),
        ('    print(json.dumps({"id": asked["id"] - 1, "scores": [0.5] * 5}), flush=True)\n', "no line"),
        ('    print(json.dumps({"scores": [0.5] * 5}), flush=True)\n', "no line"),
        ('    print(json.dumps({"id": asked["id"], "scores": [0.5] * 4}), flush=True)\n', "4 x 1 numbers for 5 rows"),
        ('    print(json.dumps({"id": asked["id"], "scores": [[0.1, 0.9]] * 5}), flush=True)\n', "5 x 2 numbers"),
        ('    print(json.dumps({"id": asked["id"], "scores": [float("nan")] * 5}), flush=True)\n', "nan"),
        ('    print(json.dumps({"id": asked["id"], "error": "ValueError: x"}), flush=True)\n', "ValueError: x"),
        ("    sys.stdout.write('{'); sys.stdout.flush(); os._exit(0)\n", "without an end"),
    ],
)
def test_a_command_that_fails_is_named_in_a_sentence(
    tmp_path: Path, models: list[LegacyModel], body: str, says: str
) -> None:
    calls = CallPolicy(timeout_seconds=0.3 if "sleep" in body else 10, tries=2, first_pause_seconds=0)
    model = closing(models, command(tmp_path / "x.py", BEGIN + body, calls=calls).open(tmp_path, SIGNATURE))
    with pytest.raises(TesseraError, match=says) as failed:
        model.predict(ROWS)
    assert failed.value.todo


def test_a_command_that_dies_once_is_started_again_and_leaves_no_process(tmp_path: Path) -> None:
    flag = tmp_path / "died"
    dies_once = f"    if not os.path.exists({str(flag)!r}):\n        open({str(flag)!r}, 'w').close(); sys.exit(1)\n"
    before = psutil.Process().children()
    model = command(tmp_path / "x.py", BEGIN + dies_once + GOOD).open(tmp_path, SIGNATURE)
    assert model.predict(ROWS).tolist() == [[0.5]] * 5
    (child,) = [one for one in psutil.Process().children() if one not in before]
    model.close()
    assert not child.is_running()


def test_a_command_that_fills_stderr_and_reads_late_is_not_stuck(tmp_path: Path, models: list[LegacyModel]) -> None:
    noisy = "    sys.stderr.write('x' * 1000 + chr(10)) ; sys.stderr.write('warning: y\\n' * 20000)\n"
    model = closing(models, command(tmp_path / "x.py", BEGIN + noisy + GOOD).open(tmp_path, SIGNATURE))
    assert model.predict(np.tile(ROWS, (300, 1))).shape == (1500, 1)


def test_a_command_gets_few_variables_an_empty_folder_and_what_it_is_passed(
    tmp_path: Path, models: list[LegacyModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_TESSERA", "x")
    monkeypatch.setenv("OLD_MODEL_HOME", "y")
    tells = '    print(json.dumps({"id": 1, "error": repr((sorted(os.environ), os.listdir(".")))}), flush=True)\n'
    config = command(tmp_path / "x.py", BEGIN + tells, pass_env=["OLD_MODEL_HOME"])
    with pytest.raises(TesseraError) as told:
        closing(models, config.open(tmp_path, SIGNATURE)).predict(ROWS)
    assert "SECRET_OF_TESSERA" not in told.value.what
    assert "'OLD_MODEL_HOME'" in told.value.what
    assert "[])" in told.value.what


def test_a_command_without_network_cannot_reach_a_server(
    server: str, tmp_path: Path, models: list[LegacyModel]
) -> None:
    asks = f"    import urllib.request; urllib.request.urlopen('{server}', b'{{}}')\n" + GOOD
    if not can_take_network():
        with pytest.raises(TesseraError, match="network namespace"):
            closing(models, command(tmp_path / "x.py", asks, network="none").open(tmp_path, SIGNATURE)).predict(ROWS)
        return
    for network in ("none", "none_if_possible"):
        model = closing(models, command(tmp_path / "x.py", BEGIN + asks, network=network).open(tmp_path, SIGNATURE))
        with pytest.raises(TesseraError, match="unreachable"):
            model.predict(ROWS)
    assert Answers.asked == []


def test_a_file_that_changed_after_the_import_is_refused(tmp_path: Path) -> None:
    script = tmp_path / "score.py"
    sealed = command(script).sealed(tmp_path)
    script.write_text(SCRIPT + "\n")
    with pytest.raises(TesseraError, match=r"score\.py was changed: the command is not the one that was imported"):
        sealed.open(tmp_path, SIGNATURE)
    script.unlink()
    with pytest.raises(TesseraError, match="is gone"):
        sealed.open(tmp_path, SIGNATURE)
    with pytest.raises(TesseraError, match="no file"):
        command(script).model_copy(update={"files": ["none.py"]}).sealed(tmp_path)


def test_other_packages_beside_the_program_are_refused(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python").symlink_to(sys.executable)
    (tmp_path / "pyvenv.cfg").write_text("home = /usr\n")
    packages = tmp_path / "lib/python3.8/site-packages"
    (packages / "scikit_learn-0.24.dist-info").mkdir(parents=True)
    config = CommandConfig(argv=["bin/python"]).sealed(tmp_path)
    assert isinstance(config.open(tmp_path, SIGNATURE), CommandModel)
    (packages / "scikit_learn-0.24.dist-info").rename(packages / "scikit_learn-1.0.dist-info")
    with pytest.raises(TesseraError, match="other packages beside it"):
        config.open(tmp_path, SIGNATURE)


def test_a_program_that_is_not_there_and_settings_that_are_none_are_named(tmp_path: Path) -> None:
    with pytest.raises(TesseraError, match=r"cannot be started|ended"):
        CommandConfig(argv=["/nowhere/python"], calls=QUICK).open(tmp_path, SIGNATURE).predict(ROWS)
    with pytest.raises(TesseraError, match="did you mean 'command'"):
        config_of({"kind": "comand"})
    with pytest.raises(TesseraError, match=r"runs\.args"):
        config_of({"kind": "command", "argv": ["x"], "args": 1})
    with pytest.raises(TesseraError, match="name of the model"):
        EndpointConfig(url="http://127.0.0.1").open(tmp_path, SIGNATURE)


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("onnx", b"\x08\x09garbage"),
        ("xgboost", b"{L\x00\x00\x00\x00\x00\x00\x00\x01i"),
        ("lightgbm", b"tree\nversion=v4\nnum_leaves=-1\n"),
        ("skops", b"PK\x03\x04"),
    ],
)
def test_a_file_that_is_no_model_is_refused(tmp_path: Path, kind: str, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    config = config_of({"kind": kind, "file": "file"})
    with pytest.raises(TesseraError):
        config.open(tmp_path, SIGNATURE)


def test_weights_in_another_file_are_refused(tmp_path: Path) -> None:
    linear_onnx(tmp_path / "model.onnx")
    model = onnx.load(tmp_path / "model.onnx")
    file = tmp_path / "model.onnx"
    onnx.save(model, file, save_as_external_data=True, location="weights", size_threshold=0)
    with pytest.raises(TesseraError, match="other files"):
        OnnxConfig().open(tmp_path, SIGNATURE)


def test_inputs_in_another_order_are_refused_where_the_model_names_them(tmp_path: Path) -> None:
    data = xgboost.DMatrix(TRAIN, LABELS, feature_names=NAMES, nthread=1)
    xgboost.train({"nthread": 1}, data, 1).save_model(tmp_path / "model.ubj")
    turned = Signature(INPUTS[::-1], 1)
    with pytest.raises(TesseraError, match="another order"):
        XGBoostConfig().open(tmp_path, turned)
