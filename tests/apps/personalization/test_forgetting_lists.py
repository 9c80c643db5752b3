"""A customer who has a list is forgotten: list, visits, exposures and training rows go; `trace` and `scores` agree."""

import json
from dataclasses import replace
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from forgetting_home import opened

from assets.maintenance.erasure import Parts, forget
from assets.maintenance.erasure_search import survey
from assets.personalization.app import PERSONALIZATION
from assets.personalization.request import open_lists
from assets.stages.experiments.logged_events import store_events
from assets.stages.ingestion.run import ingest
from models.errors import TesseraError
from models.experiments.exposure_events import exposure_event
from models.experiments.slots import ShownList
from models.ingestion import IngestionConfig
from pipelines.cli import publications, trace
from resources.stack.loader import Calendar
from tests.apps.personalization.lists_world import DAY, DAYS, FIRST, SETTINGS, SHOP, ListsHome, home_after_a_night

# pyright: basic, reportAttributeAccessIssue=false
# pyarrow makes the functions of `pyarrow.compute` when it is imported.

#: One worker makes the home once.
pytestmark = pytest.mark.xdist_group("lists home")
APP, D = PERSONALIZATION.name, DAY.isoformat()


class Opened:
    """A stack of the home's stores."""

    calendar = Calendar(first_day=FIRST)

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def open(self, port: str) -> Any:
        return getattr(self._parts, port)


@pytest.fixture
def home(tmp_path: Path) -> ListsHome:
    return home_after_a_night(tmp_path)


def as_json(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def half_anonymous(home: ListsHome, customer: str) -> tuple[str, Any]:
    """Make the first event of one of the customer's visits one of before the login; return visit and day."""
    wanted = pc.field("customer_id") == customer
    theirs = home.lake.scan("sessions").to_table(filter=wanted).sort_by("at").to_pylist()
    visits = [row["session_id"] for row in theirs]
    first = next(row for row in reversed(theirs) if visits.count(row["session_id"]) > 1)
    day = first["delivered_on"]
    rows = home.lake.scan("sessions", first=day, last=day).to_table()
    named = pc.if_else(pc.equal(rows["event_id"], first["event_id"]), pa.scalar(None, pa.string()), rows["customer_id"])
    changed = rows.set_column(rows.schema.get_field_index("customer_id"), rows.schema.field("customer_id"), named)
    home.lake.replace("sessions", changed, by="delivered_on", first=day, last=day)
    return first["session_id"], day


def show(parts: Parts, customer: str, session: str) -> None:
    """Log a list that they saw before they logged in, and one that they saw after it."""
    at = datetime.combine(DAY, time(12), UTC)
    for number, who in enumerate((None, customer)):
        shown = ShownList(products=("p00001", "p00002"), propensities=(1.0, 1.0))
        about = {"list_id": f"l{number}", "experiment": "none", "variant": "none", "source": "/shop"}
        parts.events.publish([exposure_event(shown, customer_id=who, session_id=session, at=at, **about)])
    store_events(parts.events, parts.lake, DAY)


def test_everything_of_a_customer_with_a_list_goes_and_stays_away(
    home: ListsHome, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (home.folder / "online.json").write_text("{}")
    parts = replace(opened(home.folder), source=SHOP.open())
    for module in (trace, publications):
        monkeypatch.setattr(module, "active_stack", lambda: Opened(parts))
    before = home.published()
    carts = home.lake.scan("sessions", first=DAY).to_table(filter=pc.field("kind") == "cart")["customer_id"]
    customer = next(id for id in before if id in set(carts.to_pylist()))
    session, day = half_anonymous(home, customer)
    show(parts, customer, session)
    found = (trace.trace(APP, customer, D, as_json=True), as_json(capsys))[1]
    assert found["scores"][0]["product_ids"] == before[customer]["product_ids"]
    assert found["model"]["version"] == "1"
    assert found["features"]["unchanged"] is True

    proof, _ = forget(parts, home.folder, "customer", customer, why="asked for it", who="ana")
    places = {name: place.rows for name, place in proof.places.items() if place.rows}
    expected = {"sessions", "orders", "logged_exposures", PERSONALIZATION.features, PERSONALIZATION.training_set}
    assert {f"lake: {table}" for table in expected} | {f"scores: {APP}"} <= places.keys()
    assert places["lake: logged_exposures"] == 4, "also what they were shown before they logged in"
    assert [(one.app, one.version) for one in proof.learnt] == [(APP, "1")]
    assert survey(parts.lake, parts.source, "customer", customer) == {}
    assert not [line for line in proof.remains if "characters" in line], "no file of the home holds the id"
    ingest("sessions", parts.source, parts.lake, DAY, IngestionConfig(history_days=DAYS), "again")
    stones = [file.name for file in (home.folder / "lake").rglob("session/*.json")]
    assert [name.partition("-")[0] for name in stones] == ["many"], "one file for all of their visits"
    for table in ("sessions", "logged_exposures"):
        assert not parts.lake.scan(table).count_rows(filter=pc.field("session_id") == session), (table, day)

    assert home.published() == {id: row for id, row in before.items() if id != customer}
    with pytest.raises(TesseraError, match=f"customer_id '{customer}' is not among"):
        trace.trace(APP, customer, D)
    publications.scores(APP, D, None, as_json=True)
    assert customer not in capsys.readouterr().out
    again = open_lists(home.ports(), SETTINGS).of(customer)
    assert "erased" in again.notes[0]
    assert len(again.row["product_ids"]) == len(before[customer]["product_ids"])
