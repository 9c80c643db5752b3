"""The days that can be scored: from the profile's first day up to yesterday."""

import dagster as dg

from resources.stack.loader import active_stack

#: One partition per UTC day; the partition is the day whose end is the cut-off of all features.
daily = dg.DailyPartitionsDefinition(start_date=active_stack().calendar.first_day.isoformat(), timezone="UTC")
