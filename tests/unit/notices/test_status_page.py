"""The page of all applications: a row for each, what is wrong with it, and numbers that plot."""

from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg

from assets.maintenance.status import Page, StatusPage, status
from pipelines.build import build_definitions
from pipelines.status import AppStatus
from pipelines.status_page import ProfileStatus, markdown
from resources.stack.loader import ROOT, load_stack

NOW = datetime(2026, 3, 2, 6, 0, tzinfo=UTC)
CHURN = AppStatus(
    app="churn",
    state="wrong",
    problems=["churn/scores: drift: PSI | of\nrecency"],
    day=date(2026, 3, 1),
    published="713 rows, fresh, version 1",
    overdue_days=0,
    freshness="on time",
    drift="warns",
    data_checks="2 of 2 passed",
    champion="1",
    champion_days=12,
    gate="2026-02-18: passed 17 of 17 checks",
    checks=[],
    open_notices=["drift"],
    next_night=datetime(2026, 3, 3, 2, 0, tzinfo=UTC),
)


def test_a_row_holds_everything_and_problems_are_listed_below() -> None:
    lines = markdown([CHURN], "local", NOW).splitlines()
    assert lines[0] == "Profile **local**, 2026-03-02 06:00 UTC"
    assert lines[4] == "| **churn** | wrong | 2026-03-01 | version 1, 12 days | 1 |"
    assert lines[8:] == [
        r"- churn/scores: drift: PSI \| of recency",
        "- published: 713 rows, fresh, version 1",
        "- freshness: on time",
        "- last gate: 2026-02-18: passed 17 of 17 checks",
        "- drift: warns",
        "- data checks: 2 of 2 passed",
        "- next night: 2026-03-03 02:00 UTC",
    ]


class Fixed(StatusPage):
    def page(self, instance: dg.DagsterInstance, now: datetime) -> Page:
        return Page("| app |", {"apps_wrong": 1, "open_notices": 2})


def test_the_asset_shows_the_page_and_its_numbers() -> None:
    result = dg.materialize([status], partition_key="2026-03-01", resources={"status_page": Fixed()})
    (shown,) = result.asset_materializations_for_node("storage__status")
    metadata: Any = shown.metadata
    assert (metadata["status"].value, metadata["apps_wrong"].value) == ("| app |", 1)


def test_a_home_in_which_nothing_ran_has_a_page(tmp_path: Path) -> None:
    stack = load_stack(ROOT / "stack.yaml", "local", str(tmp_path), {})
    with dg.DagsterInstance.ephemeral() as instance:
        page = ProfileStatus(stack, partial(build_definitions, stack)).page(instance, NOW)
    assert page.numbers == {"apps_well": 0, "apps_look": 0, "apps_wrong": 0, "apps_new": 5, "open_notices": 0}
    assert "| **churn** | new | nothing |" in page.markdown
