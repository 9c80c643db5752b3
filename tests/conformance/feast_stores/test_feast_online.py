"""What every online store does, asked through Feast: what stays, what is replaced, what is found.

Our stores are filled by our engine, Feast's by Feast's. Each test is a behaviour of
`resources/conformance/feast_behaviours.py`; what a store is declared to lack must fail there.
"""

# Feast is only partly typed.
# pyright: basic

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pytest
from feast import FeatureView

from resources.conformance.feast_behaviours import ONLINE_STORES
from tests.conformance.feast_stores.other_process import OtherProcess
from tests.conformance.feast_stores.rows import DAY, HOUR, MICROSECOND, Row, T, features, table
from tests.conformance.feast_stores.stores import CREATED, KEY, MOMENT, US_UTC, Repo, Servers

pytestmark = [pytest.mark.xdist_group("feast_stores"), pytest.mark.slow]


@pytest.fixture(scope="module", params=ONLINE_STORES)
def repo(request: pytest.FixtureRequest, servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repo]:
    offline = "asof" if request.param.startswith("monotonic_") else "duckdb"
    opened = Repo(tmp_path_factory.mktemp("repo"), servers, offline, request.param)
    yield opened
    opened.close()


def fill(repo: Repo, view: FeatureView, *rows: Row, until: datetime = T, days: int = 1) -> Any:
    """`x` of the customers a and b, after the view's source became `rows` and its last days were materialized."""
    repo.load(view, features(*rows))
    repo.materialize(view, until - days * DAY, until)
    return repo.online(view, ["a", "b"]).values["x"]


@contextmanager
def another(repo: Repo, *, batch_rows: int = 10_000) -> Iterator[Repo]:
    """A repository of its own on the same store: what goes wrong there stays there."""
    stores = repo.servers, repo.offline, repo.online_name
    with TemporaryDirectory() as folder, Repo(Path(folder), *stores, batch_rows=batch_rows) as opened:
        yield opened


def filled(repo: Repo, *rows: Row, **options: Any) -> FeatureView:
    view = repo.view(features(*rows), **options)
    repo.materialize(view, T - DAY, T)
    return view


