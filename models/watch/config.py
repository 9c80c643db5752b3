"""Settings of the watch over tables; imports nothing heavy, so that a profile can be read anywhere."""

from collections.abc import Mapping
from datetime import date
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

_FROZEN = ConfigDict(frozen=True, extra="forbid")

#: Effect of a finding: `block` stops the run before features, `warn` sends a notice, `note` is shown with the check.
Severity = Literal["block", "warn", "note"]
Mode = Literal["block", "warn", "note", "off"]
#: Groups of measures; each can be switched on its own, and accepted on its own.
CheckName = Literal[
    "volume",
    "identity",
    "nulls",
    "values",
    "hours",
    "categories",
    "duplicates",
    "timestamps",
    "swaps",
    "labels",
    "history",
]


class Period(BaseModel):
    """Days on which the shop is known to be unlike itself, first and last included."""

    model_config = _FROZEN

    first: date = Field(description="First day, UTC.")
    last: date = Field(description="Last day, UTC.")
    why: str = Field(default="", description="Event of these days, e.g. `summer sale`; shown with findings.")

    @model_validator(mode="after")
    def _is_in_order(self) -> Self:
        if self.last < self.first:
            raise ValueError(f"the last day {self.last} lies before the first day {self.first}")
        return self


class CheckModes(BaseModel):
    """The most that a finding of each check may do: `block`, `warn`, `note`, or `off`."""

    model_config = _FROZEN

    volume: Mode = Field(
        default="block", description="Rows and distinct keys of the day, usual keys without any; no rows."
    )
    identity: Mode = Field(
        default="block",
        description="Ids that the register does not know, their form and length, rows on a single id, ids seen before.",
    )
    nulls: Mode = Field(default="block", description="Share of missing values per column.")
    values: Mode = Field(
        default="block", description="Size, ends and rounding of numbers, negative values, zeros, shares of true."
    )
    hours: Mode = Field(default="block", description="Distribution over the hours of the day, UTC.")
    categories: Mode = Field(default="block", description="Shares of countries, channels and the like.")
    duplicates: Mode = Field(
        default="block", description="Rows that repeat others by content, of the day or of the days before."
    )
    timestamps: Mode = Field(default="block", description="Rows that happened long before the day of their delivery.")
    swaps: Mode = Field(default="block", description="Columns that hold what usually stands in another one.")
    labels: Mode = Field(
        default="block",
        description="Labels that do not fit what they label as those of the days before did: they came to other rows.",
    )
    history: Mode = Field(
        default="note", description="A home too young to be assessed: a note says so until `min_days` are held."
    )

    def of(self, check: CheckName) -> Mode:
        """Return the mode of a check."""
        modes: Mapping[CheckName, Mode] = {
            "volume": self.volume,
            "identity": self.identity,
            "nulls": self.nulls,
            "values": self.values,
            "hours": self.hours,
            "categories": self.categories,
            "duplicates": self.duplicates,
            "timestamps": self.timestamps,
            "swaps": self.swaps,
            "labels": self.labels,
            "history": self.history,
        }
        return modes[check]


class WatchConfig(BaseModel):
    """Limits of what counts as a usual day; they are estimated from the days that the home holds."""

    model_config = _FROZEN

    checks: CheckModes = Field(default=CheckModes(), description="The most that each check may do, for all tables.")
    tables: Mapping[str, Mapping[CheckName, Mode]] = Field(
        default={}, description="Other modes for single tables: `{orders: {hours: warn}}`."
    )
    history_days: int = Field(default=120, ge=28, le=400, description="Days before the assessed one that limits see.")
    min_days: int = Field(
        default=28, ge=14, description="Ingested days below which nothing is assessed; a note says so."
    )
    warn_budget: float = Field(
        default=0.5, gt=0, le=20, description="False warnings per 100 faultless days of a table that are accepted."
    )
    block_budget: float = Field(
        default=0.05, gt=0, le=20, description="The same for days that are stopped; each costs a night of fresh scores."
    )
    margin: float = Field(
        default=1.3,
        ge=1,
        description="A value must be so many times as unusual as the most unusual one of the history.",
    )
    public_holidays: bool = Field(
        default=True, description="Fewer or more rows on New Year, Easter, 1 May and Christmas are noted only."
    )
    holidays: tuple[date, ...] = Field(default=(), description="Further such days: public holidays, days of closure.")
    campaigns: tuple[Period, ...] = Field(
        default=(), description="Planned campaigns and price changes: volume, values, categories and hours only warn."
    )
    holds_days: int = Field(
        default=3, ge=0, description="A blocked day stops the nights of so many later days, until someone accepts it."
    )
    assessed_days: int = Field(
        default=3, ge=1, le=14, description="Newest days assessed when they come or change; older changed days are not."
    )

    def mode(self, table: str, check: CheckName) -> Mode:
        """Return the most that a check may do to a table."""
        return self.tables.get(table, {}).get(check) or self.checks.of(check)
