"""A score is traced to the model, features, inputs and run that made it, and to who published it."""

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scoring_world
from scoring_world import DAY, World

from assets.stages.batch_scoring import score
from assets.stages.publication import publish
from models.errors import TesseraError
from pipelines.cli import publications, trace
from resources.stack.loader import Calendar

D = DAY.isoformat()


class Opened:
    """A stack of the world's stores."""

    calendar = Calendar(first_day=date(2026, 1, 1))

    def __init__(self, world: World) -> None:
        self._world = world

    def open(self, port: str) -> Any:
        return getattr(self._world, port)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = scoring_world.made(tmp_path / "home")
    for module in (trace, publications):
        monkeypatch.setattr(module, "active_stack", lambda: Opened(made))
    return made


def traced(capsys: pytest.CaptureFixture[str], entity: str = "c00007") -> dict[str, Any]:
    capsys.readouterr()
    trace.trace("churn", entity, D, as_json=True)
    return json.loads(capsys.readouterr().out)


def test_a_score_is_traced_through_its_publications(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(TesseraError, match="Nothing was scored"):
        trace.trace("churn", "c00007", D)
    score(world.night(run_id="first"))
    waiting = traced(capsys)
    assert (waiting["publication"]["published"], waiting["publication"]["by"]) == (False, None)
    publish(world.sink, world.night().notifier, "churn", DAY)
    with pytest.raises(TesseraError, match="Nothing was scored") as refused:
        trace.trace("churn", "c00007", (DAY - timedelta(days=1)).isoformat())
    assert f"did you mean {D!r}" in refused.value.expected
    found = traced(capsys)
    row = next(
        row for row in world.sink.scores("churn", DAY)[1].read_all().to_pylist() if row["customer_id"] == "c00007"
    )
    assert found["scores"][0]["score"] == float(str(np.float32(row["score"]))), "no digits beyond single precision"
    assert np.float32(found["scores"][0]["score"]) == row["score"]
    assert (found["model"]["version"], found["model"]["package"]) == ("1", row["model_package"])
    assert (found["publication"]["by"], found["publication"]["replaced"], found["run"]) == ("run first", None, "first")
    features = world.lake.scan("churn_features").to_table().to_pylist()[7]
    assert found["features"]["values"][0]["recency_days"] == features["recency_days"]
    assert (found["features"]["unchanged"], found["inputs"]["orders"]) == (True, world.lake.version("orders"))

    world.promote(1.05)
    score(world.night(run_id="second"))
    assert "wait" in publish(world.sink, world.night().notifier, "churn", DAY).verdict
    assert traced(capsys)["model"]["version"] == "1", "the published score, not the one that waits"
    publications.publish("churn", D, "better", even_if_refused=False)
    by_hand = traced(capsys)["publication"]
    assert (by_hand["published"], "better" in by_hand["why"]) == (True, True)
    assert (by_hand["replaced"]["model_version"], by_hand["replaced"]["run"]) == ("1", "first")
    assert not by_hand["by"].startswith("run ")
    publications.unpublish("churn", D, "wrong")
    assert traced(capsys)["publication"]["published"] is False
    with pytest.raises(TesseraError, match="'c99999' is not among the 300 scores of churn"):
        trace.trace("churn", "c99999", D)
    trace.trace("churn", "c00007", D)
    assert "model.version" in capsys.readouterr().out
