"""Nights and fallbacks of churn in this process: what is published, from which source, and who is told."""

import pickle
import shutil
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import scoring_world
from scoring_world import DAY, World

from assets.churn import assets as churn
from assets.stages.batch_scoring import score
from assets.stages.publication import publish
from models.errors import TesseraError
from models.ledger import STOPPED
from models.publishing import AuditVerdict, Publication
from pipelines.churn import fall_back
from pipelines.cli import publications
from resources.health import Health
from resources.notifier.port import Notifier
from resources.sink.delta_sink import DeltaSink
from resources.sink.port import Sink
from resources.stack.loader import Calendar
from resources.stack.no_values import no_values

NEXT = DAY + timedelta(days=1)
NIGHTLY = dg.define_asset_job("churn_nightly", selection=dg.AssetSelection.assets(churn.scores, churn.publication))


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with scores of DAY; copy it."""
    world = scoring_world.made(tmp_path_factory.mktemp("world") / "home")
    assert world.run().success
    return world.folder


@pytest.fixture
def world(snapshot: Path, tmp_path: Path) -> World:
    return World(Path(shutil.copytree(snapshot, tmp_path / "home")))


def complaint(result: dg.ExecuteInProcessResult) -> str:
    failures = [event.step_failure_data.error for event in result.all_events if event.is_step_failure]
    messages = []
    for error in failures:
        while error is not None:
            messages.append(error.message)
            error = error.cause
    return " ".join(messages)


def shifted_night(world: World) -> dg.ExecuteInProcessResult:
    """A night whose features have moved so far that the audit blocks their scores."""
    world.features(NEXT, shift=3.0)
    return world.run(day=NEXT)


def test_a_good_night_is_published_and_nobody_is_told(world: World) -> None:
    standing = world.sink.published("churn", DAY)
    assert (standing.degradation, standing.steps, standing.digest_rule) == ("fresh", (), "rows-v2")
    assert standing.model_package == world.sink.scores("churn", DAY)[1].read_all()["model_package"][0].as_py()
    assert world.notices() == []


def test_publication_alone_does_not_publish_what_the_audit_blocked(world: World) -> None:
    assert not shifted_night(world).success
    draft = world.sink.draft("churn", NEXT)
    assert (draft.passed, list(draft.failed), draft.overrulable) == (False, ["score distribution"], True)
    alone = world.run(churn.publication, day=NEXT)
    assert not alone.success
    assert "The audit blocked the scores of churn" in complaint(alone)
    assert world.sink.published("churn", NEXT) is None


def test_publication_alone_publishes_a_draft_of_another_run_and_machine(world: World) -> None:
    world.features(NEXT)
    assert world.run(churn.scores, day=NEXT, instance=dg.DagsterInstance.ephemeral()).success
    assert world.run(churn.publication, day=NEXT, instance=dg.DagsterInstance.ephemeral()).success
    assert world.sink.published("churn", NEXT).degradation == "fresh"


def test_publication_without_a_draft_says_so(world: World) -> None:
    alone = world.run(churn.publication, day=NEXT)
    assert "No scores of churn wait to be published for 2026-03-02" in complaint(alone)


class Planted:
    """A pickle that leaves a file where it is loaded."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[Path, ...]]:
        return Path.touch, (self.trace,)


def test_no_value_passes_through_dagsters_storage(world: World, tmp_path: Path) -> None:
    """Neither with the project's IO manager, which refuses values, nor with Dagster's, which pickles them."""
    trace = tmp_path / "trace"
    world.features(NEXT)
    with dg.DagsterInstance.ephemeral(tempdir=str(tmp_path / "dagster")) as instance:
        planted = Path(instance.storage_directory()) / "churn" / "scores" / NEXT.isoformat()
        planted.parent.mkdir(parents=True)
        planted.write_bytes(pickle.dumps(Planted(trace)))
        resources = {name: found for name, found in world.resources().items() if name != "io_manager"}
        for manager in ({}, {"io_manager": no_values}):
            for step in (churn.scores, churn.publication):
                given = resources | manager
                assert dg.materialize(
                    [step], partition_key=NEXT.isoformat(), resources=given, instance=instance
                ).success
        assert [file for file in Path(instance.storage_directory()).rglob("*") if file.is_file()] == [planted]
    assert not trace.exists(), "the planted file was loaded"


