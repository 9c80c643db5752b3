"""One fault is one notice, whichever runs, checks and clocks find it, and one that grows worse is sent again."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from assets.stages.publication import notify as notify_of_scores
from pipelines.lost_runs import _notify as notify_lost
from pipelines.overdue import Deadline
from pipelines.overdue import _notify as notify_overdue
from pipelines.run_notices import notify_of_run
from pipelines.stream_conditions import Condition
from pipelines.stuck_runs import _notify as notify_stuck
from resources.health import Health
from resources.notifier.port import Level, Notifier
from resources.outbox import Outbox
from resources.sink.delta_sink import DeltaSink

DAY = "2026-03-01"


@dataclass
class Pager(Notifier):
    sent: list[tuple[str, str]] = field(default_factory=list)

    def notify(self, level: Level, subject: str, body: str, context: Mapping[str, str]) -> None:
        self.sent.append((level, context["notice"]))

    def check(self) -> Health:
        return Health(True, "a pager")


@dataclass
class World:
    """A home's notices, and what happens in it."""

    instance: dg.DagsterInstance
    outbox: Outbox
    pager: Pager
    sink: DeltaSink

    def run(
        self, job: str, *, blocks: str = "", warns: tuple[str, ...] = (), day: str = DAY, fails: bool = True
    ) -> None:
        """A run of a job; `blocks` and `warns` are checks on the table `shop/orders`, or with a `/` on an asset."""
        checks = [*([(blocks, True)] if blocks else []), *((name, False) for name in warns)]
        keys = {name: (["shop", "orders"] if "/" not in name else [job.split("_")[0], "scores"]) for name, _ in checks}
        specs = [dg.AssetCheckSpec(name.strip("/"), asset=keys[name], blocking=stops) for name, stops in checks]

        @dg.multi_asset_check(specs=specs, name="checks")
        def looks() -> Iterator[dg.AssetCheckResult]:
            for name, stops in checks:
                severity = dg.AssetCheckSeverity.ERROR if stops else dg.AssetCheckSeverity.WARN
                yield dg.AssetCheckResult(
                    check_name=name.strip("/"), asset_key=keys[name], passed=False, severity=severity
                )

        @dg.op
        def work() -> None:
            if fails:
                raise ValueError("it broke")

        if checks:
            made = dg.Definitions(
                asset_checks=[looks], jobs=[dg.define_asset_job(job, dg.AssetSelection.checks(looks))]
            ).resolve_job_def(job)
        else:
            made = dg.GraphDefinition(name=job, node_defs=[work]).to_job()
        tags = {"dagster/partition": day, "tessera/app": job.split("_")[0]} if day else {}
        result = made.execute_in_process(instance=self.instance, raise_on_error=False, tags=tags)
        if checks and blocks:  # a check alone stops nothing: here as a night that it stopped
            self.instance.report_run_failed(self.instance.get_run_by_id(result.run_id))
        notify_of_run(self.instance, result.run_id, self.outbox, self.sink)
        notify_of_run(self.instance, result.run_id, self.outbox, self.sink)  # the daemon and the command both look

    def loses(self, job: str, how: Callable[..., Any]) -> None:
        tags = {"dagster/partition": DAY, "tessera/app": job.split("_")[0]}
        run = dg.DagsterRun(job_name=job, tags=tags)
        how(self.outbox, run, datetime(2026, 3, 2, tzinfo=UTC)) if how is notify_stuck else how(self.outbox, run)

    def steps_down(self, app: str, level: Level = "warning", subject: str = "last_good_scores") -> None:
        notify_of_scores(self.outbox, level, f"{app} {DAY}: {subject}", "b", app, date.fromisoformat(DAY), "r1")

    def is_late(self, app: str, fault: str = "") -> None:
        notify_overdue(self.outbox, Deadline(app, timedelta(hours=4)), date.fromisoformat(DAY), "x", 1, fault)

    def stands(self, subject: str, fault: str = "") -> None:
        waits = "wait" in subject
        Condition("error", "fraud", f"fraud: {subject}", "b", "since", "fraud stream", waits).send(self.outbox, fault)

    def has_no_daemon(self) -> None:
        self.outbox.notify("error", "tessera dev does not run", "b", {"fault": "tessera dev does not run"})


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    pager = Pager()
    with dg.DagsterInstance.ephemeral() as instance:
        outbox = Outbox(tmp_path / "notices.db", pager, owner_of=lambda app: "x" if app == "support" else "team")
        yield World(instance, outbox, pager, DeltaSink(str(tmp_path / "scores")))


