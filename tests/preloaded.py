"""Imports what is slow to import, for the server whose forks are the tests' workers and processes (fork_server.py)."""

import gc
from importlib import import_module
from pkgutil import walk_packages

import assets
import models
from models.training.skops_files import skops_io
from resources.feature_store.feast.session import load_feast
from resources.registry.mlflow_connection import _be_strict

_SLOW = (
    "anthropic",
    "dagster_webserver.webserver",
    "feast.infra.registry.sql",
    "hypothesis.extra.numpy",
    "ibis.backends.duckdb",
    "matplotlib.pyplot",
    "mlflow.store.tracking.sqlalchemy_store",
    "openai",
    "pandas",
    "pipelines.build",
    "pipelines.churn",
    "pipelines.cli.commands",
    "pipelines.cli.run",
    "pipelines.service.build",
    "resources.feature_store.feast.store",
    "resources.feature_store.online.postgres",
    "resources.feature_store.online.redis",
    "resources.events.sqlite_events",
    "resources.lake.delta",
    "resources.registry.mlflow_registry",
    "playwright.sync_api",
    "qdrant_client",
    "resources.sink.delta_sink",
    "resources.state_store.sqlite_state_store",
    "schemathesis",
    "scipy.stats",
    "sklearn.ensemble",
    "sklearn.linear_model",
    "sklearn.model_selection",
    "sklearn.pipeline",
    "xgboost",
)

gc.disable()  # what is imported stays
load_feast()
skops_io()  # without the list of types that skops trusts, as the product: five CPU seconds
_be_strict()
_rooms = [found.name for room in (assets, models) for found in walk_packages(room.__path__, f"{room.__name__}.")]
for _name in (*_SLOW, *_rooms):
    import_module(_name)
gc.enable()
