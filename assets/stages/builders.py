"""Stage builders that more than one table or application uses."""

from collections.abc import Callable, Iterator, Sequence
from datetime import date
from typing import Any, Literal

import dagster as dg
from pydantic import Field

from assets.partitions import daily
from assets.stages import metadata_keys as keys
from assets.stages.blocking import or_stop
from assets.stages.checked_asset import CheckedDay, checked_asset, day_of, of_selection
from assets.stages.dependants import Dependants
from assets.stages.ingestion.completeness_log import complete_days, quarantine_of
from assets.stages.ingestion.run import Filling, Ingested, ingest, ingested_before
from assets.stages.watch import checks as watch
from models.contracts import DELIVERED_ON, Column, Contract
from models.ingestion import IngestionConfig
from models.settings import Settings
from resources.stack.ports import LakeResource, SettingsResource, SourceResource

QUARANTINED_SHARE = "quarantined_share"
#: Oddities of a source that a sentence names; the metadata have all.
_NOTES_SHOWN = 3


class IngestConfig(CheckedDay):
    """Run configuration of an ingested table."""

    reingest: bool = Field(default=False, description="Drop the table and what is made of it; ingest it anew.")


def contracted_table(
    contract: Contract, *, group: str, description: str, deps: Sequence[Sequence[str]] = ()
) -> dg.AssetsDefinition:
    """Return the asset that holds the rows of a contracted table, with its blocking check.

    Its rows are those that the source delivers and that keep the contract; the others are quarantined.
    """
    key = dg.AssetKey(["shop", contract.table])

    @checked_asset(
        key.path,
        description=description,
        deps=deps,
        group=group,
        owners=[contract.owner],
        kinds={"lake", "polars"},
        metadata={
            keys.COLUMN_SCHEMA: column_schema(contract),
            keys.CONTRACT: f"{contract.table} {contract.version}",
            keys.CONTRACT_KEY: contract.key,
            keys.FRESH_WITHIN: f"{contract.freshness_hours} h",
        },
        checks=[
            dg.AssetCheckSpec(
                QUARANTINED_SHARE,
                asset=key,
                blocking=True,
                description="Share of delivered rows that break the contract; too large a share stops the run.",
            ),
            *watch.specs(key),
        ],
    )
    def table(
        context: dg.AssetExecutionContext,
        config: IngestConfig,
        source: SourceResource,
        lake: LakeResource,
        settings: SettingsResource,
        dependants: dg.ResourceParam[Dependants],
    ):  # no return type: Dagster refuses any but a tuple where a step may leave out results
        if context.selected_asset_keys:
            results = _ingested(context, contract, source, lake, settings.open(), config, dependants)
        else:
            results = _rechecked(context, contract, lake, settings.open(), config, dependants)
        yield from of_selection(context, results)

    return table


def _ingested(
    context: dg.AssetExecutionContext,
    contract: Contract,
    source: SourceResource,
    lake: LakeResource,
    settings: Settings,
    run_config: IngestConfig,
    dependants: Dependants,
) -> Iterator[dg.MaterializeResult]:
    """Ingest the run's day into the table, watch it, and yield the result with its checks.

    Raises:
        TesseraError: too many rows are in quarantine, or the day is unlike those before it.
    """
    table, stored = contract.table, lake.open()
    history_days = dependants.history_days(table, settings)
    config = settings.ingestion.model_copy(update={"history_days": history_days})
    day = date.fromisoformat(context.partition_key)
    filling = Filling(source.settings(), run_config.reingest, dependants.tables(table))
    report = ingest(table, source.open(), stored, day, config, context.run.run_id, filling)
    context.log.info(_sentence(report))
    checks = [_check(report, config), *watch.watched(stored, contract, day, settings.watch)]
    result = dg.MaterializeResult(metadata=ingestion_metadata(report), check_results=checks)
    yield from _or_stop(result, table, config, day)