def test_an_asset_that_passes_a_value_is_refused() -> None:
    @dg.asset
    def given() -> str:
        return "a value"

    result = dg.materialize([given], resources={"io_manager": no_values}, raise_on_error=False)
    assert not result.success
    assert "passes a value to another step" in complaint(result)


def test_after_a_block_the_fallback_starts_below_the_rung_that_failed(world: World) -> None:
    assert not shifted_night(world).success
    assert world.fallback(NEXT).success
    standing = world.sink.published("churn", NEXT)
    assert (standing.degradation, standing.features_of) == ("stale_features", DAY)
    assert [step.partition(":")[0] for step in standing.steps] == ["fresh"]
    assert "PSI" in standing.steps[0]
    (notice,) = world.notices()
    assert (notice["level"], notice["subject"]) == ("warning", "churn 2026-03-02: stale_features")
    assert world.fallback(NEXT).success
    assert len(world.notices()) == 1, "the same once more changes nothing and tells nobody"
    fresh = [one for one in world.sink.audits("churn", NEXT) if one.draft.degradation == "fresh"]
    assert len(fresh) == 1, "what was blocked is not scored again"


def test_another_model_on_the_same_features_comes_before_older_features(world: World) -> None:
    world.promote(1.05)
    world.features(NEXT, shift=3.0)
    assert not world.run(day=NEXT).success
    assert world.fallback(NEXT).success
    standing = world.sink.published("churn", NEXT)
    rungs = [step.partition(":")[0] for step in standing.steps]
    assert rungs == ["fresh", "champion_before"], "blocked as well: the features have moved, not the model"
    assert standing.degradation == "stale_features"
    assert [notice["subject"] for notice in world.notices()] == [
        "churn 2026-03-02: champion_before",
        "churn 2026-03-02: stale_features",
    ]
    assert [one.passed for one in world.sink.audits("churn", NEXT)] == [False, False, True]


def test_a_blocked_new_champion_gives_way_to_the_one_before(world: World) -> None:
    world.promote(-9.0)
    world.features(NEXT)
    assert not world.run(day=NEXT).success
    assert world.fallback(NEXT).success
    standing = world.sink.published("churn", NEXT)
    assert (standing.degradation, standing.model_version, standing.features_of) == ("champion_before", "1", NEXT)
    assert len(world.notices()) == 1


def test_a_champion_that_cannot_be_loaded_gives_way_at_night(world: World) -> None:
    version = world.promote(1.05)
    world.break_version(version)
    world.features(NEXT)
    assert world.run(day=NEXT).success
    standing = world.sink.published("churn", NEXT)
    assert (standing.degradation, standing.model_version) == ("champion_before", "1")
    assert standing.steps[0].startswith("fresh: version 2 cannot be used: ")
    (notice,) = world.notices()
    assert notice["subject"] == "churn 2026-03-02: champion_before"


def test_with_no_model_left_the_last_good_scores_are_published_flagged(world: World) -> None:
    world.break_version("1")
    world.features(NEXT)
    night = world.run(day=NEXT)
    assert not night.success
    assert "version 1 cannot be used" in complaint(night)
    assert world.fallback(NEXT).success
    standing = world.sink.published("churn", NEXT)
    assert (standing.degradation, standing.features_of) == ("last_good_scores", DAY)
    assert standing.digest == world.sink.published("churn", DAY).digest
    assert len(world.notices()) == 1


class Dying(Notifier):
    """The process ends at its first notice."""

    def notify(self, *_: object) -> None:
        raise KeyboardInterrupt

    def check(self) -> Health:
        return Health(ok=True, says="")


def test_a_notice_that_a_dying_process_did_not_send_is_sent_by_the_next_run(world: World) -> None:
    score(world.night(DAY + timedelta(days=1)), "last_good_scores")
    with pytest.raises(KeyboardInterrupt):
        publish(world.sink, Dying(), "churn", NEXT)
    notifier = world.night().notifier
    assert publish(world.sink, notifier, "churn", NEXT).publication.degradation == "stale_features"
    assert [notice["subject"] for notice in world.notices()] == ["churn 2026-03-02: stale_features"]
    publish(world.sink, notifier, "churn", NEXT)
    assert len(world.notices()) == 1


