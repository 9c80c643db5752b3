"""Settings of the wrapper around an embedder or a language model."""

import dagster as dg
from pydantic import ConfigDict, Field


class CallPolicy(dg.Config):
    """Limits, prices and privacy of calls."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    timeout_seconds: float = Field(default=30, gt=0, description="Time limit of one try, also of a slow stream.")
    tries: int = Field(default=3, ge=1, le=10, description="Tries of a call whose failure is temporary.")
    first_pause_seconds: float = Field(
        default=0.5,
        ge=0,
        description="Pause before the second try; then it doubles. Each is shortened by chance, to half of it at most.",
    )
    open_after_failures: int = Field(
        default=5,
        ge=0,
        description="Temporary failures in a row, over all calls, after which the model is not asked for a while; "
        "0: it is always asked.",
    )
    open_seconds: float = Field(default=30, gt=0, description="Seconds that it is not asked then, before one trial.")
    calls_per_minute: int = Field(default=0, ge=0, description="Rate limit; 0: none.")
    batch_size: int = Field(default=128, ge=1, description="Texts of one call of an embedder.")
    cache_entries: int = Field(default=100_000, ge=0, description="Answers that are kept in memory; 0: none.")
    redact: bool = Field(
        default=True,
        description="Mask e-mail addresses, phone numbers, cards, accounts and IP addresses in what is sent.",
    )
    region: str = Field(default="US", description="Country (ISO 3166) of phone numbers without a country code.")
    input_eur_per_million_tokens: float | None = Field(
        default=None, ge=0, description="Price of what is sent, EUR; without it, costs are unknown, not zero."
    )
    output_eur_per_million_tokens: float | None = Field(default=None, ge=0, description="Price of answers, EUR.")
    max_eur_per_day: float | None = Field(
        default=None,
        ge=0,
        description="Limit of what all calls to the model cost on one UTC day, EUR: a call that could go over it is "
        "refused before it is made. Empty: any amount.",
    )
