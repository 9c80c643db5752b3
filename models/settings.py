"""Settings of the applications, as a profile of `stack.yaml` gives them: typed, frozen, unknown keys refused."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from typing_extensions import override

from models.errors import choose_from
from models.evaluation.config import PerformanceConfig, SkewConfig
from models.experiments.config import ExperimentsConfig, ExperimentSettings, Part
from models.features.fraud_definitions import LABEL_DELAY_DAYS, LOOKBACK_DAYS
from models.fraud.event_parsing import PaymentLimits
from models.gates.config import BinaryGateConfig, FraudGateConfig, RegressionGateConfig
from models.ingestion import IngestionConfig
from models.objectives import Objectives
from models.observability import LogSettings, TraceSettings
from models.personalization.config import PartsConfig, RankingLimits, StepsConfig
from models.recommend.config import GeneratorsConfig
from models.replacement.config import ReplacementConfig
from models.scoring.config import AuditConfig, DriftConfig, ScoringConfig
from models.service import ServiceSettings
from models.support.config import RequestBudget, TriageConfig, TriageGateConfig
from models.training.agreement import RefitConfig
from models.watch.config import WatchConfig


class TrainerSettings(BaseModel):
    """One candidate: the `kind` of its trainer (or the dotted path of a config class), and that trainer's settings."""

    model_config = ConfigDict(frozen=True, extra="allow")

    kind: str

    @property
    def parts(self) -> Sequence[Mapping[str, Any]]:
        """Settings of the trainers whose models it merges, as they are written; none of another kind."""
        return (self.model_extra or {}).get("of", ()) if self.kind == "fan_out" else ()


#: A candidate is chosen only if no earlier one of the list, and not the baseline, is as good.
CANDIDATES = (TrainerSettings(kind="xgboost"), TrainerSettings(kind="hist_gradient_boosting"))


class AppSettings(BaseModel):
    """Settings of one application; the field of `Settings` that holds them is the application's name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    owner: str = Field(
        default="team:data-science", min_length=1, description="Person or team that its notices name: who acts."
    )
    objectives: Objectives = Field(
        default=Objectives(), description="What it promises to those who use its scores (`tessera slo`)."
    )

    def parts_of(self, kind: Part) -> Sequence[str]:  # noqa: ARG002 - applications with variants of parts override it
        """Return the names that variants of an experiment may use for a part; none where it has no variants of it."""
        return ()


class StreamConfig(BaseModel):
    """Limits of an application's stream."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_lag_minutes: float = Field(
        default=15,
        gt=0,
        description="Minutes that an event may wait to be processed; a notice is sent after them.",
    )


class TrainedSettings(AppSettings):
    """Settings of an application whose candidates are trained by trainers."""

    candidates: tuple[TrainerSettings, ...] = Field(
        default=CANDIDATES, min_length=1, description="Trainers of the candidates, simplest first: `[{kind: xgboost}]`."
    )


class CutoffSettings(TrainedSettings):
    """Settings of applications that learn at past cut-offs. All days are calendar days, UTC."""

    population_days: int = Field(
        default=180, ge=1, le=365, description="Scored: entities that had a purchase in these last days."
    )
    horizon_days: int = Field(default=7, ge=1, description="Days after the cut-off that the label looks at.")
    cutoff_step_days: int = Field(
        default=7,
        ge=1,
        description="Days between two training cut-offs: days as of which features are taken and labels are counted.",
    )
    min_history_days: int = Field(default=30, ge=1, description="History that the first training cut-off must have.")
    max_training_cutoffs: int = Field(
        default=12, ge=1, description="Number of cut-offs that are trained on, the newest ones."
    )
    recomputed_cutoffs: int = Field(
        default=2,
        ge=1,
        description="Cut-offs whose features the gate computes again from nothing but what was known then.",
    )
    refit: RefitConfig = RefitConfig()
    audit: AuditConfig = AuditConfig()
    drift: DriftConfig = DriftConfig()
    performance: PerformanceConfig = PerformanceConfig()
    replacement: ReplacementConfig = ReplacementConfig()


#: Trees that move with silence and purchases in one direction only, and a line that knows BG/NBD; together they are
#: ahead of either (docs/decisions/mean-of-models.md).
CHURN_CANDIDATE = TrainerSettings.model_validate(
    {
        "kind": "fan_out",
        "merge": "mean",
        "of": [
            {"kind": "xgboost", "max_depth": 2, "monotone": True},
            {"kind": "logistic_regression", "logarithms": True, "bgnbd": True},
        ],
    }
)


class RegressionSettings(CutoffSettings):
    """Settings of applications that predict numbers at cut-offs. All days are calendar days, UTC."""

    candidates: tuple[TrainerSettings, ...] = Field(
        default=(TrainerSettings(kind="xgboost_regression"),),
        min_length=1,
        description="Trainers of the candidates, simplest first: `[{kind: xgboost_regression}]`.",
    )
    gate: RegressionGateConfig = RegressionGateConfig()
    #: A week more of sales moves the mean of the predictions by some percent (docs/benchmarks.md).
    refit: RefitConfig = RefitConfig(max_mean_shift=0.15)


