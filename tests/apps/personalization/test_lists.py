"""Nights of personalization and requests: the same lists, changed by a visit, flagged where a part is missing."""

import json
import shutil
from collections import Counter
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from assets.personalization.app import PERSONALIZATION
from assets.personalization.item_index import COLLECTION
from assets.personalization.known import known_at, wanted_between
from assets.personalization.request import OpenLists, open_lists, session_events
from models.contracts import STOCK
from models.contracts.checking import check_rows
from models.errors import TesseraError
from models.features.personalization import personalization_features
from models.features.personalization_definitions import FEATURES
from models.personalization.tables import known_tables
from models.recommend.config import GeneratorsConfig
from models.recommend.history import RECENT_DAYS
from models.training.manifest import MANIFEST, seal
from resources.engine.local import LocalEngine
from resources.notifier.log import LogNotifier
from resources.vectors.qdrant_edge import QdrantEdgeConfig
from tests.apps.personalization.lists_world import DAY, SETTINGS, SHOP, ListsHome, home_after_a_night

#: One worker makes the home once.
pytestmark = pytest.mark.xdist_group("lists home")


@pytest.fixture
def home(tmp_path: Path) -> ListsHome:
    return home_after_a_night(tmp_path)


@pytest.fixture
def lists(home: ListsHome) -> OpenLists:
    return open_lists(home.ports(), SETTINGS)


def newest_stock(home: ListsHome) -> dict[str, dict[str, Any]]:
    return {row["product_id"]: row for row in home.lake.scan("stock", first=DAY, last=DAY).to_table().to_pylist()}


def test_a_night_publishes_twenty_products_for_each_customer_that_break_no_rule(home: ListsHome) -> None:
    published, stock = home.published(), newest_stock(home)
    profiles = home.lake.scan(PERSONALIZATION.features, first=DAY, last=DAY).to_table()
    assert list(published) == profiles["customer_id"].to_pylist()
    orders = home.lake.scan("orders", last=DAY).to_table().to_pylist()
    days = {(row["customer_id"], row["product_id"], row["ordered_at"].date()) for row in orders if not row["is_return"]}
    bought = {(customer, product) for customer, product, _ in days}
    twice = Counter(product for (_, product), n in Counter(day[:2] for day in days).items() if n > 1)
    buyers = Counter(product for _, product in bought)
    again = {product for product, n in twice.items() if n / (buyers[product] + 10) >= 0.2}
    for customer, row in published.items():
        ids = row["product_ids"]
        assert len(set(ids)) == len(ids) == row["length"] == 20
        assert len(row["scores"]) == len(row["sources"]) == len(row["reasons"]) == 20
        assert all(stock[id]["on_hand"] > 0 for id in ids)
        assert not any(stock[id]["is_durable"] and (customer, id) in bought and id not in again for id in ids)
        assert row["list_by"] == "personal"
    publication = home.sink.published(PERSONALIZATION.name, DAY)
    assert publication is not None
    assert publication.counts["out_of_stock"] > 0 < publication.counts["owned_durable"]
    assert publication.counts["lists"] == len(published)


def test_a_product_whose_launch_is_unknown_is_new_by_its_first_order(home: ListsHome) -> None:
    known = known_at(home.lake, DAY, SETTINGS.personalization)
    unknown = replace(known, offers=replace(known.offers, launched=np.full(known.offers.ids.size, np.nan)))
    tables = known_tables(unknown, GeneratorsConfig(factor_size=2, factor_rounds=1), seed=0)
    recent = unknown.history.of_products.first <= RECENT_DAYS
    assert recent.any()
    assert (np.isfinite(tables.new) == recent).all()


def test_a_second_run_publishes_the_same_rows(home: ListsHome) -> None:
    before = home.sink.published(PERSONALIZATION.name, DAY)
    assert home.night().success
    after = home.sink.published(PERSONALIZATION.name, DAY)
    assert before is not None
    assert after is not None
    assert (after.digest, after.run_id) == (before.digest, before.run_id)


