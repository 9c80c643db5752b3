"""Settings of scoring, auditing and drift; imports nothing heavy, so that a profile can be read anywhere."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

#: Consequence of a finding: the set is not published, a notice is sent, or it is only shown.
Severity = Literal["block", "warn", "note"]
Concern = Literal["population", "turnover", "scores", "decisions", "segments", "missing"]

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


class UnusualConfig(BaseModel):
    """Consequence of numbers of a night that are unlike those of earlier nights, and the limits of each.

    Limits are estimated from the published nights of the home (`models.watch.limits`), and are never nearer than the
    floors below, so that small numbers and quiet series do not alarm.
    """

    model_config = _FROZEN

    population: Severity = Field(
        default="block", description="Number of rows, and entities that are new or vanished: block, warn or note."
    )
    turnover: Severity = Field(
        default="block",
        description="Scores of the same entities in another order than last night: block, warn or note.",
    )
    scores: Severity = Field(
        default="warn",
        description="Mean, quantiles and repetition of the scores, mean and spread of other numbers: block, warn or "
        "note.",
    )
    decisions: Severity = Field(
        default="warn",
        description="Share of each decision, label or other text of few values, and repetition of free texts: block, "
        "warn or note.",
    )
    segments: Severity = Field(
        default="warn", description="Share and mean score of each segment, e.g. a country: block, warn or note."
    )
    missing: Severity = Field(
        default="warn", description="Share of missing, empty and fallback values: block, warn or note."
    )
    history_nights: int = Field(default=60, ge=28, description="Published nights that limits are estimated from.")
    min_nights: int = Field(default=21, ge=14, description="Published nights below which only the floors decide.")
    min_compared_nights: int = Field(
        default=3,
        ge=1,
        description="Published nights that know a number before it may block or warn; below, it is noted only. Of 3 "
        "nights, the median is the first that a single odd one does not move.",
    )
    times_usual: float = Field(
        default=6.0,
        gt=0,
        description="A number is odd if it is off by so many floors; by half as many where limits are estimated.",
    )
    rows_floor: float = Field(default=0.05, ge=0, description="Floor for the number of rows, as a share of them.")
    share_floor: float = Field(default=0.01, ge=0, description="Floor for shares, beyond what chance explains.")
    score_floor: float = Field(default=0.05, ge=0, description="Floor for scores, in standard deviations of them.")
    min_rank_correlation: float = Field(
        default=0.3,
        ge=-1,
        le=1,
        description="Rank correlation with last night's scores of the same entities, at least.",
    )
    reference_psi: float = Field(
        default=1.5,
        gt=0,
        description="Population stability index (PSI) against the scores of the model's evaluation, for nights without "
        "an earlier one to compare with: warn above.",
    )
    estimate_drop: float = Field(
        default=0.02,
        ge=0,
        description="Quality by which the upper end of the estimate from the probabilities may fall below the one that "
        "the gate accepted.",
    )

    def severity(self, concern: Concern) -> Severity:
        """Return the consequence of an odd number of a concern."""
        named: dict[Concern, Severity] = {
            "population": self.population,
            "turnover": self.turnover,
            "scores": self.scores,
            "decisions": self.decisions,
            "segments": self.segments,
            "missing": self.missing,
        }
        return named[concern]


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
    unusual: UnusualConfig = UnusualConfig()


class DriftConfig(BaseModel):
    """Settings of the comparison of the night's features with the training set."""

    model_config = _FROZEN

    bins: int = Field(default=10, ge=2, description="Quantile bins per numeric feature.")
    max_categories: int = Field(default=20, ge=1, description="Most frequent values kept per string feature.")
    sampled_rows_per_batch: int = Field(default=8_192, ge=1, description="Evenly spaced rows looked at, of each batch.")
    psi_warn: float = Field(
        default=0.25,
        gt=0,
        description="Population stability index (PSI), weighted by the feature's importance to the model (an average "
        "one counts whole), above which a feature is reported as drifted.",
    )
    psi_first_night: float = Field(
        default=1.0,
        gt=0,
        description="Weighted PSI above which a feature is reported on the first night; below, on two of three nights.",
    )
    psi_step: float = Field(
        default=0.25, gt=0, description="PSI by which a feature may exceed its own of the night before; likewise."
    )
    significance: float = Field(
        default=0.01, gt=0, lt=1, description="Chance of naming any feature on a night without drift (Holm)."
    )
    constant: Severity = Field(
        default="block",
        description="A feature that has become one value, or is missing everywhere: block, warn or note.",
    )
    stale: Severity = Field(
        default="warn", description="A feature whose values stand still from night to night: block, warn or note."
    )