class TestNewestWins:
    def test_an_older_window_never_replaces(self, repo: Repo) -> None:
        rows: list[Row] = [("a", T - 9 * DAY, T, 1.0), ("b", T - 9 * DAY, T, 2.0), ("a", T, T, 3.0)]
        view = filled(repo, *rows)
        assert fill(repo, view, *rows, until=T - 9 * DAY) == [3.0, 2.0]

    def test_a_microsecond_decides(self, repo: Repo) -> None:
        view = filled(repo, ("a", T, T, 1.0), ("b", T, T, 1.0))
        assert fill(repo, view, ("a", T - MICROSECOND, T, 2.0)) == [1.0, 1.0]
        later = T + MICROSECOND
        assert fill(repo, view, ("b", later, T, 3.0), until=later) == [1.0, 3.0]

    def test_a_correction_replaces(self, repo: Repo) -> None:
        """The same moment, created later."""
        view = filled(repo, ("a", T, T, 1.0))
        assert fill(repo, view, ("a", T, T + HOUR, 2.0)) == [2.0, None]

    def test_what_was_corrected_never_comes_back(self, repo: Repo) -> None:
        """The same moment, created earlier."""
        view = filled(repo, ("a", T, T + HOUR, 2.0))
        assert fill(repo, view, ("a", T, T, 1.0)) == [2.0, None]

    def test_a_correction_without_created_replaces(self, repo: Repo) -> None:
        """A view that has no created column: the last run wins among equal moments."""
        plain = features(("a", T, T, 1.0)).drop_columns([CREATED])
        view = repo.view(plain)
        repo.materialize(view, T - DAY, T)
        repo.load(view, plain.set_column(2, "x", pa.array([2.0])))
        repo.materialize(view, T - DAY, T)
        assert repo.online(view, ["a"]).values["x"] == [2.0]

    def test_rows_without_created_are_the_oldest(self, repo: Repo) -> None:
        view = filled(repo, ("a", T, None, 1.0), ("b", T, T, 2.0))
        assert fill(repo, view, ("a", T, T, 3.0), ("b", T, None, 9.0)) == [3.0, 2.0]

    def test_pushed_rows_without_created_are_the_oldest(self, repo: Repo) -> None:
        with another(repo) as fresh:
            view = filled(fresh, ("a", T - HOUR, T, 1.0), ("b", T, T, 2.0))
            fresh.push(view, features(("a", T, None, 3.0), ("b", T, None, 9.0)))
            assert fresh.online(view, ["a", "b"]).values["x"] == [3.0, 2.0]

    def test_an_older_row_that_is_pushed_is_ignored(self, repo: Repo) -> None:
        view = filled(repo, ("a", T, T, 1.0))
        repo.push(view, features(("a", T - DAY, T, 9.0), ("b", T - DAY, T, 2.0)))
        assert repo.online(view, ["a", "b"]).values["x"] == [1.0, 2.0]
        repo.push(view, features(("a", T + HOUR, T, 3.0)))
        assert repo.online(view, ["a"]).values["x"] == [3.0]

    def test_the_order_of_pushed_rows_does_not_matter(self, repo: Repo) -> None:
        view = repo.view(features(("a", T, T, 0.0)))
        repo.push(view, features(("a", T, T, 2.0), ("a", T - HOUR, T, 1.0), ("b", T - HOUR, T, 1.0), ("b", T, T, 2.0)))
        assert repo.online(view, ["a", "b"]).values["x"] == [2.0, 2.0]

    def test_the_same_run_again_changes_nothing(self, repo: Repo) -> None:
        rows: list[Row] = [("a", T - HOUR, T, 1.0), ("a", T, T, None), ("b", T, T, 2.0)]
        view = filled(repo, *rows)
        first = repo.online(view, ["a", "b", "c"])
        assert fill(repo, view, *rows) == [None, 2.0]
        assert repo.online(view, ["a", "b", "c"]) == first

    def test_of_two_processes_at_once_the_newest_wins(self, repo: Repo, other_process: OtherProcess) -> None:
        """So often that a store which reads, compares and then writes is caught: every other turn, on two cores."""
        view = repo.view(features(("a", T, T, 0.0)))
        for turn in range(20):
            names = [f"{turn}_{number}" for number in range(400)]
            new = features(*((name, T, T, 2.0) for name in names))
            old = features(*((name, T - DAY, T, 1.0) for name in names))
            mine, theirs = (new, old) if turn % 2 else (old, new)
            other_process.ask("push", repo, view.name, theirs)
            repo.push(view, mine)
            other_process.answer()
            assert set(repo.online(view, names).values["x"]) == {2.0}

    def test_what_feasts_own_store_held_is_not_replaced_by_older_rows(self, repo: Repo) -> None:
        rows: list[Row] = [("a", T - 9 * DAY, T, 1.0), ("a", T, T, 3.0)]
        with repo.stock() as stock:
            view = stock.view(features(*rows), name=f"{repo.online_name}_before")
            stock.materialize(view, T - DAY, T)
        repo.apply([view])
        assert repo.online(view, ["a", "b"]).values["x"] == [3.0, None]
        assert fill(repo, view, *rows, until=T - 9 * DAY) == [3.0, None]
        assert fill(repo, view, ("a", T + DAY, T, 4.0), until=T + DAY) == [4.0, None]

    def test_what_feasts_own_client_writes_beside_is_not_replaced_by_older_rows(self, repo: Repo) -> None:
        view = filled(repo, ("a", T - 9 * DAY, T, 1.0))
        with repo.stock() as stock:
            stock.push(view, features(("a", T, T, 3.0)))
        assert fill(repo, view, ("a", T - DAY, T, 2.0)) == [3.0, None]
        assert fill(repo, view, ("a", T + DAY, T, 4.0), until=T + DAY) == [4.0, None]


