"""The one entry point of Dagster: every asset, job, schedule, sensor and resource of the active profile."""

import dagster as dg

from assets.churn import assets as churn
from assets.fraud import assets as fraud
from assets.maintenance import assets as storage
from assets.shop import assets as shop
from pipelines import jobs, schedules, sensors
from pipelines.executor import in_process
from pipelines.ingested_days import ingested_days
from resources.privacy import close_to_others, create_privately
from resources.stack.loader import active_stack
from resources.stack.ports import stack_resources

create_privately()
close_to_others(active_stack().home)

defs = dg.Definitions(
    assets=dg.load_assets_from_modules([shop, churn, fraud, storage]),
    asset_checks=dg.load_asset_checks_from_modules([shop, churn]),
    jobs=[
        jobs.churn_nightly,
        jobs.churn_training,
        jobs.churn_fallback,
        jobs.churn_online,
        jobs.fraud_nightly,
        jobs.fraud_training,
        jobs.fraud_catch_up,
        jobs.storage_weekly,
    ],
    schedules=[
        schedules.churn_nightly,
        schedules.churn_training,
        schedules.churn_online,
        schedules.fraud_nightly,
        schedules.fraud_training,
        schedules.storage_weekly,
    ],
    sensors=[sensors.churn_fallback, sensors.fraud_events, sensors.lost_runs, ingested_days],
    resources=stack_resources(active_stack()),
    executor=in_process,
)
