"""Settings of evaluation; imports nothing heavy, so that a profile can be read anywhere."""

from pydantic import BaseModel, ConfigDict, Field


class SkewConfig(BaseModel):
    """Limits on train/serve skew: shares of the compared rows, 0 to 1, for each feature by itself.

    The check `skew` fails above any of them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_value_share: float = Field(
        default=0.001,
        ge=0,
        le=1,
        description="Share of values served that differ from the same row offline; an error above.",
    )
    max_stale_share: float = Field(
        default=0.01,
        ge=0,
        le=1,
        description="Share of values served from a row that was replaced longer ago than `max_lag_hours`.",
    )
    max_missing_share: float = Field(
        default=0.01,
        ge=0,
        le=1,
        description="Share of values not served although they had been known offline for `max_lag_hours`.",
    )
    max_extra_share: float = Field(
        default=0.01, ge=0, le=1, description="Share of values served from a row that is not known offline."
    )
    max_lag_hours: float = Field(
        default=6, ge=0, le=168, description="Time that the online store may take to follow; counted, never an alarm."
    )
    relative_tolerance: float = Field(
        default=0, ge=0, lt=1, description="Floats closer than this count as equal; 0: both stores keep 64 bits."
    )
    examples_per_feature: int = Field(
        default=100, ge=0, description="Differing values of each feature kept in the lake, to look into."
    )


class PerformanceConfig(BaseModel):
    """Limits of the comparison of published scores with outcomes, once those are known."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_drop: float = Field(
        default=0.02,
        ge=0,
        description="Quality by which the upper end of the realized one may lie below the one that the gate accepted.",
    )
    max_coverage_drop: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="Share of outcomes inside of their prediction interval by which a day may lie below the one that "
        "the gate accepted, beyond chance. Only where there are intervals.",
    )
    min_labelled_share: float = Field(
        default=0.8,
        ge=0,
        le=1,
        description="Share of the expected outcomes that must have arrived when it is time; warns below.",
    )
