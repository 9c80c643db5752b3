"""The report of an experiment: its evaluation of a day with picture, verdict and checks."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from assets.stages import metadata_keys as keys
from assets.stages.blocking import or_stop
from models.errors import TesseraError, choose_from
from models.settings import Settings
from resources.lake.port import Lake
from resources.sink.port import Sink
from resources.stack.ports import LakeResource, SettingsResource, SinkResource

if TYPE_CHECKING:
    from models.experiments.evaluation import Evaluation

#: One partition per experiment of the settings; it is added when the experiment is first evaluated.
experiments_partitions = dg.DynamicPartitionsDefinition(name="experiments")

SAMPLE_RATIO, GUARDRAILS, EXPOSURE_LOG = "sample_ratio", "guardrails", "exposure_log"
#: The check of impressions.
POPULARITY_BIAS = "popularity_bias"
_COLUMNS = (
    *("metric", "role", "variant", "units", "control_units", "mean", "control_mean"),
    *("effect", "low", "high", "state"),
)
_READ = (["shop", "exposures"], ["shop", "outcomes"], ["shop", "orders"], ["experiments", "logged_events"])


#: The job of the report, and its one step.
REPORT_JOB, _STEP = "experiment_report", "experiments__report"


class ReportConfig(dg.Config):
    """Run configuration of an experiment's report."""

    day: str = Field(
        default="",
        description="Last day that is known (YYYY-MM-DD); empty: the newest day with exposures and outcomes.",
    )


def report_config(day: date) -> dict[str, Any]:
    """Return the config of the steps of a report of a day."""
    return {_STEP: {"config": {"day": day.isoformat()}}}


def experiment_report(key: list[str]) -> dg.AssetsDefinition:
    """Return the asset that evaluates an experiment, whichever application runs it.

    Args:
        key: of the asset.
    """
    everything = dg.AllPartitionMapping()

    @dg.asset(
        key=key,
        deps=[dg.AssetDep(read, partition_mapping=everything) for read in _READ],
        partitions_def=experiments_partitions,
        group_name="experiments",
        kinds={"lake", "polars"},
        owners=["team:data-science"],
        description="Effect of each variant of an experiment on its metrics, with intervals that may be looked at "
        "every day, the sample ratio, guardrails, and a verdict: ship, stop or go on.",
        check_specs=_specs(key),
    )
    def report(
        context: dg.AssetExecutionContext,
        config: ReportConfig,
        lake: LakeResource,
        sink: SinkResource,
        settings: SettingsResource,
    ):  # no return type: Dagster refuses any but a tuple where a step may leave out results
        name = context.partition_key
        yield from _reported(lake.open(), sink.open(), name, settings.open(), config.day)

    return report


def _specs(key: list[str]) -> list[dg.AssetCheckSpec]:
    return [
        dg.AssetCheckSpec(
            SAMPLE_RATIO, asset=key, description="Units of each variant against its share; if not, no effect counts."
        ),
        dg.AssetCheckSpec(
            GUARDRAILS,
            asset=key,
            blocking=True,
            description="Metrics that a variant must not make worse by more than their limits.",
        ),
        dg.AssetCheckSpec(
            EXPOSURE_LOG,
            asset=key,
            description="Unknown variants, units with several variants or another one than assigned, outcomes before "
            "their exposure.",
        ),
    ]


def _reported(lake: Lake, sink: Sink, name: str, settings: Settings, day: str) -> Iterator[dg.MaterializeResult]:
    from assets.stages.experiments.decisions import stop_broken

    found = evaluated(lake, name, settings, _day(lake, day))
    app = settings.experiments.trials[name].app
    stopped = stop_broken(lake, found, max(sink.published_days(app), default=None) if app else None)
    result = dg.MaterializeResult(metadata=_metadata(found), check_results=_checks(found))
    yield from or_stop(
        result,
        f"experiments/report of {name}",
        GUARDRAILS,
        expected="variants that keep every guardrail",
        todo=_way_on(name, [one.variant for one in stopped]),
    )


def _way_on(name: str, stopped: Sequence[str]) -> str:
    if not stopped:
        return f"Nothing: a later day decided on it. `tessera experiments {name}` shows how it is now."
    again = " or ".join(f"`tessera experiments {name} --resume {variant} --why TEXT`" for variant in stopped)
    verb = "is" if len(stopped) == 1 else "are"
    return (
        f"Find the cause: {' and '.join(stopped)} {verb} no longer shown, units get the control's lists. Once it is"
        f" corrected, {again} shows it again."
    )


