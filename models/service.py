"""Settings of the HTTP service (`tessera serve`)."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from models.oidc import OidcSettings


class CanaryLimits(BaseModel):
    """Limits of a version that answers requests beside the champion: beyond one of them the champion answers alone."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_answers: int = Field(default=200, ge=1, description="Answers of both models before the limits are compared.")
    max_failed_share: float = Field(
        default=0.01, ge=0, le=1, description="Share of the requests in which the version may fail."
    )
    max_time_ratio: float = Field(
        default=3.0, gt=0, description="Median time of the version's predictions over that of the champion's."
    )
    max_psi: float = Field(
        default=0.25, ge=0, description="PSI of the version's scores against the champion's on the same requests."
    )


class ServiceSettings(BaseModel):
    """The HTTP service (`tessera serve`): limits of each key, and who may ask."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    requests_per_second: float = Field(
        default=200, gt=0, description="Requests of one key that are answered per second; more are refused (429)."
    )
    burst: int = Field(default=400, ge=1, description="Requests of one key that may come at once after a pause.")
    in_flight: int = Field(
        default=32, ge=1, description="Requests of one key that are answered at one time; more are refused (503)."
    )
    body_bytes: int = Field(default=1_000_000, ge=1_000, description="Most bytes of a request's body.")
    seconds: float = Field(default=20, gt=0, description="Seconds after which a request is given up (504).")
    keep_reads_days: int = Field(
        default=90, ge=1, description="Days for which the log of reads says who read whose score."
    )
    client_subject: bool = Field(
        default=False,
        description="A proxy on this machine says in `X-Client-Subject` whose certificate let a connection in, and "
        "replaces what clients send, as the files in deploy/ do: the log of reads keeps it.",
    )
    oidc: OidcSettings | None = Field(
        default=None, description="Tokens of an issuer that are taken beside keys, for `tessera dev` too; null: none."
    )
    session_hours: float = Field(
        default=12, gt=0, le=720, description="Hours after which a browser has to log in to Dagster's UI again."
    )
    champion_seconds: float = Field(
        default=5, ge=0, description="Seconds after which requests are answered by a new champion."
    )
    open_at_start: bool = Field(
        default=True,
        description="Open what requests need, model by model, when the service starts; otherwise the first request of "
        "each operation waits for it.",
    )
    open_versions: int = Field(
        default=4,
        ge=1,
        description="Versions of each application, named by requests, that are open at one time beside the champion.",
    )
    look_seconds: float = Field(
        default=1,
        ge=0,
        description="Seconds after which the service sees what was published, withdrawn or erased meanwhile, "
        "and which keys were revoked.",
    )
    canary: CanaryLimits = Field(
        default=CanaryLimits(), description="Limits beyond which the service ends a rollout (`tessera rollout`)."
    )
