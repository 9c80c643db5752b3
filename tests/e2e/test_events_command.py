"""`tessera events` as a user calls it: files of events, the past replayed, what no one could use."""

import json
import sys
from datetime import UTC, datetime
from io import BytesIO, TextIOWrapper
from pathlib import Path

import duckdb
import pytest
from shop_home import Home, ended

from models.events import MAX_EVENT_BYTES, Event
from models.fraud.event_parsing import LABEL, PAYMENT, PaymentLimits, label_of, payment_of
from resources.events.port import Events
from resources.stack.loader import ROOT

GIVEN = [
    Event(id=str(n), source="/test", type="t", time=datetime(2018, 4, 1, tzinfo=UTC), subject="ü", data={"n": n})
    for n in range(700)
]


def queue_of(home: Home) -> Events:
    return home.opened().open("events")


def published(home: Home, limit: int) -> list[Event]:
    """The events of the queue; each came with the span of the command that published it."""
    found = [one.event for one in queue_of(home).read("g", limit=limit)]
    assert all(one.traceparent for one in found)
    return [one.model_copy(update={"traceparent": ""}) for one in found]


class TestPublish:
    def test_a_file_with_broken_lines(self, empty: Home, tmp_path: Path) -> None:
        lines = [event.to_json().encode() for event in GIVEN]
        broken = [b"{", b"\xff[/bold]", b'{"id": "7"}', b"9" * (3 * MAX_EVENT_BYTES), b'{"data": "\x00"}']
        file, letters = tmp_path / "events.jsonl", tmp_path / "letters.jsonl"
        file.write_bytes(b"\n".join([*lines[:300], *broken, b"", b"  \r", *lines[300:], lines[5]]))
        assert empty.tessera("events", "publish", file).out == (
            "700 published, 1 already there, 5 refused. See `tessera events dead-letters`.\n"
        )
        assert empty.tessera("events", "dead-letters", "--out", letters).out.startswith("5 dead letters written")
        kept = [json.loads(line) for line in letters.read_text().splitlines()]
        too_long = f"An event has more than {MAX_EVENT_BYTES} bytes (events.jsonl, line 304)."
        assert [one["reason"] for one in kept][1] == too_long
        assert all(
            f"(events.jsonl, line {n})." in one["reason"] for n, one in zip(range(305, 300, -1), kept, strict=True)
        )
        assert [one["body"][:12] for one in kept] == ['{"data": "\\x', "9" * 12, '{"id": "7"}', "\\xff[/bold]", "{"]
        shown = empty.tessera("events", "dead-letters", COLUMNS="320").out
        assert "\\xff[/bold]" in shown
        assert len(shown.splitlines()) == 6
        assert published(empty, 1000) == GIVEN

    def test_a_file_that_gives_an_id_two_contents(self, empty: Home, tmp_path: Path) -> None:
        other = GIVEN[0].model_copy(update={"data": {"n": -1}})
        file = tmp_path / "events.jsonl"
        file.write_text("".join(one.to_json() + "\n" for one in (*GIVEN[:3], GIVEN[0], other)))
        assert empty.tessera("events", "publish", file).out.replace("\n", " ") == (
            "3 published, 1 already there, 0 refused. 1 refused with the id of an event that has other content "
            "(events.jsonl, line 5). See `tessera events dead-letters`. "
        )
        assert published(empty, 9) == GIVEN[:3]

    def test_a_file_of_another_kind_is_no_success(self, empty: Home, tmp_path: Path) -> None:
        (tmp_path / "array.json").write_text(f"[\n{GIVEN[0].to_json()},\n{GIVEN[1].to_json()}]\n")
        said = empty.refuses("events", "publish", tmp_path / "array.json")
        assert "array.json holds no event: 3 lines refused. The first: An event is no JSON object" in said
        assert len(queue_of(empty).dead_letters()) == 3
        (tmp_path / "nothing").touch()
        assert empty.tessera("events", "publish", tmp_path / "nothing").out.startswith("0 published")

    def test_standard_input_that_comes_twice_adds_nothing_the_second_time(
        self, empty: Home, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        text = "".join(event.to_json() + "\n" for event in GIVEN[:3])
        said = []
        for _ in range(2):
            monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(text.encode())))
            said.append(empty.tessera("events", "publish", "-").out)
        assert said == ["3 published, 0 already there, 0 refused.\n", "0 published, 3 already there, 0 refused.\n"]

    def test_a_line_of_a_slow_pipe_is_published_at_once(self, empty: Home) -> None:
        process, queue = empty.start("events", "publish", "-", stdin=-1), queue_of(empty)
        process.stdin.write(GIVEN[0].to_json() + "\n")
        process.stdin.flush()
        assert len(queue.read("g", limit=9, wait_seconds=300)) == 1
        assert ended(process).out.startswith("1 published")

    def test_status_of_a_group_and_its_end(self, empty: Home) -> None:
        assert "No group has read yet" in empty.tessera("events", "status").out
        queue = queue_of(empty)
        queue.publish(GIVEN[:5])
        queue.acknowledge("[red]fraud", [queue.read("[red]fraud", limit=1)[0].offset])
        lines = empty.tessera("events", "status").out.splitlines()
        assert lines[0] == "events: sqlite, newest offset 5"
        assert lines[2].split() == ["[red]fraud", "4"]
        assert "did you mean '[red]fraud'?" in empty.refuses("events", "drop", "[red]frad", "--yes")
        assert "no terminal to ask at" in empty.refuses("events", "drop", "[red]fraud")
        assert queue.groups() == ["[red]fraud"]
        said = empty.tessera("events", "drop", "[red]fraud", "--yes").out
        assert said == "The group [red]fraud is no more; 4 events no longer wait for it.\n"
        assert queue.groups() == []