def _rechecked(
    context: dg.AssetExecutionContext,
    contract: Contract,
    lake: LakeResource,
    settings: Settings,
    run_config: IngestConfig,
    dependants: Dependants,
) -> Iterator[dg.MaterializeResult]:
    """Yield the checks of what the lake holds of a day that was ingested; nothing is read from the source."""
    table = contract.table
    config = settings.ingestion.model_copy(update={"history_days": dependants.history_days(table, settings)})
    stored = lake.open()
    day = day_of(context, run_config, lambda: sorted(complete_days(stored, table)))
    report = ingested_before(table, stored, day, config)
    checks = [_check(report, config), *watch.watched(stored, contract, day, settings.watch)]
    yield from _or_stop(dg.MaterializeResult(check_results=checks), table, config, day)


def _or_stop(
    result: dg.MaterializeResult, table: str, config: IngestionConfig, day: date
) -> Iterator[dg.MaterializeResult]:
    """Yield the result, and end the step if a blocking check failed."""
    yield from or_stop(
        result,
        f"shop/{table}",
        QUARANTINED_SHARE,
        expected=f"at most {config.max_quarantined_share:.2%} of the rows in quarantine",
        todo=f"Look at them: `tessera quarantine {table}`. Correct the source, or raise "
        "settings.ingestion.max_quarantined_share in stack.yaml.",
    )
    watch.stop_for_anomalies(result, table, day)


def ingestion_metadata(report: Ingested) -> dict[str, Any]:
    """Numbers that plot over the days, and a table of reasons."""
    if not report.provided:
        return {keys.NOTE: "not provided by this source", keys.ROWS_IN: 0, keys.ROWS_KEPT: 0, keys.ROWS_QUARANTINED: 0}
    reasons = [dg.TableRecord({"reason": reason, "rows": rows}) for reason, rows in report.reasons.most_common()]
    schema = dg.TableSchema([dg.TableColumn("reason", "string"), dg.TableColumn("rows", "int")])
    return {
        keys.ROWS_IN: report.rows_in,
        keys.ROWS_KEPT: report.rows_kept,
        keys.ROWS_QUARANTINED: report.rows_quarantined,
        keys.QUARANTINED_SHARE: report.share,
        keys.ROWS_LATE: report.rows_late,
        **_elsewhere(report),
        keys.DAYS_INGESTED: report.days,
        **({keys.ROWS_ERASED: report.rows_forgotten} if report.rows_forgotten else {}),
        **({keys.IDS_TRIMMED: report.ids_trimmed} if report.ids_trimmed else {}),
        **_held(report),
        keys.SECONDS: report.seconds,
        keys.REASONS: dg.MetadataValue.table(reasons, schema=schema),
        keys.QUARANTINE: quarantine_of(report.table),
    }


def _held(report: Ingested) -> dict[str, Any]:
    """Return metadata of the source's holdings, where it can count them, and of oddities in them."""
    held = report.holdings
    if held.rows is None:
        return {}
    unread = [f"{file.name}: {file.reason}" for file in held.unread]
    return {
        keys.ROWS_IN_SOURCE: held.rows,
        keys.FILES_READ: held.files,
        **({keys.FILES_NOT_READ: dg.MetadataValue.json(unread)} if unread else {}),
        **({keys.NOTES: dg.MetadataValue.json(held.oddities())} if held.oddities() else {}),
    }


def _elsewhere(report: Ingested) -> dict[str, int]:
    """Rows that the source holds and that are neither kept nor quarantined by this run, where there are any."""
    counts = {
        keys.ROWS_ALREADY_HELD: report.rows_held,
        keys.ROWS_EXCLUDED: report.rows_excluded,
        keys.ROWS_WAITING: report.rows_waiting,
        keys.ROWS_BEFORE_HISTORY: report.rows_before,
        keys.FILES_VANISHED: len(report.vanished),
    }
    return {name: count for name, count in counts.items() if count}


def column_schema(contract: Contract) -> dg.TableSchema:
    """Return the contract's columns as Dagster shows them: types, limits, and what says something about a person."""
    columns = [_column(column, contract.key) for column in contract.columns]
    delivered = dg.TableColumn(DELIVERED_ON, "date", description="UTC day on which the row was delivered.")
    return dg.TableSchema([*columns, delivered])


class LearningConfig(dg.Config):
    """Run configuration of training."""

    train: Literal["if_no_champion", "always"] = "if_no_champion"


