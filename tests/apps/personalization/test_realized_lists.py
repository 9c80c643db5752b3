"""Realized performance: published lists by what their customers ordered or put into the cart since."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import date, timedelta
from math import log2
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from assets.personalization.app import PERSONALIZATION
from assets.personalization.performance import PerformanceRun
from assets.stages.cutoff_quality import quality_table
from resources.conformance.score_sets import audit_and_publish, digest, reader
from resources.registry.port import VersionInfo
from tests.apps.personalization.lists_world import DAY, SETTINGS, ListsHome, home_after_a_night

#: One worker makes the home once.
pytestmark = pytest.mark.xdist_group("lists home")
LISTED = DAY - timedelta(days=SETTINGS.personalization.horizon_days)
APP = PERSONALIZATION.name


class OneVersion:
    """A registry with version 1, which promises an NDCG, and was made at the end of a day."""

    def __init__(self, promised: float, as_of: date = LISTED) -> None:
        self._metrics = {"ndcg_at_20": promised, "ndcg_at_20_error": 0.01}
        self._tags = {"as_of": as_of.isoformat()}

    def versions(self, app: str) -> list[VersionInfo]:
        return [VersionInfo("1", "", True, self._metrics, self._tags)]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> ListsHome:
    """The lists of the last day, published for the day whose horizon ends with it."""
    home = home_after_a_night(tmp_path_factory.mktemp("lists"))
    made = home.sink.published(APP, DAY)
    assert made is not None
    rows = pa.Table.from_batches(home.sink.published_rows(made), PERSONALIZATION.contract.schema)
    home.sink.write_attempt(APP, LISTED, "a1", reader(rows))
    audit_and_publish(home.sink, made.model_copy(update={"day": LISTED, "attempt": "a1", "digest": digest(rows)}))
    return home


def run(home: ListsHome, registry: Any) -> PerformanceRun:
    return PerformanceRun(home.lake, registry, home.sink, SETTINGS.personalization)


def wanted_since(home: ListsHome) -> Mapping[str, set[str]]:
    """What customers known on the day wanted after it, of the products known on it, counted row by row."""
    orders = [row for row in home.lake.scan("orders").to_table().to_pylist() if not row["is_return"]]
    visits = [row for row in home.lake.scan("sessions").to_table().to_pylist() if row["customer_id"]]
    stock = home.lake.scan("stock", last=LISTED).to_table().to_pylist()
    products = {row["product_id"] for row in stock} | {
        row["product_id"] for row in home.lake.scan("products", last=LISTED).to_table().to_pylist()
    }
    carts = [row for row in visits if row["kind"] == "cart"]
    moments = [(row, row["ordered_at"].date()) for row in orders] + [(row, row["at"].date()) for row in carts]
    before = {row["customer_id"] for row, day in moments if max(day, row["delivered_on"]) <= LISTED}
    found: dict[str, set[str]] = defaultdict(set)
    for row, day in moments:
        if LISTED < day <= DAY and row["customer_id"] in before and row["product_id"] in products:
            found[row["customer_id"]].add(row["product_id"])
    return found


def test_lists_are_measured_by_what_was_wanted_since_and_kept(home: ListsHome, tmp_path: Path) -> None:
    found = run(home, OneVersion(0.0)).measure(DAY)
    lists = {id: row["product_ids"] for id, row in home.published(LISTED).items()}
    wanted = {id: products for id, products in wanted_since(home).items() if id in lists}
    gains = {id: sum(1 / log2(n + 2) for n, one in enumerate(lists[id]) if one in w) for id, w in wanted.items()}
    best = {id: sum(1 / log2(n + 2) for n in range(min(len(w), 20))) for id, w in wanted.items()}
    ndcg, recall = found.measured
    assert ndcg.rows == len(wanted) > 20
    assert ndcg.value == pytest.approx(sum(gains[id] / best[id] for id in wanted) / len(wanted))
    hits = {id: len(w & set(lists[id])) / len(w) for id, w in wanted.items()}
    assert recall.value == pytest.approx(sum(hits.values()) / len(wanted))
    assert 0 < found.numbers["popularity_ndcg"] < 1
    performance, arrived = found.checks()
    assert (performance.passed, arrived.passed, found.day) == (True, True, LISTED)
    stored = home.lake.scan(quality_table(APP)).to_table().to_pylist()
    assert [(row["metric"], row["rows"]) for row in stored] == [(one.metric, one.rows) for one in (ndcg, recall)]
    assert stored[0]["scored_on"] == LISTED


def test_a_broken_promise_warns_and_a_version_of_later_days_is_told(home: ListsHome) -> None:
    performance, _ = run(home, OneVersion(0.95)).measure(DAY).checks()
    assert not performance.passed
    assert "the gate accepted 0.950" in str(performance.description)
    later = run(home, OneVersion(0.0, as_of=DAY)).measure(DAY)
    assert "made of later days" in later.metadata()["note"]


def test_a_day_without_lists_says_so_and_the_night_promises_what_it_measures(home: ListsHome) -> None:
    none = run(home, home.registry).measure(DAY - timedelta(days=1))
    assert not none.measured
    assert none.unmeasured.startswith("nothing was published")
    (version,) = home.registry.versions(APP)
    assert {"ndcg_at_20_error", "recall_at_20_error"} < set(version.metrics)
