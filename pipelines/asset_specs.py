"""Facts about assets that follow from the profile: kinds of its adapters, and when contracted tables must be there."""

import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from functools import cache

import dagster as dg

from assets.stages.metadata_keys import OBJECTIVES
from models.contracts import CONTRACTS
from models.settings import TrainerSettings, objectives_of, owner_of
from resources.stack.loader import Stack

#: Kind of an adapter or trainer -> the name under which Dagster has an icon.
_ICONS: Mapping[tuple[str, str], str] = {
    ("lake", "delta"): "deltalake",
    ("sink", "delta"): "deltalake",
    ("engine", "local"): "duckdb",
    ("trainer", "logistic_regression"): "scikitlearn",
    ("trainer", "hist_gradient_boosting"): "scikitlearn",
}
#: Owners that Dagster takes; any other text is shown in notices only.
_OWNER = re.compile(r"team:\S+$|\S+@\S+$")
_MOST = 3  # that Dagster shows of one asset
_DAY = timedelta(days=1)


def of_profile(
    assets: Iterable[dg.AssetsDefinition], stack: Stack, nightly_after: timedelta = timedelta()
) -> list[dg.AssetsDefinition]:
    """Return the assets as the profile makes them.

    A port's name among the kinds of an asset, or `trainer`, stands for the adapters that the profile names.

    Args:
        assets: of one module.
        stack: of the profile.
        nightly_after: the application's nightly job starts so much later than nights begin.
    """

    def changed(spec: dg.AssetSpec) -> dg.AssetSpec:
        kinds = [icon for kind in sorted(spec.kinds) for icon in _icons(kind, spec.key.path[0], stack)]
        spec = spec.replace_attributes(kinds=set(list(dict.fromkeys(kinds))[:_MOST]))
        room, table = spec.key.path[0], spec.key.path[-1]
        if _OWNER.match(owner := owner_of(stack.settings, room)) and room in stack.apps:
            spec = spec.replace_attributes(owners=[owner])
        if room == "shop" and table in CONTRACTS:
            return spec.replace_attributes(freshness_policy=fresh_within(CONTRACTS[table].freshness_hours, stack))
        return _with_deadline(spec, stack, nightly_after) if table == "publication" else spec

    return [asset.map_asset_specs(changed) for asset in assets]


def _with_deadline(spec: dg.AssetSpec, stack: Stack, nightly_after: timedelta) -> dg.AssetSpec:
    """Return a publication with its deadline, and with what to do when it is overdue."""
    app, hours = spec.key.path[0], stack.calendar.publish_within_hours
    due = datetime.combine(date.min, stack.calendar.nightly_at) + nightly_after + timedelta(hours=hours)
    way_out = (
        f"Overdue when a night published nothing by {due:%H:%M} UTC (`calendar.publish_within_hours` in stack.yaml): "
        f"open the last run of {app}_nightly, correct what stopped it, then `tessera run {app}_nightly --date DAY`."
    )
    policy = fresh_within(hours, stack, nightly_after)
    return spec.replace_attributes(
        freshness_policy=policy,
        description=f"{spec.description} {way_out}",
        metadata={**spec.metadata, OBJECTIVES: objectives_of(stack.settings, app).model_dump(mode="json")},
    )


def fresh_within(hours: int, stack: Stack, after: timedelta = timedelta()) -> dg.FreshnessPolicy:
    """Return the policy of an asset that must be there so many hours after a night begins, or `after` that.

    Each night has to bring it anew: at the deadline, what was ingested before the day ended is too old.
    """
    deadline = datetime.combine(date.min, stack.calendar.nightly_at) + after + timedelta(hours=hours)
    since_the_day_ended = min(deadline - datetime.combine(date.min, datetime.min.time()), _DAY)
    return _daily_policy(f"{deadline.minute} {deadline.hour} * * *", since_the_day_ended)


@cache
def _daily_policy(cron: str, window: timedelta) -> dg.FreshnessPolicy:
    """Return the policy; Dagster tries a thousand ticks of each one that it makes."""
    return dg.FreshnessPolicy.cron(cron, window)


def _icons(kind: str, app: str, stack: Stack) -> list[str]:
    if kind == "trainer":
        candidates = getattr(getattr(stack.settings, app, None), "candidates", ())
        return [_icon("trainer", name) for one in candidates for name in _trainers(one)]
    if kind not in stack.table:
        return [kind]
    found = [_icon(kind, stack.kind(kind))]
    online = getattr(stack.config(kind), "online_store", None)
    return [*found, _icon("online", str(online.get("type", "sqlite")))] if isinstance(online, Mapping) else found


def _trainers(candidate: TrainerSettings) -> list[str]:
    """Return the kind of a candidate's trainer, or those of the trainers whose models it merges."""
    parts = [TrainerSettings.model_validate(part) for part in candidate.parts]
    return [name for part in parts for name in _trainers(part)] or [candidate.kind]


def _icon(port: str, kind: str) -> str:
    """Return Dagster's name of an adapter; of a dotted path, the package."""
    return _ICONS.get((port, kind)) or re.sub(r"[^\w-]", "_", kind.split(".")[0])[:60]
