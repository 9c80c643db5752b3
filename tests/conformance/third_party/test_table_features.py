import pytest
from table_features import TableFeaturesConfig

from resources.conformance import FeatureStoreConformance
from resources.conformance.feature_definitions import DEFINITIONS


class TestTableFeatures(FeatureStoreConformance):
    config = TableFeaturesConfig

    @pytest.fixture
    def opened(self, tmp_path):
        return TableFeaturesConfig(file=f"{tmp_path}/features.db", definitions=DEFINITIONS).open