@pytest.fixture
def handbook(shared_data: Path, tmp_path: Path) -> Path:
    """The payments at 40 terminals on three days, and how they turned out."""
    folder = tmp_path / "data"
    folder.mkdir()
    where = "TX_DATETIME < TIMESTAMP '2018-04-04' AND TERMINAL_ID < 40"
    with duckdb.connect() as connection:
        rows = f"SELECT * FROM '{shared_data}/fraud_handbook/transactions_*.parquet' WHERE {where}"  # noqa: S608
        connection.execute(f"COPY ({rows}) TO '{folder / 'payments.parquet'}'")
    return folder


def payments_in(folder: Path, days: str) -> list[tuple]:
    query = f"""SELECT TRANSACTION_ID, CUSTOMER_ID::VARCHAR, TERMINAL_ID::VARCHAR, epoch_us(TX_DATETIME),
        round(TX_AMOUNT * 100)::BIGINT, TX_FRAUD = 1 FROM '{folder}/*.parquet'
        WHERE TX_DATETIME::DATE {days} ORDER BY 4, 1"""  # noqa: S608
    with duckdb.connect() as connection:
        return connection.execute(query).fetchall()


@pytest.mark.real
class TestReplay:
    def home(self, tmp_path: Path, stack: Path = ROOT / "stack.yaml") -> Home:
        return Home(tmp_path / "home", stack, profile="fraud-handbook")

    def test_the_past_comes_as_it_happened_and_once(self, handbook: Path, tmp_path: Path) -> None:
        home, days = self.home(tmp_path), ("--from", "2018-04-02", "--to", "2018-04-03")
        expected = payments_in(handbook, "BETWEEN DATE '2018-04-02' AND DATE '2018-04-03'")
        assert len(expected) > 30
        for says in (f"{2 * len(expected)} published, 0 already", f"0 published, {2 * len(expected)} already"):
            said = home.tessera("events", "replay", *days, "--speed", "0", TESSERA_DATA_DIR=str(handbook))
            assert said.out.startswith(says)
        events = [one.event for one in queue_of(home).read("g", limit=10_000)]
        assert [one.time for one in events] == sorted(one.time for one in events)
        paid = [payment_of(one, PaymentLimits()) for one in events if one.type == PAYMENT]
        found = [(one.transaction_id, one.customer_id, one.terminal_id, one.micros, one.cents) for one in paid]
        assert found == [row[:5] for row in expected]
        labels = [label_of(one) for one in events if one.type == LABEL]
        week = 7 * 86_400_000_000
        assert sorted((one.transaction_id, one.labelled_at - week, one.is_fraud) for one in labels) == sorted(
            (row[0], row[3], row[5]) for row in expected
        )
        subjects = {one.data["transaction_id"]: one.subject for one in events if one.type == PAYMENT}
        assert all(one.subject == subjects[one.data["transaction_id"]] for one in events)

    def test_speed_is_kept_and_a_full_queue_is_waited_for(self, handbook: Path, tmp_path: Path) -> None:
        """A week passes in three seconds or more, with room for five events."""
        stack = tmp_path / "stack.yaml"
        shipped = (ROOT / "stack.yaml").read_text()
        roomy = 'events: {kind: sqlite, path: "${home}/events.db"'
        assert roomy in shipped
        stack.write_text(shipped.replace(roomy, f"{roomy}, max_backlog: 5"))
        home, count = self.home(tmp_path, stack), 2 * len(payments_in(handbook, "= DATE '2018-04-02'"))
        speed = 7 * 86_400 / 3
        day = ("--from", "2018-04-02", "--to", "2018-04-02", "--speed", str(speed))
        queue, began = queue_of(home), datetime.now(UTC)
        process = home.fork("events", "replay", *day, TESSERA_DATA_DIR=str(handbook))
        seen: list[tuple[datetime, datetime]] = []
        while len(seen) < count and process.poll() in (None, 0):
            found = queue.read("g", limit=3, wait_seconds=0.05)
            assert queue.backlog("g") <= 5
            seen += [(one.event.time, datetime.now(UTC)) for one in found]
            queue.acknowledge("g", [one.offset for one in found])
        said = ended(process)
        assert said.out.startswith(f"{count} published")
        assert len(seen) == count
        (first, _), (last, seen_at) = seen[0], seen[-1]
        assert (seen_at - began).total_seconds() >= (last - first).total_seconds() / speed
        assert said.err.count("Waiting for consumers") <= 1


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (("publsh", "x.jsonl"), "No such command 'publsh'"),
        (("publish", "/no/such.jsonl"), "/no/such.jsonl cannot be read"),
        (("publish", "/"), "/ cannot be read"),
        (("dead-letters", "--out", "/no/such/folder/x.jsonl"), "cannot be written"),
        (("replay", "--from", "2026-02-02", "--to", "2026-02-01"), "is after --to 2026-02-01"),
        (("replay", "--from", "2026-02-02", "--to", "soon"), "'soon' is not a day"),
        (("replay", "--from", "2026-02-02", "--to", "2026-02-03", "--speed", "-1"), "at speed -1"),
        (("replay", "--from", "2026-02-02", "--to", "2026-02-03", "--speed", "nan"), "at speed nan"),
        (("replay", "--from", "2026-02-02", "--to", "2026-02-03", "--speed", "fast"), "'fast' is not a valid float"),
    ],
)
def test_a_slip_of_the_pen_is_answered_in_three_lines(empty: Home, command: tuple[str, ...], says: str) -> None:
    assert says in empty.refuses("events", *command)


def test_a_source_without_payments_is_named(empty: Home) -> None:
    days = ("--from", "2011-02-02", "--to", "2011-02-03")
    said = empty.refuses("events", "replay", *days, TESSERA_PROFILE="online-retail")
    assert "The source of profile 'online-retail' delivers no payments." in said
    job = ("run", "fraud_training", "--date", "2011-08-01")
    assert "delivers no payments" in empty.refuses(*job, TESSERA_PROFILE="online-retail")


def test_a_queue_that_does_not_answer_is_named(empty: Home, tmp_path: Path) -> None:
    wrong = empty.with_stack(
        tmp_path / "stack.yaml", {"ports": {"events": {"kind": "redis", "url": "redis://127.0.0.1:1"}}}
    )
    assert "The Redis of the events at 127.0.0.1:1/0 does not work" in wrong.refuses("events", "status")
    other = empty.with_stack(tmp_path / "stack.yaml", {"ports": {"events": {"kind": "redis", "url": "http://x"}}})
    assert "begins with 'http'" in other.refuses("events", "status")
