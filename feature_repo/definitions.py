"""Everything there is to register: what each module `<app>_features` of this folder defines."""

import pkgutil
from importlib import import_module
from pathlib import Path

from feast import Entity, FeatureService, FeatureView

from feature_repo import entities


def definitions(tables: Path | str) -> list[Entity | FeatureView | FeatureService]:
    """Entities, views over the tables of the lake at `tables`, and services."""
    here = pkgutil.iter_modules([str(Path(__file__).parent)], "feature_repo.")
    parts = [import_module(module.name) for module in here if module.name.endswith("_features")]
    return [entities.customer, *(one for part in parts for one in part.definitions(tables))]
