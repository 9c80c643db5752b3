"""What can be set about ingestion."""

from pydantic import BaseModel, ConfigDict, Field


class IngestionConfig(BaseModel):
    """How far back ingestion reads, and how much it may refuse before the run stops.

    Attributes:
        history_days: days of orders before the day being ingested that must be in the lake.
        redelivery_days: the newest days that are read again by every run, because sources correct them.
        max_quarantined_share: share (0..1) of delivered rows; more in quarantine stops the run before features.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    history_days: int = Field(default=460, ge=0)
    redelivery_days: int = Field(default=3, ge=1)
    max_quarantined_share: float = Field(default=0.05, ge=0, le=1)
