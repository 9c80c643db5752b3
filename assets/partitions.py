"""The days that can be scored, one partition each."""

from collections.abc import Iterable
from datetime import date

import dagster as dg

#: One partition per UTC day; the partition is the day whose end is the cut-off of all features. Assets are declared
#: with it; `over_days` puts the days of a profile in its place, so that no module depends on a profile.
daily = dg.DailyPartitionsDefinition(start_date="1970-01-01", timezone="UTC")


def over_days(assets: Iterable[dg.AssetsDefinition], first_day: date) -> list[dg.AssetsDefinition]:
    """The assets, those declared with `daily` from `first_day` on."""
    days = dg.DailyPartitionsDefinition(start_date=first_day.isoformat(), timezone="UTC")

    def dated(spec: dg.AssetSpec) -> dg.AssetSpec:
        return spec.replace_attributes(partitions_def=days) if spec.partitions_def == daily else spec

    return [asset.map_asset_specs(dated) for asset in assets]
