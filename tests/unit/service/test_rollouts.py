"""A version beside the champion: compared in the shadow, served to a share, ended where it is beyond a limit."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.stages.rollout import Rollout, Served, standing_agreement, start_rollout
from models.errors import TesseraError
from models.replacement.events import ReplacementEvent
from models.replacement.split import SplitRule
from models.rollouts import ComparedScore, RolloutChange, agreement, beyond
from models.service import CanaryLimits
from resources import rollout_log
from resources.rollout_log import RolloutLog

# pyright: basic

ENTITIES = [f"c{number}" for number in range(200)]
ROWS = pa.table({"customer_id": ENTITIES, "x": np.linspace(0.0, 1.0, len(ENTITIES))})
Score = Callable[[np.ndarray], np.ndarray]


def version(name: str, score: Score) -> Any:
    return SimpleNamespace(version=name, model=SimpleNamespace(score=lambda rows: score(rows["x"].to_numpy())))


CHAMPION = version("1", lambda x: x)


class World:
    """A rollout that looks at each request, its log, and the notices of it."""

    def __init__(self, home: Path, score: Score, **limits: Any) -> None:
        self.log, self.notices, self.occasions = RolloutLog(home), list[tuple[str, str]](), set[str]()
        self.opened = lambda name: version(name, score)
        self.limits = CanaryLimits(**{"max_time_ratio": 1e9, **limits})
        self.replacement: ReplacementEvent | None = None
        self.rollout = self.restarted()

    def restarted(self, look_seconds: float = 0) -> Rollout:
        def notify(subject: str, happened: str, occasion: str) -> None:
            self.occasions.add(occasion)
            self.notices.append((subject, happened))

        return Rollout(
            "churn",
            self.log,
            lambda name: self.opened(name),
            self.limits,
            notify,
            entity="customer_id",
            replacement=lambda: self.replacement,
            look_seconds=look_seconds,
        )

    def start(self, share: float) -> None:
        start_rollout(self.log, "churn", "2", share, who="ada", why="try it")

    def stop(self) -> None:
        standing = self.log.standing("churn")
        assert standing is not None
        assert self.log.end(standing[0], who="ada", why="enough") is not None

    def ask(self) -> Served:
        found = self.rollout.scored(CHAMPION, ROWS)
        self.rollout.finish()
        return found


def test_without_a_rollout_the_champion_answers(tmp_path: Path) -> None:
    world = World(tmp_path, lambda x: x + 1)
    found = world.ask()
    assert found.scores.tolist() == ROWS["x"].to_pylist()
    assert set(found.versions) == {"1"}
    assert standing_agreement(world.log, "churn") is None
    assert not (tmp_path / rollout_log.FILE).exists()


def test_a_shadow_is_compared_and_not_served(tmp_path: Path) -> None:
    world = World(tmp_path, lambda x: x**2)
    world.start(0)
    found = world.ask()
    assert found.scores.tolist() == ROWS["x"].to_pylist()
    assert set(found.versions) == {"1"}
    standing = standing_agreement(world.log, "churn")
    assert standing is not None
    agreed = standing[1]
    assert (agreed.answers, agreed.served, agreed.failed) == (200, 0, 0)
    assert agreed.rank_correlation == pytest.approx(1)
    assert agreed.largest_difference == pytest.approx(0.25, abs=1e-4)


def test_a_share_is_served_by_hash_and_stays_while_it_grows(tmp_path: Path) -> None:
    world = World(tmp_path, lambda x: x + 1, max_psi=1e9)
    served = list[set[str]]()
    for share in (0.1, 0.4, 1.0):
        world.start(share)
        found = world.ask()
        changed = found.scores > np.array(ROWS["x"]) + 0.5
        assert [one == "2" for one in found.versions] == changed.tolist()
        served.append({entity for entity, one in zip(ENTITIES, found.versions, strict=True) if one == "2"})
    assert served[0] < served[1] < served[2] == set(ENTITIES)
    assert len(served[1]) == pytest.approx(80, abs=30)
    world.stop()
    assert set(world.ask().versions) == {"1"}
    assert [one.action for one in world.log.changes("churn")] == ["start", "start", "start", "stop"]


def test_a_version_that_fails_is_not_served_and_ended(tmp_path: Path) -> None:
    def fails(_: np.ndarray) -> np.ndarray:
        raise ValueError("no")

    world = World(tmp_path, fails)
    world.start(1)
    for _ in range(3):
        found = world.ask()
        assert found.scores.tolist() == ROWS["x"].to_pylist()
        assert set(found.versions) == {"1"}
    (change,) = world.log.changes("churn")[1:]
    assert (change.action, change.who) == ("stop", "service")
    assert change.why == "it failed in 100.0% of 200 answers (limit 1.0%)"
    assert world.notices == [("churn: the rollout of version 2 is ended", change.why)]


@pytest.mark.parametrize(
    ("score", "limits", "says"),
    [
        (lambda x: x / 2, {}, "the PSI of its scores is"),
        (lambda x: x, {"max_time_ratio": 1e-9}, "its predictions take"),
    ],
)
def test_a_version_beyond_a_limit_is_ended(tmp_path: Path, score: Score, limits: dict[str, float], says: str) -> None:
    world = World(tmp_path, score, **limits)
    world.start(0.5)
    world.ask()
    assert set(world.ask().versions) == {"1"}
    assert says in world.log.changes("churn")[-1].why


class SlowLog(RolloutLog):
    """A log whose kept scores are read only when the test lets it."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.may_read = Event()
        self.may_read.set()

    def scores(self, rollout: int) -> list[ComparedScore]:
        assert self.may_read.wait(10)
        return super().scores(rollout)


