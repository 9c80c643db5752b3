"""The tests of the state store port, on the state of a stream that counts visits."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import pytest

from models.errors import RefusedValue, TesseraError
from models.stream_state import Cut, Key, Row, StateTable, StreamState
from resources.conformance.alert_store import APP, DAY, NOON, alert
from resources.conformance.suite import Conformance, needs
from resources.state_store.port import ErasableStateStore, StateChanges, StateStore, Superseded, require_one_transaction

Open = Callable[[], StateStore]

# pyright: basic


def visit(number: int, *, customer: str = "c1", page: str = "p1", at: int | None = None) -> Row:
    """Return a row of `visit`: number, customer, page and its time (µs)."""
    return number, customer, page, 10 * number if at is None else at, number / 8, bytes([number % 256, 0, 255])


def page_row(page: str, *visits: Row) -> Row:
    """Return a row of `page`: its visits, as text, since the oldest of them."""
    return page, min(one[3] for one in visits), ";".join(f"{one[3]}:{one[0]}" for one in visits).encode()


def _kept(row: Row, is_kept: Callable[[int, int], bool]) -> Cut:
    """Keep some visits, keyed by time and number, of a row of `page`."""
    every = [tuple(map(int, one.split(":"))) for one in row[-1].decode().split(";")]
    left = [one for one in every if is_kept(*one)]
    packed = ";".join(f"{at}:{number}" for at, number in left).encode()
    return (row[0], min(at for at, _ in left), packed) if left else None, len(every) - len(left)


def _mixed(column: str, id: str, rows: Mapping[str, Sequence[Row]]) -> Mapping[tuple[str, Key], Callable[[Row], Cut]]:
    assert column == "customer_id"
    assert all(row[1] == id for row in rows["visit"])
    gone = {row[0] for row in rows["visit"]}
    return {("page", (row[2],)): lambda one: _kept(one, lambda _, number: number not in gone) for row in rows["visit"]}


def visits_of(name: str) -> StreamState:
    """Return the state of a stream of that name."""
    page = StateTable(
        "page",
        {"page": "text", "oldest": "int", "packed": "bytes"},
        key_columns=1,
        at="oldest",
        cut=lambda row, before: _kept(row, lambda at, _: at >= before),
    )
    visit = StateTable(
        "visit",
        {"number": "int", "customer_id": "text", "page": "text", "at": "int", "share": "float", "packed": "bytes"},
        key_columns=1,
        at="at",
        after="page",
    )
    last = StateTable("last", {"at": "int", "customer_id": "text", "number": "int"}, key_columns=2, at="at")
    return StreamState(name, (page, visit, last), _mixed, alerts_about="customer_id")


VISITS = visits_of(APP)


def commit(store: StateStore, *visits: Row, stream: StreamState = VISITS, **changes: Any) -> None:
    """Commit visits, each with its page and as the last one, on top of what is stored."""
    pages = dict.fromkeys(row[2] for row in visits)
    known = {key[0]: row for key, row in store.rows(stream, "page", [(page,) for page in pages]).items()}
    put = []
    for page in pages:
        row = page_row(page, *(one for one in visits if one[2] == page))
        old = known.get(page)
        put.append((page, min(row[1], old[1]), old[2] + b";" + row[2]) if old else row)
    position, newest = store.position(stream)
    given: dict[str, Any] = {
        "put": {"page": put, "last": [(one[3], one[1], one[0]) for one in visits]},
        "added": {"visit": visits},
        "position": position + len(visits),
        "newest": max([newest, *(one[3] for one in visits)]),
        "generation": store.generation(stream),
    }
    store.commit(stream, StateChanges(**(given | changes)))


def numbers(store: StateStore, *, stream: StreamState = VISITS, end: int = 10**9) -> list[int]:
    """Return the numbers of the stored visits, by time."""
    return [row[0] for row in store.between(stream, "visit", 0, end)]


def held(store: StateStore) -> object:
    """Return everything that the stream holds, to compare."""
    tables = [store.between(VISITS, table.name, -(2**62), 2**62) for table in VISITS.tables]
    return store.position(VISITS), store.generation(VISITS), tables, store.alerts_beside.find(APP, DAY, DAY)


class StateStoreConformance(Conformance):
    """The tests that every state store must pass. A harness overrides the fixture `opened`."""

    port: ClassVar = "state_store"

    @pytest.fixture
    def opened(self) -> Open:
        """A function that opens the store under test, the same one each time, as another process would."""
        raise NotImplementedError("The harness overrides the fixture `opened`.")

    @pytest.fixture
    def store(self, opened: Open) -> StateStore:
        """The store under test, empty at first."""
        return opened()

    def test_a_new_stream_has_nothing(self, store: StateStore) -> None:
        assert (store.position(VISITS), store.generation(VISITS)) == ((0, 0), 0)
        assert store.rows(VISITS, "visit", [(1,)]) == store.rows(VISITS, "visit", []) == {}
        assert [*store.between(VISITS, "page", 0, 10)] == []
        assert [*store.streams()] == ["visits"]

    def test_what_a_batch_changed_is_there_for_all_who_open_it(self, store: StateStore, opened: Open) -> None:
        commit(store, visit(1), visit(2, page="p2"), visit(300, customer="ü;'\"\n"))
        other = opened()
        assert other.position(VISITS) == (3, 3000)
        assert other.rows(VISITS, "visit", [(1,), (300,), (9,)]) == {
            (1,): visit(1), (300,): visit(300, customer="ü;'\"\n"),
        }  # fmt: skip
        assert other.rows(VISITS, "last", [(10, "c1"), (10, "c2")]) == {(10, "c1"): (10, "c1", 1)}
        assert other.rows(VISITS, "page", [("p1",)]) == {("p1",): page_row("p1", visit(1), visit(300))}

    def test_rows_of_a_time_come_in_its_order(self, store: StateStore) -> None:
        commit(store, visit(3, at=20), visit(2, at=20), visit(5, at=10), visit(1, at=30))
        assert numbers(store) == [5, 2, 3, 1]
        assert numbers(store, end=30) == [5, 2, 3]
        assert [row[2] for row in store.between(VISITS, "last", 20, 31)] == [2, 1], "the later of one key"

    def test_a_row_is_replaced_or_removed_by_its_key(self, store: StateStore) -> None:
        commit(store, visit(1), visit(2, page="p2"))
        again = page_row("p1", visit(1), visit(7))
        store.commit(VISITS, StateChanges({"page": [again]}, removed={"page": [("p2",), ("p3",)]}, position=9))
        assert store.rows(VISITS, "page", [("p1",), ("p2",)]) == {("p1",): again}
        assert store.position(VISITS) == (9, 0)

    def test_an_id_is_processed_once(self, store: StateStore) -> None:
        commit(store, visit(1))
        before = held(store)
        with pytest.raises(RefusedValue):
            commit(store, visit(2, page="p2"), visit(1), alerts=[alert("1")])
        assert held(store) == before, "neither rows nor alerts nor the position"
        commit(store, visit(2))
        assert numbers(store) == [1, 2]

    @pytest.mark.parametrize("column", range(6))
    def test_a_missing_value_is_refused_and_nothing_stored(self, store: StateStore, column: int) -> None:
        commit(store, visit(1))
        before = held(store)
        row = list(visit(2))
        row[column] = None
        with pytest.raises(RefusedValue):
            store.commit(VISITS, StateChanges(added={"visit": [visit(3), tuple(row)]}, position=8))
        assert (held(store), store.check().ok) == (before, True)

    def test_alerts_change_with_the_state(self, store: StateStore, opened: Open) -> None:
        first = alert("1")
        commit(store, visit(1), alerts=[first])
        alerts = opened().alerts_beside
        assert [*alerts.find(APP, DAY, DAY)] == [first]
        alerts.answer(first.alert_id, "robot", who="ann", at=NOON)
        commit(store, visit(2), alerts=[first.joined_by("2", 0.9)])
        (found,) = store.alerts_beside.find(APP, DAY, DAY)
        assert (found.label, found.evidence) == ("robot", ("1", "2")), "what was said meanwhile stays"

    def test_a_worker_of_an_older_generation_stores_nothing(self, store: StateStore, opened: Open) -> None:
        loaded = store.generation(VISITS)
        assert opened().alerts_beside.add_alerts([alert("1")]) == 1
        before = held(store)
        with pytest.raises(Superseded):
            commit(store, visit(1), generation=loaded)
        assert held(store) == before
        commit(store, visit(1))

    def test_streams_are_apart(self, store: StateStore, opened: Open) -> None:
        other = visits_of("other_visits")
        commit(store, visit(1))
        commit(store, visit(1, customer="c9"), visit(2), stream=other)
        assert ([*store.streams()], numbers(store)) == (["other_visits", "visits"], [1])
        assert (opened().position(VISITS)[0], opened().position(other)[0]) == (1, 2)
        assert numbers(opened(), stream=other) == [1, 2]

    def test_a_seed_lasts_with_the_first_batch_or_not_at_all(self, store: StateStore, opened: Open) -> None:
        seed = [("visit", [visit(1), visit(2)]), ("page", [page_row("p1", visit(1), visit(2))])]

        def interrupted() -> None:
            with store.seeding(VISITS, seed):
                assert numbers(store) == [1, 2]
                raise InterruptedError

        with pytest.raises(InterruptedError):
            interrupted()
        assert (numbers(store), store.position(VISITS)) == ([], (0, 0))
        with store.seeding(VISITS, seed):
            commit(store, visit(3))
        other = opened()
        assert (numbers(other), other.position(VISITS)) == ([1, 2, 3], (1, 30))
        assert other.rows(VISITS, "page", [("p1",)])["p1",] == page_row("p1", visit(1), visit(2), visit(3))

    def test_what_may_go_goes_bit_by_bit_with_the_batches(self, store: StateStore) -> None:
        commit(store, *(visit(number, page=f"p{number % 250}") for number in range(1, 501)), visit(900, page="p7"))
        keep, left = {"page": 9000, "visit": 9000, "last": 9000}, []
        while not left or left[-1] > 1:
            commit(store, keep_from=keep)
            left.append(len(numbers(store)))
            assert len(left) < 50
            # Whatever a page holds is a visit that is known.
            named = {
                int(one.split(b":")[1])
                for row in store.between(VISITS, "page", 0, 10**9)
                for one in row[-1].split(b";")
            }
            assert named <= {*numbers(store)}
        assert left[0] > left[-2] > 1, "not all at once, but some"
        commit(store, keep_from=keep)
        assert [*store.between(VISITS, "page", 0, 10**9)] == [page_row("p7", visit(900))]
        assert [row[2] for row in store.between(VISITS, "last", 0, 10**9)] == [900]

    def test_a_table_may_keep_less_than_another(self, store: StateStore) -> None:
        commit(store, visit(1), visit(2))
        commit(store, keep_from={"last": 20})
        assert (numbers(store), [row[2] for row in store.between(VISITS, "last", 0, 99)]) == ([1, 2], [2])

    @needs("erasable")
    def test_an_erased_customer_is_nowhere(self, store: StateStore, opened: Open) -> None:
        mine = alert("1", entity="c1")
        commit(store, visit(1), visit(2, customer="c2"), visit(3, page="p2"), alerts=[mine])
        commit(store, visit(4, customer="c2", page="p3"), alerts=[alert("4", entity="c2")])
        store.alerts_beside.answer(mine.alert_id, "robot", who="ann", at=NOON)
        loaded, other = store.generation(VISITS), opened()
        assert isinstance(other, ErasableStateStore)
        assert other.erase(VISITS, "customer_id", "c1") == 2 + 2 + 2 + 1 + 1, "visits, of pages, last, alert, feedback"
        with pytest.raises(Superseded):
            commit(store, visit(5), generation=loaded)
        assert numbers(store) == [2, 4]
        assert {row[1] for row in store.between(VISITS, "last", 0, 99)} == {"c2"}
        pages = {row[0]: row for row in store.between(VISITS, "page", 0, 99)}
        assert pages == {"p1": page_row("p1", visit(2)), "p3": page_row("p3", visit(4))}
        assert [one.entity_id for one in store.alerts_beside.find(APP, DAY, DAY)] == ["c2"]
        assert [*store.alerts_beside.feedback(APP, DAY, DAY)] == []
        assert other.erase(VISITS, "customer_id", "c1") == 0

    @needs("erasable")
    def test_a_worker_notices_an_erasure_of_whom_nothing_was_known(self, store: StateStore) -> None:
        loaded = store.generation(VISITS)
        assert isinstance(store, ErasableStateStore)
        assert store.erase(VISITS, "customer_id", "c1") == 0
        with pytest.raises(Superseded):
            commit(store, visit(1), generation=loaded)

    def test_alerts_of_another_place_are_refused(self, store: StateStore, opened: Open) -> None:
        require_one_transaction(store, opened().alerts_beside)

        class Elsewhere:
            place = "elsewhere"

        with pytest.raises(TesseraError, match="alert_store reads alerts of elsewhere"):
            require_one_transaction(store, Elsewhere())  # type: ignore[arg-type]

    def test_it_says_how_it_is(self, store: StateStore) -> None:
        found = store.check()
        assert found.ok
        assert found.says
