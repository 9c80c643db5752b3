"""Assets whose checks can also be run alone: for the last published day, without making the asset anew."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any

import dagster as dg
from pydantic import Field

from assets.partitions import daily
from models.errors import TesseraError

_OWNERS = ("team:data-science",)


class CheckedDay(dg.Config):
    """Run configuration of checks that run alone."""

    day: str = Field(
        default="",
        description="Only for checks that run alone: the day that they look at (YYYY-MM-DD); empty: the last one.",
    )


def checked_asset(
    key: Sequence[str],
    *,
    deps: Sequence[Sequence[str]],
    checks: Sequence[dg.AssetCheckSpec],
    kinds: Iterable[str],
    group: str | None = None,
    owners: Sequence[str] = _OWNERS,
    description: str | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """Decorate the step of one asset of a day and its checks; a run may select checks alone.

    Args:
        key: of the asset.
        deps: keys of the assets that it reads.
        checks: made by the step; a check that runs alone never blocks anything.
        kinds: shown in Dagster.
        group: of the asset; None: the first part of its key.
        owners: of the asset.
        description: of the asset; None: the docstring of the step.
        metadata: of the definition.
    """

    def decorate(step: Callable[..., Any]) -> dg.AssetsDefinition:
        spec = dg.AssetSpec(
            list(key),
            deps=[list(dep) for dep in deps],
            group_name=group or key[0],
            kinds=set(kinds),
            owners=list(owners),
            description=description or inspect.getdoc(step),
            metadata=metadata or {},
        )
        made = dg.multi_asset(
            name="__".join(key), specs=[spec], check_specs=checks, can_subset=True, partitions_def=daily
        )
        return made(step)

    return decorate


def day_of(context: dg.AssetExecutionContext, config: CheckedDay, days: Callable[[], Sequence[date]]) -> date:
    """Return the day of the run: its partition, else, for checks that run alone, the day asked for or the last one.

    Args:
        context: of the step.
        config: may name a day.
        days: days that can be checked, oldest first.

    Raises:
        TesseraError: there is no day to check, or the one asked for is no date.
    """
    if context.has_partition_key:
        return date.fromisoformat(context.partition_key)
    asset = next(iter(context.selected_asset_check_keys)).asset_key.to_user_string()
    if config.day:
        try:
            return date.fromisoformat(config.day)
        except ValueError:
            raise TesseraError(
                f"`day` of {asset} is {config.day!r}.", expected="a day as YYYY-MM-DD", todo="Correct it."
            ) from None
    found = days()
    if not found:
        raise TesseraError(
            f"The checks of {asset} have no day to look at.",
            expected="a day that was published",
            todo=f"Run the nightly job first: `tessera run {asset.split('/')[0]}_nightly`.",
        )
    return found[-1]


def of_selection(
    context: dg.AssetExecutionContext, results: Iterable[dg.MaterializeResult]
) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    """Yield of each result what the run selected: the asset with its checks, or checks alone."""
    for result in results:
        checks = selected(context, result.check_results or ())
        if context.selected_asset_keys:
            yield dg.MaterializeResult(metadata=result.metadata, check_results=checks)
        else:
            yield from checks


def selected(context: dg.AssetExecutionContext, checks: Iterable[dg.AssetCheckResult]) -> Sequence[dg.AssetCheckResult]:
    """Return those of the checks that the run selected."""
    wanted = {key.name for key in context.selected_asset_check_keys}
    return [check for check in checks if check.check_name in wanted]
