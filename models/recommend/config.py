"""Settings of the recommender; one configuration serves shops with and without repeated purchases."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

GeneratorName = Literal["own", "ease", "walks", "factors", "taste", "popular", "new", "knn"]
RankerName = Literal["frequency", "fused", "ease", "xgboost_ndcg", "xgboost_binary", "xgboost_mean", "xgboost_wants"]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class GeneratorsConfig(_Strict):
    """Candidates that each generator gives at most, and settings of its table."""

    own: int = Field(
        default=60, ge=0, le=1000, description="Products of the customer, by the rate at which they come again."
    )
    ease: int = Field(default=60, ge=0, le=1000, description="Products bought together, by EASE.")
    walks: int = Field(
        default=40, ge=0, le=1000, description="Products bought together, by RP3beta: less popular ones."
    )
    factors: int = Field(
        default=40, ge=0, le=1000, description="Products near the customer, by factors of ALS (dot product)."
    )
    taste: int = Field(
        default=40,
        ge=0,
        le=1000,
        description="Products of the categories and prices that a customer looks at, where these are known.",
    )
    popular: int = Field(default=20, ge=0, le=1000, description="Popular products of the last 28 days, in the segment.")
    new: int = Field(default=10, ge=0, le=1000, description="Products first sold in the last 28 days.")
    knn: int = Field(
        default=0,
        ge=0,
        le=1000,
        description="Products bought together, by item-kNN (cosine); 0: no such candidates, and no table of them.",
    )
    ease_penalty: float = Field(default=300.0, gt=0, description="Penalty of the squared weights of EASE.")
    walks_alpha: float = Field(default=1.0, gt=0, le=2, description="Power of the steps of RP3beta.")
    walks_beta: float = Field(default=0.4, ge=0, le=2, description="Power of the popularity that RP3beta divides by.")
    knn_shrink: float = Field(
        default=10.0, ge=0, description="Added to the denominator of item-kNN: pairs bought together rarely count less."
    )
    factor_size: int = Field(default=32, ge=2, le=512, description="Numbers per product of ALS.")
    factor_rounds: int = Field(default=5, ge=1, le=50, description="Rounds of ALS.")
    factor_weight: float = Field(default=5.0, gt=0, description="Confidence that one product adds in ALS.")
    factor_penalty: float = Field(default=5.0, gt=0, description="Penalty of the squared factors of ALS.")

    def limits(self) -> dict[GeneratorName, int]:
        """Return the most candidates of each generator."""
        return {
            "own": self.own,
            "ease": self.ease,
            "walks": self.walks,
            "factors": self.factors,
            "taste": self.taste,
            "popular": self.popular,
            "new": self.new,
            "knn": self.knn,
        }


class RankerConfig(_Strict):
    """Rankers that may be chosen, and their training."""

    kinds: tuple[RankerName, ...] = Field(
        default=("frequency", "fused", "ease", "xgboost_ndcg", "xgboost_binary", "xgboost_mean", "xgboost_wants"),
        description="Rankers among which validation rows choose; what does not beat `frequency` is refused.",
    )
    ease_weight: float = Field(
        default=0.2,
        ge=0,
        le=5,
        description="Weight of EASE in the order of products that are new to a customer, in deviations beside those of "
        "the ranker's score; where validation rows show that it loses NDCG of new products it is 0.",
    )
    wants_weight: float = Field(
        default=2.0,
        ge=0,
        le=10,
        description="Weight of the logarithm of expected wants beside the deviations of the trees' score, in "
        "`xgboost_wants`; where the shop delivers no visits they are not known, and it is `xgboost_mean`.",
    )
    max_customers: int = Field(default=8_000, ge=100, description="Customers of each cut-off that give training rows.")
    rounds: int = Field(default=150, ge=1, le=5000, description="Trees of XGBoost.")
    depth: int = Field(default=4, ge=1, le=12, description="Depth of its trees.")
    learning_rate: float = Field(default=0.05, gt=0, le=1, description="Share of each tree.")
    min_child_weight: float = Field(default=20.0, ge=0, description="Least weight of a leaf.")


class RecommenderConfig(_Strict):
    """Candidates, ranker and the length of the lists."""

    generators: GeneratorsConfig = Field(default=GeneratorsConfig(), description="Generators of candidates.")
    ranker: RankerConfig = Field(default=RankerConfig(), description="Order of the candidates.")
    candidates: int = Field(default=100, ge=20, le=1000, description="Candidates of a customer that are ranked.")
    k: int = Field(default=20, ge=1, le=100, description="Products of a list; rankers are compared by NDCG at it.")
    seed: int = Field(default=0, ge=0, description="Of sampled customers, factors and trees.")


class FoldsConfig(_Strict):
    """Earlier moments at which a recommender of plain interactions is trained and chosen."""

    cutoffs: int = Field(
        default=4, ge=1, le=24, description="Earlier moments that give training rows; the last one validates."
    )
    horizon_days: int | None = Field(
        default=None,
        ge=1,
        description="Days after a cut-off in which the next basket counts; null: found from the rows.",
    )


class FittedConfig(RecommenderConfig):
    """A recommender that is fitted to plain interactions, which finds its own moments of training."""

    folds: FoldsConfig = Field(default=FoldsConfig(), description="Moments of training.")
