"""The tests of what some feature stores can do: serve features online, take pushed rows, log, and erase."""

import secrets
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import TesseraError
from resources.conformance.feature_definitions import MAX_AGE
from resources.conformance.feature_rows import (
    DAY,
    HOUR,
    MICROSECOND,
    UNCHECKED,
    US_UTC,
    FeatureFiles,
    Row,
    T,
    asked,
    customers,
    feature_table,
    visits_at,
)
from resources.conformance.suite import Conformance, needs
from resources.feature_store.port import (
    NOT_FOUND,
    OUTSIDE_MAX_AGE,
    PRESENT,
    SERVED_LOG,
    ErasableFeatureStore,
    FeatureStore,
    LoggedFeatureStore,
    OnlineFeatureStore,
    PushableFeatureStore,
    moment_column,
    status_column,
)

# pyarrow has no static types, and makes the functions of `pyarrow.compute` when it is imported.
# pyright: basic, reportAttributeAccessIssue=false

_STATUS, _MOMENT = status_column("activity"), moment_column("activity")
#: What was found of a customer online: status, moment, `visits`.
Found = tuple[str, datetime | None, float | None]
Named = Callable[[str], str]


def _online(store: FeatureStore) -> OnlineFeatureStore:
    assert isinstance(store, OnlineFeatureStore)
    return store


def _pushable(store: FeatureStore) -> PushableFeatureStore:
    assert isinstance(store, PushableFeatureStore)
    return store


def _logged(store: FeatureStore) -> LoggedFeatureStore:
    assert isinstance(store, LoggedFeatureStore)
    return store


def _erasable(store: FeatureStore) -> ErasableFeatureStore:
    assert isinstance(store, ErasableFeatureStore)
    return store


def _names() -> Named:
    of_test = secrets.token_hex(4)
    return lambda short: f"{short}-{of_test}"


def _found(store: FeatureStore, *ids: str | None) -> list[Found]:
    rows = _online(store).online("activity_v1", customers(*ids)).to_pylist()
    return [(row[_STATUS], row[_MOMENT], row["visits"]) for row in rows]


def _check_rows(store: FeatureStore, service: str, *ids: str) -> None:
    """Rows that are read as Python's values are those of the table."""
    few = _online(store).online_rows(service, [{"customer_id": id} for id in ids])
    table = _online(store).online(service, customers(*ids))
    assert few.schema.equals(table.schema)
    assert few.rows == table.to_pylist()
    assert few.table().equals(table)


def _served(store: FeatureStore, *ids: str) -> list[float | None]:
    return [visits for _, _, visits in _found(store, *ids)]


