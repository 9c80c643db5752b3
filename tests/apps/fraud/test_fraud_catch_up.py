"""Catching up through Dagster: what the sensor asks for, what a run does, and that a replay has no second effect."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from assets.fraud.stream.catch_up import LOCK, due
from models.errors import TesseraError
from models.events import Event
from models.features.fraud_definitions import FEATURES
from models.fraud.threshold import ALERTING, threshold_text
from models.settings import FraudSettings, Settings
from pipelines.definitions import defs
from resources.engine.local import LocalEngineConfig
from resources.events.sqlite_events import SqliteEventsConfig
from resources.home import only_one
from resources.lake.delta import DeltaLakeConfig
from resources.notifier.log import LogNotifierConfig
from resources.registry.fake import FolderRegistry
from resources.registry.port import Registry
from resources.stack.ports import (
    AlertStoreResource,
    EngineResource,
    EventsResource,
    HomeResource,
    LakeResource,
    NotifierResource,
    RegistryResource,
    SettingsResource,
    StateStoreResource,
)
from resources.state_store.sqlite_state_store import SqliteStateStoreConfig
from tests.apps.fraud.test_fraud_stream import NOON, in_charge, packed, payment
from tests.fraud_store import FraudStore


class Queue(EventsResource):
    backend: SqliteEventsConfig


class Store(StateStoreResource):
    backend: SqliteStateStoreConfig


class Alerts(AlertStoreResource):
    backend: SqliteStateStoreConfig


class EmptyLake(LakeResource):
    backend: DeltaLakeConfig


class OneThread(EngineResource):
    backend: LocalEngineConfig


class Notices(NotifierResource):
    backend: LogNotifierConfig


class Folder(RegistryResource):
    path: str

    def open(self) -> Registry:
        return FolderRegistry(Path(self.path))


class Defaults(SettingsResource):
    def open(self) -> Settings:
        return Settings(fraud=FraudSettings())


class Home:
    """A home with a queue, a stream's store, a model, and Dagster's own records."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance) -> None:
        self.folder, self.instance = folder, instance
        self.resources: dict[str, Any] = {
            "events": Queue(backend=SqliteEventsConfig(path=str(folder / "events.db"))),
            "state_store": Store(backend=SqliteStateStoreConfig(path=str(folder / "stream.db"))),
            "alert_store": Alerts(backend=SqliteStateStoreConfig(path=str(folder / "stream.db"))),
            "lake": EmptyLake(backend=DeltaLakeConfig(path=str(folder / "lake"))),
            "engine": OneThread(backend=LocalEngineConfig(threads=1, temp_directory=str(folder / "tmp"))),
            "registry": Folder(path=str(folder / "registry")),
            "notifier": Notices(backend=LogNotifierConfig(path=str(folder / "notices.jsonl"))),
            "settings": Defaults(),
            "home": HomeResource(path=str(folder / "home")),
        }
        self.events = self.resources["events"].open()
        self.store = FraudStore(self.resources["state_store"].open())

    def tick(self, cursor: str | None) -> dg.SensorResult | dg.SkipReason:
        sensor = defs.resolve_sensor_def("fraud_events")
        asked = {name: self.resources[name] for name in ("events", "state_store", "registry", "home")}
        with dg.build_sensor_context(instance=self.instance, cursor=cursor, resources=asked) as context:
            return sensor(context)  # pyright: ignore[reportReturnType]

    def run(self, request: dg.RunRequest) -> dict[str, Any]:
        """What the run that was asked for says."""
        job = defs.resolve_job_def("fraud_catch_up")
        done = job.execute_in_process(
            request.run_config, instance=self.instance, tags=dict(request.tags), resources=self.resources
        )
        (event,) = done.asset_materializations_for_node("fraud__stream_catch_up")
        return {name: value.value for name, value in event.metadata.items()}

    def begun(self, status: dg.DagsterRunStatus) -> None:
        """A run stands in the records."""
        job = defs.resolve_job_def("fraud_catch_up")
        self.instance.create_run_for_job(job, run_config=_config(1, 4), status=status)

    def state(self) -> Any:
        """Everything that the stream has said."""
        days = NOON.date() - timedelta(days=9), NOON.date() + timedelta(days=9)
        return self.store.scored(*days).to_pylist(), self.store.find("fraud", *days)

    def notices(self) -> int:
        file = self.folder / "notices.jsonl"
        return len(file.read_text().splitlines()) if file.exists() else 0


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Home(tmp_path, instance)


