"""The one entry point of Dagster: every asset, job, schedule, sensor and resource of the active profile."""

from pipelines.garbage import not_collected

with not_collected():
    from pipelines.build import build_definitions
    from resources.privacy import close_to_others, create_privately
    from resources.stack.loader import active_stack

    create_privately()
    close_to_others(active_stack().home)
    defs = build_definitions(active_stack())

__all__ = ["build_definitions", "defs"]
