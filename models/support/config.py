"""Settings of support triage that its training and its rules share; imports nothing heavy."""

from pydantic import BaseModel, ConfigDict, Field

from models.compose.gate import CompositionGateConfig
from models.support.hand_off import HandOffConfig


class TriageGateConfig(BaseModel):
    """Limits of the gate of a triage composition, on the newest labelled tickets, which no model has seen."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_tickets: int = Field(default=200, ge=30, description="Labelled tickets of the comparison, at least.")
    max_loss: float = Field(
        default=0.02,
        ge=0,
        description="Accuracy that a candidate may lose against the champion: the lower end of the paired interval.",
    )
    max_label_factor: float = Field(
        default=3.0,
        gt=1,
        description="Factor by which the odds of an intent among the labels may differ from those that the champion "
        "was trained on, for intents of 5 % of the labels and more.",
    )
    max_new_labels: float = Field(
        default=0.2,
        ge=0,
        le=1,
        description="Share of the labels whose intent the champion never saw: more are other names for the same.",
    )
    confidence: float = Field(default=0.95, gt=0.5, lt=1, description="Of the two-sided paired intervals.")
    resamples: int = Field(default=2_000, ge=100, description="Bootstrap resamples of the tickets.")
    measured_tickets: int = Field(
        default=500,
        ge=0,
        description="Newest tickets of the hold-out that are searched for and drafted at a training, to measure recall "
        "of the search, precision of what drafts cite, and hand-offs. A paid language model is paid for them.",
    )
    router: CompositionGateConfig = CompositionGateConfig(min_rows=200)


class IntentModelConfig(BaseModel):
    """A language model as the last reader of an intent."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = Field(
        default=False,
        description="A language model reads tickets whose intent the other models are unsure of, if it reads such "
        "tickets at least as well as they do at the training. `extractive` fills in no schema and cannot.",
    )
    max_share: float = Field(
        default=0.1, gt=0, le=1, description="Share of tickets that it is asked for: those of the smallest lead."
    )
    measured_tickets: int = Field(
        default=100,
        ge=5,
        description="Unsure tickets that it reads at a training, at most: its confidence is measured on them. A paid "
        "model is paid for them.",
    )
    max_tokens: int = Field(default=60, ge=8, description="Tokens of its answer, at most.")
    call_eur: float = Field(default=0.0, ge=0, description="Expected price of a call, EUR, for the cost of a ticket.")


class TriageConfig(BaseModel):
    """Settings of the steps of triage."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    languages: tuple[str, ...] = Field(
        default=("en", "de", "fr"), min_length=1, description="Languages of customers (ISO 639-1)."
    )
    default_language: str = Field(default="en", description="Of a text too short or mixed to tell.")
    articles: int = Field(default=3, ge=1, le=20, description="Articles that are found for a ticket.")
    max_answer_tokens: int = Field(default=300, ge=16, description="Tokens of a language model's answer, at most.")
    min_answer_support: float = Field(
        default=0.6,
        ge=0,
        le=1,
        description="Share of an answer's longer words that must be in the articles it cites; else it is not shown.",
    )
    retention: float = Field(
        default=0.95,
        gt=0.5,
        le=1,
        description="Share of validation tickets in scope that stay in scope, unless 30 labelled out-of-scope tickets "
        "or more choose it.",
    )
    max_cost_share: float = Field(
        default=0.5, gt=0, le=1, description="Cost of the router over that of always asking the dear model, at most."
    )
    linear_ms: float = Field(default=0.2, gt=0, description="Expected CPU of the linear intent model per ticket, ms.")
    embedding_ms: float = Field(
        default=12.0, gt=0, description="Expected CPU of an embedding, ms; MiniLM takes 12, hashed n-grams 1."
    )
    price_per_cpu_hour: float = Field(default=0.05, ge=0, description="EUR, for the cost of a ticket.")
    answer_eur: float = Field(
        default=0.0, ge=0, description="Expected price of a language model's answer, EUR, for the cost of a ticket."
    )
    intent_model: IntentModelConfig = IntentModelConfig()
    hand_off: HandOffConfig = HandOffConfig()


class RequestBudget(BaseModel):
    """Limits of one ticket; those of a night are as many times as large as it has tickets."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    latency_ms: float | None = Field(
        default=20_000, gt=0, description="Wall time of `tessera ask` and of an event, ms."
    )
    money_eur: float | None = Field(default=0.05, ge=0, description="Money for calls to others, EUR.")
    calls: int | None = Field(default=4, ge=0, description="Calls to others.")