class Overtaken(DeltaSink):
    """Another run publishes its scores right before each publication of this one."""

    def __init__(self, world: World, others: Callable[[], object]) -> None:
        super().__init__(str(world.folder / "scores"))
        self._others = others

    def publish(self, publication: Publication, **how: Any) -> Publication:
        self._others()
        return super().publish(publication, **how)


def test_of_two_runs_with_different_champions_the_first_one_s_scores_stay(world: World) -> None:
    world.features(NEXT)
    score(world.night(NEXT, "late"))
    late = world.sink.draft("churn", NEXT).draft
    version = world.promote(1.05)

    def other_run() -> None:
        score(world.night(NEXT, "early"))
        publish(world.sink, world.night().notifier, "churn", NEXT)

    found = publish(Overtaken(world, other_run), world.night().notifier, "churn", NEXT)
    assert found.publication == world.sink.published("churn", NEXT)
    assert (found.publication.model_version, found.publication.run_id) == (version, "early")
    assert (
        f"the scores of version {version} stay published; those of version {late.model_version} wait" in found.verdict
    )
    assert [record.run_id for record in world.sink.history("churn", NEXT)] == ["early"]


def test_a_run_that_is_overtaken_by_worse_scores_takes_their_place_and_tells_once(world: World) -> None:
    """Last good scores give way to those of older features, however often somebody withdraws them meanwhile."""
    score(world.night(NEXT, "fallback"), "last_good_scores")
    waiting = world.sink.draft("churn", NEXT).draft
    worse = waiting.model_copy(
        update={"degradation": "last_good_scores", "attempt": "w", "model_package": "0" * 64, "run_id": "worse"}
    )
    world.sink.write_attempt("churn", NEXT, "w", world.sink.read_attempt("churn", NEXT, waiting.attempt))
    turns = iter(["publish", "unpublish"])

    def other_run() -> None:
        turn = next(turns, "")
        if turn == "publish":
            world.sink.record_audit(AuditVerdict(draft=worse, passed=True))
            world.sink.publish(worse)
        elif turn:
            world.sink.unpublish("churn", NEXT, why="", who="")

    assert publish(Overtaken(world, other_run), world.night().notifier, "churn", NEXT).publication == waiting
    assert len(world.notices()) == 1


def test_a_day_of_which_an_older_record_is_damaged_is_published_again(world: World) -> None:
    version = world.promote(1.05)
    score(world.night())
    draft = world.sink.draft("churn", DAY).draft
    world.sink.publish(draft)
    min((world.folder / "scores" / "publications" / "churn" / DAY.isoformat()).glob("*.json")).write_text("{")
    assert world.run().success
    assert world.sink.published("churn", DAY).model_version == version


def test_a_champion_put_in_charge_against_the_gate_is_named_down_the_ladder(world: World) -> None:
    made = scoring_world.package(world.folder / "refused", 1.02)
    stopped = {"gate": f"{STOPPED} calibration"}
    version = world.registry.register("churn", made, parameters={}, metrics={}, tags=stopped, report="")
    about = {"action": "promote", "why": "sale", "who": "ana", "run_id": "", "metrics": {}}
    world.registry.set_champion("churn", version, **about, even_if_refused=True)
    late = DAY + timedelta(days=20)
    for day, degradation in ((NEXT, "stale_features"), (late, "last_good_scores")):
        draft = score(world.night(day), "last_good_scores").draft
        assert draft.degradation == degradation
        assert f"version {version}, made champion by hand although" in draft.why
        assert draft.why.endswith(": sale")
        publish(world.sink, world.night().notifier, "churn", day)


def test_a_fallback_that_finds_nothing_is_told(world: World) -> None:
    world.sink.unpublish("churn", DAY, why="", who="")
    world.break_version("1")
    failed = world.fallback(NEXT)
    assert not failed.success
    assert "nothing older that may stand in" in complaint(failed)
    (notice,) = world.notices()
    assert (notice["level"], notice["subject"]) == ("error", "churn 2026-03-02: nothing is published")


def test_a_fallback_never_takes_the_place_of_better_scores(world: World) -> None:
    fresh = world.sink.published("churn", DAY)
    world.features(DAY, shift=3.0)
    world.features(DAY - timedelta(days=1))
    world.sink.unpublish("churn", DAY, why="", who="")
    world.sink.publish(fresh)
    version = world.promote(1.05)
    world.break_version(version)
    world.features(DAY)
    assert world.run().success
    assert world.sink.published("churn", DAY).digest == fresh.digest
    assert world.sink.published("churn", DAY).degradation == "fresh"


