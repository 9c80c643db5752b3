"""Limits that a candidate must meet before it can become champion."""

from typing import Literal

from pydantic import BaseModel, Field


class GateConfig(BaseModel, frozen=True, extra="forbid"):
    """Limits of the promotion gate that every task asks for; every interval is two-sided.

    Metrics are those of the task, higher is better. The defaults fit hold-outs of 1,000 to 10,000 rows, where the
    fold-to-fold deviation of an AUC is about 0.01.
    """

    min_rows: int = Field(default=400, ge=1, description="Hold-out rows below which no comparison means anything.")
    min_train_entities: int = Field(
        default=10, ge=2, description="Training entities needed (of each class); with fewer, nothing is trained."
    )
    metric: str = Field(description="Metric by which models are compared.")
    min_quality: float = Field(description="Lower end of the interval of the metric must reach this.")
    confidence: float = Field(default=0.95, gt=0.5, lt=1, description="Coverage of every bootstrap interval.")
    n_bootstrap: int = Field(default=1000, ge=100, description="Resamples of entities behind every interval.")
    seed: int = Field(default=20, ge=0, description="Seed of the resampling, so that a report can be made again.")
    baseline_margin: float = Field(
        default=0.005, ge=0, description="Metric by which a simple baseline may be ahead, if chance explains it."
    )
    max_slice_drop: float = Field(
        default=0.05, ge=0, description="Metric a slice may lose to the champion (or the trained baseline)."
    )
    min_slice_rows: int = Field(
        default=150, ge=1, description="Rows below which a slice is shown, but decides nothing."
    )
    max_latency_us_per_row: float = Field(
        default=200.0, gt=0, description="CPU time of a prediction, microseconds per row."
    )
    max_size_mb: float = Field(default=50.0, gt=0, description="Size of the model package, 10^6 bytes.")
    max_identifying_share: float = Field(
        default=0.95,
        gt=0,
        le=1,
        description="Share of entities that one feature may name: one value for an entity, and no other has it.",
    )
    max_jump: float = Field(
        default=0.5,
        gt=0,
        description="Metric by which a candidate may be ahead of the simple baselines; more is too good to be true "
        "until a person passes it.",
    )
    max_champion_jump: float = Field(
        default=0.2,
        gt=0,
        description="Metric by which a candidate may be ahead of the champion; likewise.",
    )
    max_control_z: float = Field(
        default=5.0,
        gt=0,
        description="Standard errors by which the metric of a model trained on shuffled labels may exceed chance.",
    )
    max_label_factor: float = Field(
        default=3.0,
        gt=1,
        description="Factor by which the odds of the positive class, or the mean label, may differ from those that the "
        "champion's evaluation recorded.",
    )
    max_relation_change: float = Field(
        default=0.5,
        gt=0,
        le=2,
        description="Difference that a feature's relation to the label (-1 to 1: 2 AUC - 1, or the rank correlation) "
        "may have to the one that the champion's evaluation recorded; weak features move by 0.3 in a growing home.",
    )
    max_relation_gain: float = Field(
        default=0.1,
        gt=0,
        le=1,
        description="Strength by which a feature's relation may exceed the strongest one that the champion's "
        "evaluation recorded; more is taken for a leak of the label.",
    )


class BinaryGateConfig(GateConfig, frozen=True):
    """The gate's limits of a binary classifier. AUC and probabilities are in [0, 1]."""

    min_class_rows: int = Field(default=40, ge=1, description="Hold-out rows that each of the two classes must have.")
    metric: Literal["auc", "average_precision"] = Field(
        default="auc", description="Metric by which models are compared: auc, or average_precision."
    )
    min_quality: float = Field(
        default=0.60, ge=0, le=1, description="Lower end of the interval of the metric must reach this."
    )
    top_per_day: int | None = Field(
        default=None, ge=1, description="Entities looked at per day; their precision must not fall. None: not asked."
    )
    max_top_drop: float = Field(
        default=0.02,
        ge=0,
        description="Precision among them that may be lost to the champion (or the baseline).",
    )
    max_ece: float = Field(
        default=0.08, gt=0, description="Largest expected calibration error (ECE) beyond the one that chance explains."
    )
    max_calibration_gap: float = Field(
        default=0.10, gt=0, description="Largest difference between mean probability and churn rate over the hold-out."
    )
    max_slice_drop: float = Field(
        default=0.05, ge=0, description="AUC a slice may lose to the champion (or the trained baseline)."
    )
    max_feature_auc: float = Field(
        default=0.95,
        gt=0.5,
        le=1,
        description="AUC of a single feature above which it is taken for a leak of the answer.",
    )
    max_feature_lead: float = Field(
        default=0.04,
        gt=0,
        le=0.5,
        description="AUC by which a single feature may be ahead of the features that the simple baselines go by.",
    )
    max_pure_share: float = Field(
        default=0.20,
        gt=0,
        lt=1,
        description="Share of rows that one cut on one feature may sort without a single error.",
    )
    max_jump: float = Field(
        default=0.06,
        gt=0,
        le=0.5,
        description="AUC by which a candidate may be ahead of the simple baselines; more is too good to be true until "
        "a person passes it.",
    )
    max_champion_jump: float = Field(
        default=0.04,
        gt=0,
        le=0.5,
        description="AUC by which a candidate may be ahead of the champion; likewise.",
    )
    max_control_z: float = Field(
        default=5.0,
        gt=0,
        description="Standard errors by which the AUC of a model trained on shuffled labels may exceed 0.5.",
    )