class TestWhatIsFound:
    def test_unknown_entities_are_not_found(self, repo: Repo) -> None:
        found = repo.online(filled(repo, ("a", T, T, 1.0), ("b", T, T, None)), ["nobody", "a", "b", "a"])
        assert found.values["x"] == [None, 1.0, None, 1.0]
        assert found.statuses["x"][0] == "NOT_FOUND"
        assert found.statuses["x"][1] == found.statuses["x"][3] == "PRESENT"

    def test_a_null_replaces_a_value(self, repo: Repo) -> None:
        types = {KEY: pa.string(), MOMENT: US_UTC, CREATED: US_UTC, "x": pa.float64(), "y": pa.float64()}
        view = repo.view(table(types, [("a", T - HOUR, T, 1.0, 1.0), ("a", T, T, None, 2.0)]))
        repo.materialize(view, T - DAY, T - HOUR)
        repo.materialize(view, T - DAY, T)
        assert repo.online(view, ["a"]).values == {"x": [None], "y": [2.0]}

    def test_a_row_of_nulls_replaces_values(self, repo: Repo) -> None:
        view = filled(repo, ("a", T - HOUR, T, 1.0))
        assert fill(repo, view, ("a", T, T, None)) == [None, None]

    def test_a_pushed_row_of_nulls_replaces_values(self, repo: Repo) -> None:
        view = filled(repo, ("a", T - HOUR, T, 1.0))
        repo.push(view, features(("a", T, T, None)))
        assert repo.online(view, ["a"]).values["x"] == [None]

    def test_rows_without_key_are_left_out(self, repo: Repo) -> None:
        with another(repo) as fresh:
            view = filled(fresh, (None, T, T, 9.0), ("a", T, T, 1.0))
            assert fresh.online(view, ["a", "b"]).values["x"] == [1.0, None]

    def test_a_write_that_failed_leaves_the_store_as_it_was(self, repo: Repo) -> None:
        """A batch whose last row has no key, which nothing can be stored under."""
        with another(repo) as fresh:
            view, other = filled(fresh, ("a", T, T, 1.0)), fresh.view(features(("a", T, T, 0.0)))
            with pytest.raises(Exception, match=f"(?i){KEY}|not supported"):
                fresh.push(other, features(("b", T, T, 2.0), (None, T, T, 9.0)))
            assert fresh.online(view, ["a", "b"]).values["x"] == [1.0, None]
            assert fresh.online(other, ["a", "b"]).values["x"] == [None, None]

    def test_values_beyond_their_ttl_are_not_served(self, repo: Repo) -> None:
        found = repo.online(filled(repo, ("a", T, T, 1.0), ttl=DAY), ["a"])
        assert (found.values["x"], found.statuses["x"]) == ([None], ["OUTSIDE_MAX_AGE"])

    def test_event_times_are_read_to_the_microsecond(self, repo: Repo) -> None:
        found = repo.online(filled(repo, ("a", T, T, 1.0)), ["a"])
        assert found.moments["x"] == [T.replace(tzinfo=None)]

    def test_keys_of_several_columns_and_types(self, repo: Repo) -> None:
        types = {"shop": pa.int64(), KEY: pa.string(), MOMENT: US_UTC, "x": pa.float64()}
        rows = table(types, [(-1, "ä b", T, 1.0), (2**40, "a", T, 2.0), (2**40, "", T, 3.0)])
        view = repo.view(rows, keys=("shop", KEY))
        repo.materialize(view, T - DAY, T)
        asked = {KEY: ["a", "ä b", "", "a"], "shop": [2**40, -1, 2**40, -1]}
        assert repo.online(view, asked).values["x"] == [2.0, 1.0, 3.0, None]

    def test_views_of_one_entity_do_not_mix(self, repo: Repo) -> None:
        one, other = filled(repo, ("a", T, T, 1.0)), filled(repo, ("a", T - HOUR, T, 2.0), ("b", T, T, 3.0))
        assert repo.online(one, ["a", "b"]).values["x"] == [1.0, None]
        assert repo.online(other, ["a", "b"]).values["x"] == [2.0, 3.0]

    def test_a_view_that_is_registered_anew_is_empty(self, repo: Repo) -> None:
        view = filled(repo, ("a", T, T, 1.0))
        repo.delete(view)
        again = repo.view(features(("a", T - 5 * DAY, T, 2.0)), name=view.name)
        assert repo.online(again, ["a"]).values["x"] == [None]
        repo.materialize(again, T - 6 * DAY, T - 5 * DAY)
        assert repo.online(again, ["a"]).values["x"] == [2.0]


SCALARS = {
    KEY: pa.string(), MOMENT: US_UTC, CREATED: US_UTC,
    "i32": pa.int32(), "i64": pa.int64(), "f32": pa.float32(), "f64": pa.float64(),
    "flag": pa.bool_(), "text": pa.string(), "raw": pa.binary(), "seen": US_UTC,
}  # fmt: skip
NAMES = ["a", "b", "c", "nobody"]


