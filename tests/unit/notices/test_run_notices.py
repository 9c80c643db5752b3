"""Notices of runs, from what Dagster keeps of real runs: failed, stopped by a check, warned, repeated, and well."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from pipelines import run_tags
from pipelines.definitions import defs
from pipelines.run_notices import notify_of_run
from resources.notifier.log import LogNotifier
from resources.notifier.message import RUNBOOK
from resources.outbox import Outbox, StoredNotice
from resources.sink.delta_sink import DeltaSink
from resources.stack.loader import ROOT

DAY = "2026-03-01"
WELL: dict[str, Any] = {"drift": True, "audit": True}


def nightly(*, drift: bool, audit: bool, fails: str = "") -> dg.Definitions:
    """A night whose checks and end are as given."""

    @dg.asset(
        key=["churn", "scores"],
        partitions_def=dg.DailyPartitionsDefinition("2026-01-01"),
        check_specs=[
            dg.AssetCheckSpec("drift", asset=["churn", "scores"]),
            dg.AssetCheckSpec("audit", asset=["churn", "scores"], blocking=True),
        ],
    )
    def scores() -> Iterator[Any]:
        if fails:
            raise OSError(28, fails)
        yield dg.AssetCheckResult(
            check_name="drift", passed=drift, severity=dg.AssetCheckSeverity.WARN, description="PSI of recency 0.41."
        )
        yield dg.AssetCheckResult(check_name="audit", passed=audit, description="all scores are 0.5")
        yield dg.MaterializeResult()

    return dg.Definitions([scores], jobs=[dg.define_asset_job("churn_nightly", [scores])])


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return Outbox(tmp_path / "notices.db", LogNotifier(tmp_path / "notices.jsonl"))


@pytest.fixture
def notices(instance: dg.DagsterInstance, outbox: Outbox, tmp_path: Path) -> Any:
    sink = DeltaSink(str(tmp_path / "scores"))

    def of(tags: dict[str, str] | None = None, *, twice: bool = False, **night: Any) -> list[StoredNotice]:
        job = nightly(**{**WELL, **night}).resolve_job_def("churn_nightly")
        result = job.execute_in_process(partition_key=DAY, instance=instance, raise_on_error=False, tags=tags or {})
        for _ in range(1 + twice):
            notify_of_run(instance, result.run_id, outbox, sink)
        return list(outbox.notices())

    return of


def test_a_good_night_is_silent(notices: Any) -> None:
    assert notices() == []


def test_a_check_that_warns_every_night_is_one_notice(notices: Any) -> None:
    notices(drift=False)
    (notice,) = notices(drift=False, twice=True)
    assert (notice.level, notice.subject, notice.times) == ("warning", "churn/scores: drift warns", 2)
    assert notice.body.splitlines() == [
        "PSI of recency 0.41.",
        "In churn_nightly of 2026-03-01.",
        "Nothing is published for 2026-03-01.",
        "Run: tessera run churn_training   (a challenger on the newest rows)",
        f"Runbook: {RUNBOOK}#drift",
    ]
    assert notice.context["day"] == DAY


def test_a_night_that_a_check_stopped_is_one_notice_with_what_is_published_and_the_command(notices: Any) -> None:
    (stopped,) = notices(audit=False, drift=False)
    assert (stopped.level, stopped.subject) == ("error", "churn_nightly of 2026-03-01 was stopped by: audit")
    assert stopped.body.splitlines() == [
        f"churn/scores: all scores are 0.5 ({RUNBOOK}#audit)",
        f"churn/scores: PSI of recency 0.41. ({RUNBOOK}#drift)",
        "Nothing is published for 2026-03-01.",
        "Run: tessera run churn_nightly --date 2026-03-01   (once that is corrected)",
        f"Runbook: {RUNBOOK}#a-run-failed",
    ]


def test_the_owner_of_an_experiments_application_hears_of_a_guardrail_that_broke(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    @dg.asset(
        key=["experiments", "report"],
        partitions_def=dg.StaticPartitionsDefinition(["trial"]),
        check_specs=[dg.AssetCheckSpec("guardrails", asset=["experiments", "report"], blocking=True)],
    )
    def report() -> dg.MaterializeResult:
        return dg.MaterializeResult(check_results=[dg.AssetCheckResult(passed=False, description="carts fell")])

    job = dg.Definitions([report], jobs=[dg.define_asset_job("experiment_report", [report])])
    outbox = Outbox(tmp_path / "notices.db", LogNotifier(tmp_path / "log.jsonl"), owner_of=lambda app: f"team:{app}")
    run = job.resolve_job_def("experiment_report").execute_in_process(
        partition_key="trial", instance=instance, raise_on_error=False, tags={run_tags.APP: "personalization"}
    )
    notify_of_run(instance, run.run_id, outbox, DeltaSink(str(tmp_path / "scores")))
    (notice,) = outbox.notices()
    assert notice.context["owner"] == "team:personalization"
    assert "Run: tessera experiments trial " in notice.body
    assert "carts fell" in notice.body


def test_a_failed_night_says_why_in_a_sentence(notices: Any) -> None:
    (notice,) = notices(fails="No space left on device")
    assert (notice.level, notice.subject) == ("error", "churn_nightly of 2026-03-01 failed")
    assert notice.body.startswith("The disk is full")
    assert "Traceback" not in notice.body


def test_a_run_that_is_repeated_is_reported_by_its_repetition(notices: Any) -> None:
    assert notices({"dagster/will_retry": "true"}, audit=False) == []
    assert len(notices({"dagster/will_retry": "true", "tessera/launched_by": "cli"}, audit=False)) == 1


def test_a_run_counts_once_also_after_a_person_acknowledged_its_notice(
    instance: dg.DagsterInstance, notices: Any, outbox: Outbox, tmp_path: Path
) -> None:
    (notice,) = notices(drift=False)
    outbox.acknowledge([notice.id], "ana")
    assert notify_of_run(instance, notice.context["run_id"], outbox, DeltaSink(str(tmp_path / "scores")))
    assert len(outbox.notices()) == 1


def test_the_runbook_has_a_section_for_every_check() -> None:
    sections = set(re.findall(r"^## (.+)$", (ROOT / RUNBOOK).read_text(), re.MULTILINE))
    checks = {key.name for key in defs.resolve_asset_graph().asset_check_keys}
    assert checks <= sections
    alerts = {"Notices wait", "The service fails or is slow", "Requests are limited", "Prices are unknown"}
    alerts |= {"A model is not asked"}
    notices = {"A run failed", "A publication is overdue", "Events wait", "Dead letters", "A rollout ended"}
    assert sections - checks == notices | alerts | {"Spans are dropped"}