class RegressionGateConfig(GateConfig, frozen=True):
    """The gate's limits of predicted numbers; D² is the share of the best constant's absolute error that is avoided."""

    metric: Literal["d2_absolute_error"] = Field(
        default="d2_absolute_error", description="Metric by which models are compared."
    )
    min_quality: float = Field(
        default=0.0, lt=1, description="Lower end of the interval of D² must reach this; 0 is the best constant."
    )
    max_slice_drop: float = Field(
        default=0.25,
        ge=0,
        description="D² a slice may lose to the champion (or the trained baseline). Where numbers are small, a "
        "tenth of a unit is as much as this.",
    )
    min_coverage: float = Field(
        default=0.75, ge=0, le=1, description="Share of the hold-out's labels within their interval, at least."
    )
    max_coverage: float = Field(
        default=0.85, ge=0, le=1, description="The same, at most: a wider interval than promised says less."
    )
    max_feature_correlation: float = Field(
        default=0.98,
        gt=0,
        le=1,
        description="Largest rank correlation of a single feature with the label, in either direction; more is a leak.",
    )
    max_feature_lead: float = Field(
        default=0.18,
        gt=0,
        le=1,
        description="Rank correlation by which a single feature may be ahead of those that the simple baselines go by.",
    )


class MulticlassGateConfig(GateConfig, frozen=True):
    """The gate's limits of a classifier of several classes."""

    metric: Literal["macro_f1", "accuracy"] = Field(
        default="macro_f1", description="Metric by which models are compared: macro_f1, or accuracy."
    )
    min_quality: float = Field(
        default=0.5, ge=0, le=1, description="Lower end of the interval of the metric must reach this."
    )
    min_class_rows: int = Field(default=5, ge=1, description="Hold-out rows that each class must have.")
    max_confidence_gap: float = Field(
        default=0.10, gt=0, description="|mean probability of the chosen class - accuracy| over the hold-out."
    )


class RankingGateConfig(GateConfig, frozen=True):
    """The gate's limits of a ranker."""

    metric: Literal["ndcg_at_10"] = Field(default="ndcg_at_10", description="Metric by which models are compared.")
    min_quality: float = Field(
        default=0.1, ge=0, le=1, description="Lower end of the interval of the metric must reach this."
    )
    min_relevant_rows: int = Field(default=100, ge=1, description="Relevant items that the hold-out must have.")


class FraudGateConfig(BinaryGateConfig, frozen=True):
    """The gate's limits where positives are rare, and people look at the first of each day.

    AUC hardly sees what matters there: on one and the same payments it moved from 0.84 to 0.88 while average precision
    moved from 0.56 to 0.70 (docs/benchmarks.md).
    """

    metric: Literal["auc", "average_precision"] = Field(
        default="average_precision", description="Metric by which models are compared."
    )
    min_quality: float = Field(
        default=0.40, ge=0, le=1, description="Lower end of the interval of the metric must reach this."
    )
    top_per_day: int | None = Field(
        default=100, ge=1, description="Cards looked at per day; their precision must not fall. None: not asked."
    )
    max_slice_drop: float = Field(
        default=0.10, ge=0, description="AUC a slice may lose to the champion (or the trained baseline)."
    )
    max_jump: float = Field(
        default=0.22,
        gt=0,
        le=0.5,
        description="AUC by which a candidate may be ahead of the simple baselines, which know little of fraud; more "
        "is too good to be true until a person passes it.",
    )
    max_calibration_gap: float = Field(
        default=0.02, gt=0, description="Largest difference between mean probability and fraud rate over the hold-out."
    )
