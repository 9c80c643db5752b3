"""The ports of the stack: one row each. Profiles, resources of Dagster, messages and documentation are made from it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Port:
    """One port.

    Attributes:
        default: the adapter of a profile that does not name the port, as it would be written in `stack.yaml`.
        adapters: kind -> dotted path of the config class, of the adapters that ship with Tessera.
        resource: dotted path of the port as a Dagster resource.
        follows: port whose adapter a profile that does not name this one gets, if it names that one; "" if none.
        places: kind -> settings that are places in the profile's home, where `default` is of another kind.
        interface: dotted path of the class whose methods an adapter must have; "": they are not looked at.
    """

    default: Mapping[str, Any]
    adapters: Mapping[str, str] = field(default_factory=dict)
    resource: str = "resources.stack.ports.PortResource"
    follows: str = ""
    places: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    interface: str = ""

    def in_home(self, kind: str) -> dict[str, Any]:
        """Return the settings of an adapter of that kind that are places in the home, unless the profile gives them."""
        own = self.default if kind == self.default["kind"] else {}
        return {name: value for name, value in {**own, **self.places.get(kind, {})}.items() if "${home}" in str(value)}


#: Name -> port, in the order of messages and pages. `${first_day}` is that of the calendar.
PORTS: Mapping[str, Port] = {
    "source": Port(
        {"kind": "simulated", "first_day": "${first_day}"},
        {
            "simulated": "resources.source.simulated.SimulatedSourceConfig",
            "files": "resources.source.files.FilesSourceConfig",
        },
        "resources.stack.ports.SourceResource",
        places={"files": {"cache": "${home}/cache"}},
        interface="resources.source.port.Source",
    ),
    "lake": Port(
        {"kind": "delta", "path": "${home}/lake"},
        {"delta": "resources.lake.delta.DeltaLakeConfig"},
        "resources.stack.ports.LakeResource",
        interface="resources.lake.port.Lake",
    ),
    "engine": Port(
        {"kind": "local", "temp_directory": "${home}/tmp"},
        {"local": "resources.engine.local.LocalEngineConfig"},
        "resources.stack.ports.EngineResource",
        interface="resources.engine.port.Engine",
    ),
    "feature_store": Port(
        {"kind": "feast", "path": "${home}/feast", "tables": "${home}/lake"},
        {"feast": "resources.feature_store.feast.store.FeastStoreConfig"},
        "resources.stack.ports.FeatureStoreResource",
        interface="resources.feature_store.port.FeatureStore",
    ),
    "registry": Port(
        {"kind": "mlflow", "path": "${home}/mlflow"},
        {"mlflow": "resources.registry.mlflow_registry.MLflowRegistryConfig"},
        "resources.stack.ports.RegistryResource",
        interface="resources.registry.port.Registry",
    ),
    "sink": Port(
        {"kind": "delta", "path": "${home}/scores"},
        {"delta": "resources.sink.delta.DeltaSinkConfig"},
        "resources.stack.ports.SinkResource",
        interface="resources.sink.port.Sink",
    ),
    "notifier": Port(
        {"kind": "log", "path": "${home}/notices.jsonl"},
        {
            "log": "resources.notifier.log.LogNotifierConfig",
            "webhook": "resources.notifier.webhook.WebhookNotifierConfig",
            "apprise": "resources.notifier.apprise_services.AppriseNotifierConfig",
        },
        "resources.stack.ports.NotifierResource",
        interface="resources.notifier.port.Notifier",
    ),
    "events": Port(
        {"kind": "sqlite", "path": "${home}/events.db"},
        {
            "sqlite": "resources.events.sqlite_events.SqliteEventsConfig",
            "redis": "resources.events.redis_events.RedisEventsConfig",
            "postgres": "resources.events.postgres_events.PostgresEventsConfig",
        },
        "resources.stack.ports.EventsResource",
        interface="resources.events.port.Events",
    ),
    "state_store": Port(
        {"kind": "sqlite", "path": "${home}/streams.db"},
        {
            "sqlite": "resources.state_store.sqlite_state_store.SqliteStateStoreConfig",
            "postgres": "resources.state_store.postgres_state_store.PostgresStateStoreConfig",
        },
        "resources.stack.ports.StateStoreResource",
        interface="resources.state_store.port.StateStore",
    ),
    # One adapter keeps state and alerts, for one transaction changes both: docs/decisions/alerts-beside-state.md.
    "alert_store": Port(
        {"kind": "sqlite", "path": "${home}/streams.db"},
        {
            "sqlite": "resources.state_store.sqlite_state_store.SqliteStateStoreConfig",
            "postgres": "resources.state_store.postgres_state_store.PostgresStateStoreConfig",
        },
        "resources.stack.ports.AlertStoreResource",
        interface="resources.alert_store.port.AlertStore",
        follows="state_store",
    ),
    "vectors": Port(
        {"kind": "qdrant_edge", "path": "${home}/vectors"},
        {
            "qdrant_edge": "resources.vectors.qdrant_edge.QdrantEdgeConfig",
            "qdrant": "resources.vectors.qdrant.QdrantConfig",
            "pgvector": "resources.vectors.pgvector.PgVectorConfig",
        },
        "resources.stack.ports.VectorsResource",
        interface="resources.vectors.port.Vectors",
    ),
    "embedder": Port(
        {"kind": "hashed"},
        {
            "hashed": "resources.embedder.hashed.HashedEmbedderConfig",
            "minilm": "resources.embedder.minilm.MiniLMEmbedderConfig",
            "openai_compatible": "resources.embedder.openai_compatible.OpenAIEmbedderConfig",
        },
        "resources.stack.ports.EmbedderResource",
        interface="resources.embedder.port.GuardedEmbedder",
    ),
    "language_model": Port(
        {"kind": "extractive"},
        {
            "extractive": "resources.language_model.extractive.ExtractiveModelConfig",
            "openai_compatible": "resources.language_model.openai_compatible.OpenAIModelConfig",
            "anthropic": "resources.language_model.anthropic.AnthropicModelConfig",
        },
        "resources.stack.ports.LanguageModelResource",
        interface="resources.language_model.port.GuardedLanguageModel",
    ),
}

#: Kind -> the config class of a trainer, as `settings.<app>.candidates` names them.
TRAINERS: Mapping[str, str] = {
    "xgboost": "resources.trainer.xgboost.XGBoostTrainerConfig",
    "logistic_regression": "resources.trainer.logistic_regression.LogisticRegressionTrainerConfig",
    "hist_gradient_boosting": "resources.trainer.hist_gradient_boosting.HistGradientBoostingTrainerConfig",
    "fan_out": "resources.trainer.fan_out.FanOutTrainerConfig",
    "xgboost_regression": "resources.trainer.xgboost_regression.XGBoostRegressionTrainerConfig",
    "ridge_regression": "resources.trainer.ridge_regression.RidgeRegressionTrainerConfig",
}

#: Port, or `trainer` -> kind -> config class: everything that ships with Tessera and can be named by its kind.
KINDS: Mapping[str, Mapping[str, str]] = {
    **{name: port.adapters for name, port in PORTS.items()},
    "trainer": TRAINERS,
}
