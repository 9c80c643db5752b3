"""Experiments over a lake: reports that repeat, labelled impressions, events, erasure, and the command."""

import json
import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from click.testing import CliRunner

from assets.experiments.assets import report
from assets.stages.experiments import impressions
from assets.stages.experiments.decisions import decisions_on, resume, stop_broken
from assets.stages.experiments.log import known_days, last_day
from assets.stages.experiments.logged_events import GROUP, store_events
from assets.stages.experiments.off_policy import estimate_ranker
from assets.stages.experiments.report import evaluated, report_config
from assets.stages.experiments.results import stored, table_of
from assets.stages.experiments.serving import served_experiments
from assets.stages.ingestion.completeness_log import DayCounts, mark_complete
from assets.stages.reading import quarantined
from models.contracts import CONTRACTS, DELIVERED_ON
from models.contracts.checking import check_rows
from models.errors import TesseraError
from models.events import Event
from models.experiments.config import ExperimentsConfig
from models.experiments.serving import Experiment, Visitor
from models.settings import Settings
from models.simulation.defects import DefectShares
from models.simulation.shop import Shop
from models.simulation.shown_lists import EXPERIMENT, SLOTS, examined, experiment_days
from pipelines.cli import experiments as command
from pipelines.cli.commands import app
from pipelines.cli.tables import write_table
from pipelines.experiments import due, experiments_due
from resources.events.sqlite_events import SqliteEvents
from resources.lake.delta import DeltaLake, DeltaLakeConfig
from resources.sink.delta import DeltaSinkConfig
from resources.stack.ports import LakeResource, SettingsResource, SinkResource

FIRST = date(2025, 1, 1)
BEGINS, ENDS = experiment_days(FIRST)
DAYS = [BEGINS + timedelta(days=n - 4) for n in range(28)]  # purchases come up to three days after their list
LAST = DAYS[-1]
SETTINGS = Settings(
    experiments=ExperimentsConfig.model_validate(
        {
            "trials": {
                EXPERIMENT: {
                    "part": "ranker",
                    "variants": [{"name": "popular", "share": 0.5}, {"name": "preference", "share": 0.5}],
                    "primary": {"kind": "click", "measure": "count"},
                    "guardrails": [{"kind": "cart", "max_worse": 0.2}],
                    "first_day": BEGINS,
                    "last_day": ENDS,
                    "planned_units": 2000,
                    "shuffled_share": 0.2,
                }
            }
        }
    )
)
TRIAL = SETTINGS.experiments.trials[EXPERIMENT]


@pytest.fixture(scope="module")
def shop() -> Shop:
    return Shop(3000, 7, FIRST, DefectShares())


