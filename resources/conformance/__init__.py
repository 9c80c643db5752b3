"""Behaviour that every adapter of a port must show, as classes of tests for adapters of ours and of third parties.

`from resources.conformance import NotifierConformance` needs pytest, which nothing else here imports.
"""

import importlib
import re
import sys
from typing import TYPE_CHECKING, Any

from models.errors import TesseraError

if TYPE_CHECKING:
    from resources.conformance.alert_store import AlertStoreConformance
    from resources.conformance.embedder import EmbedderConformance
    from resources.conformance.engine import EngineConformance
    from resources.conformance.events import EventsConformance
    from resources.conformance.feature_store import FeatureStoreConformance
    from resources.conformance.lake import LakeConformance
    from resources.conformance.language_model import LanguageModelConformance
    from resources.conformance.legacy_model import LegacyModelConformance
    from resources.conformance.notifier import NotifierConformance
    from resources.conformance.online_feature_store import OnlineFeatureStoreConformance
    from resources.conformance.registry import RegistryConformance
    from resources.conformance.regression_trainer import RegressionTrainerConformance
    from resources.conformance.sink import SinkConformance
    from resources.conformance.source import SourceConformance
    from resources.conformance.state_store import StateStoreConformance
    from resources.conformance.trainer import TrainerConformance
    from resources.conformance.vectors import VectorsConformance

__all__ = [
    "AlertStoreConformance",
    "EmbedderConformance",
    "EngineConformance",
    "EventsConformance",
    "FeatureStoreConformance",
    "LakeConformance",
    "LanguageModelConformance",
    "LegacyModelConformance",
    "NotifierConformance",
    "OnlineFeatureStoreConformance",
    "RegistryConformance",
    "RegressionTrainerConformance",
    "SinkConformance",
    "SourceConformance",
    "StateStoreConformance",
    "TrainerConformance",
    "VectorsConformance",
]


def __getattr__(name: str) -> Any:
    """The conformance class of this name, with pytest's explanations of failed assertions.

    Raises:
        TesseraError: pytest, or another package that the class needs, is not installed.
        AttributeError: no such class.
    """
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    port = re.sub(r"(?<=.)([A-Z])", r"_\1", name.removesuffix("Conformance")).lower()
    module = f"{__name__}.{port}"
    try:
        import pytest

        if module not in sys.modules:
            pytest.register_assert_rewrite(module)
        return getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        raise TesseraError(
            f"{name} cannot be used: {error.name} is not installed.",
            expected="the packages of the extra `test` in this environment",
            todo="Install the extra `test`: `.venv/bin/pip install -e '.[test]'`.",
        ) from error
