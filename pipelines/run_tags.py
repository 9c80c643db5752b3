"""Tags of runs, Dagster's and ours."""

#: The day of a run, as Dagster tags it.
PARTITION = "dagster/partition"
#: `true` at a failed run that Dagster will repeat.
WILL_RETRY = "dagster/will_retry"
#: The application that a run works for.
APP = "tessera/app"
#: The span that asked for a run, as W3C writes it; of a run without a trace, its own.
TRACEPARENT = "tessera/traceparent"
#: `cli` at a run that `tessera run` executes: it carries the job's tags, but no daemon may be there to repeat it.
LAUNCHED_BY, CLI = "tessera/launched_by", "cli"
