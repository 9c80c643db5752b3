"""The one entry point of Dagster: every asset, job, schedule, sensor and resource of the active profile."""

from functools import lru_cache
from importlib import import_module

import dagster as dg

from assets.apps import APPS
from assets.shop import assets as shop
from assets.stages.dependants import Dependants
from pipelines import automation, maintenance
from pipelines.executor import in_process
from resources.privacy import close_to_others, create_privately
from resources.stack.loader import Stack, active_stack
from resources.stack.ports import stack_resources


@lru_cache(maxsize=1)
def build_definitions(stack: Stack) -> dg.Definitions:
    """Everything that Dagster knows of a profile; several stacks may live in one process.

    An application is defined by `pipelines/<app>.py`, which is imported only for profiles that run it.
    """
    shared = dg.Definitions(
        assets=automation.assets_of(shop, stack),
        resources=stack_resources(stack) | {"dependants": Dependants(APPS)},
        executor=in_process,
    )
    apps = [import_module(f"pipelines.{app.name}").definitions(stack) for app in APPS if app.name in stack.apps]
    return dg.Definitions.merge(shared, *apps, maintenance.definitions(stack))


create_privately()
close_to_others(active_stack().home)
defs = build_definitions(active_stack())
