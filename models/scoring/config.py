"""Settings of scoring, auditing and drift; imports nothing heavy, so that a profile can be read anywhere."""

from pydantic import BaseModel, ConfigDict, Field

_FROZEN = ConfigDict(frozen=True, extra="forbid")


class ScoringConfig(BaseModel):
    """How rows are scored and who is contacted."""

    model_config = _FROZEN

    batch_rows: int = Field(65_536, ge=1, description="Rows per chunk; memory grows with it, results do not change.")
    contact_budget: int = Field(1_000, ge=0, description="At most this many entities are marked `contact`.")
    min_contact_score: float = Field(0.5, ge=0, le=1, description="Below this probability nobody is contacted.")
    max_reasons_rows: int = Field(1_000, ge=0, description="Reasons for at most this many contacts, the highest first.")
    reasons_per_row: int = Field(3, ge=1, description="At most this many reasons per row.")

    def decision_parts(self) -> dict[str, str]:
        """What the rows depend on, for `models.publishing.attempt_id`: every setting but the chunk size."""
        return {name: str(value) for name, value in self.model_dump(exclude={"batch_rows"}).items()}


class AuditConfig(BaseModel):
    """When scores are not published.

    PSI below 0.1 means no shift worth a word, above 0.25 a major one: Siddiqi, "Credit Risk Scorecards" (2006).
    """

    model_config = _FROZEN

    psi_warn: float = Field(0.1, gt=0, description="PSI of scores against the last published set: warning above.")
    psi_block: float = Field(0.25, gt=0, description="PSI above which the set is not published.")
    psi_block_new_model: float = Field(1.0, gt=0, description="The same, where another model made the last set.")
    min_rows_to_vary: int = Field(20, ge=2, description="From this many rows on, scores must not all be equal.")


class DriftConfig(BaseModel):
    """How the night's features are compared with those of the training set."""

    model_config = _FROZEN

    bins: int = Field(10, ge=2, description="Quantile bins per numeric feature.")
    max_categories: int = Field(20, ge=1, description="Most frequent values kept per string feature.")
    sampled_rows_per_batch: int = Field(8_192, ge=1, description="At most this many evenly spaced rows of each batch.")
    psi_warn: float = Field(0.25, gt=0, description="A feature above it is reported as drifted.")
