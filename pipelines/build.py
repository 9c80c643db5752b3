"""The definitions of a profile: every asset, job, schedule, sensor and resource."""

from functools import lru_cache, partial
from importlib import import_module

import dagster as dg

from assets.apps import APPS
from assets.shop import assets as shop
from assets.stages.dependants import Dependants
from pipelines import automation, experiments, maintenance
from pipelines.executor import in_process
from pipelines.status_page import ProfileStatus
from resources.stack.loader import Stack
from resources.stack.ports import stack_resources


@lru_cache(maxsize=1)
def build_definitions(stack: Stack) -> dg.Definitions:
    """Everything that Dagster knows of a profile; several stacks may live in one process.

    An application is defined by `pipelines/<app>.py`, which is imported only for profiles that run it.
    """
    page = ProfileStatus(stack, partial(build_definitions, stack))
    shared = dg.Definitions(
        assets=automation.assets_of(shop, stack),
        resources=stack_resources(stack) | {"dependants": Dependants(APPS), "status_page": page},
        executor=in_process,
    )
    apps = [import_module(f"pipelines.{app.name}").definitions(stack) for app in APPS if app.name in stack.apps]
    return dg.Definitions.merge(shared, *apps, experiments.definitions(stack), maintenance.definitions(stack))