def test_equal_rows_have_one_digest_whatever_the_registry_counts(world: World, tmp_path: Path) -> None:
    other = World(tmp_path / "other")
    shutil.copytree(world.folder / "lake", other.folder / "lake")
    for weight in (2.0, 3.0, 4.0, 5.0, 6.0, 1.0):
        made = scoring_world.package(tmp_path / f"again-{weight}", weight)
        version = other.registry.register("churn", made, parameters={}, metrics={}, tags={"gate": "passed"}, report="")
    about = {"action": "promote", "why": "", "who": "", "run_id": "", "metrics": {}}
    other.registry.set_champion("churn", version, **about)
    score(other.night())
    found = publish(other.sink, other.night().notifier, "churn", DAY).publication
    standing = world.sink.published("churn", DAY)
    assert (found.model_version, standing.model_version) == ("6", "1")
    assert (found.digest, found.attempt) == (standing.digest, standing.attempt)


def test_a_registry_that_was_counted_anew_finds_its_scores_published(world: World) -> None:
    shutil.rmtree(world.folder / "models")
    world.registry.register(
        "churn",
        scoring_world.package(world.folder / "p2", 2.0),
        parameters={},
        metrics={},
        tags={"gate": "passed"},
        report="",
    )
    shutil.rmtree(world.folder / "package-1.0")
    world.promote(1.0)
    assert world.run().success
    assert world.sink.published("churn", DAY).run_id == next(iter(world.sink.history("churn", DAY))).run_id


def test_a_worse_rung_than_asked_for_is_never_taken(world: World) -> None:
    with pytest.raises(TesseraError, match="there are no features of 2026-03-02"):
        score(world.night(NEXT))
    assert world.sink.published("churn", NEXT) is None


def test_features_older_than_allowed_do_not_count(world: World) -> None:
    late: date = DAY + timedelta(days=20)
    assert world.fallback(late).success
    assert world.sink.published("churn", late).degradation == "last_good_scores"
    assert len(world.notices()) == 1


def test_a_blocked_night_asks_for_a_fallback_once_it_is_not_repeated(world: World) -> None:
    """The sensor sees the run that the audit stopped; a run that Dagster will repeat asks for nothing."""
    with dg.DagsterInstance.ephemeral() as instance:
        job = dg.Definitions(assets=[churn.scores, churn.publication], jobs=[NIGHTLY], resources=world.resources())
        world.features(NEXT, shift=3.0)
        result = job.resolve_job_def("churn_nightly").execute_in_process(
            partition_key=NEXT.isoformat(), instance=instance, raise_on_error=False
        )
        assert not result.success
        for retried, asks in (("false", True), ("true", False)):
            run = instance.get_run_by_id(result.run_id)
            instance.add_run_tags(run.run_id, {"dagster/will_retry": retried})
            context = dg.build_run_status_sensor_context(
                "churn_fallback", result.get_run_failure_event(), instance, instance.get_run_by_id(run.run_id)
            ).for_run_failure()
            asked = fall_back(context)
            assert isinstance(asked, dg.RunRequest) is asks
            if asks:
                assert asked.partition_key == NEXT.isoformat()


def test_a_person_may_overrule_a_shift_and_everybody_sees_it(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not shifted_night(world).success
    monkeypatch.setattr(publications, "active_stack", lambda: OnlySink(world.sink))
    day = NEXT.isoformat()
    with pytest.raises(TesseraError, match=r"audit blocked .* --even-if-refused"):
        publications.publish("churn", day, None, even_if_refused=False)
    with pytest.raises(TesseraError, match="without a reason"):
        publications.publish("churn", day, " ", even_if_refused=True)
    publications.publish("churn", day, "spring sale", even_if_refused=True)
    assert "score distribution" in world.sink.published("churn", NEXT).refused
    capsys.readouterr()
    publications.scores("churn", day, None)
    assert "although the audit refused it" in " ".join(capsys.readouterr().out.split())


class OnlySink:
    """A stack of which only the sink is asked for."""

    calendar = Calendar(first_day=date(2026, 1, 1))

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def open(self, port: str) -> Sink:
        assert port == "sink"
        return self._sink
