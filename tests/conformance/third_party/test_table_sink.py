import pytest
from table_sink import TableSinkConfig

from resources.conformance import SinkConformance


class TestTableSink(SinkConformance):
    config = TableSinkConfig

    @pytest.fixture
    def opened(self, tmp_path):
        return TableSinkConfig(file=f"{tmp_path}/scores.db").open