def test_a_request_gives_the_list_of_the_night_where_nothing_changed(home: ListsHome, lists: OpenLists) -> None:
    published = home.published()
    for customer in [*published][::40]:
        found, row = lists.of(customer), published[customer]
        assert not found.is_fallback
        assert not found.notes
        assert found.row["product_ids"] == row["product_ids"]
        assert found.row["reasons"] == row["reasons"]
        assert found.row["scores"] == pytest.approx(row["scores"], abs=1e-4)


def test_an_earlier_night_has_an_index_of_its_own_and_the_served_one_stays(home: ListsHome) -> None:
    """A backfilled night neither reads what came later nor puts the index of requests back."""
    vectors, before = home.ports().vectors, home.published()
    served, earlier = vectors.current(COLLECTION), DAY - timedelta(days=1)
    assert home.night(day=earlier).success
    assert vectors.current(COLLECTION) == served
    assert vectors.version_of(COLLECTION, earlier).spec.day == earlier
    assert home.published(earlier) != before
    customer = next(iter(before))
    assert open_lists(home.ports(), SETTINGS).of(customer).row["product_ids"] == before[customer]["product_ids"]


def test_a_visit_changes_the_list_and_what_is_in_the_cart_is_not_recommended(lists: OpenLists, home: ListsHome) -> None:
    customer = next(iter(home.published()))
    plain = lists.of(customer).row["product_ids"]
    stock = newest_stock(home)
    other = next(id for id, row in stock.items() if id not in plain and row["on_hand"] and not row["is_durable"])
    changed = lists.of(customer, [{"product_id": other, "kind": "view"}, {"product_id": plain[0], "kind": "cart"}])
    assert changed.row["product_ids"] != plain
    assert plain[0] not in changed.row["product_ids"]


def test_strangers_unknown_products_and_the_erased_are_answered_and_told(home: ListsHome, lists: OpenLists) -> None:
    guest = lists.of("")
    assert len(guest.row["product_ids"]) == 20
    assert not guest.notes
    unknown = lists.of("nobody", [{"product_id": "no-such", "kind": "view"}])
    assert unknown.row["product_ids"] == guest.row["product_ids"]
    assert [note.split(" ")[0] for note in unknown.notes] == ["nothing", "1"]
    customer = next(iter(home.published()))
    home.lake.leave_tombstone("customer", customer, day=DAY, why="asked")
    erased = lists.of(customer)
    assert erased.row["customer_id"] == ""
    assert "erased" in erased.notes[0]
    assert erased.row["product_ids"] == guest.row["product_ids"]


def test_a_part_that_is_down_or_late_is_told_and_the_popular_list_stands_in(home: ListsHome) -> None:
    customer, ports = next(iter(home.published())), home.ports()
    late = SETTINGS.personalization.steps.model_copy(update={"deadline_ms": 1e-6})
    settings = SETTINGS.model_copy(
        update={"personalization": SETTINGS.personalization.model_copy(update={"steps": late})}
    )
    found = open_lists(ports, settings).of(customer)
    assert found.is_fallback
    assert len(found.row["product_ids"]) == 20
    assert found.notes
    down = open_lists(home.ports(vectors=QdrantEdgeConfig(path=str(home.folder / "none")).open()), SETTINGS).of(
        customer
    )
    assert down.is_fallback
    assert down.row["product_ids"] == found.row["product_ids"]
    assert any("candidates" in note for note in down.notes)


