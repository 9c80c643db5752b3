"""The factory of jobs and schedules: one tag set, one retry policy, one time limit. All times are UTC."""

from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from types import ModuleType
from typing import Any

import dagster as dg

from assets.partitions import over_days
from assets.shop import assets as shop
from assets.stages.app import App
from models.tracing import span
from pipelines import run_tags
from pipelines.asset_specs import of_profile
from pipelines.overdue import overdue
from pipelines.run_traces import tag_of_trace
from resources.stack.loader import Stack
from resources.stack.ports import SourceResource
from resources.traces.port import recorded

#: Under the daemon a failed run is repeated once, whole (every step may be repeated), and ended after four hours.
_TAGS = {"dagster/max_retries": "1", "dagster/retry_strategy": "ALL_STEPS", "dagster/max_runtime": "14400"}

Job = Any  # Dagster exports no name for what `define_asset_job` returns


def job(
    name: str, app: str, selection: dg.AssetSelection, description: str, *, config: Mapping[str, Any] | None = None
) -> Job:
    """A job of an application; `config` is the config of its steps by name, where it differs from their defaults."""
    ops = {"ops": {step: {"config": values} for step, values in config.items()}} if config else None
    return dg.define_asset_job(
        name, selection=selection, description=description, config=ops, tags={**_TAGS, run_tags.APP: app}
    )


def checks_of(app: App, module: ModuleType) -> Job:
    """The job `<app>_checks`: the checks of an application and of the tables that it is made from, run alone."""
    return checks_job(app.name, [*vars(module).values(), *(getattr(shop, table) for table in app.tables)])


def checks_job(name: str, assets: Iterable[object]) -> Job:
    """The job `<name>_checks` of the assets among some objects."""
    # Of an asset whose checks cannot be selected (the gate is part of training), none runs alone.
    checked = [one for one in assets if isinstance(one, dg.AssetsDefinition) and one.can_subset]
    return job(
        f"{name}_checks",
        name,
        dg.AssetSelection.checks(*(key for one in checked for key in one.check_keys)),
        "Run checks alone, for the last published day or the `day` of their config: quarantine, audit, drift, skew. "
        "Nothing is ingested, trained, scored or published, and nothing is blocked.",
    )


def batch_application(app: App, module: ModuleType, stack: Stack, *, after: timedelta) -> dg.Definitions:
    """Assets, jobs and schedules of an application that is trained at past cut-offs and published every night.

    Args:
        app: its record.
        module: declares its assets: features, champion, scores, publication, performance, and, if its champion can be
            replaced gradually, replacement.
        stack: of the profile.
        after: later than the beginning of the night; challengers follow two and a half hours later.
    """
    learning = dg.AssetSelection.groups("shop") | dg.AssetSelection.assets(module.features, module.champion)
    evaluated = [module.performance, *([module.replacement] if app.replacement is not None else [])]
    nightly = job(
        f"{app.name}_nightly",
        app.name,
        learning | dg.AssetSelection.assets(module.scores, module.publication, *evaluated),
        "Ingest, compute features, train if there is no champion, predict, audit, publish, evaluate the day whose "
        "horizon has ended.",
    )
    training = job(
        f"{app.name}_training",
        app.name,
        learning,
        "Train a challenger on the newest weeks; it becomes champion only if it passes the gate.",
        config={f"{app.name}__champion": {"train": "always"}},
    )
    night, monday = "Every night: the day that just ended.", "Every Monday: a challenger for the champion."
    later = after + timedelta(hours=2, minutes=30)
    return dg.Definitions(
        assets=assets_of(module, stack, nightly_after=after),
        jobs=[nightly, training, checks_of(app, module)],
        schedules=[
            daily(nightly, stack, night, after=after, needs=app.made_from),
            weekly(training, stack, monday, weekday=1, after=later, needs=app.made_from),
        ],
        sensors=[overdue(app, stack, after)],
    )


def daily(
    job: Job,
    stack: Stack,
    description: str,
    *,
    after: timedelta = timedelta(),
    needs: tuple[str, ...] = (),
    name: str | None = None,
) -> dg.ScheduleDefinition:
    """Run the job every night for the day that just ended, `after` the time at which the profile's nights begin.

    Args:
        job: partitioned by day.
        stack: says when nights begin.
        description: for the UI.
        after: later than the beginning of the night.
        needs: contracted tables; without one of them in the source, nothing runs.
        name: of the schedule; None: that of the job.
    """
    return _schedule(job, _cron(stack, after), description, stack, needs, name or job.name)


def weekly(
    job: Job, stack: Stack, description: str, *, weekday: int, after: timedelta, needs: tuple[str, ...] = ()
) -> dg.ScheduleDefinition:
    """As `daily`, on one day of the week; 0 is Sunday."""
    return _schedule(job, _cron(stack, after, str(weekday)), description, stack, needs, job.name)


def assets_of(module: ModuleType, stack: Stack, nightly_after: timedelta = timedelta()) -> list[dg.AssetsDefinition]:
    """The assets that a module declares, over the days of the profile, and as its adapters and calendar make them."""
    found = dg.load_assets_from_modules([module])
    declared = (one for one in found if isinstance(one, dg.AssetsDefinition))
    return of_profile(over_days(declared, stack.calendar.first_day), stack, nightly_after)


def _cron(stack: Stack, after: timedelta, weekday: str = "*") -> str:
    at = datetime.combine(date.min, stack.calendar.nightly_at) + after
    return f"{at.minute} {at.hour} * * {weekday}"


def _schedule(
    job: Job, cron: str, description: str, stack: Stack, needs: tuple[str, ...], name: str
) -> dg.ScheduleDefinition:
    @dg.schedule(
        name=name,
        job=job,
        cron_schedule=cron,
        execution_timezone="UTC",
        description=description,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        required_resource_keys={"source"} if needs else None,
    )
    def ask(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        if needs:
            source: SourceResource = context.resources.source
            provided = source.open().tables()
            if missing := [table for table in needs if table not in provided]:
                return dg.SkipReason(f"The source of profile {stack.name} delivers no {missing[0]}.")
        day = (context.scheduled_execution_time - timedelta(days=1)).date().isoformat()
        with recorded(stack.home, stack.settings.traces), span(f"schedule {name}", {"tessera.day": day}):
            return dg.RunRequest(run_key=day, partition_key=day, tags=tag_of_trace())

    return ask
