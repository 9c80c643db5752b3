"""The operation `score` gives the scores of the night where the features that are served are those of the night."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
import scoring_world
from scoring_world import CUSTOMERS, DAY, SETTINGS, World

from assets.churn.app import CHURN
from assets.stages.followed import Followed
from assets.stages.operation import Asker
from assets.stages.score_now import ScoreNow
from models.errors import TesseraError
from models.features.cutoffs import cutoff_moment
from models.settings import Settings
from resources.feature_store.port import OnlineFeatureStore
from resources.health import Health

# pyright: basic

ASKER = Asker("ada")


class Served(OnlineFeatureStore):
    """Serves rows of a table."""

    def __init__(self, rows: pa.Table) -> None:
        self.rows = {row["customer_id"]: row for row in rows.to_pylist()}

    def apply(self) -> Sequence[str]:
        return ()

    def historical(self, service: str, entities: pa.Table, *, files: Mapping[str, Sequence[str]]) -> pa.Table:
        raise AssertionError("nothing is joined here")

    def check(self) -> Health:
        return Health(ok=True, says="")

    def materialize(self, view: str, start: datetime, end: datetime, *, files: Sequence[str]) -> None:
        raise AssertionError("nothing is brought online here")

    def online(self, service: str, entities: pa.Table) -> pa.Table:
        found = [self.rows.get(id) for id in entities["customer_id"].to_pylist()]
        columns: dict[str, Any] = {
            name: pa.array([row and row[name] for row in found], pa.float64())
            for name in ("recency_days", "orders_total")
        }
        state = ["PRESENT" if row else "NOT_FOUND" for row in found]
        moments = pa.array([cutoff_moment(DAY) if row else None for row in found], pa.timestamp("us", "UTC"))
        return pa.table(
            {"customer_id": entities["customer_id"], **columns, "churn_customer__status": state,
             "churn_customer__event_timestamp": moments}
        )  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    made = scoring_world.made(tmp_path_factory.mktemp("now") / "home")
    assert made.run().success
    return made


def test_served_features_of_the_night_give_its_scores_and_unknown_ids_none(world: World) -> None:
    ports: Any = SimpleNamespace(registry=world.registry, feature_store=Served(scoring_world.feature_rows(DAY)))
    assert CHURN.operations is not None
    answer: Any = CHURN.operations()[0].opened(ports, Settings(churn=SETTINGS))
    published = world.sink.scores("churn", DAY)[1].read_all()
    ids = ["nobody", *reversed(published["customer_id"].to_pylist())]
    found = answer(ScoreNow(ids=tuple(ids)), ASKER)
    assert [one.id for one in found.rows] == ids
    assert (found.rows[0].score, found.rows[0].features) == (None, "NOT_FOUND")
    scores = dict(zip(published["customer_id"].to_pylist(), published["score"].to_pylist(), strict=True))
    assert {one.id: one.score for one in found.rows[1:]} == scores
    assert len(scores) == CUSTOMERS
    assert found.model_version == published["model_version"][0].as_py()
    assert found.rows[1].features_of == cutoff_moment(DAY)


def test_a_new_champion_answers_later_requests_and_one_that_cannot_be_opened_none() -> None:
    now, key, broken = [0.0], ["1"], [False]

    def opened() -> str:
        if broken[0]:
            raise TesseraError("broken", expected="a model", todo="Repair it.")
        return f"model {key[0]}"

    followed = Followed(lambda: key[0], opened, look_seconds=5, clock=lambda: now[0])
    assert followed.current() == "model 1"
    key[0] = "2"
    assert followed.current() == "model 1"
    now[0] = 5.0
    assert followed.current() == "model 2"
    key[0], broken[0], now[0] = "3", True, 10.0
    assert followed.current() == "model 2"
    nothing = Followed(lambda: key[0], opened, look_seconds=5, clock=lambda: now[0])
    with pytest.raises(TesseraError, match="broken"):
        nothing.current()
    broken[0] = False
    assert nothing.current() == "model 3"
