"""The request of support gives what the night published and `tessera ask` shows."""

from pathlib import Path
from typing import Any

import pytest

from assets.stages.operation import Asker
from assets.support.operations import OPERATIONS, TicketNow
from tests.apps.support.support_world import SETTINGS, TODAY, home_after_a_night

#: One worker makes the home once.
pytestmark = pytest.mark.xdist_group("support home")


def test_a_ticket_is_answered_as_at_night(tmp_path: Path) -> None:
    home = home_after_a_night(tmp_path)
    published = home.published()
    answer: Any = OPERATIONS[0].opened(home.ports(), SETTINGS)
    for ticket in TODAY:
        asked = TicketNow(
            text=ticket["text"], customer_id=ticket["customer_id"], order_id=ticket["order_id"], at=ticket["opened_at"]
        )
        found = answer(asked, Asker("ada")).model_dump()
        row = published[ticket["ticket_id"]]
        same = [name for name in row if name in found and name != "model_version"]
        assert len(same) == 11
        assert {name: found[name] for name in same} == {name: row[name] for name in same}
        assert [one["id"] for one in found["articles"]] == row["article_ids"]
        assert found["model_version"] == row["model_version"]