class OnlineFeatureStoreConformance(Conformance):
    """The part of `FeatureStoreConformance` about the online store, for one more online store of an adapter.

    Each test has customers of its own, so a fixture `opened` of the scope `class` may keep one store for all.
    """

    port: ClassVar = "feature_store"

    @pytest.fixture
    def opened(self) -> Callable[[], FeatureStore]:
        """A function that opens the store under test, the same one each time, as another process would.

        Its definitions are those of the module `resources.conformance.feature_definitions.DEFINITIONS`; a store that
        logs what it serves logs every row.
        """
        raise NotImplementedError("The harness overrides the fixture `opened`.")

    @pytest.fixture
    def store(self, opened: Callable[[], FeatureStore]) -> FeatureStore:
        """The store under test, with its definitions registered."""
        store = opened()
        store.apply()
        return store

    @pytest.fixture
    def who(self) -> Named:
        """A function that makes an id of this test alone."""
        return _names()

    @pytest.fixture
    def file(self, tmp_path: Path) -> FeatureFiles:
        """A function that writes feature rows to a new file."""
        return FeatureFiles(tmp_path)

    @pytest.fixture
    def now(self) -> datetime:
        """The present moment, when the test begins; for tests of what is served now."""
        return datetime.now(UTC)

    @needs("online")
    def test_nothing_is_known_before_the_first_row(self, store: FeatureStore, who: Named) -> None:
        assert _found(store, who("a")) == [(NOT_FOUND, None, None)]
        assert _found(store) == []

    @needs("online")
    def test_rows_say_how_they_were_found_and_of_when_they_are(
        self, store: FeatureStore, file: FeatureFiles, who: Named, now: datetime
    ) -> None:
        a, b = who("a"), who("b")
        rows = file(Row(a, now, 1.0), Row(b, now - DAY, 2.0), Row(None, now, 9.0))
        _online(store).materialize("activity", now - 2 * DAY, now, files=[rows])
        nothing, of_a, of_b = (NOT_FOUND, None, None), (PRESENT, now, 1.0), (PRESENT, now - DAY, 2.0)
        assert _found(store, who("x"), a, None, b, a) == [nothing, of_a, nothing, of_b, of_a]

    @needs("online")
    def test_entity_rows_come_back_with_columns_in_the_order_of_the_service(
        self, opened: Callable[[], FeatureStore], store: FeatureStore, file: FeatureFiles, who: Named, now: datetime
    ) -> None:
        a = who("a")
        for view, value in (("activity", 1.0), ("profile", 33)):
            _online(store).materialize(view, now - DAY, now, files=[file(Row(a, now, value), view=view)])
        entities = customers(a, who("x"), a).append_column("carried", pa.array([[1], [2], [3]]))
        found = _online(opened()).online("customer_v1", entities)
        assert found.select(["customer_id", "carried"]).equals(entities)
        marks = [status_column("activity"), _MOMENT, status_column("profile"), moment_column("profile")]
        assert found.column_names == ["customer_id", "carried", "visits", "plan", "age", *marks]
        assert found.schema.types[2:5] == [pa.float64(), pa.string(), pa.int64()]
        assert found.schema.field(_MOMENT).type == US_UTC
        assert found["age"].to_pylist() == [33, None, 33]

    @needs("online")
    def test_the_newest_row_of_the_window_is_served(
        self, store: FeatureStore, file: FeatureFiles, who: Named, now: datetime
    ) -> None:
        a, b, c = map(who, "abc")
        rows = [Row(a, now - DAY, 1.0), Row(a, now, 2.0), Row(a, now + MICROSECOND, 3.0)]
        rows += [Row(b, now - DAY, 4.0), Row(c, now - HOUR, 5.0)]
        _online(store).materialize("activity", now - DAY, now, files=[file(*rows)])
        # The row of b is at the open start of the window, the third one of a after its end.
        assert _served(store, c, a, b, a) == [5.0, 2.0, None, 2.0]

    @needs("online")
    def test_an_older_window_never_replaces_newer_values_and_a_run_can_be_repeated(
        self, store: FeatureStore, file: FeatureFiles, who: Named, now: datetime
    ) -> None:
        a, b = who("a"), who("b")
        today, before = file(Row(a, now, 2.0)), file(Row(a, now - DAY, 1.0), Row(b, now - DAY, 4.0))
        for _ in range(2):
            _online(store).materialize("activity", now - DAY, now, files=[today])
            _online(store).materialize("activity", now - 2 * DAY, now - DAY, files=[before])
            assert _found(store, a, b) == [(PRESENT, now, 2.0), (PRESENT, now - DAY, 4.0)]

    @needs("online")
    def test_of_rows_of_one_moment_the_one_created_last_is_served(
        self, store: FeatureStore, file: FeatureFiles, who: Named, now: datetime
    ) -> None:
        at, a = now - DAY, who("a")
        for value, created, served in ((1.0, at, 1.0), (2.0, at + HOUR, 2.0), (3.0, at + MICROSECOND, 2.0)):
            rows = file(Row(a, at, value, created=created))
            _online(store).materialize("activity", at - DAY, at, files=[rows])
            assert _served(store, a) == [served]

    @needs("online")
    def test_a_null_replaces_a_value(self, store: FeatureStore, file: FeatureFiles, who: Named, now: datetime) -> None:
        a = who("a")
        for at, value in ((now - DAY, 1.0), (now, None)):
            _online(store).materialize("activity", now - 2 * DAY, at, files=[file(Row(a, at, value))])
        assert _found(store, a) == [(PRESENT, now, None)]

    @needs("online")
    def test_expired_features_are_not_served(
        self, store: FeatureStore, file: FeatureFiles, who: Named, now: datetime
    ) -> None:
        a, b = who("a"), who("b")
        old, young = now - MAX_AGE - HOUR, now - MAX_AGE + HOUR
        _online(store).materialize("activity", old - DAY, now, files=[file(Row(a, old, 1.0), Row(b, young, 2.0))])
        _online(store).materialize("profile", old - DAY, now, files=[file(Row(a, old, 33), view="profile")])
        assert _found(store, a, b) == [(OUTSIDE_MAX_AGE, old, None), (PRESENT, young, 2.0)]
        found = _online(store).online("customer_v1", customers(a)).to_pylist()[0]
        assert (found["plan"], found["age"], found[status_column("profile")]) == (None, 33, PRESENT)
        _check_rows(store, "customer_v1", a)
        _check_rows(store, "customer_v1", b, a, who("x"))

    @needs("online")
    @settings(max_examples=3, deadline=None, suppress_health_check=UNCHECKED)
    @given(
        rows=st.lists(
            st.tuples(st.sampled_from("abc"), st.integers(0, 12), st.one_of(st.none(), st.integers(0, 99))),
            min_size=1,
            max_size=12,
            unique_by=lambda row: row[:2],
        ),
        order=st.randoms(use_true_random=False),
    )
    def test_what_is_served_equals_the_join_at_the_same_moment(
        self, store: FeatureStore, tmp_path_factory: pytest.TempPathFactory, rows: Sequence[Any], order: Any
    ) -> None:
        """For any windows in any order, some of them materialized twice."""
        name, now = _names(), datetime.now(UTC)
        file = FeatureFiles(tmp_path_factory.mktemp("served"))
        known = [Row(name(who), now - HOUR - days * DAY, value) for who, days, value in rows]
        path, days = file(*known), [days for _, days, _ in rows] * 2
        order.shuffle(days)
        for end in (now - HOUR - of * DAY for of in days[:3]):
            _online(store).materialize("activity", end - DAY, end, files=[path])
        _online(store).materialize("activity", now - 20 * DAY, now, files=[path])
        ids = [name(who) for who in "abcd"]
        online = _online(store).online("activity_v1", customers(*ids))
        moment = datetime.now(UTC)
        offline = store.historical("activity_v1", asked(*((who, moment) for who in ids)), files={"activity": [path]})
        assert online.select(["visits", "plan"]).equals(offline.select(["visits", "plan"]))
        for some in (ids[:1], ids[-1:], ids[::-1] + ids):
            _check_rows(store, "activity_v1", *some)

    @needs("online")
    def test_threads_read_what_is_there_while_one_writes(
        self, store: FeatureStore, file: FeatureFiles, who: Named, now: datetime
    ) -> None:
        ids = [who(f"c{number}") for number in range(20)]
        files = [file(*(Row(each, now, float(n), created=now + n * MICROSECOND) for each in ids)) for n in range(4)]
        _online(store).materialize("activity", now - DAY, now, files=files[:1])

        def write() -> None:
            for path in files[1:]:
                _online(store).materialize("activity", now - DAY, now, files=[path])

        def read(_: int) -> bool:
            return set(_served(store, ids[0], ids[-1])) <= {0.0, 1.0, 2.0, 3.0}

        with ThreadPoolExecutor(3) as pool:
            writing = pool.submit(write)
            assert all(pool.map(read, range(20)))
            writing.result()
        assert _served(store, *ids) == [3.0] * len(ids)

    @needs("online")
    def test_wrong_questions_about_what_is_served_are_refused(self, store: FeatureStore, file: FeatureFiles) -> None:
        rows, online = file(Row("a", T, 1.0)), _online(store)
        for ask, says in (
            (lambda: online.online("activity", customers("a")), "'activity'.*did you mean 'activity_v1'"),
            (lambda: online.online("activity_v1", pa.table({"customer": ["a"]})), "'customer_id'"),
            (lambda: online.online("activity_v1", pa.table({"customer_id": [1]})), "'customer_id'"),
            (lambda: online.materialize("activities", T - DAY, T, files=[rows]), "'activities'.*'activity'"),
            (lambda: online.materialize("activity", T - DAY, T, files=[]), "'activity'"),
        ):
            with pytest.raises(TesseraError, match=says) as refused:
                ask()
            assert refused.value.expected
            assert refused.value.todo

    @needs("pushable")
    def test_pushed_rows_are_served_unless_a_newer_one_is_there(
        self, store: FeatureStore, who: Named, now: datetime
    ) -> None:
        a, b = who("a"), who("b")
        first = [Row(a, now - HOUR, 1.0), Row(b, now, 9.0), Row(a, now, 2.0), Row(a, now - DAY, 3.0)]
        assert _pushable(store).push("activity", feature_table(first)) == 2
        assert _served(store, a, b) == [2.0, 9.0]
        rows = [Row(a, now - HOUR, 4.0), Row(b, now + MICROSECOND, None)]
        assert _pushable(store).push("activity", feature_table(rows)) == 1
        assert _found(store, a, b) == [(PRESENT, now, 2.0), (PRESENT, now + MICROSECOND, None)]
        assert _pushable(store).push("activity", feature_table([])) == 0

    @needs("pushable")
    def test_columns_of_pushed_rows_stand_in_any_order_and_created_times_decide_ties(
        self, store: FeatureStore, who: Named, now: datetime
    ) -> None:
        a, b = who("a"), who("b")
        rows = [Row(a, now, 1.0, created=now + HOUR), Row(a, now, 2.0), Row(b, now, 3.0)]
        table = feature_table(rows)
        _pushable(store).push("activity", table.select(sorted(table.column_names)))
        _pushable(store).push("activity", table.drop_columns("created_timestamp").slice(1))
        assert _served(store, a, b) == [1.0, 3.0], "a row without created time is older than any with one"

    @needs("pushable")
    def test_pushed_and_materialized_rows_meet(
        self, store: FeatureStore, file: FeatureFiles, who: Named, now: datetime
    ) -> None:
        a, b = who("a"), who("b")
        _pushable(store).push("activity", feature_table([Row(a, now, 1.0), Row(b, now - 2 * HOUR, 2.0)]))
        night = file(Row(a, now - HOUR, 3.0), Row(b, now - HOUR, 4.0))
        _online(store).materialize("activity", now - DAY, now - HOUR, files=[night])
        assert _served(store, a, b) == [1.0, 4.0]
        assert visits_at(store, asked((a, now)), night) == [3.0], "the history is that of the files"

    @needs("pushable")
    @pytest.mark.parametrize(
        ("view", "change", "says"),
        [
            ("activities", lambda t: t, "'activities'.*'activity'"),
            ("activity", lambda t: t.drop_columns("customer_id"), "'customer_id'"),
            ("activity", lambda t: t.drop_columns("event_timestamp"), "'event_timestamp'"),
            ("activity", lambda t: t.drop_columns("plan"), "'plan'"),
            ("activity", lambda t: t.set_column(3, "visits", pa.array(["many"])), "'visits'"),
            ("activity", lambda t: t.set_column(0, "customer_id", pa.nulls(1, pa.string())), "'customer_id'"),
            ("activity", lambda t: t.set_column(1, "event_timestamp", pa.nulls(1, US_UTC)), "'event_timestamp'"),
        ],
    )
    def test_wrong_pushes_are_refused(
        self, view: str, change: Any, says: str, store: FeatureStore, who: Named, now: datetime
    ) -> None:
        with pytest.raises(TesseraError, match=says) as refused:
            _pushable(store).push(view, change(feature_table([Row(who("a"), now, 1.0)])))
        assert refused.value.expected
        assert refused.value.todo
        assert _found(store, who("a")) == [(NOT_FOUND, None, None)]

    @needs("logged")
    def test_what_was_served_can_be_read_again(
        self, store: FeatureStore, file: FeatureFiles, who: Named, now: datetime
    ) -> None:
        a = who("a")
        _online(store).materialize("activity", now - DAY, now, files=[file(Row(a, now, 1.0))])
        entities = customers(who("x"), a).append_column("carried", pa.array([1, 2]))
        first = _logged(store).online("activity_v1", entities)
        between = datetime.now(UTC)
        second = _logged(store).online("activity_v1", entities)
        few = _logged(store).online_rows("activity_v1", [{"customer_id": a}])
        end = datetime.now(UTC) + MICROSECOND
        every = _of(entities, _logged(store).served("activity_v1", now, end))
        assert every.column_names[:2] == ["served_at", "customer_id"]
        given = pa.concat_tables([*(one.drop_columns("carried") for one in (first, second)), few.table()])
        assert every.drop_columns("served_at").equals(given)
        assert _of(entities, _logged(store).served("activity_v1", now, between)).num_rows == 2
        assert _logged(store).served("activity_v1", now - DAY, now - HOUR).schema == every.schema
        with pytest.raises(TesseraError, match=r"'activity'.*did you mean 'activity_v1'"):
            _logged(store).served("activity", now, end)

    @needs("erasable")
    def test_who_is_erased_stays_erased(
        self, opened: Callable[[], FeatureStore], store: FeatureStore, file: FeatureFiles, who: Named, now: datetime
    ) -> None:
        a, b = who("a"), who("b")
        older = file(Row(a, now - DAY, 1.0), Row(b, now - DAY, 2.0))
        newer = file(Row(a, now, 3.0), Row(b, now, 4.0))
        _online(store).materialize("activity", now - 2 * DAY, now, files=[older])
        removed = _erasable(store).forget("customer", a)
        assert (removed["activity"], removed["profile"]) == (1, 0)
        for path in (older, newer):
            _online(opened()).materialize("activity", now - 2 * DAY, now, files=[path])
            assert [status for status, _, _ in _found(store, a, b)] == [NOT_FOUND, PRESENT]
        assert _served(store, b) == [4.0]
        assert set(_erasable(store).forget("customer", a).values()) == {0}
        assert _erasable(opened()).forget("customer", who("unknown"))["activity"] == 0

    @needs("logged")
    @needs("erasable")
    def test_the_log_of_what_was_served_loses_the_erased(
        self, store: FeatureStore, file: FeatureFiles, who: Named, now: datetime
    ) -> None:
        ids = a, b = who("a"), who("b")
        _online(store).materialize("activity", now - DAY, now, files=[file(Row(a, now, 1.0), Row(b, now, 2.0))])
        _served(store, a, b, a)
        assert _erasable(store).forget("customer", a) == {"activity": 1, "profile": 0, SERVED_LOG: 2}
        left = _of(customers(*ids), _logged(store).served("activity_v1", now, datetime.now(UTC) + DAY))
        assert left["customer_id"].to_pylist() == [b]

    @needs("pushable")
    @needs("erasable")
    def test_pushes_do_not_bring_the_erased_back(self, store: FeatureStore, who: Named, now: datetime) -> None:
        a, b = who("a"), who("b")
        _pushable(store).push("activity", feature_table([Row(a, now - HOUR, 1.0)]))
        _erasable(store).forget("customer", a)
        assert _pushable(store).push("activity", feature_table([Row(a, now, 2.0), Row(b, now, 3.0)])) == 1
        assert _served(store, a, b) == [None, 3.0]

    @needs("erasable")
    def test_an_unknown_entity_is_refused(self, store: FeatureStore) -> None:
        with pytest.raises(TesseraError, match=r"'custumer'.*did you mean 'customer'") as refused:
            _erasable(store).forget("custumer", "b")
        assert refused.value.todo


def _of(entities: pa.Table, rows: pa.Table) -> pa.Table:
    """Return the rows of these customers: a store may be shared by tests."""
    return rows.filter(pc.is_in(rows["customer_id"], pc.unique(entities["customer_id"])))
