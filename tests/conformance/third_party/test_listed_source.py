import pytest
from listed_source import ListedSource, ListedSourceConfig

from resources.conformance import SourceConformance
from resources.conformance.source import orders


class TestListedSource(SourceConformance):
    config = ListedSourceConfig

    @pytest.fixture
    def opener(self):
        named = {"order_line_id": "line", "quantity": "pieces", "delivered_on": "day"}

        def opened(last):
            rows = orders(last).drop_columns(["_original"])
            return ListedSource(rows.rename_columns([named.get(name, name) for name in rows.column_names]).to_pylist())

        return opened
