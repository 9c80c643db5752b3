"""Jobs and schedules of demand: predictions every night, a challenger every Monday."""

from datetime import timedelta

import dagster as dg

from assets.demand import assets
from assets.demand.app import DEMAND
from pipelines import automation
from resources.stack.loader import Stack


def definitions(stack: Stack) -> dg.Definitions:
    """Assets, jobs and schedules of demand."""
    return automation.batch_application(DEMAND, assets, stack, after=timedelta(minutes=30))
