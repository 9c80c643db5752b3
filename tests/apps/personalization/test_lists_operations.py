"""The request of personalization gives the list of the night, and logs the exposure of a list that is shown."""

from pathlib import Path
from typing import Any

import pytest

from assets.personalization.operations import OPERATIONS, ListAsked, VisitEvent
from assets.personalization.request import open_lists
from assets.stages.operation import Asker
from resources.events.sqlite_events import SqliteEventsConfig
from tests.apps.personalization.lists_world import SETTINGS, home_after_a_night

#: One worker makes the home once.
pytestmark = pytest.mark.xdist_group("lists home")
ASKER = Asker("ada")


def test_a_customer_gets_the_list_of_the_night_and_a_visit_changes_it(tmp_path: Path) -> None:
    home = home_after_a_night(tmp_path)
    queue = SqliteEventsConfig(path=str(tmp_path / "events.db")).open()
    answer: Any = OPERATIONS[0].opened(home.ports(events=queue), SETTINGS)
    published = home.published()
    customer, row = next(iter(published.items()))
    for customer, row in list(published.items())[:3]:
        found = answer(ListAsked(customer_id=customer), ASKER)
        assert [one.product_id for one in found.products] == row["product_ids"]
        assert [one.reason for one in found.products] == row["reasons"]
        assert (found.list_by, found.model_version) == ("personal", row["model_version"])
    assert queue.newest_offset() == 0
    visit = (VisitEvent(product_id=row["product_ids"][7], kind="cart"),)
    asked = ListAsked(customer_id=customer, events=visit, list_id="l-1")
    shown = [one.product_id for one in answer(asked, ASKER).products]
    plain = open_lists(home.ports(), SETTINGS).of(customer, [{"product_id": row["product_ids"][7], "kind": "cart"}])
    assert shown == plain.row["product_ids"] != row["product_ids"]
    assert queue.newest_offset() == 1