class ChurnSettings(CutoffSettings):
    """Definition of churn and settings of its training. All days are calendar days, UTC."""

    candidates: tuple[TrainerSettings, ...] = Field(
        default=(CHURN_CANDIDATE,), min_length=1, description="Trainers of the candidates, simplest first."
    )
    population_days: int = Field(
        default=180,
        ge=1,
        le=365,
        description="A customer is scored if the last purchase is at most this many days ago.",
    )
    horizon_days: int = Field(default=90, ge=1, description="Churned: no purchase in this many days after the cut-off.")
    max_stale_days: int = Field(default=7, ge=0, description="Scores may use features up to this old, flagged.")
    gate: BinaryGateConfig = BinaryGateConfig()
    scoring: ScoringConfig = ScoringConfig()
    skew: SkewConfig = SkewConfig()


class DemandSettings(RegressionSettings):
    """Definition of demand and settings of its training. All days are calendar days, UTC."""

    population_days: int = Field(
        default=91, ge=1, le=365, description="A product is in scope with a sale in these last days."
    )
    horizon_days: int = Field(default=7, ge=1, description="Demand: units ordered in this many days after the cut-off.")
    min_history_days: int = Field(default=56, ge=1, description="History that the first training cut-off must have.")


class FraudSettings(TrainedSettings):
    """Settings of fraud training, and the daily budget of alerts. All days are calendar days, UTC.

    The defaults of the days are those of Le Borgne et al. (2022), Reproducible Machine Learning for Credit Card Fraud
    Detection, chapter 5.
    """

    train_days: int = Field(default=7, ge=1, description="Days of payments that a model is trained on.")
    holdout_days: int = Field(default=7, ge=1, description="Days of payments that a model is evaluated on (hold-out).")
    alerts_per_day: int = Field(
        default=100, ge=1, description="Number of cards that analysts can look at in a day: the daily budget of alerts."
    )
    keep_scores_days: int = Field(
        default=14, ge=8, description="Days for which the stream keeps scores, features and alerts of a payment."
    )
    payments: PaymentLimits = PaymentLimits()
    gate: FraudGateConfig = FraudGateConfig()
    refit: RefitConfig = RefitConfig()
    #: A wave of fraud moves the scores, and alerts are needed then: a shift only warns unless it is beyond reason, and
    #: the small probabilities of two models differ by more than any PSI limit.
    audit: AuditConfig = AuditConfig(psi_warn=0.25, psi_block=2.0, psi_block_new_model=None)
    drift: DriftConfig = DriftConfig()
    skew: SkewConfig = SkewConfig()
    performance: PerformanceConfig = PerformanceConfig(min_labelled_share=0.9)
    stream: StreamConfig = StreamConfig()

    @property
    def history_days(self) -> int:
        """Days before the day of a run whose payments it can use: trained on, evaluated on, seen by their windows.

        Labels take their time twice: until the training labels are known when the hold-out begins, and until now.
        """
        return LOOKBACK_DAYS + self.train_days + self.holdout_days + 2 * LABEL_DELAY_DAYS - 1


class SupportSettings(AppSettings):
    """Settings of support triage: its steps, its gate, and what a ticket may cost. All days are UTC."""

    training_days: int = Field(
        default=365, ge=1, description="Labelled tickets that were opened in these last days are trained on."
    )
    label_delay_days: int = Field(
        default=7, ge=1, description="Days after which the labels of a day's tickets count as arrived: performance."
    )
    customer_score_of: str | None = Field(
        default="churn",
        description="Application whose last published score of a customer is part of the history; null: none.",
    )
    step_cache: str = Field(
        default="",
        description="File that keeps what the embedding model's step gave, by text and version, beyond a run, e.g. "
        "`${home}/cache/steps.db`; empty: none. Worth it with an embedder that takes milliseconds or money.",
    )
    share_days: int = Field(
        default=28, ge=1, description="Published days over which shares of escalated and handed-off tickets are taken."
    )
    max_share_drift: float = Field(
        default=0.05,
        ge=0,
        le=1,
        description="Difference between a realised share (escalated, out of scope, handed to a person) and that of the "
        "version's hold-out that does not matter; the check `shares` warns of more, beyond chance.",
    )
    steps: TriageConfig = TriageConfig()
    gate: TriageGateConfig = TriageGateConfig()
    budget: RequestBudget = RequestBudget()
    #: A day has few tickets, whose mix changes from day to day: a shift of the confidence warns and never blocks.
    audit: AuditConfig = AuditConfig(psi_warn=0.5, psi_block=1e6, psi_block_new_model=None)
    #: Agents label four tickets in five of the simulated shop, within nine days.
    performance: PerformanceConfig = PerformanceConfig(max_drop=0.05, min_labelled_share=0.4)
    stream: StreamConfig = StreamConfig()


