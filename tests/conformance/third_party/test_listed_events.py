import pytest
from listed_events import ListedEventsConfig

from resources.conformance import EventsConformance


class TestListedEvents(EventsConformance):
    config = ListedEventsConfig

    @pytest.fixture
    def opened(self, tmp_path):
        return lambda **settings: ListedEventsConfig(name=str(tmp_path), **settings).open()
