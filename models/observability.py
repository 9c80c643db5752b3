"""Settings of traces and logs."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class TraceSettings(BaseModel):
    """Trace spans: the share that is kept, the place, the days."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sampled_share: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="Share of traces that are kept. Traces with an error, and those that a caller sampled, always are.",
    )
    keep_days: int = Field(default=14, ge=1, description="Days for which spans are kept in the home.")
    max_mb_per_day: int = Field(
        default=256, ge=1, description="Most megabytes of spans of one day (UTC); more spans are dropped and counted."
    )
    otlp_endpoint: str = Field(
        default="",
        pattern=r"^(https?://\S+)?$",
        description="Address of a collector that takes OTLP over HTTP, e.g. `http://127.0.0.1:4318/v1/traces`; spans "
        "go there, too. Needs the extra `otlp`; headers (a key) come from OTEL_EXPORTER_OTLP_HEADERS. Empty: none.",
    )


class LogSettings(BaseModel):
    """Log lines of processes that run for long: `tessera serve`, `tessera stream`, `tessera dev` and its runs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["text", "json"] = Field(
        default="text",
        description="`json`: one object per line on standard error, with the ids of trace, request and run.",
    )
    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least level of Tessera's own lines in JSON; of libraries, it is `warning`."
    )
