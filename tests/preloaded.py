"""Imports what is slow to import, for the server whose forks are the processes of tests (tests/fork_server.py)."""

from importlib import import_module

from resources.feature_store.feast.session import load_feast
from resources.registry.mlflow_connection import _be_strict

_SLOW = (
    "assets.fraud.stream.processor",
    "assets.maintenance.erasure",
    "assets.stages.ingestion.table",
    "feast.infra.registry.sql",
    "mlflow.store.tracking.sqlalchemy_store",
    "pandas",
    "pipelines.churn",
    "pipelines.cli.commands",
    "pipelines.cli.run",
    "resources.feature_store.feast.store",
    "resources.feature_store.online.postgres",
    "resources.feature_store.online.redis",
    "resources.events.sqlite_events",
    "resources.lake.delta",
    "resources.registry.mlflow_registry",
    "resources.sink.delta_sink",
    "resources.state_store.sqlite_state_store",
)

load_feast()
_be_strict()
for _name in _SLOW:
    import_module(_name)
