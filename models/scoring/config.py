"""Settings of scoring, auditing and drift; imports nothing heavy, so that a profile can be read anywhere."""

from pydantic import BaseModel, ConfigDict, Field

_FROZEN = ConfigDict(frozen=True, extra="forbid")


class ScoringConfig(BaseModel):
    """Settings of scoring and of the decision to contact."""

    model_config = _FROZEN

    batch_rows: int = Field(default=65_536, ge=1, description="Rows per chunk; results do not depend on it.")
    contact_budget: int = Field(default=1_000, ge=0, description="At most this many entities are marked `contact`.")
    min_contact_score: float = Field(
        default=0.5, ge=0, le=1, description="Entities below this probability are not contacted."
    )
    max_reasons_rows: int = Field(
        default=1_000, ge=0, description="At most this many contacts, the highest, get reasons."
    )
    reasons_per_row: int = Field(default=3, ge=1, description="At most this many reasons per row.")


class AuditConfig(BaseModel):
    """Limits above which scores are not published.

    PSI below 0.1 means no shift worth a word, above 0.25 a major one: Siddiqi, "Credit Risk Scorecards" (2006).
    """

    model_config = _FROZEN

    psi_warn: float = Field(
        default=0.1,
        gt=0,
        description="Population stability index (PSI) of scores against the last published set: warn above.",
    )
    psi_block: float = Field(default=0.25, gt=0, description="PSI above which the set is not published.")
    psi_block_new_model: float | None = Field(
        default=1.0, gt=0, description="The same, where another model made the last set; null: never, it only warns."
    )
    max_earlier_days: int = Field(default=31, ge=1, description="Scores published longer ago are not compared with.")
    min_rows_to_vary: int = Field(default=20, ge=2, description="From this many rows on, scores must not all be equal.")


class DriftConfig(BaseModel):
    """Settings of the comparison of the night's features with the training set."""

    model_config = _FROZEN

    bins: int = Field(default=10, ge=2, description="Quantile bins per numeric feature.")
    max_categories: int = Field(default=20, ge=1, description="Most frequent values kept per string feature.")
    sampled_rows_per_batch: int = Field(default=8_192, ge=1, description="Evenly spaced rows looked at, of each batch.")
    psi_warn: float = Field(
        default=0.25, gt=0, description="Population stability index (PSI) above which a feature is reported as drifted."
    )
