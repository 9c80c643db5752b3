"""The executor of every job: all steps in the run's own process, which holds the run's lock."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from pipelines import run_tags
from pipelines.masked_events import mask_events
from pipelines.run_locks import hold_until_exit
from pipelines.run_metrics import run_metrics
from pipelines.run_traces import run_span, step_spans, tag_of_trace
from resources.log_lines import configure_logs
from resources.stack.loader import active_stack

#: Dagster's own; its declared types leave out that a definition's schema is a schema.
_INNER: Any = dg.in_process_executor


class _Holding(dg.Executor):
    """Another executor, in a process that marks its run as alive until it ends."""

    def __init__(self, inner: dg.Executor) -> None:
        self._inner = inner

    @property
    def retries(self) -> Any:
        """As the other executor says."""
        return self._inner.retries

    @property
    def step_dependency_config(self) -> Any:
        """As the other executor says."""
        return self._inner.step_dependency_config

    def execute(self, plan_context: Any, execution_plan: Any) -> Iterator[dg.DagsterEvent]:
        """Execute the steps as the other executor does."""
        hold_until_exit(plan_context.instance, plan_context.run_id)
        mask_events(plan_context.instance)
        run, instance = plan_context.dagster_run, plan_context.instance
        configure_logs(active_stack().settings.logs)
        with run_span(active_stack(), run.job_name, run.run_id, run.tags) as made:
            if run_tags.TRACEPARENT not in run.tags:
                instance.add_run_tags(run.run_id, tag_of_trace())
            day = run.tags.get(run_tags.PARTITION, "")
            numbers = run_metrics(instance, active_stack().home, run.job_name, run.run_id, day)
            with step_spans(instance, run.run_id, made), numbers:
                yield from self._inner.execute(plan_context, execution_plan)


@dg.executor(name="in_process", config_schema=_INNER.config_schema)
def in_process(context: dg.InitExecutorContext) -> dg.Executor:
    """All steps in one process; if it is killed, `pipelines/lost_runs.py` finds the run by its lock."""
    return _Holding(_INNER.executor_creation_fn(context))