class PersonalizationSettings(AppSettings):
    """Settings of lists: whom they are for, what they are made from, their gate. All days are calendar days, UTC."""

    population_days: int = Field(
        default=180, ge=1, le=365, description="A customer has a list with an order in these last days."
    )
    horizon_days: int = Field(
        default=28,
        ge=1,
        description="Wanted: what is ordered, or put into the cart, in this many days after the cut-off.",
    )
    session_days: int = Field(
        default=365,
        ge=1,
        description="Days of visits before a day that its lists are made from, where the source delivers them; as many "
        "are ingested before the oldest cut-off.",
    )
    stock_days: int = Field(
        default=120,
        ge=1,
        description="Days of stock that are ingested, where the source delivers it; more where the oldest cut-off "
        "needs them.",
    )
    steps: StepsConfig = StepsConfig()
    gate: RankingLimits = RankingLimits()
    parts: PartsConfig = PartsConfig()
    #: Lists follow what was ordered last: their own share moves with campaigns, and no threshold depends on it.
    audit: AuditConfig = AuditConfig(psi_warn=0.5, psi_block=5.0, psi_block_new_model=None)
    performance: PerformanceConfig = PerformanceConfig(max_drop=0.05)

    @property
    def cutoff_ages(self) -> Sequence[int]:
        """Days from the day of a training back to each of its cut-offs, the newest first: it is the hold-out."""
        return [self.horizon_days * number for number in range(1, self.steps.cutoffs + 2)]

    @property
    def tables(self) -> GeneratorsConfig:
        """Settings of the tables of the index: those of the steps, with item-kNN also where only a variant uses it."""
        own = self.steps.recommender.generators
        return own.model_copy(update={"knn": max(one.knn for one in (own, *self.parts.generators.values()))})

    @override
    def parts_of(self, kind: Part) -> Sequence[str]:
        """Return the names of the generators, rankers or rule sets that variants may use."""
        return self.parts.names(kind)


class StorageSettings(BaseModel):
    """Retention of files that no current table or published set uses."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    owner: str = Field(
        default="team:platform",
        min_length=1,
        description="Person or team that notices name which are about no application: storage, servers, lost runs.",
    )
    keep_hours: int = Field(
        default=720,
        ge=24,
        le=720,
        description="Older versions of a table can be read for this long. Must be longer than any run; the logs of "
        "tables remember 30 days.",
    )
    max_idle_minutes: float = Field(
        default=15,
        gt=0,
        description="Minutes for which a run's process may take no CPU; then it is killed, and the run is repeated.",
    )
    keep_event_days: int = Field(
        default=30, ge=1, description="Days for which acknowledged events can be replayed and dead letters inspected."
    )


class Settings(BaseModel):
    """All settings of one profile."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ingestion: IngestionConfig = IngestionConfig()
    watch: WatchConfig = WatchConfig()
    churn: ChurnSettings = ChurnSettings()
    fraud: FraudSettings = FraudSettings()
    demand: DemandSettings = DemandSettings()
    support: SupportSettings = SupportSettings()
    personalization: PersonalizationSettings = PersonalizationSettings()
    storage: StorageSettings = StorageSettings()
    service: ServiceSettings = ServiceSettings()
    traces: TraceSettings = TraceSettings()
    logs: LogSettings = LogSettings()
    experiments: ExperimentsConfig = ExperimentsConfig()

    @model_validator(mode="after")
    def _experiments_are_of_applications(self) -> Self:
        for name, experiment in self.experiments.trials.items():
            if experiment.app and experiment.app not in APP_NAMES:
                named = choose_from(experiment.app, APP_NAMES)
                raise ValueError(f"the experiment {name!r} is of {experiment.app!r}, which is not {named}")
            if experiment.app:
                _require_parts(name, experiment, getattr(self, experiment.app).parts_of(experiment.part))
        return self


def _require_parts(name: str, experiment: ExperimentSettings, parts: Collection[str]) -> None:
    """Refuse an experiment of parts that its application does not have.

    Raises:
        ValueError: it has no such part, or none of a variant's name, or no unit that it knows at night.
    """
    if not parts:
        raise ValueError(
            f"the experiment {name!r} compares variants of the {experiment.part} of {experiment.app!r}, which has none;"
            " leave `app` out if a service elsewhere shows its variants"
        )
    for variant in experiment.variants:
        if variant.part_name not in parts:
            raise ValueError(
                f"the variant {variant.name!r} of the experiment {name!r} uses the {experiment.part}"
                f" {variant.part_name!r}, which is not {choose_from(variant.part_name, parts)}"
            )
    if experiment.unit != "customer":
        raise ValueError(f"the experiment {name!r} of {experiment.app!r} must have the unit `customer`")


#: Names of all applications: each has a field of `Settings`.
APP_NAMES = tuple(
    name
    for name, field in Settings.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, AppSettings)
)


def owner_of(settings: Settings, app: str) -> str:
    """Return the owner of an application, else that of the home."""
    found = getattr(settings, app, None) if app else None
    return found.owner if isinstance(found, AppSettings) else settings.storage.owner


def objectives_of(settings: Settings, app: str) -> Objectives:
    """Return the objectives of an application."""
    return getattr(settings, app).objectives