def scalars() -> pa.Table:
    return table(
        SCALARS,
        [
            ("a", T, T, -(2**31), 2**52, 0.1, 0.1, True, "naïve ☃", b"\x00\xff", T),
            ("b", T, T, 0, -1, float("inf"), -0.0, False, " ", b" ", T - timedelta(days=30_000)),
            ("c", T, T, *[None] * 8),
        ],
    )


@pytest.fixture(scope="module")
def feasts(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[bytes]]:
    """What Feast's own engine and SQLite store serve of `scalars`."""
    with Repo(tmp_path_factory.mktemp("feasts"), servers, "duckdb", "sqlite") as own:
        view = own.view(scalars())
        own.materialize(view, T - DAY, T)
        return own.online_bytes(view, NAMES)


class TestValues:
    def test_values_are_those_of_feasts_own_engine(self, repo: Repo, feasts: dict[str, list[bytes]]) -> None:
        view = repo.view(scalars())
        repo.materialize(view, T - DAY, T)
        assert repo.online_bytes(view, NAMES) == feasts
        assert repo.online(view, ["a"]).values["f64"] == [0.1]

    def test_feasts_own_client_reads_the_same(self, repo: Repo) -> None:
        view = repo.view(scalars())
        repo.materialize(view, T - DAY, T)
        with repo.stock() as stock:
            assert stock.online_bytes(view, NAMES) == repo.online_bytes(view, NAMES)
            assert stock.online(view, ["a"]).values["text"] == ["naïve ☃"]
            assert stock.online(view, ["a"]).moments["text"] == repo.online(view, ["a"]).moments["text"]

    def test_large_integers_beside_nulls_stay_exact(self, repo: Repo) -> None:
        types = {KEY: pa.string(), MOMENT: US_UTC, "i64": pa.int64()}
        view = repo.view(table(types, [("a", T, 2**53 + 1), ("b", T, None)]))
        repo.materialize(view, T - DAY, T)
        assert repo.online(view, ["a", "b"]).values["i64"] == [2**53 + 1, None]

    def test_empty_strings_and_bytes_are_not_null(self, repo: Repo) -> None:
        types = {KEY: pa.string(), MOMENT: US_UTC, "text": pa.string(), "raw": pa.binary()}
        view = repo.view(table(types, [("a", T, "", b"")]))
        repo.materialize(view, T - DAY, T)
        assert repo.online(view, ["a"]).values == {"text": [""], "raw": [b""]}

    def test_more_rows_than_a_batch_all_arrive(self, repo: Repo) -> None:
        count, names = 5_000, [f"c{number}" for number in range(5_000)]
        rows = pa.table(
            {
                KEY: names,
                MOMENT: pa.array([T] * count, US_UTC),
                CREATED: pa.array([T] * count, US_UTC),
                "x": pa.array(range(count), pa.float64()),
            }
        )
        with another(repo, batch_rows=2_000) as fresh:
            view = fresh.view(rows)
            fresh.load(view, rows, row_group_size=600)
            fresh.materialize(view, T - DAY, T)
            sample = sorted({*range(0, count, 97), *(edge + step for edge in (1999, 3999, 4998) for step in (0, 1))})
            assert fresh.online(view, [names[number] for number in sample]).values["x"] == [float(n) for n in sample]


class TestForgetting:
    def test_a_forgotten_entity_is_gone(self, repo: Repo) -> None:
        one, other = filled(repo, ("a", T, T, 1.0), ("b", T, T, 2.0)), filled(repo, ("a", T, T, 3.0))
        assert repo.forget([one, other], ["a", "nobody"]) == 2
        assert repo.online(one, ["a", "b"]).values["x"] == [None, 2.0]
        assert repo.online(one, ["a"]).statuses["x"] == repo.online(other, ["a"]).statuses["x"] == ["NOT_FOUND"]

    def test_a_forgotten_entity_never_comes_back(self, repo: Repo) -> None:
        view = filled(repo, ("a", T, T, 1.0), ("b", T, T, 2.0))
        repo.forget([view], ["a"])
        assert fill(repo, view, ("a", T + DAY, T, 3.0), ("b", T + DAY, T, 4.0), until=T + DAY) == [None, 4.0]
        repo.push(view, features(("a", T + 2 * DAY, T, 5.0), ("b", T + 2 * DAY, T, 6.0)))
        assert repo.online(view, ["a", "b"]).values["x"] == [None, 6.0]