@pytest.fixture
def served(home: Home) -> Home:
    """With a model that finds some payments suspicious."""
    package = packed(home.folder / "package", FEATURES, {ALERTING: threshold_text(0.5, 9)})
    in_charge(FolderRegistry(home.folder / "registry"), package)
    return home


def payments(first: int, last: int) -> list[Event]:
    """Every third one is suspicious."""
    return [
        payment(
            number,
            customer=f"c{number % 7}",
            at=NOON + timedelta(minutes=number),
            amount=1.0 if number % 3 == 0 else 0.1,
        )
        for number in range(first, last + 1)
    ]


def asked(found: dg.SensorResult | dg.SkipReason) -> dg.RunRequest:
    assert isinstance(found, dg.SensorResult)
    assert found.run_requests is not None
    (request,) = found.run_requests
    return request


def says(found: dg.SensorResult | dg.SkipReason) -> str:
    assert isinstance(found, dg.SkipReason)
    return str(found.skip_message)


class TestDue:
    @pytest.mark.parametrize(
        ("newest", "waiting", "position", "cursor", "runs", "after"),
        [
            (0, 0, 0, None, [], (0, 0)),
            (25, 25, 0, None, [(1, 10), (11, 20), (21, 25)], (25, 0)),
            (25, 5, 20, None, [(21, 25)], (25, 20)),
            (25, 0, 25, None, [], (25, 25)),
            (25, 20, 5, '{"asked": 20, "stream_at": 5}', [(21, 25)], (25, 5)),
            (25, 0, 25, '{"asked": 3, "stream_at": 3}', [], (25, 25)),  # a worker went on
            (25, 0, 25, '{"asked": 3, "stream_at": 9}', [(4, 13), (14, 23), (24, 25)], (25, 25)),  # set back
            (25, 0, 25, "20", [(21, 25)], (25, 25)),
            (5, 0, 5, "0", [(1, 5)], (5, 5)),
            (5, 5, 0, "0", [(1, 5)], (5, 0)),
            (5, 2, 3, '{"asked": 5, "stream_at": 3}', [(5, 5)], (5, 3)),  # a run failed
            (5, 0, 3, "90", [], (90, 3)),
        ],
        ids=str,
    )
    def test_runs_and_cursor(
        self,
        newest: int,
        waiting: int,
        position: int,
        cursor: str | None,
        runs: list[tuple[int, int]],
        after: tuple[int, int],
    ) -> None:
        found = due(newest=newest, waiting=waiting, position=position, cursor=cursor, per_run=10)
        assert (list(found.runs), (found.cursor.asked, found.cursor.stream_at)) == (runs, after)
        again = due(newest=newest, waiting=0, position=newest, cursor=found.cursor.model_dump_json(), per_run=10)
        assert again.runs == (), "what was asked for is not asked for twice"

    @pytest.mark.parametrize("cursor", ["yesterday", "-1", "1.5", "true", "[]", '{"asked": 3}', '{"asked": null}'])
    def test_a_cursor_that_is_none_is_refused(self, cursor: str) -> None:
        with pytest.raises(TesseraError, match="is no offset"):
            due(newest=9, waiting=6, position=3, cursor=cursor)


