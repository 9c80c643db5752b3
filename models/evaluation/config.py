"""Settings of evaluation; imports nothing heavy, so that a profile can be read anywhere."""

from pydantic import BaseModel, ConfigDict, Field


class SkewConfig(BaseModel):
    """Limits on train/serve skew: shares of the compared rows, 0 to 1, for each feature by itself.

    The check `skew` fails above any of them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_value_share: float = Field(
        default=0.001, ge=0, le=1, description="Served another value than the same row has offline: an ERROR above."
    )
    max_stale_share: float = Field(
        default=0.01, ge=0, le=1, description="Served from a row that was replaced longer ago than `max_lag_hours`."
    )
    max_missing_share: float = Field(
        default=0.01, ge=0, le=1, description="Served nothing, though offline had a value for `max_lag_hours`."
    )
    max_extra_share: float = Field(
        default=0.01, ge=0, le=1, description="Served from a row that offline does not have."
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
