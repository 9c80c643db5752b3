"""Jobs, schedules and the sensor of fraud: scores every night, a challenger every Monday, runs for waiting events."""

from datetime import UTC, datetime, timedelta

import dagster as dg

from assets.fraud import assets as fraud
from assets.fraud.app import FRAUD
from assets.fraud.stream import catch_up
from assets.fraud.stream.processor import GROUP
from assets.fraud.stream.state import FraudState
from pipelines import automation
from pipelines.overdue import overdue
from resources.home import doing_now
from resources.stack.loader import Stack
from resources.stack.ports import EventsResource, HomeResource, RegistryResource, StateStoreResource

#: Tag of a run: the offsets it processes.
_OFFSETS = "tessera/offsets"
#: After so many failures in a row, runs are asked for only so often.
_FAILURES, _PAUSE = 3, timedelta(hours=1)
_FINISHED = {dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED}
_UNDER_WAY = [status for status in dg.DagsterRunStatus if status not in _FINISHED]

_ROWS = (
    dg.AssetSelection.groups("payments")
    | dg.AssetSelection.assets(["shop", "customers"])
    | dg.AssetSelection.assets(fraud.feedback, fraud.features)
)

NIGHTLY = automation.job(
    "fraud_nightly",
    FRAUD.name,
    _ROWS
    | dg.AssetSelection.assets(fraud.champion, fraud.scores, fraud.publication)
    | dg.AssetSelection.assets(fraud.alerts, fraud.online_skew, fraud.performance),
    "Ingest payments, labels and analysts' feedback, compute features, train if there is no champion, score the day, "
    "audit, publish, add missing alerts, compare with the stream, evaluate the day whose labels have matured.",
)
TRAINING = automation.job(
    "fraud_training",
    FRAUD.name,
    _ROWS | dg.AssetSelection.assets(fraud.champion),
    "Train a challenger on the newest payments with mature labels; it takes over only through the gate.",
    config={"fraud__champion": {"train": "always"}},
)
CATCH_UP = automation.job(
    "fraud_catch_up",
    FRAUD.name,
    dg.AssetSelection.assets(fraud.stream_catch_up),
    "Process the events of a range of offsets, as a worker would; events that were processed before change nothing.",
)


@dg.sensor(
    job=CATCH_UP,
    minimum_interval_seconds=60,
    description="Requests runs for events that no worker (`tessera stream fraud`) processes. To process events "
    "again, set the cursor to the offset before the first of them, 0 for all that are kept; events that had their "
    "effect do not have it again. Clear the cursor to continue from the stream's position.",
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def fraud_events(
    context: dg.SensorEvaluationContext,
    events: EventsResource,
    state_store: StateStoreResource,
    registry: RegistryResource,
    home: HomeResource,
) -> dg.SensorResult | dg.SkipReason:
    """Request one run per range of unprocessed offsets, unless a worker or run is processing events now."""
    if under_way := _runs_under_way(context):
        return dg.SkipReason(f"{under_way} runs are under way.")
    if who := doing_now(home, catch_up.LOCK):
        return dg.SkipReason(f"Events are being processed by {who}.")
    queue, (position, _) = events.open(), FraudState(state_store.open()).position()
    newest, waiting = queue.newest_offset(), queue.backlog(GROUP)
    due = catch_up.due(newest=newest, waiting=waiting, position=position, cursor=context.cursor)
    if not due.runs:
        return dg.SkipReason("No event waits.")
    if _fails(context):
        return dg.SkipReason(f"{waiting:,} events wait, and the last {_FAILURES} runs failed: next try after an hour.")
    if registry.open().champion(FRAUD.name) is None:
        return dg.SkipReason(f"{len(due.runs)} runs are due, but there is no fraud champion: run fraud_training.")
    requests = [_catch_up(context, *offsets) for offsets in due.runs]
    return dg.SensorResult(requests, cursor=due.cursor.model_dump_json())


def definitions(stack: Stack) -> dg.Definitions:
    """Assets, jobs, schedules and the sensor of fraud."""
    nightly = "Every night: scores and missing alerts of the day that just ended, quality of the day a week before."
    training, half = "Every Monday: a challenger for the fraud champion.", timedelta(minutes=30)
    needs = FRAUD.made_from
    return dg.Definitions(
        assets=automation.assets_of(fraud, stack, nightly_after=half),
        jobs=[NIGHTLY, TRAINING, CATCH_UP, automation.checks_of(FRAUD, fraud)],
        schedules=[
            automation.daily(NIGHTLY, stack, nightly, after=half, needs=needs),
            automation.weekly(TRAINING, stack, training, weekday=1, after=5 * half, needs=needs),
        ],
        sensors=[fraud_events, overdue(FRAUD, stack, half)],
    )


def _catch_up(context: dg.SensorEvaluationContext, first: int, last: int) -> dg.RunRequest:
    """Dagster remembers run keys for ever, and drops a request with a known one: each attempt needs its own."""
    config = dg.RunConfig(ops={"fraud__stream_catch_up": fraud.Offsets(first=first, last=last)})
    tags = {_OFFSETS: f"{first}-{last}"}
    before = context.instance.get_runs_count(dg.RunsFilter(job_name=CATCH_UP.name, tags=tags))
    key = f"fraud:{first}-{last}" + (f":{before + 1}" if before else "")
    return dg.RunRequest(run_key=key, run_config=config, tags=tags)


def _runs_under_way(context: dg.SensorEvaluationContext) -> int:
    here = dg.RunsFilter(job_name=CATCH_UP.name, statuses=_UNDER_WAY)
    return context.instance.get_runs_count(here)


def _fails(context: dg.SensorEvaluationContext) -> bool:
    """Return True if the last runs all failed, the newest one recently: another run would not repair the cause."""
    last = context.instance.get_run_records(dg.RunsFilter(job_name=CATCH_UP.name), limit=_FAILURES)
    failed = [record for record in last if record.dagster_run.status == dg.DagsterRunStatus.FAILURE]
    return len(failed) == _FAILURES and abs(datetime.now(UTC) - last[0].create_timestamp) < _PAUSE
