"""Settings of ingestion."""

from pydantic import BaseModel, ConfigDict, Field, field_validator

from models.contracts.identifiers import MISSING_IDS


class IngestionConfig(BaseModel):
    """Look-back of ingestion, and limits that stop a run.

    Attributes:
        history_days: days of orders before the day being ingested that must be in the lake.
        redelivery_days: the newest days that are read again by every run, of sources that do not report units of
            delivery: they may correct them. Of other sources, the days whose quarantined share counts as new.
        max_quarantined_share: share (0..1) of delivered rows; more in quarantine stops the run before features.
        missing_ids: texts that stand for "no id", whatever their case; rows that have one go to quarantine.
        more_missing_ids: such texts of this source alone, e.g. `["0"]`; `missing_ids` stay.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    history_days: int = Field(default=460, ge=0)
    redelivery_days: int = Field(default=3, ge=1)
    max_quarantined_share: float = Field(default=0.05, ge=0, le=1)
    missing_ids: tuple[str, ...] = MISSING_IDS
    more_missing_ids: tuple[str, ...] = ()

    @field_validator("missing_ids", "more_missing_ids", mode="before")
    @classmethod
    def _as_texts(cls, value: object) -> object:
        """YAML reads a bare `0` as a number."""
        return tuple(str(each) for each in value) if isinstance(value, (list, tuple)) else value

    def texts_of_no_id(self) -> frozenset[str]:
        """Every text that stands for "no id", in lower case."""
        return frozenset(text.strip().lower() for text in (*self.missing_ids, *self.more_missing_ids))