#: Fault -> what finds it, in order; notices, and times that the receiver is sent one.
MATRIX: dict[str, tuple[tuple[Callable[[World], None], ...], int, int]] = {
    "a night that fails, its repetition, its fallback, the deadline": (
        (
            lambda w: w.run("churn_nightly"),
            lambda w: w.run("churn_nightly"),
            lambda w: w.run("churn_fallback"),
            lambda w: w.is_late("churn"),
        ),
        1,
        1,
    ),
    "a fallback that steps down and then finds nothing": (
        (
            lambda w: w.run("churn_nightly"),
            lambda w: w.steps_down("churn"),
            lambda w: w.steps_down("churn", "error", "nothing is published"),
            lambda w: w.run("churn_fallback"),
        ),
        1,
        1,
    ),
    "a night that steps down and fails afterwards is more urgent": (
        (lambda w: w.steps_down("churn"), lambda w: w.run("churn_nightly"), lambda w: w.steps_down("churn")),
        1,
        2,
    ),
    "a stuck run is killed, found lost, and has failed": (
        (
            lambda w: w.loses("churn_nightly", notify_stuck),
            lambda w: w.loses("churn_nightly", notify_lost),
            lambda w: w.run("churn_nightly"),
        ),
        1,
        1,
    ),
    "a delivery that stops the nights of two applications": (
        (
            lambda w: w.run("churn_nightly", blocks="anomalies"),
            lambda w: w.run("demand_nightly", blocks="anomalies"),
            lambda w: w.steps_down("churn"),
            lambda w: w.is_late("demand"),
        ),
        1,
        1,
    ),
    "and that of an application of another owner": (
        (lambda w: w.run("churn_nightly", blocks="anomalies"), lambda w: w.run("support_nightly", blocks="anomalies")),
        2,
        2,
    ),
    "a missing delivery is stale and odd": (
        (lambda w: w.run("churn_nightly", blocks="anomalies", warns=("freshness",)),),
        1,
        1,
    ),
    "a table that two nights find stale": (
        (
            lambda w: w.run("churn_nightly", warns=("freshness",), fails=False),
            lambda w: w.run("demand_nightly", warns=("freshness",), fails=False),
            lambda w: w.run("churn_nightly", warns=("freshness",), fails=False, day="2026-03-02"),
        ),
        1,
        1,
    ),
    "a worker that hangs lets events wait": (
        (lambda w: w.stands("the stream's worker hangs"), lambda w: w.stands("events wait too long")),
        1,
        1,
    ),
    "no daemon: no night begins, no stream catches up": (
        (
            lambda w: w.has_no_daemon(),
            lambda w: w.is_late("churn", "tessera dev does not run"),
            lambda w: w.is_late("demand", "tessera dev does not run"),
            lambda w: w.stands("events wait too long", "tessera dev does not run"),
        ),
        1,
        1,
    ),
    "a worker that hangs where no daemon runs": (
        (
            lambda w: w.has_no_daemon(),
            lambda w: w.stands("the stream's worker hangs", "tessera dev does not run"),
        ),
        2,
        2,
    ),
    "runs of no day that fail again and again": (
        (lambda w: w.run("fraud_catch_up", day=""), lambda w: w.run("fraud_catch_up", day="")),
        1,
        1,
    ),
    "two nights that fail": (
        (lambda w: w.run("churn_nightly"), lambda w: w.run("churn_nightly", day="2026-03-02")),
        2,
        2,
    ),
    "two applications that fail": ((lambda w: w.run("churn_nightly"), lambda w: w.run("demand_nightly")), 2, 2),
    "two checks that warn of other things": (
        (lambda w: w.run("churn_nightly", warns=("/drift", "/skew"), fails=False),),
        2,
        2,
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", MATRIX)
def test_a_fault_is_one_notice(fault: str, world: World) -> None:
    happens, notices, sent = MATRIX[fault]
    for happen in happens:
        happen(world)
    found = world.outbox.notices()
    assert len(found) == notices, [notice.subject for notice in found]
    assert len(world.pager.sent) == sent
    assert len({id for _, id in world.pager.sent}) == notices


def test_what_joined_a_notice_is_said_in_it(world: World) -> None:
    world.run("churn_nightly", blocks="anomalies")
    world.run("demand_nightly", blocks="anomalies")
    world.run("churn_fallback")
    (notice,) = world.outbox.notices()
    assert notice.subject == f"churn_nightly of {DAY} was stopped by: anomalies"
    assert f"Also: demand_nightly of {DAY} was stopped by: anomalies" in notice.body
    assert f"Also: churn_fallback of {DAY} failed" in notice.body
    assert notice.times == 3
    assert notice.context["app"] == "churn"


def test_what_one_run_says_of_a_fault_joins_by_its_subject_and_raises_the_notice(world: World) -> None:
    world.steps_down("churn")
    world.steps_down("churn")
    world.steps_down("churn", "error", "nothing is published")
    (notice,) = world.outbox.notices()
    assert (notice.level, notice.times) == ("error", 2)
    assert f"Also: churn {DAY}: nothing is published" in notice.body
    assert len(world.pager.sent) == 2


def test_the_first_subject_again_keeps_what_joined_and_the_newest_words_count(world: World) -> None:
    for run, subject, body in (("1", "a", "old"), ("2", "b", "old"), ("3", "a", "new"), ("4", "b", "newer")):
        world.outbox.notify("warning", subject, body, {"fault": "f", "run_id": run})
    (notice,) = world.outbox.notices()
    assert (notice.subject, notice.body, notice.times) == ("a", "new\nAlso: b\nnewer", 4)


def test_after_a_person_acknowledged_it_the_same_run_is_silent_and_another_one_is_news(world: World) -> None:
    world.run("churn_nightly")
    (notice,) = world.outbox.notices()
    world.outbox.acknowledge([notice.id], "ana")
    notify_of_run(world.instance, notice.context["run_id"], world.outbox, world.sink)
    assert world.outbox.notices(only="open") == []
    world.run("churn_fallback")
    assert [one.subject for one in world.outbox.notices(only="open")] == [f"churn_fallback of {DAY} failed"]