@pytest.fixture(scope="module")
def filled(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake with the shop's exposures and outcomes, as ingestion leaves it."""
    folder = tmp_path_factory.mktemp("lake")
    lake = DeltaLake(str(folder))
    for table in ("exposures", "outcomes"):
        rows = pa.concat_tables([check_rows(CONTRACTS[table], shop.delivered(table, day)).kept for day in DAYS])
        lake.replace(table, rows, by=DELIVERED_ON, first=DAYS[0], last=LAST)
        mark_complete(lake, table, {day: DayCounts(1, 0) for day in DAYS})
    return folder


@pytest.fixture(scope="module")
def lake(filled: Path) -> DeltaLake:
    return DeltaLake(str(filled))


def _run(folder: Path, settings: Settings, day: date) -> dg.ExecuteInProcessResult:
    class FilledLake(LakeResource):
        backend: DeltaLakeConfig = DeltaLakeConfig(path=str(folder))

    class NoScores(SinkResource):
        backend: DeltaSinkConfig = DeltaSinkConfig(path=str(folder / "scores"))

    class Chosen(SettingsResource):
        def open(self) -> Settings:
            return settings

    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("experiments", [EXPERIMENT])
        return dg.materialize(
            [report],
            partition_key=EXPERIMENT,
            instance=instance,
            raise_on_error=False,
            resources={"lake": FilledLake(), "settings": Chosen(), "sink": NoScores()},
            run_config={"ops": report_config(day)},
        )


def test_the_report_has_effect_checks_picture_and_verdict_and_repeats(filled: Path, lake: DeltaLake) -> None:
    result = _run(filled, SETTINGS, LAST)
    evaluated(lake, EXPERIMENT, SETTINGS, LAST)
    (made,) = result.asset_materializations_for_node("experiments__report")
    assert lake.version(table_of(EXPERIMENT)) == 0  # the second evaluation wrote nothing new
    assert made.metadata["units"].value > 1000
    assert str(made.metadata["verdict"].value).startswith(("go on", "ship"))
    assert str(made.metadata["picture"].value).startswith("![effects of ranker_trial](data:image/png;base64,")
    checks = {one.check_name: one.passed for one in result.get_asset_check_evaluations()}
    assert checks == {"sample_ratio": True, "guardrails": True, "exposure_log": True}
    found = stored(lake, EXPERIMENT)
    assert found is not None
    assert (found.until, found.exposed) == (LAST, evaluated(lake, EXPERIMENT, SETTINGS, LAST).units)
    assert found.effects[0]["effect"] > 0


@pytest.fixture
def guarded(filled: Path, tmp_path: Path) -> tuple[Path, Settings]:
    """A copy of the lake, and settings by which the worse variant is guarded."""
    shutil.copytree(filled, tmp_path / "lake")
    lake = DeltaLake(str(tmp_path / "lake"))
    for table in ("designs_of_experiments", table_of(EXPERIMENT)):
        lake.drop(table)
    worse = TRIAL.model_copy(
        update={
            "variants": TRIAL.variants[::-1],  # what was better is the control now
            "guardrails": (
                TRIAL.guardrails[0].model_copy(update={"kind": "click", "measure": "count", "max_worse": 0.0}),
            ),
            "primary": TRIAL.primary.model_copy(update={"kind": "purchase"}),
        }
    )
    return tmp_path / "lake", SETTINGS.model_copy(update={"experiments": ExperimentsConfig(trials={EXPERIMENT: worse})})


def test_a_broken_guardrail_stops_the_variant_once_and_a_person_resumes_it(guarded: tuple[Path, Settings]) -> None:
    folder, settings = guarded
    lake, config = DeltaLake(str(folder)), settings.experiments
    before = LAST - timedelta(days=1)
    result = _run(folder, settings, before)
    assert not result.success
    failed = next(event for event in result.all_events if event.is_step_failure)
    assert "--resume popular" in str(failed.step_failure_data.error)
    repeated = evaluated(lake, EXPERIMENT, settings, before)
    assert repeated.broken, "a re-run fails alike"
    assert len(stop_broken(lake, repeated, None)) == 1
    found = stored(lake, EXPERIMENT, before)
    assert found is not None
    assert (found.decision, found.broken) == ("stop", ["popular"])
    (stop,) = decisions_on(lake, EXPERIMENT)
    assert (stop.variant, stop.until, stop.from_day, stop.who) == ("popular", before, LAST, "guardrail")
    again = evaluated(lake, EXPERIMENT, settings, LAST)
    assert (again.verdict.decision, [*again.stopped], again.broken) == ("stop", ["popular"], [])
    assert again.faults.while_stopped == 0, "a day is left for what was made before"

    def served(night: date, *, is_night: bool) -> set[str]:
        app = config.trials[EXPERIMENT].app
        found = served_experiments(lake, config, app, night, is_night=is_night)
        assert found is not None
        return {found.dealt(f"c{n}", night + timedelta(days=1)).variant for n in range(20)}

    assert served(before, is_night=True) == {"preference", "popular"}, "a re-run of that night is as it was"
    assert served(LAST, is_night=True) == served(before, is_night=False) == {"none"}
    newest = LAST + timedelta(days=1)
    mended = resume(lake, EXPERIMENT, "popular", who="ana", why="the cache was cold", newest=newest)
    assert mended.from_day == newest + timedelta(days=1)
    assert served(LAST, is_night=True) == served(newest, is_night=True) == {"none"}
    assert served(mended.from_day, is_night=True) == served(LAST, is_night=False) == {"preference", "popular"}
    earlier = evaluated(lake, EXPERIMENT, settings, before - timedelta(days=1))
    assert earlier.broken
    assert not stop_broken(lake, earlier, None), "a day before the decisions decides nothing"
    with pytest.raises(TesseraError, match="'popular' of ranker_trial is not stopped"):
        resume(lake, EXPERIMENT, "popular", who="ana", why="twice", newest=newest)
    assert len(decisions_on(lake, EXPERIMENT)) == 2


def test_shares_that_change_in_the_middle_are_refused(guarded: tuple[Path, Settings]) -> None:
    folder, settings = guarded
    lake, trial = DeltaLake(str(folder)), settings.experiments.trials[EXPERIMENT]
    evaluated(lake, EXPERIMENT, settings, LAST)
    others = [one.model_copy(update={"share": share}) for one, share in zip(trial.variants, (0.9, 0.1), strict=True)]
    moved = ExperimentsConfig(trials={EXPERIMENT: trial.model_copy(update={"variants": tuple(others)})})
    with pytest.raises(TesseraError, match=r"preference 0.5, popular 0.5 then, preference 0.9, popular 0.1 now"):
        evaluated(lake, EXPERIMENT, settings.model_copy(update={"experiments": moved}), LAST)


def test_reports_are_due_until_the_last_window_is_over(lake: DeltaLake) -> None:
    evaluated(lake, EXPERIMENT, SETTINGS, LAST)
    assert list(due(lake, SETTINGS)) == []
    assert last_day(lake) == LAST
    other = SETTINGS.model_copy(
        update={"experiments": ExperimentsConfig(trials={"another": TRIAL, "later": _later(TRIAL)})}
    )
    assert list(due(lake, other)) == [("another", LAST)]
    assert experiments_due.job_name == "experiment_report"


def _later(trial: Any) -> Any:
    return trial.model_copy(update={"first_day": LAST + timedelta(days=9), "last_day": LAST + timedelta(days=20)})


def test_impressions_are_labelled_once_their_windows_are_over(shop: Shop, lake: DeltaLake) -> None:
    config = ExperimentsConfig(bias_days=7)
    found = impressions.label_impressions(lake, config, LAST)
    newest = LAST - timedelta(days=7)
    assert (found.shown_on, found.days) == (newest, len(DAYS) - 7)
    assert lake.days(impressions.TABLE)[-1] == newest
    assert found.clicked == shop.lists.happened(newest.toordinal()).clicked.sum()
    version = lake.version(impressions.TABLE)
    assert impressions.label_impressions(lake, config, LAST).days == 1  # labelled again: the same
    assert lake.version(impressions.TABLE) == version
    assert found.bias is not None
    assert found.check(config).passed
    assert found.check(config.model_copy(update={"max_bias_rise": 0.0})).check_name == "popularity_bias"


def test_a_ranker_is_estimated_from_the_log_before_it_goes_live(
    shop: Shop,
    lake: DeltaLake,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    impressions.label_impressions(lake, ExperimentsConfig(), LAST)
    first, last = BEGINS, LAST - timedelta(days=7)
    rows = list[dict[str, Any]]()
    truth = list[float]()
    for number in range(first.toordinal(), last.toordinal() + 1):
        shown = shop.lists.happened(number)
        customers = shown.customer.reshape(-1, SLOTS)[:, 0]
        _, preferred = shop.lists.ranked(customers, number)
        truth.extend((shop.lists.appeal(customers[:, None], preferred) * examined(np.arange(1, SLOTS + 1))).ravel())
        lists = [f"l{visit:016x}" for visit in shown.visit.reshape(-1, SLOTS)[:, 0].tolist()]
        rows += [
            {"list_id": one, "slot": slot, "product_id": f"p{product:05d}"}
            for one, products in zip(lists, preferred.tolist(), strict=True)
            for slot, product in enumerate(products, start=1)
        ]
    wanted = pl.DataFrame(rows, schema_overrides={"slot": pl.Int32})
    found = estimate_ranker(lake, wanted, first, last).found
    write_table(wanted.to_arrow(), tmp_path / "lists.parquet")
    monkeypatch.setattr(command, "active_stack", _Stack)
    monkeypatch.setattr(command, "Ports", lambda stack: SimpleNamespace(lake=lake))
    command.estimate_ranker(tmp_path / "lists.parquet", str(first), str(last), "clicked", as_json=True)
    assert json.loads(capsys.readouterr().out)["found"]["snips"]["value"] == found.snips.value
    assert found.snips.low < np.mean(truth) < found.snips.high
    assert found.supported_share == 1
    with pytest.raises(TesseraError, match="No labelled impression"):
        estimate_ranker(lake, wanted.head(0), first, last)
    whole = lake.scan(impressions.TABLE, first=first, last=last).to_table()
    place = whole.column_names.index("propensity")
    sure = whole.set_column(place, "propensity", pa.array(np.ones(whole.num_rows), whole.schema.field(place).type))
    lake.replace(impressions.TABLE, sure, by=impressions.SHOWN_ON, first=first, last=last)
    with pytest.raises(TesseraError, match=r"No slot of the log was shuffled .* Set `shuffled_share`"):
        command.estimate_ranker(tmp_path / "lists.parquet", str(first), str(last), "clicked", as_json=False)


@pytest.fixture
def queue(tmp_path: Path) -> SqliteEvents:
    return SqliteEvents(tmp_path / "events.db", lease_seconds=60, max_backlog=1000)


def _served(experiment: Experiment, customer: str, number: int) -> Event:
    at = datetime(2025, 2, 3, 9, tzinfo=UTC) + timedelta(minutes=number)
    served = experiment.served(
        Visitor(customer), lambda part: [f"{part}-{n}" for n in range(5)], at, list_id=f"l{number}", source="/page"
    )
    assert served.shown.products[0].split("-")[0] == served.variant
    return served.event


def test_lists_are_logged_as_events_before_their_outcomes_each_once(queue: SqliteEvents, tmp_path: Path) -> None:
    lake, experiment = DeltaLake(str(tmp_path / "lake")), Experiment(EXPERIMENT, TRIAL)
    day = date(2025, 2, 3)
    lists = [_served(experiment, f"c{number}", number) for number in range(20)]
    happened = {
        "outcome_id": "o1",
        "kind": "click",
        "exposure_id": "l3-1",
        "customer_id": "c3",
        "product_id": "p",
        "happened_at": "2025-02-03T09:10:00Z",
    }
    wrong = {**happened, "outcome_id": "o2", "kind": "look"}
    nameless = {name: value for name, value in happened.items() if name != "product_id"} | {"outcome_id": "o3"}
    outcomes = [
        Event(
            id=data["outcome_id"], source="/page", type="outcome.happened", time=lists[3].time, subject="c3", data=data
        )
        for data in (happened, wrong, nameless)
    ]
    queue.publish([*lists, *outcomes, lists[0]])
    found = store_events(queue, lake, day)
    assert (found.events, found.rows, found.refused) == (23, {"exposures": 100, "outcomes": 1}, 1)
    assert "no outcome.happened: `product_id`" in queue.dead_letters()[0].reason
    assert found.quarantined == 1
    assert quarantined(lake, "outcomes")["reasons"].to_pylist() == [
        ["kind look is not one of click, cart, purchase, return"]
    ]
    assert known_days(lake) == {day}
    queue.replay(GROUP, first=1)
    again = store_events(queue, lake, day + timedelta(days=1))
    assert (sum(again.rows.values()), again.known, again.quarantined) == (0, 102, 0)
    rows = lake.scan("logged_exposures").to_table()
    assert rows.schema.equals(CONTRACTS["exposures"].lake_schema())
    checked = evaluated(lake, EXPERIMENT, SETTINGS, day)
    assert (sum(checked.units.values()), checked.faults.found()) == (20, {})


def test_a_stopped_experiment_serves_the_control_outside_of_it() -> None:
    stopped = Experiment(EXPERIMENT, TRIAL, stopped=["preference"])
    at = datetime(2025, 2, 3, tzinfo=UTC)
    parts = list[str]()

    def ranked(part: str) -> list[str]:
        parts.append(part)
        return ["a", "b", "c"]

    served = [stopped.served(Visitor(f"c{n}"), ranked, at, list_id=f"l{n}", source="/page") for n in range(9)]
    assert {one.variant for one in served} == {"none"}
    assert set(parts) == {"popular"}
    assert Experiment(EXPERIMENT, TRIAL).served(Visitor(None), ranked, at, list_id="x", source="/p").variant == "none"


def test_an_erased_customer_disappears_from_the_log(filled: Path, tmp_path: Path) -> None:
    lake = DeltaLake(str(tmp_path))
    for table in ("exposures", "outcomes"):
        lake.replace(table, DeltaLake(str(filled)).scan(table).to_table(), by=DELIVERED_ON, first=DAYS[0], last=LAST)
    before = evaluated(lake, EXPERIMENT, SETTINGS, LAST)
    who = pl.DataFrame(lake.scan("exposures").to_table()).filter(pl.col("experiment") == EXPERIMENT)["customer_id"][0]
    lake.leave_tombstone("customer", who, day=LAST, why="asked")
    for table in ("exposures", "outcomes"):
        lake.remove(table, pc.field("customer_id") == who)
    after = evaluated(lake, EXPERIMENT, SETTINGS, LAST)
    assert sum(after.units.values()) == sum(before.units.values()) - 1
    impressions.label_impressions(lake, ExperimentsConfig(), LAST)
    assert lake.scan(impressions.TABLE).count_rows(filter=pc.field("customer_id") == who) == 0


class _Stack:
    """A profile with the filled lake and the experiment."""

    settings = SETTINGS
    calendar = SimpleNamespace(first_day=FIRST)


def test_the_command_lists_and_details(
    lake: DeltaLake, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluated(lake, EXPERIMENT, SETTINGS, LAST)

    monkeypatch.setattr(command, "active_stack", _Stack)
    monkeypatch.setattr(command, "Ports", lambda stack: SimpleNamespace(lake=lake))

    def said(*arguments: str) -> str:
        result = CliRunner().invoke(app, ["experiments", *arguments], standalone_mode=False)
        assert result.exception is None, result.exception
        return result.output

    listed = json.loads(said("--json"))[EXPERIMENT]
    assert (listed["state"], listed["result"]["until"]) == ("running", LAST.isoformat())
    assert listed["result"]["effects"][0]["metric"] == "click_count"
    assert json.loads(said(EXPERIMENT, "--json"))["experiment"] == EXPERIMENT
    for name, words in ((EXPERIMENT, "Verdict: "), (None, "running")):
        command.experiments(name, None, evaluate=False, as_json=False, verbose=False)
        assert words in capsys.readouterr().out
    result = CliRunner().invoke(app, ["experiments", "ranker_trail"], standalone_mode=False)
    assert isinstance(result.exception, TesseraError)
    assert "did you mean 'ranker_trial'" in result.exception.expected
