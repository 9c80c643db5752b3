"""Settings of a replacement; imports nothing heavy, so that a profile can be read anywhere."""

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class ReplacementConfig(BaseModel):
    """Steps of a replacement, the comparison that each step needs, and what decisions cost."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    required: bool = Field(
        default=False,
        description="A version that passed the gate does not replace a champion at once: it waits for a replacement.",
    )
    shares: tuple[float, ...] = Field(
        default=(0.0, 0.01, 0.05, 0.25, 1.0),
        min_length=2,
        description="Shares of the entities that the challenger scores, step by step; 0 is shadow.",
    )
    compare_days: int = Field(default=7, ge=1, description="Newest scored days that are compared.")
    min_rows: int = Field(default=500, ge=20, description="Rows below which nothing is compared, and no share rises.")
    min_rank_correlation: float = Field(
        default=0.7, ge=-1, le=1, description="Spearman's rank correlation of both scores, at least."
    )
    max_psi: float = Field(
        default=0.5, gt=0, description="Population stability index (PSI) of the challenger's scores, at most."
    )
    max_flip_share: float = Field(
        default=0.25, ge=0, le=1, description="Share of the entities about whom the two decide differently, at most."
    )
    max_error_ratio: float = Field(
        default=1.02,
        gt=0,
        description="Of applications that predict a number: mean absolute error of the challenger over that of the "
        "incumbent, by matured labels, at most.",
    )
    action_eur: float | None = Field(
        default=None, ge=0, description="Cost of acting on one entity, e.g. of a contact, EUR; empty: not compared."
    )
    missed_eur: float | None = Field(
        default=None, ge=0, description="Cost of a positive that is not acted on, EUR; empty: not compared."
    )
    max_extra_eur_per_1000: float = Field(
        default=0.0, description="EUR per 1,000 entities by which the challenger's decisions may cost more."
    )
    min_matured_labels: int = Field(
        default=500, ge=0, description="Labels that must have matured, of rows that both scored, to raise the share."
    )
    labels_from_share: float = Field(
        default=0.05, ge=0, le=1, description="Shares from this one on need them; 0: every step does."
    )

    @model_validator(mode="after")
    def _rise(self) -> Self:
        if self.shares[0] != 0 or self.shares[-1] != 1 or list(self.shares) != sorted(set(self.shares)):
            raise ValueError("`shares` must rise from 0 to 1")
        if (self.action_eur is None) != (self.missed_eur is None):
            raise ValueError("`action_eur` and `missed_eur` belong together")
        return self

    def next_share(self, share: float) -> float | None:
        """Return the share after this one; None after the last."""
        return next((one for one in self.shares if one > share), None)