def test_a_champion_of_another_release_makes_no_list_and_the_one_before_says_so(
    home: ListsHome, lists: OpenLists
) -> None:
    registry, name = home.registry, PERSONALIZATION.name
    folder = home.folder / "other-release"
    shutil.copytree(registry.fetch(name, "1"), folder)
    described = json.loads((folder / MANIFEST).read_text())
    described["golden"][0]["answer"]["list_by"] = "another way"
    (folder / MANIFEST).unlink()
    seal(folder, {key: value for key, value in described.items() if key not in {"files", "sha256"}})
    registry.register(name, folder, parameters={}, metrics={}, tags={"gate": "passed"}, report="")
    registry.set_champion(name, "2", action="promote", why="w", who="w", run_id="", metrics={})
    now = open_lists(home.ports(notifier=LogNotifier(home.folder / "told.jsonl")), SETTINGS)
    customer = next(iter(home.published()))
    was, found = lists.of(customer), now.of(customer)
    assert (found.row, found.version) == (was.row, "1")
    assert list(found.notes) == ["version 2, the champion, cannot be used: version 1, one before it, answers"]
    assert not was.notes
    (told,) = (home.folder / "told.jsonl").read_text().splitlines()
    assert "answered by version 1" in told
    assert "personalization answers its golden record 0" in told


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"product_id": "p1", "kind": "bought"}', "has the kind 'bought'"),
        ('{"kind": "view"}', "Event 1 of the session"),
        ("[1]", "Event 1 of the session"),
        ("{", "cannot be read"),
    ],
)
def test_a_session_that_is_none_is_refused(tmp_path: Path, lists: OpenLists, text: str, says: str) -> None:
    (tmp_path / "s.json").write_text(text)
    with pytest.raises(TesseraError, match=says):
        lists.of("", session_events(tmp_path / "s.json"))


def test_nothing_that_came_later_is_known(home: ListsHome) -> None:
    cutoff = DAY - timedelta(days=30)
    known = known_at(home.lake, cutoff, SETTINGS.personalization)
    assert max(known.looked.day) < known.now
    rows = home.lake.scan("orders", last=cutoff).to_table().to_pylist()
    bought = {
        (row["customer_id"], row["product_id"], row["ordered_at"].date())
        for row in rows
        if not row["is_return"] and row["ordered_at"].date() <= cutoff
    }
    assert known.bought.size == len(bought)
    wanted = wanted_between(home.lake, cutoff, DAY)
    assert wanted.num_rows == len(set(zip(*(column.to_pylist() for column in wanted.columns), strict=True)))


def test_profiles_are_what_plain_python_counts(home: ListsHome) -> None:
    engine, cutoffs = LocalEngine(1, 500, home.folder), pa.table({"feature_date": pa.array([DAY], pa.date32())})
    tables = {"orders": home.lake.scan("orders"), "cutoffs": cutoffs}
    found = engine.query(personalization_features, tables, population_days=180).read_all().to_pylist()
    lines: dict[str, list[tuple[int, str]]] = {}
    for row in home.lake.scan("orders").to_table().to_pylist():
        placed: date = row["ordered_at"].date()
        if not row["is_return"] and max(placed, row["delivered_on"]) <= DAY:
            lines.setdefault(row["customer_id"], []).append(((DAY - placed).days, row["product_id"]))
    assert [row["customer_id"] for row in found] == sorted(lines)
    for row in found:
        ages = [age for age, _ in lines[row["customer_id"]]]
        expected = {f"lines_{n}": sum(age < n for age in ages) for n in (28, 91, 365)}
        expected |= {f"orders_days_{n}": len({age for age in ages if age < n}) for n in (28, 91, 365)}
        expected |= {"recency_days": min(ages), "tenure_days": max(ages)}
        expected["products"] = len({product for _, product in lines[row["customer_id"]]})
        assert {name: row[name] for name in expected} == expected
        assert set(FEATURES) < row.keys()


def test_negative_stock_goes_to_quarantine() -> None:
    raw = SHOP.open().read("stock", DAY, DAY).read_all()
    wrong = raw.set_column(2, "on_hand", pa.array([-1, *raw["on_hand"].to_pylist()[1:]], pa.int32()))
    found = check_rows(STOCK, wrong)
    assert found.reasons == Counter({"on_hand is below 0": 1}) or len(found.quarantined) == 1


def test_the_gate_compares_with_every_baseline_and_says_which_ranker_serves(home: ListsHome) -> None:
    (version,) = home.registry.versions(PERSONALIZATION.name)
    assert {"ndcg_at_20", "recall_at_20", "repeat_ndcg", "explore_ndcg", "coverage", "novelty_bits"} < set(
        version.metrics
    )
    (entry,) = home.registry.ledger(PERSONALIZATION.name)
    for words in ("over popularity", "over ease", "are in any list", "bits of novelty", "rules take", "segments"):
        assert words in entry.why