class TestSensor:
    def test_an_empty_queue_asks_for_nothing(self, home: Home) -> None:
        assert says(home.tick(None)) == "No event waits."

    def test_without_a_model_events_wait(self, home: Home) -> None:
        home.events.publish(payments(1, 3))
        assert "there is no fraud champion" in says(home.tick(None))

    def test_events_are_taken_in_once_whoever_asks(self, served: Home) -> None:
        served.events.publish(payments(1, 40))
        first = served.tick(None)
        assert isinstance(first, dg.SensorResult)
        request = asked(first)
        assert (request.run_key, dict(request.tags)["tessera/offsets"]) == ("fraud:1-40", "1-40")
        done = served.run(request)
        assert (done["events"], done["payments"], done["position"]) == (40, 40, 40)
        assert done["alerts"] == len(served.state()[1]) == served.notices() == 7
        assert says(served.tick(str(first.cursor))) == "No event waits."
        served.events.publish(payments(41, 50))
        later = asked(served.tick(str(first.cursor)))
        assert later.run_key == "fraud:41-50"
        assert served.run(later)["position"] == 50

    def test_a_cursor_set_back_takes_events_in_again_without_effect(self, served: Home) -> None:
        served.events.publish(payments(1, 40))
        served.run(asked(served.tick(None)))
        before, notices = served.state(), served.notices()
        request = asked(served.tick("0"))
        assert request.run_key == "fraud:1-40:2", "Dagster would drop a run with the key of an earlier one"
        done = served.run(request)
        assert (done["events"], done["payments"], done["alerts"], done["position"]) == (40, 0, 0, 40)
        assert (served.state(), served.notices()) == (before, notices)
        assert served.events.backlog("fraud") == 0
        assert asked(served.tick("0")).run_key == "fraud:1-40:3"

    def test_a_lost_store_is_made_again_by_a_replay(self, served: Home) -> None:
        served.events.publish(payments(1, 40))
        served.run(asked(served.tick(None)))
        before = served.state()
        another = SqliteStateStoreConfig(path=str(served.folder / "another.db"))
        served.resources |= {"state_store": Store(backend=another), "alert_store": Alerts(backend=another)}
        served.store = FraudStore(another.open())
        assert served.run(asked(served.tick("0")))["payments"] == 40
        assert served.state() == before

    def test_a_worker_is_left_alone(self, served: Home) -> None:
        served.events.publish(payments(1, 4))
        with only_one(served.resources["home"], LOCK, "`tessera stream fraud`"):
            assert "Events are being processed by `tessera stream fraud`, process" in says(served.tick(None))
            with pytest.raises(TesseraError, match="is locked: `tessera stream fraud`"):
                served.run(dg.RunRequest(run_config=_config(1, 4)))
        assert asked(served.tick(None)).run_key == "fraud:1-4"

    def test_events_of_a_run_that_failed_are_taken_in_by_the_next(self, served: Home) -> None:
        served.events.publish(payments(1, 4))
        lost = served.tick(None)
        assert isinstance(lost, dg.SensorResult)
        again = asked(served.tick(str(lost.cursor)))
        assert again.run_key == "fraud:4-4"
        assert served.run(again)["payments"] == 4

    def test_runs_that_only_fail_are_not_asked_for_every_minute(self, served: Home) -> None:
        served.events.publish(payments(1, 4))
        cursor = None
        for _ in range(3):
            found = served.tick(cursor)
            assert isinstance(found, dg.SensorResult)
            cursor = str(found.cursor)
            served.begun(dg.DagsterRunStatus.FAILURE)
        assert "4 events wait, and the last 3 runs failed" in says(served.tick(cursor))

    def test_while_a_run_is_under_way_no_other_is_asked_for(self, served: Home) -> None:
        served.events.publish(payments(1, 4))
        served.begun(dg.DagsterRunStatus.STARTED)
        assert says(served.tick(None)) == "1 runs are under way."


def _config(first: int, last: int) -> dict[str, Any]:
    return {"ops": {"fraud__stream_catch_up": {"config": {"first": first, "last": last}}}}
