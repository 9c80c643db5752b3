"""Results of the checks `anomalies` and `freshness` of a contracted table, in words that people can act on."""

from __future__ import annotations

from datetime import date
from typing import Any

import dagster as dg

from assets.stages import metadata_keys as keys
from assets.stages.blocking import stop_if_failed
from assets.stages.watch.decisions import anomalies_of
from assets.stages.watch.profile_store import profile_of
from assets.stages.watch.table_watch import HELD, Watched, watch, watch_freshness
from models.contracts import Contract
from models.watch.config import WatchConfig
from models.watch.findings import Assessment, Finding
from models.watch.freshness import Freshness
from resources.lake.port import Lake

ANOMALIES, FRESHNESS = "anomalies", "freshness"
#: Findings that the sentence of a check names; its metadata have all.
_NAMED = 4
_COLUMNS = ("severity", "check", "measure", "sentence", "since", "found", "low", "high")


def specs(key: dg.AssetKey) -> list[dg.AssetCheckSpec]:
    """Return both checks of a contracted table."""
    return [
        dg.AssetCheckSpec(
            ANOMALIES,
            asset=key,
            blocking=True,
            description="Measures of the day against the table's own history: rows, ids, missing values, amounts, "
            "hours, categories, copies. Limits and effects: `settings.watch`.",
        ),
        dg.AssetCheckSpec(
            FRESHNESS,
            asset=key,
            description="Days without rows, against `freshness_hours` of the contract and the table's usual gaps.",
        ),
    ]


def watched(lake: Lake, contract: Contract, day: date, config: WatchConfig) -> list[dg.AssetCheckResult]:
    """Watch a day of a table and return the results of both checks."""
    found = watch(lake, contract, day, config)
    return [_anomalies(found), _freshness(contract, day, watch_freshness(lake, contract, day, config))]


def stop_for_anomalies(result: dg.MaterializeResult, table: str, day: date) -> None:
    """End the step if `anomalies` blocks."""
    stop_if_failed(
        result,
        f"shop/{table}",
        ANOMALIES,
        expected="a day like those before it, or a person who lets it through",
        todo="Correct the source and run the night again. If the day is right as it is: "
        f'`tessera accept {table} --date {day} --why "..."`, then the night again.',
    )


def _anomalies(watched: Watched) -> dg.AssetCheckResult:
    severity = watched.assessment.severity
    error = severity == "block"
    return dg.AssetCheckResult(
        check_name=ANOMALIES,
        passed=severity not in ("block", "warn"),
        severity=dg.AssetCheckSeverity.ERROR if error else dg.AssetCheckSeverity.WARN,
        description=_sentence(watched),
        metadata=_metadata(watched),
    )


def _sentence(watched: Watched) -> str:
    table, found = watched.table, watched.assessment
    if not watched.is_provided:
        return f"{table}: the day was not ingested, so nothing is assessed."
    counted = f"{found.measured} measures against {found.history} days"
    shown = found.of("block", "warn") or found.of("note")
    if not shown:
        return f"{table} {found.day} is as usual: {counted}."
    named = "; ".join(_words(one, found.day) for one in shown[:_NAMED])
    more = f"; {len(shown) - _NAMED} more" if len(shown) > _NAMED else ""
    return f"{table} {found.day}: {named}{more}. {_todo(watched)}".rstrip()


def _words(finding: Finding, day: date) -> str:
    since = f", since {finding.since}" if finding.since < day else ""
    todo = f" ({finding.todo})" if finding.todo else ""
    return f"{finding.sentence}{since}{todo}"


def _todo(watched: Watched) -> str:
    table, severity = watched.table, watched.assessment.severity
    if severity == "block":
        return (
            "Compare the delivery with its source; correct it and run the night again, or let the day through: "
            f'`tessera accept {table} --date {_to_accept(watched.assessment)} --why "..."`.'
        )
    if severity == "warn":
        checks = ", ".join(sorted({finding.check for finding in watched.assessment.of("warn")}))
        return (
            "The run goes on; compare the delivery with its source. If it is meant, limits follow within some weeks; "
            f"a smaller effect is `settings.watch.tables: {{{table}: {{CHECK: note}}}}` (CHECK: {checks})."
        )
    return ""


def _to_accept(found: Assessment) -> str:
    """Return the day that blocks: the first of earlier ones that no person let through, else this one."""
    held = [one.sentence.partition(HELD)[0] for one in found.of("block") if HELD in one.sentence]
    return min(held, default=found.day.isoformat())


def _metadata(watched: Watched) -> dict[str, Any]:
    if not watched.is_provided:
        return {keys.NOTE: "not ingested"}
    found = watched.assessment
    records = [dg.TableRecord({name: _cell(getattr(finding, name)) for name in _COLUMNS}) for finding in found.findings]
    schema = dg.TableSchema([dg.TableColumn(name, "string") for name in _COLUMNS])
    accepted = [f"{one.day} {one.measure}: {one.sentence()}" for one in watched.accepted]
    return {
        keys.FINDINGS: dg.MetadataValue.table(records, schema=schema),
        keys.MEASURES: found.measured,
        keys.HISTORY_DAYS: found.history,
        keys.PROFILES: profile_of(watched.table),
        keys.FINDINGS_TABLE: anomalies_of(watched.table),
        **({keys.ACCEPTED: dg.MetadataValue.json(accepted)} if accepted else {}),
    }


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "" if value is None else str(value)


def _freshness(contract: Contract, day: date, found: Freshness) -> dg.AssetCheckResult:
    hours = contract.freshness_hours
    promise = f"the contract promises rows within {hours} h of the end of a day"
    if found.newest is None:
        says = f"{contract.table} has no rows yet."
    elif found.is_late:
        says = (
            f"{contract.table} has no rows since {found.newest}: {found.empty_days} day(s) up to {day} without any; "
            f"{promise}, and the longest gap before was {found.usual_gap} day(s). Ask the source's owner "
            f"({contract.owner}); when rows arrive, run the night again."
        )
    else:
        says = f"The newest rows of {contract.table} are of {found.newest}; {promise}."
    return dg.AssetCheckResult(
        check_name=FRESHNESS,
        passed=not found.is_late,
        severity=dg.AssetCheckSeverity.WARN,
        description=says,
        metadata={
            keys.DAYS_WITHOUT_ROWS: found.empty_days,
            keys.USUAL_GAP_DAYS: found.usual_gap,
            keys.FRESH_WITHIN: f"{hours} h",
        },
    )