def champion_of(
    app: str,
    *,
    rows: str,
    judged_on: str,
    beside: Sequence[Sequence[str]] = (),
    candidate: str = "The best of the baseline and the profile's trainers",
) -> Callable[..., dg.AssetsDefinition]:
    """Build the asset that trains, evaluates and promotes a model: training set, candidate, champion, gate.

    Args:
        app: whose model, e.g. `churn`.
        rows: what the training set holds, in words.
        judged_on: the hold-out of the gate, in words.
        beside: assets that the evaluation needs, beside the training set.
        candidate: what the candidate is, in words.
    """
    owners = ["team:data-science"]
    return dg.multi_asset(
        name=f"{app}__champion",
        specs=[
            dg.AssetSpec(
                [app, "training_set"],
                deps=[[app, "features"]],
                skippable=True,
                group_name=app,
                kinds={"lake"},
                owners=owners,
                description=f"{rows} Made when a model is trained, not every night.",
            ),
            dg.AssetSpec(
                [app, "candidate"],
                deps=[[app, "training_set"], *map(list, beside)],
                skippable=True,
                group_name=app,
                kinds={"trainer", "registry"},
                owners=owners,
                description=f"{candidate}, evaluated by the gate on {judged_on}. The gate report has the numbers.",
            ),
            dg.AssetSpec(
                [app, "champion"],
                deps=[[app, "candidate"]],
                group_name=app,
                kinds={"registry"},
                owners=owners,
                description="The champion: the version that scores. A candidate replaces it only through the gate.",
            ),
        ],
        check_specs=[
            dg.AssetCheckSpec(
                "gate",
                asset=[app, "champion"],
                description="Floor, baselines, champion on the same hold-out, slices, calibration, latency, size, "
                "leaks, jumps too good to be true.",
            )
        ],
        can_subset=False,
        partitions_def=daily,
        pool=f"{app}_champion",
    )


def _column(column: Column, key: str) -> dg.TableColumn:
    return dg.TableColumn(
        column.name,
        column.type,
        description=column.description + (f" Unit: {column.unit}." if column.unit else ""),
        constraints=dg.TableColumnConstraints(
            nullable=column.nullable, unique=column.name == key, other=column.limits_in_words()
        ),
        tags={} if column.pii == "none" else {"pii": column.pii},
    )


def _check(report: Ingested, config: IngestionConfig) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=QUARANTINED_SHARE,
        passed=not report.breaks(config),
        severity=dg.AssetCheckSeverity.ERROR,
        description=_share(report, config) + _sentence(report),
        metadata={
            keys.QUARANTINED_SHARE: report.share,
            keys.QUARANTINED_SHARE_OF_ALL_DAYS: report.share_of_window,
            keys.LIMIT: config.max_quarantined_share,
        },
    )


def _share(report: Ingested, config: IngestionConfig) -> str:
    """Return the shares that are too large, first of all; nothing if they are not."""
    if not report.breaks(config):
        return ""
    of_all = f" ({report.share_of_window:.2%} of all days)" if report.share_of_window != report.share else ""
    return (
        f"{report.share:.2%} of the rows are in quarantine{of_all}, the limit is {config.max_quarantined_share:.2%}. "
    )


def _sentence(report: Ingested) -> str:
    if not report.provided:
        return f"{report.table}: not provided by this source."
    most = "; ".join(f"{reason}: {rows}" for reason, rows in report.reasons.most_common(3))
    return (
        f"{report.table}: {report.rows_in} rows in, {report.rows_kept} kept, {report.rows_quarantined} quarantined"
        + (f" ({most})" if most else "")
        + "".join(f", {name.replace('_', ' ')} {count}" for name, count in _elsewhere(report).items())
        + (f", {report.rows_forgotten} of forgotten entities dropped" if report.rows_forgotten else "")
        + (f", {report.ids_trimmed} ids trimmed of blanks" if report.ids_trimmed else "")
        + "".join(f"; {note}" for note in report.holdings.oddities()[:_NOTES_SHOWN])
        + f", {report.days} days in {report.seconds:.1f} s."
    )
