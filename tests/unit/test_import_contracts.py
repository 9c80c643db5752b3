"""The import contracts of pyproject.toml hold, and each is broken by an import that it forbids."""

import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import grimp
import pytest
from importlinter import Contract
from importlinter.api import read_configuration
from importlinter.contracts.forbidden import ForbiddenContract
from importlinter.contracts.independence import IndependenceContract
from importlinter.contracts.layers import LayersContract
from importlinter.contracts.protected import ProtectedContract

ROOT = Path(__file__).parents[2]
CONFIG: dict[str, Any] = read_configuration(str(ROOT / "pyproject.toml"))
TYPES = {
    "layers": LayersContract,
    "forbidden": ForbiddenContract,
    "independence": IndependenceContract,
    "protected": ProtectedContract,
}
CONTRACTS: dict[str, dict[str, Any]] = {one["name"]: one for one in CONFIG["contracts_options"]}
#: Contract -> imports that it forbids.
PLANTED = {
    "rooms import downwards only": [
        ("models.errors", "resources.health"),
        ("resources.lake.delta", "assets.apps"),
        ("assets.apps", "pipelines.automation"),
        ("feature_repo.definitions", "resources.health"),
    ],
    "models are pure: no orchestrator, no vendor client": [("models.errors", "dagster"), ("models.errors", "duckdb")],
    "only resources (and feature_repo for Feast) import a vendor client": [("assets.stages.training", "mlflow")],
    "the feature repository imports Feast, and no other vendor": [("feature_repo.definitions", "mlflow")],
    "applications and the shop are independent; stages know none of them": [
        ("assets.shop.assets", "assets.fraud.feedback"),
        ("assets.fraud.assets", "assets.shop.assets"),
        ("assets.churn.training", "assets.fraud.features"),
        ("assets.demand.assets", "assets.apps"),
        ("assets.stages.builders", "assets.apps"),
        ("assets.stages.skew", "assets.churn.app"),
        ("assets.stages.builders", "assets.maintenance.erasure"),
        ("assets.partitions", "assets.demand.app"),
        ("assets.apps", "assets.fraud.scoring"),
        ("assets.maintenance.erasure", "assets.fraud.stream.cache"),
    ],
    "jobs of an application know no other application": [
        ("pipelines.churn", "pipelines.fraud"),
        ("pipelines.automation", "pipelines.demand"),
        ("pipelines.ingested_days", "pipelines.churn"),
    ],
    "adapters are reached only through their port": [
        ("assets.stages.training", "resources.trainer.xgboost"),
        ("assets.fraud.feedback", "resources.state_store.sqlite_state_store"),
        ("pipelines.cli.events", "resources.events.sqlite_events"),
        ("pipelines.cli.init", "resources.sink.delta_sink"),
        ("tessera.profile", "resources.lake.delta"),
    ],
    "an adapter knows other ports, and none of their adapters": [
        ("resources.sink.delta_sink", "resources.lake.parts"),
        ("resources.state_store.sqlite_state_store", "resources.events.sqlite_events"),
        ("resources.engine.local", "resources.lake.delta"),
        ("resources.stack.loader", "resources.lake.delta"),
        ("resources.conformance.lake", "resources.lake.delta"),
    ],
}


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    packages = CONFIG["session_options"]["root_packages"]
    return grimp.build_graph(*packages, include_external_packages=True, cache_dir=None)


def contract(name: str) -> Contract:
    options = CONTRACTS[name]
    return TYPES[options["type"]](name, CONFIG["session_options"], options)


def is_kept(name: str, graph: grimp.ImportGraph) -> bool:
    return contract(name).check(deepcopy(graph), verbose=False).kept


def test_every_contract_is_tried() -> None:
    assert set(PLANTED) == set(CONTRACTS)


@pytest.mark.slow
@pytest.mark.parametrize("name", CONTRACTS)
def test_a_contract_holds_until_an_import_breaks_it(name: str, graph: grimp.ImportGraph) -> None:
    assert is_kept(name, graph)
    for importer, imported in PLANTED[name]:
        assert {importer, imported} <= graph.modules, "the planted import is one that could be written"
        planted = deepcopy(graph)
        planted.add_import(importer=importer, imported=imported)
        assert not is_kept(name, planted), f"{importer} -> {imported} breaks nothing"


def test_jobs_of_an_application_use_only_its_own_assets(graph: grimp.ImportGraph) -> None:
    """Found by their names: import-linter cannot say `the package of the same name`."""
    apps = {found[1] for one in graph.modules if (found := re.fullmatch(r"assets\.(\w+)\.app", one))} - {"stages"}
    assert {"churn", "demand", "fraud"} <= apps
    for app in apps:
        used = {
            one.split(".")[1] for one in graph.find_modules_directly_imported_by(f"pipelines.{app}") if "assets." in one
        }
        assert used == {app}
