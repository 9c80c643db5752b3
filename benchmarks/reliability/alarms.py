"""Nights without a fault through the watch: how many are stopped or warned of, with the upper bound of the rate.

Limits were fixed on seeds 1 to 5; the nights that are reported have other seeds, seasons, growth, holidays, a campaign,
a new country and a price rise among them. A campaign and a price rise are planned: they stand in `settings.watch`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from benchmarks.reliability.home import START_DAYS, Home, prepared
from benchmarks.reliability.mutation import AppName, Outcome
from benchmarks.reliability.table_checks import USUAL, past
from models.ingestion import IngestionConfig
from models.simulation.scenario import NO_CHANGE, Campaign, Scenario
from models.watch.assessment import assess
from models.watch.config import Period, WatchConfig
from models.watch.measures import MEASURES, Measure
from models.watch.profile import DayProfile

#: Days that are held before the first assessed night.
HELD = 100


@dataclass(frozen=True)
class Faultless:
    """Some nights of one shop without a fault.

    Attributes:
        name: of the change over time.
        seed: of the shop.
        last: last night.
        nights: number of nights.
        scenario: the change.
        watch: settings, planned campaigns among them.
    """

    name: str
    seed: int
    last: date
    nights: int
    scenario: Scenario = NO_CHANGE
    watch: WatchConfig = USUAL


@dataclass(frozen=True)
class NightOutcome:
    """The worst that was done about a night, and everything that was said."""

    day: date
    outcome: Outcome
    says: Sequence[str] = ()


def faultless(first_seed: int = 11) -> list[Faultless]:
    """Return the nights that are reported: 220 of five shops."""
    sale = Campaign(date(2025, 6, 10), date(2025, 6, 16))
    planned = Period(first=sale.first, last=sale.last + timedelta(days=8), why="summer sale")
    rise = date(2025, 9, 15)
    raised = Period(first=rise, last=rise + timedelta(days=10), why="new price list")
    everything = Scenario(since=date(2025, 1, 1), growth_a_year=1.6, holidays=True)
    return [
        Faultless("a steady shop", first_seed, date(2025, 5, 10), 44),
        Faultless("growth, and the days around Christmas", first_seed + 1, date(2026, 1, 10), 44, everything),
        Faultless(
            "a campaign that is planned",
            first_seed + 2,
            date(2025, 7, 5),
            44,
            Scenario(campaigns=(sale,)),
            WatchConfig(campaigns=(planned,)),
        ),
        Faultless(
            "a new country",
            first_seed + 3,
            date(2025, 10, 31),
            44,
            Scenario(new_country="Italy", new_country_since=date(2025, 9, 20), new_country_share=0.3),
        ),
        Faultless(
            "a price rise of 8 % that is planned",
            first_seed + 4,
            date(2025, 10, 12),
            44,
            Scenario(price_rise=(rise, 1.08)),
            WatchConfig(campaigns=(raised,)),
        ),
    ]


def nights(
    app: AppName, shop: Faultless, measures: Mapping[str, Measure] = MEASURES, watch: WatchConfig | None = None
) -> Iterator[NightOutcome]:
    """Yield what is said of each night, over all tables of the application."""
    home = prepared(app, shop.seed, shop.last + timedelta(days=1), START_DAYS + HELD + shop.nights, shop.scenario)
    profiles = {table: past(home, table) for table in home.tables}
    for back in range(shop.nights, 0, -1):
        day = home.day - timedelta(days=back)
        says: list[tuple[Outcome, str]] = []
        for table in home.tables:
            says += _of_table(home, table, day, profiles, measures, watch or shop.watch)
        worst: Outcome = max((one[0] for one in says), key=_rank) if says else "silent"
        yield NightOutcome(day, worst, [f"{severity} {line}" for severity, line in says])


def counted(app: AppName, shops: Sequence[Faultless]) -> dict[str, Any]:
    """Return the counts of all nights, their upper bounds, and the nights that were called odd."""
    rows, odd = list[dict[str, Any]](), list[str]()
    for shop in shops:
        found = list(nights(app, shop))
        counts = Counter(one.outcome for one in found)
        rows.append({"name": shop.name, "seed": shop.seed, "nights": len(found), **counts})
        odd += [f"{shop.name}, {one.day}: {'; '.join(one.says)}" for one in found if _rank(one.outcome) > 1]
    total = sum(row["nights"] for row in rows)
    blocked, warned = (sum(row.get(name, 0) for row in rows) for name in ("block", "warn"))
    bounds = {"blocked_at_most": upper_bound(blocked, total), "warned_at_most": upper_bound(warned, total)}
    return {"app": app, "nights": total, "blocked": blocked, "warned": warned, **bounds, "rows": rows, "odd": odd}


def upper_bound(found: int, of: int, confidence: float = 0.95) -> float:
    """Return the one-sided upper bound of a rate by Clopper and Pearson; with 0 found it is about 3 / of."""
    from scipy.stats import beta

    return 1.0 if found >= of else float(beta.ppf(confidence, found + 1, of - found))


def _of_table(
    home: Home,
    table: str,
    day: date,
    profiles: Mapping[str, Sequence[DayProfile]],
    measures: Mapping[str, Measure],
    watch: WatchConfig,
) -> Iterator[tuple[Outcome, str]]:
    today = next(one for one in profiles[table] if one.day == day)
    before = [one for one in profiles[table] if one.day < day]
    for one in assess(table, today, before, watch, measures).findings:
        yield one.severity, f"{table}: {one.measure}: {one.sentence}"
    config, held = IngestionConfig(), home.tables[table]
    newest = [day - timedelta(days=back) for back in range(config.redelivery_days)]
    rows = sum(len(held.raw[one]) for one in newest)
    if (
        rows
        and sum(held.refused[one].rows for one in newest if one in held.refused) / rows > config.max_quarantined_share
    ):
        yield "block", f"{table}: contract: share in quarantine"


def _rank(outcome: Outcome) -> int:
    return ("silent", "note", "warn", "block").index(outcome)
