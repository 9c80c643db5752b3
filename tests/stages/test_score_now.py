"""The operation `score` gives the scores of the night where the features that are served are those of the night."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import scoring_world
from scoring_world import CUSTOMERS, DAY, SETTINGS, World

from assets.churn.app import CHURN
from assets.stages.followed import Followed
from assets.stages.open_models import VersionsAsked
from assets.stages.operation import Asker, NotServed, NotThere
from assets.stages.rollout import start_rollout
from assets.stages.score_now import ScoreNow
from models.errors import OtherRelease, TesseraError
from models.features.cutoffs import cutoff_moment
from models.service import ServiceSettings
from models.settings import Settings
from models.training.linear_model import LinearModel
from resources.notifier.log import LogNotifier
from resources.rollout_log import RolloutLog
from tests.online_only import OnlineOnly

# pyright: basic

ASKER = Asker("ada")


class Served(OnlineOnly):
    """Serves rows of a table."""

    def __init__(self, rows: pa.Table) -> None:
        self.rows = {row["customer_id"]: row for row in rows.to_pylist()}

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


def ports_of(world: World) -> Any:
    stack = SimpleNamespace(home=world.folder)
    return SimpleNamespace(
        registry=world.registry, feature_store=Served(scoring_world.feature_rows(DAY)), stack=stack, lake=world.lake
    )


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    made = scoring_world.made(tmp_path_factory.mktemp("now") / "home")
    assert made.run().success
    return made


def test_served_features_of_the_night_give_its_scores_and_unknown_ids_none(world: World) -> None:
    ports: Any = ports_of(world)
    assert CHURN.operations is not None
    answer: Any = CHURN.operations()[0].opened(ports, Settings(churn=SETTINGS))
    published = world.sink.scores("churn", DAY)[1].read_all()
    ids = ["nobody", *reversed(published["customer_id"].to_pylist())]
    found = answer(ScoreNow(ids=tuple(ids)), ASKER)
    assert [one.id for one in found.rows] == ids
    assert (found.rows[0].score, found.rows[0].features) == (None, "NOT_FOUND")
    scores = dict(zip(published["customer_id"].to_pylist(), published["score"].to_pylist(), strict=True))
    assert {one.id: float(np.float32(one.score)) for one in found.rows[1:]} == scores
    assert all(one.score == float(str(np.float32(one.score))) for one in found.rows[1:])  # no digits of noise
    assert len(scores) == CUSTOMERS
    assert found.model_version == published["model_version"][0].as_py()
    assert found.rows[1].features_of == cutoff_moment(DAY)
    assert [answer(ScoreNow(ids=(id,)), ASKER).rows[0] for id in ids[:5]] == found.rows[:5]


def test_a_version_that_is_named_answers_in_place_of_the_champion(tmp_path: Path) -> None:
    made = scoring_world.made(tmp_path / "home")
    made.promote(2.0)
    stopped = scoring_world.package(tmp_path / "stopped", 3.0)
    made.registry.register("churn", stopped, parameters={}, metrics={}, tags={"gate": "stopped by leakage"}, report="")
    ports: Any = ports_of(made)
    assert CHURN.operations is not None
    settings = Settings(churn=SETTINGS, service=ServiceSettings(open_versions=1, champion_seconds=0))
    answer: Any = CHURN.operations()[0].opened(ports, settings)
    asked = ScoreNow(ids=("c00000", "c00001"))
    found = {name: answer(asked, Asker("ada", name)) for name in (None, "1", "2", "1")}
    assert {name: one.model_version for name, one in found.items()} == {None: "2", "1": "1", "2": "2"}
    assert found[None] == found["2"]
    assert found["1"].rows[0].score != found["2"].rows[0].score
    with pytest.raises(NotServed, match="leakage"):
        answer(asked, Asker("ada", "3"))
    with pytest.raises(NotThere, match="no version '12'"):
        answer(asked, Asker("ada", "12"))
    made.registry.retag("churn", "1", {"gate": "stopped by loads"})
    assert answer(asked, Asker("ada", "1")) == found["1"]  # it was champion


def test_a_champion_of_other_features_does_not_answer_and_the_one_before_says_so(tmp_path: Path) -> None:
    made = scoring_world.made(tmp_path / "home")
    assert CHURN.operations is not None
    opened: Any = CHURN.operations()[0].opened
    before = opened(ports_of(made), Settings(churn=SETTINGS))(ScoreNow(ids=("c00000",)), ASKER)
    made.promote(2.0, version="churn_v0")
    ports = ports_of(made)
    ports.notifier = LogNotifier(made.folder / "notices.jsonl")
    answer = opened(ports, Settings(churn=SETTINGS))
    found = [answer(ScoreNow(ids=("c00000",)), ASKER) for _ in range(2)]
    assert (found[0], found[0].rows, found[0].model_version) == (found[1], before.rows, "1")
    assert before.notes == []
    assert found[0].notes == ["version 2, the champion, cannot be used: version 1, one before it, answers"]
    (told,) = (made.folder / "notices.jsonl").read_text().splitlines()
    assert "answered by version 1" in told
    assert "features of version 'churn_v0'" in told
    with pytest.raises(OtherRelease, match="churn_v0"):
        answer(ScoreNow(ids=("c00000",)), Asker("ada", "2"))


def test_a_rollout_answers_its_share_and_says_so_in_each_row(tmp_path: Path) -> None:
    made = scoring_world.made(tmp_path / "home")
    made.promote(2.0)
    assert CHURN.operations is not None
    settings = Settings(churn=SETTINGS, service=ServiceSettings(champion_seconds=0))
    answer: Any = CHURN.operations()[0].opened(ports_of(made), settings)
    ids = tuple(f"c{number:05}" for number in range(40))
    before, first = answer(ScoreNow(ids=ids), ASKER), answer(ScoreNow(ids=ids), Asker("ada", "1"))
    start_rollout(RolloutLog(made.folder), "churn", "1", 0.5, who="ada", why="is it as good")
    found = answer(ScoreNow(ids=(*ids, "nobody")), ASKER)
    assert found.model_version == "2"
    assert {one.model_version for one in found.rows[:-1]} == {"1", "2"}
    assert (found.rows[-1].model_version, found.rows[-1].score) == (None, None)
    expected = {"1": first.rows, "2": before.rows}
    assert found.rows[:-1] == [expected[one.model_version][place] for place, one in enumerate(found.rows[:-1])]
    assert answer(ScoreNow(ids=ids), Asker("ada", "2")) == before
    assert [answer(ScoreNow(ids=(id,)), ASKER).rows[0] for id in ids] == found.rows[:-1]


def test_what_must_be_looked_up_is_not_quick(tmp_path: Path) -> None:
    made = scoring_world.made(tmp_path / "home")
    ports = ports_of(made)
    assert CHURN.operations is not None
    settings = Settings(churn=SETTINGS, service=ServiceSettings(champion_seconds=3600))
    answer: Any = CHURN.operations()[0].opened(ports, settings)
    one, many = ScoreNow(ids=("c00000",)), ScoreNow(ids=("c00000",) * 9)
    assert not answer.is_quick(one, ASKER)  # a store that may ask a server
    ports.feature_store.answers_at_once = lambda _: True
    asked = ((one, ASKER), (many, ASKER), (one, Asker("ada", "1")))
    assert [answer.is_quick(*each) for each in asked] == [True, False, False]
    with pytest.MonkeyPatch.context() as patch:  # as a model has that another process runs
        patch.setattr(LinearModel, "clock", lambda _: 0.0, raising=False)
        assert not answer.is_quick(one, ASKER)
    start_rollout(RolloutLog(made.folder), "churn", "1", 0.5, who="ada", why="is it as good")
    assert answer.is_quick(one, ASKER)  # not seen yet
    answer.follow()
    assert not answer.is_quick(one, ASKER)
    beside: Any = CHURN.operations()[0].opened(ports, settings)
    assert not beside.is_quick(one, ASKER)
    due = Settings(churn=SETTINGS, service=ServiceSettings(champion_seconds=0))
    assert not CHURN.operations()[0].opened(ports, due).is_quick(one, ASKER)


def test_a_version_that_is_open_is_looked_up_again(tmp_path: Path) -> None:
    made, now, opened = scoring_world.made(tmp_path / "home"), [0.0], list[str]()
    passed = scoring_world.package(tmp_path / "passed", 3.0)
    made.registry.register("churn", passed, parameters={}, metrics={}, tags={"gate": "passed"}, report="")
    settings = ServiceSettings(open_versions=1, champion_seconds=5)
    versions = VersionsAsked(made.registry, "churn", lambda v: opened.append(v) or v, settings, clock=lambda: now[0])
    assert [versions.at("2"), versions.at("2")] == ["2", "2"]
    assert opened == ["2"]
    assert [versions.at(name) for name in "121"] == ["1", "2", "1"]
    assert opened == ["2", "1", "2", "1"]
    versions.at("2")
    made.registry.retag("churn", "2", {"gate": "stopped by loads"})
    assert versions.at("2") == "2"
    now[0] = 5.0
    with pytest.raises(NotServed, match="loads"):
        versions.at("2")


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


def test_a_value_that_stands_in_is_opened_anew_every_hour_and_one_that_does_not_is_kept() -> None:
    now, opened = [0.0], list[str]()
    for worse, expected in (("", ["1"]), ("1", ["1", "2"])):
        opened.clear()
        followed = Followed(
            lambda: "key",
            lambda: opened.append(str(len(opened) + 1)) or opened[-1],
            look_seconds=5,
            stands_in=lambda value, worse=worse: value == worse,
            clock=lambda: now[0],
        )
        for now[0] in (0.0, 3000.0, 3600.0, 9000.0):
            followed.current()
        assert opened == expected
