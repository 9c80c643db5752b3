"""Days on which a shop is known to be unlike itself."""

from datetime import date, timedelta
from functools import lru_cache

from models.watch.config import WatchConfig

#: Month and day of holidays that fall on the same date every year, in most countries that keep any of them.
_FIXED = ((1, 1), (1, 6), (5, 1), (12, 24), (12, 25), (12, 26), (12, 31))
#: Days after Easter Sunday: Good Friday to Easter Monday, Ascension, Whit Sunday and Monday.
_MOVING = (-2, -1, 0, 1, 39, 49, 50)


def occasion(day: date, config: WatchConfig) -> str:
    """Return the name of the known occasion on a day: `a campaign`, `a public holiday`; empty for a usual day."""
    for campaign in config.campaigns:
        if campaign.first <= day <= campaign.last:
            return f"a campaign ({campaign.why})" if campaign.why else "a campaign"
    if day in config.holidays:
        return "a holiday of settings.watch.holidays"
    return "a public holiday" if config.public_holidays and is_public_holiday(day) else ""


def is_campaign(day: date, config: WatchConfig) -> bool:
    """Return True if a campaign of the settings covers the day."""
    return any(campaign.first <= day <= campaign.last for campaign in config.campaigns)


def is_public_holiday(day: date) -> bool:
    """Return True for holidays that most of Europe and America keep; Easter by the western church."""
    return (day.month, day.day) in _FIXED or (day - easter(day.year)).days in _MOVING


@lru_cache(maxsize=64)
def easter(year: int) -> date:
    """Return Easter Sunday by the anonymous Gregorian algorithm (Meeus, "Astronomical Algorithms", chapter 8)."""
    century, of_century = divmod(year, 100)
    golden = year % 19
    leap, rest = divmod(century, 4)
    correction = (century - (century + 8) // 25 + 1) // 3
    moon = (19 * golden + century - leap - correction + 15) % 30
    quarter, of_quarter = divmod(of_century, 4)
    weekday = (32 + 2 * rest + 2 * quarter - moon - of_quarter) % 7
    shift = (golden + 11 * moon + 22 * weekday) // 451
    return date(year, 3, 22) + timedelta(days=moon + weekday - 7 * shift)
