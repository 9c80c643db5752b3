"""Settings of ingestion."""

from pydantic import BaseModel, ConfigDict, Field, field_validator

from models.contracts.identifiers import MISSING_IDS


class IngestionConfig(BaseModel):
    """Look-back of ingestion, and limits that stop a run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    history_days: int = Field(
        default=460, ge=0, description="Days of rows before the day being ingested that must be in the lake."
    )
    redelivery_days: int = Field(
        default=3,
        ge=1,
        description="The newest days that every run reads again, since the source may correct them. For sources of "
        "files, which are read once: the days whose quarantined share counts as new.",
    )
    max_quarantined_share: float = Field(
        default=0.05,
        ge=0,
        le=1,
        description="Share of delivered rows; more in quarantine stops the run before features are computed.",
    )
    missing_ids: tuple[str, ...] = Field(
        default=MISSING_IDS,
        description='Texts that stand for "no id", in upper or lower case; rows that have one go to quarantine.',
    )
    more_missing_ids: tuple[str, ...] = Field(
        default=(), description='Such texts of this source alone, e.g. `["0"]`; those of `missing_ids` stay.'
    )

    @field_validator("missing_ids", "more_missing_ids", mode="before")
    @classmethod
    def _as_texts(cls, value: object) -> object:
        """YAML reads a bare `0` as a number."""
        return tuple(str(each) for each in value) if isinstance(value, (list, tuple)) else value

    def texts_of_no_id(self) -> frozenset[str]:
        """Every text that stands for "no id", in lower case."""
        return frozenset(text.strip().lower() for text in (*self.missing_ids, *self.more_missing_ids))