def test_no_request_waits_for_the_limits_and_the_next_one_sees_the_end(tmp_path: Path) -> None:
    world = World(tmp_path, lambda x: x / 2)
    world.log = SlowLog(tmp_path)
    world.rollout = world.restarted(look_seconds=1e9)
    world.start(1)
    world.rollout.look()
    world.log.may_read.clear()
    assert set(world.rollout.scored(CHAMPION, ROWS).versions) == {"2"}
    assert set(world.rollout.scored(CHAMPION, ROWS).versions) == {"2"}
    world.log.may_read.set()
    world.rollout.finish()
    assert set(world.ask().versions) == {"1"}
    assert [one.action for one in world.log.changes("churn")] == ["start", "stop"]


def test_several_servers_and_restarts_end_a_rollout_once(tmp_path: Path) -> None:
    world = World(tmp_path, lambda x: x / 2)
    servers = [world.rollout, world.restarted(), world.restarted()]
    world.start(1)
    for server in servers:
        server.look()
    for server in servers:
        server.scored(CHAMPION, ROWS)
        server.finish()
    assert set(world.ask().versions) == {"1"}
    assert [one.action for one in world.log.changes("churn")] == ["start", "stop"]
    assert len(world.notices) == 1
    again = world.restarted()  # the server before may have been killed before it told anybody
    again.look()
    again.finish()
    assert len(world.occasions) == 1
    world.start(1)
    assert world.log.end(1, who="ada", why="late") is None
    assert world.log.standing("churn") is not None


def test_a_version_like_the_champion_goes_on(tmp_path: Path) -> None:
    world = World(tmp_path, lambda x: x * 0.999)
    world.start(0.5)
    for _ in range(3):
        assert set(world.ask().versions) == {"1", "2"}
    assert not world.notices


def test_a_version_that_cannot_be_opened_ends_the_rollout(tmp_path: Path) -> None:
    world = World(tmp_path, lambda x: x)

    def unopened(name: str) -> Any:
        raise TesseraError("its files are gone", expected="files", todo="Restore them.")

    world.opened = unopened
    world.start(1)
    assert set(world.ask().versions) == {"1"}
    assert world.log.changes("churn")[-1].why == "it cannot be opened: its files are gone"
    assert len(world.notices) == 1


def test_a_damaged_log_leaves_the_champion(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    world = World(tmp_path, lambda x: x + 1)
    world.start(1)
    file = tmp_path / rollout_log.FILE
    for ending in ("-wal", "-shm"):
        file.with_name(file.name + ending).unlink(missing_ok=True)
    file.write_bytes(b"no database" * 1000)
    assert set(world.ask().versions) == {"1"}
    assert "cannot be used" in caplog.text


def test_requests_follow_the_nights_that_replace_the_champion(tmp_path: Path) -> None:
    world = World(tmp_path, lambda x: x + 1, max_psi=1e9)

    def phased(share: float) -> ReplacementEvent:
        return ReplacementEvent(datetime(2026, 1, 1, tzinfo=UTC), "raise", "1", "3", share, "", "ada", "go on")

    world.replacement = phased(0.0)
    assert set(world.ask().versions) == {"1"}
    world.replacement = event = phased(0.25)
    found = world.ask()
    rule = SplitRule(event.salt, 0.25, "customer_id")
    assert [one == "3" for one in found.versions] == rule.assigned(ROWS).tolist()
    assert (found.scores > np.array(ROWS["x"]) + 0.5).tolist() == rule.assigned(ROWS).tolist()
    world.start(1)
    assert set(world.ask().versions) == {"2"}
    world.stop()
    world.replacement = None
    assert set(world.ask().versions) == {"1"}


def test_the_version_that_became_champion_is_not_beside_itself(tmp_path: Path) -> None:
    world = World(tmp_path, lambda x: x + 1)
    start_rollout(world.log, "churn", "1", 1, who="ada", why="try it")
    assert world.ask().scores.tolist() == ROWS["x"].to_pylist()


def test_the_newest_scores_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollout_log, "KEPT_SCORES", 5)
    log = RolloutLog(tmp_path)
    for app in ("churn", "fraud"):
        log.change(RolloutChange(app, "2", "start", 0, datetime(2026, 1, 1, tzinfo=UTC), "ada", "try it"))
    for number in range(12):
        for rollout in (1, 2):
            log.add(rollout, [ComparedScore("1", number, None, 1, 1, False)])
    assert [one.champion_score for one in log.scores(1)] == [7, 8, 9, 10, 11]
    assert len(log.scores(2)) == 5


@given(seed=st.integers(0, 1_000), drift=st.floats(0, 3))
def test_limits_are_beyond_only_by_more_than_chance(seed: int, drift: float) -> None:
    draws = np.random.default_rng(seed)
    before = draws.normal(size=300)
    after = before + drift + draws.normal(size=300) * 0.01
    rows = [ComparedScore("1", old, new, 1, 1, False) for old, new in zip(before.tolist(), after.tolist(), strict=True)]
    found = beyond(agreement(rows), CanaryLimits())
    assert (not found) if drift < 0.1 else (bool(found) or drift < 1)
    assert beyond(agreement(rows[:100]), CanaryLimits()) == []