def evaluated(lake: Lake, name: str, settings: Settings, until: date) -> "Evaluation":
    """Evaluate an experiment as of the end of a day, and store its result; a re-run stores the same.

    Raises:
        TesseraError: there is no such experiment, it has not begun, or its shares are not those that it began with.
    """
    from assets.stages.experiments.decisions import decisions_on, require_same_design
    from assets.stages.experiments.log import experiment_log
    from assets.stages.experiments.results import store
    from models.experiments.evaluation import evaluate

    trials = settings.experiments.trials
    if name not in trials:
        raise TesseraError(
            f"There is no experiment {name!r}.",
            expected=choose_from(name, trials),
            todo="Correct the name, or describe it below `settings.experiments.trials` in stack.yaml.",
        )
    own = trials[name]
    if until < own.first_day:
        raise TesseraError(
            f"The experiment {name!r} begins on {own.first_day}; exposures and outcomes are known until {until}.",
            expected="a day on which it runs, or a later one",
            todo="Evaluate it when it has begun.",
        )
    require_same_design(lake, name, own, until)
    log = experiment_log(lake, name, own, until)
    found = evaluate(name, own, log.exposures, log.outcomes, log.named, log.lines, until, decisions_on(lake, name))
    store(lake, found)
    return found


def _day(lake: Lake, text: str) -> date:
    from assets.stages.experiments.log import last_day

    if not text:
        return last_day(lake)
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise TesseraError(
            f"`day` of experiments/report is {text!r}.", expected="a day as YYYY-MM-DD", todo="Correct it."
        ) from None


def _checks(found: "Evaluation") -> list[dg.AssetCheckResult]:
    ratio, log = found.ratio, found.faults
    broken = [str(one) for one in found.broken]
    stopped = [f"{name} is not shown since {one.from_day}" for name, one in found.stopped.items()]
    guarded = [str(one) for one in found.effects if one.role == "guardrail" and one.variant not in found.stopped]
    return [
        dg.AssetCheckResult(
            check_name=SAMPLE_RATIO,
            passed=ratio.is_kept,
            severity=dg.AssetCheckSeverity.WARN,
            description=f"{found.name}: {ratio}",
            metadata={keys.SAMPLE_RATIO_P: ratio.p_always, keys.LIMIT: ratio.level},
        ),
        dg.AssetCheckResult(
            check_name=GUARDRAILS,
            passed=not broken,
            severity=dg.AssetCheckSeverity.ERROR,
            description=f"{found.name}: {'; '.join(broken or [*stopped, *guarded]) or 'no guardrails'}",
        ),
        dg.AssetCheckResult(
            check_name=EXPOSURE_LOG,
            passed=not log.serious(),
            severity=dg.AssetCheckSeverity.WARN,
            description=f"{found.name}: {log}",
            metadata=dict(log.found()),
        ),
    ]


def _metadata(found: "Evaluation") -> dict[str, Any]:
    from models.evaluation.curves import png_as_markdown
    from models.experiments.picture import experiment_png

    picture = png_as_markdown(experiment_png(found), f"effects of {found.name}")
    return {
        keys.EXPERIMENT: found.name,
        keys.UNTIL: found.until.isoformat(),
        keys.VERDICT: str(found.verdict),
        keys.UNITS: sum(found.units.values()),
        keys.SAMPLE_RATIO_P: found.ratio.p_always,
        **_primary(found),
        keys.EFFECTS: dg.MetadataValue.table(_records(found), schema=_schema()),
        keys.PICTURE: dg.MetadataValue.md(picture),
    }


def _primary(found: "Evaluation") -> Mapping[str, Any]:
    """Return the numbers of the primary metric that plot: of the first variant after the control."""
    first = found.effects[0]
    mature = {keys.MATURE_UNITS: first.units + first.control_units}
    if not first.has_interval:
        return mature
    effect = first.effect
    return mature | {keys.EFFECT: effect.value, keys.EFFECT_LOW: effect.low, keys.EFFECT_HIGH: effect.high}


def _records(found: "Evaluation") -> list[dg.TableRecord]:
    rows: list[dg.TableRecord] = []
    for one in found.effects:
        interval = (one.effect.value, one.effect.low, one.effect.high)
        numbers = [f"{number:+.4g}" if one.has_interval else "" for number in interval]
        counted = (one.metric, one.role, one.variant, one.units, one.control_units)
        cells = (*counted, f"{one.mean:.4g}", f"{one.control_mean:.4g}", *numbers, one.state)
        rows.append(dg.TableRecord(dict(zip(_COLUMNS, cells, strict=True))))
    return rows


def _schema() -> dg.TableSchema:
    return dg.TableSchema([dg.TableColumn(name, "string") for name in _COLUMNS])
