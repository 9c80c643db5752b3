"""Values of every type of field as tensors of the Open Inference Protocol, and a composition that takes them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scoring_world

from assets.churn.app import CHURN
from assets.stages.open_models import open_model
from assets.stages.promotion import Verified, VerifiedComposition
from assets.stages.scoring_task import ComposedScoring, ScoringTask
from models.compose.budget import Budget, Estimate
from models.compose.fields import Column, FieldType, fields
from models.compose.package import Composition, LoadedComposition
from models.compose.step import Leaf
from models.errors import TesseraError
from models.tensors import bytes_of, read_bytes, read_tensor, tensor_of, values_of
from models.training.model_package import LoadedModel, load

NOON = "2026-03-01T12:00:00+00:00"


@pytest.mark.parametrize(
    ("kind", "datatype", "data", "back"),
    [
        ("text?", "BYTES", ["a", None], ["a", None]),
        ("texts", "BYTES", ['["a", "b"]', "[]"], ['["a", "b"]', "[]"]),
        ("record", "BYTES", ['{"a": 1}', "{}"], ['{"a": 1}', "{}"]),
        ("number?", "FP64", [1.5, None], [1.5, None]),
        ("number", "INT64", [2, 2**40], [2.0, float(2**40)]),
        ("integer", "INT64", [2, -(2**63)], [2, -(2**63)]),
        ("integer?", "INT64", [2, None], [2, None]),
        ("flag", "BOOL", [True, False], [True, False]),
        ("timestamp", "BYTES", [NOON, "2026-03-01T13:00:00+01:00"], [NOON, NOON]),
        ("vector(2)", "FP32", [1.5, 2.5, 3.5, 4.5], [1.5, 2.5, 3.5, 4.5]),
    ],
)
def test_values_come_back_as_they_were_given(kind: str, datatype: str, data: list[Any], back: list[Any]) -> None:
    found = FieldType.parse(kind)
    tensor = tensor_of("x", found)
    shape = [2, *tensor.shape[1:]]
    column = read_tensor(found, datatype, shape, data)
    assert (values_of(column), found.wrong(column)) == (back, None)
    nested = [data[:2], data[2:]] if tensor.width else [[one] for one in data]
    again = read_tensor(found, datatype, [2, tensor.width or 1], nested)
    assert values_of(again) == back
    if None in back and tensor.datatype != "FP64":
        with pytest.raises(TesseraError, match="no null"):
            bytes_of(tensor, column)
        return
    of_bytes = read_bytes(found, tensor.datatype, shape, memoryview(bytes_of(tensor, column)))
    assert (values_of(of_bytes), of_bytes.dtype) == (back, column.dtype)


@pytest.mark.parametrize(
    ("kind", "datatype", "shape", "data", "says"),
    [
        ("text", "BYTES", [1], [None], "null as value 0"),
        ("texts", "BYTES", [1], ['{"a": 1}'], "texts"),
        ("record", "BYTES", [2], ["{}", "{"], "as value 1"),
        ("record", "BYTES", [1], ["1"], "record"),
        ("number", "FP64", [1], [float("nan")], "as value 0"),
        ("integer", "INT32", [1], [2**31], "as value 0"),
        ("integer", "FP64", [1], [1.0], "INT64"),
        ("flag", "BOOL", [1], [1], "as value 0"),
        ("timestamp", "BYTES", [1], ["yesterday"], "ISO 8601"),
        ("vector(2)", "FP32", [2], [1.0, 2.0], "[rows, 2]"),
        ("vector(2)", "FP32", [2, 2], [[1.0, 2.0], [3.0]], "different lengths"),
    ],
)
def test_other_values_are_refused(kind: str, datatype: str, shape: list[int], data: list[Any], says: str) -> None:
    with pytest.raises(TesseraError) as found:
        read_tensor(FieldType.parse(kind), datatype, shape, data)
    assert says in str(found.value)


@pytest.mark.parametrize(
    ("kind", "datatype", "shape", "data", "says"),
    [
        ("text", "BYTES", [2], b"\1\0\0\0a\1\0\0", "end within value 1"),
        ("text", "BYTES", [1], b"\xff\xff\xff\xffa", "end within value 0"),
        ("text", "BYTES", [1], b"\1\0\0\0ab", "1 bytes after its last value"),
        ("text", "BYTES", [1], b"\1\0\0\0\xff", "UTF-8"),
        ("record", "BYTES", [1], b"\1\0\0\0{", "JSON text"),
        ("number", "FP64", [10**30], b"\0" * 8, "8 bytes"),
        ("number", "FP16", [1], b"\0\0", "one of 'FP32'"),
        ("number", "FP32", [2], b"\0\0\x80\x7f" * 2, "inf as value 0"),
        ("number", "FP32", [1], b"\0\0\xc0\x7f", "nan as value 0"),
        ("vector(2)", "FP64", [1, 2], b"\0" * 8 + b"\0\0\0\0\0\0\xf0\x7f", "inf as value 1"),
        ("flag", "BOOL", [2], b"\1\2", "byte 2 as value 1"),
    ],
)
def test_other_bytes_are_refused(kind: str, datatype: str, shape: list[int], data: bytes, says: str) -> None:
    with pytest.raises(TesseraError) as found:
        read_bytes(FieldType.parse(kind), datatype, shape, memoryview(data))
    assert says in str(found.value)


def test_a_composition_answers_tensors_within_its_budget() -> None:
    def shout(text: Column, at: Column) -> Mapping[str, Column]:
        words = np.empty(len(text), object)
        words[:] = [one.upper().split() for one in text]
        return {"words": words, "day": at}

    takes, gives = (
        fields("Asked", {"text": "text", "at": "timestamp"}),
        fields("Said", {"words": "texts", "day": "timestamp"}),
    )
    step = Leaf("shout", takes, gives, shout, cost=Estimate(row_calls=1))
    loaded = LoadedComposition(Composition("c", {}, {}), step, "d1", (), {})
    task: Any = ScoringTask(
        app=None,  # pyright: ignore[reportArgumentType] - not asked for
        composed=ComposedScoring({}, {}, "v1", lambda *_: (), lambda n: Budget(calls=2)),
    )
    model = open_model(task, VerifiedComposition("4", loaded, 1))
    assert (model.version, list(model.inputs), [one.name for one in model.outputs]) == (
        "4",
        ["text", "at"],
        ["words", "day"],
    )
    at = FieldType.parse("timestamp").column([datetime(2026, 3, 1, 12, tzinfo=UTC)] * 3)
    text = FieldType.parse("text").column(["a b", "c", ""])
    found = {name: values_of(one) for name, one in model.predict({"text": text[:2], "at": at[:2]}, 2).items()}
    assert found == {"words": ['["A", "B"]', '["C"]'], "day": [NOON, NOON]}
    with pytest.raises(TesseraError, match="Row 2 has no answer: shout: refused"):
        model.predict({"text": text, "at": at}, 3)


def test_a_model_that_fails_on_a_row_is_no_failure_of_the_server(tmp_path: Path) -> None:
    def strict(loaded: LoadedModel) -> Any:
        def predict(rows: Any) -> Mapping[str, Any]:
            if np.isnan(rows).any():
                raise ValueError("Input contains NaN")
            return {"score": loaded.model.predict(rows)}

        return predict

    task = ScoringTask(app=CHURN, predict=strict)
    model = open_model(task, Verified("1", load(scoring_world.package(tmp_path / "package")), 20))
    assert [(one.name, one.datatype) for one in model.outputs] == [("score", "FP32")]
    columns = {name: np.array([1.0]) for name in model.inputs}
    assert 0 < model.predict(columns, 1)["score"][0] < 1
    with pytest.raises(TesseraError, match=r"fails on these rows: .*Input contains NaN"):
        model.predict({**columns, "recency_days": np.array([np.nan])}, 1)
