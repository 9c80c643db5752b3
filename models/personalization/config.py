"""Settings of personalization that its steps and its gate share; imports nothing heavy."""

from pydantic import BaseModel, ConfigDict, Field

from models.recommend.rules_config import RulesConfig


class StepsConfig(BaseModel):
    """Settings of the steps from a customer to a list."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    candidates: int = Field(default=100, ge=20, le=1_000, description="Candidates that are ranked for a customer.")
    popular: int = Field(
        default=40, ge=0, description="Candidates that are popular in the customer's country in the last 28 days."
    )
    new: int = Field(default=5, ge=0, description="Candidates that were launched in the last 28 days.")
    rules: RulesConfig = RulesConfig()


class RankingLimits(BaseModel):
    """Limits of the gate of lists, on customers whose later products are known."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_customers: int = Field(default=100, ge=10, description="Customers of the comparison, at least.")
    min_coverage: float = Field(
        default=0.02, ge=0, le=1, description="Share of the products that is in any list, at least."
    )
    max_lost: float = Field(
        default=0.5, ge=0, le=1, description="Share of the best places that rules take from their products, at most."
    )
    confidence: float = Field(default=0.95, gt=0.5, lt=1, description="Of the two-sided paired intervals.")
    resamples: int = Field(default=1_000, ge=100, description="Bootstrap resamples of the customers.")
