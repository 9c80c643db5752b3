"""What every queue of events does, whatever is behind it."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.errors import TesseraError
from models.events import MAX_EVENT_BYTES, Event
from resources.events.port import Events
from resources.events.sqlite_events import SqliteEventsConfig

T = datetime(2018, 7, 25, 12, 0, 0, 123456, tzinfo=UTC)
#: Opens the same queue again, as another process would; keyword arguments are settings.
Open = Callable[..., Events]


def event(number: int, subject: str = "card-1") -> Event:
    return Event(id=f"e{number}", source="/test", type="payment", time=T, subject=subject, data={"number": number})


@pytest.fixture(params=["sqlite"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    def sqlite(**settings: float) -> Events:
        return SqliteEventsConfig(path=str(tmp_path / "events.db"), **settings).open()

    return {"sqlite": sqlite}[request.param]


@pytest.fixture
def events(opened: Open) -> Events:
    return opened(lease_seconds=600)


def numbers(events: Events, group: str = "g", limit: int = 100) -> list[int]:
    """Reads, and does not settle."""
    return [one.event.data["number"] for one in events.read(group, limit=limit)]


class TestEvents:
    def test_what_is_published_comes_back_whole_and_in_order(self, events: Events) -> None:
        given = [event(n, f"card-{n % 3}") for n in range(10)]
        assert events.publish(given) == 10
        found = events.read("g", limit=100)
        assert [one.event for one in found] == given
        assert [one.attempt for one in found] == [1] * 10
        offsets = [one.offset for one in found]
        assert offsets == sorted(set(offsets))
        assert events.newest_offset() == offsets[-1]

    def test_an_event_is_stored_once(self, events: Events) -> None:
        assert events.publish([event(1), event(2), event(1)]) == 2
        assert events.publish([event(2), event(3)]) == 1
        assert numbers(events) == [1, 2, 3]

    def test_a_settled_event_never_comes_again(self, opened: Open) -> None:
        events = opened(lease_seconds=0.01)
        events.publish([event(n, f"card-{n}") for n in range(4)])
        found = events.read("g", limit=10)
        events.settle("g", [found[0].offset, found[2].offset])
        events.settle("g", [found[0].offset])
        time.sleep(0.02)
        again = opened(lease_seconds=0.01).read("g", limit=10)
        assert [(one.event.data["number"], one.attempt) for one in again] == [(1, 2), (3, 2)]
        events.settle("g", [one.offset for one in again])
        time.sleep(0.02)
        assert events.read("g", limit=10) == []
        assert events.backlog("g") == 0

    def test_what_is_held_comes_to_nobody_else_until_the_lease_ends(self, opened: Open) -> None:
        events = opened(lease_seconds=0.3)
        events.publish([event(n, f"card-{n}") for n in range(3)])
        assert numbers(events, limit=2) == [0, 1]
        assert numbers(opened(lease_seconds=0.3)) == [2]
        assert numbers(events) == []
        time.sleep(0.35)
        assert numbers(events) == [0, 1, 2]

    def test_what_is_released_comes_at_once(self, events: Events) -> None:
        events.publish([event(1), event(2)])
        held = events.read("g", limit=10)
        events.release("g", [one.offset for one in held])
        assert numbers(events) == [1, 2]

    def test_events_of_one_subject_are_never_with_two_members(self, opened: Open, events: Events) -> None:
        events.publish([event(0, "a"), event(1, "b"), event(2, "a"), event(3, "c")])
        first = events.read("g", limit=1)
        assert numbers(opened(lease_seconds=600)) == [1, 3]
        events.settle("g", [first[0].offset])
        assert numbers(events) == [2]

    def test_groups_read_independently(self, events: Events) -> None:
        events.publish([event(n) for n in range(3)])
        for one in events.read("g", limit=10):
            events.settle("g", [one.offset])
        assert numbers(events, "other") == [0, 1, 2]
        assert (events.backlog("g"), events.backlog("other"), events.backlog("new")) == (0, 3, 3)

    def test_a_slow_group_stops_the_publisher(self, opened: Open) -> None:
        events = opened(lease_seconds=600, max_backlog=3)
        events.publish([event(n) for n in range(3)])
        with pytest.raises(TesseraError, match="3 events wait already"):
            events.publish([event(3)])
        assert events.newest_offset() == events.read("g", limit=10)[-1].offset
        events.settle("g", [one.offset for one in opened(lease_seconds=600).read("h", limit=2)])
        for group in ("g", "h"):
            events.settle(group, range(1, events.newest_offset() + 1))
        assert events.publish([event(3)]) == 1

    def test_a_refused_event_is_kept_with_its_reason_and_the_next_one_comes(self, events: Events) -> None:
        events.publish([event(1), event(2)])
        first = events.read("g", limit=1)[0]
        events.refuse("g", first, "the amount is negative")
        events.refuse_body("{broken", "no JSON")
        assert numbers(events) == [2]
        letters = events.dead_letters()
        assert [(letter.reason, letter.offset) for letter in letters] == [
            ("no JSON", None),
            ("the amount is negative", first.offset),
        ]
        assert Event.from_json(letters[1].body) == first.event
        assert letters[0].body == "{broken"
        assert events.dead_letters(limit=1) == letters[:1]

    def test_replay_delivers_again_from_an_offset(self, events: Events) -> None:
        events.publish([event(n) for n in range(5)])
        found = events.read("g", limit=10)
        events.settle("g", [one.offset for one in found])
        assert events.replay("g", first=found[3].offset) == 2
        assert numbers(events) == [3, 4]

    def test_reading_waits_for_the_first_event(self, opened: Open, events: Events) -> None:
        started = time.monotonic()
        assert events.read("g", limit=1, wait_seconds=0.2) == []
        assert time.monotonic() - started >= 0.2
        opened().publish([event(1)])
        assert len(events.read("g", limit=1, wait_seconds=60)) == 1

    def test_only_what_every_group_settled_is_pruned(self, events: Events) -> None:
        events.publish([event(n) for n in range(3)])
        later = datetime.now(UTC) + timedelta(hours=1)
        assert events.prune(before=later) == 0
        newest = events.newest_offset()
        events.settle("g", [one.offset for one in events.read("g", limit=2)])
        assert events.prune(before=datetime.now(UTC) - timedelta(hours=1)) == 0
        assert events.prune(before=later) == 2
        assert events.newest_offset() == newest
        assert numbers(events) == [2]
        assert events.publish([event(9)]) == 1
        assert events.newest_offset() > newest

    def test_nothing_gives_nothing(self, events: Events) -> None:
        assert events.publish([]) == 0
        assert (events.newest_offset(), events.backlog("g"), events.read("g", limit=5)) == (0, 0, [])
        assert events.check().ok

    @settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
    @given(steps=st.lists(st.tuples(st.sampled_from(["publish", "read", "settle", "release"]), st.integers(0, 3))))
    def test_nothing_is_lost_doubled_or_reordered_within_a_subject(
        self, opened: Open, steps: list[tuple[str, int]]
    ) -> None:
        """Two members in any interleaving; the order per subject is that of publication, each event settled once."""
        group = f"g{time.monotonic_ns()}"
        members = [opened(lease_seconds=600), opened(lease_seconds=600)]
        members[0].settle(group, range(1, members[0].newest_offset() + 1))
        published: list[Event] = []
        held: list[list] = [[], []]
        done: list[Event] = []
        for kind, number in steps:
            who = number % 2
            if kind == "publish":
                fresh = Event(
                    id=f"{group}-{len(published)}", source="/t", type="t", time=T, subject=f"s{number}", data={}
                )
                published += [fresh] * members[who].publish([fresh])
            elif kind == "read":
                held[who] += members[who].read(group, limit=number + 1)
            elif kind == "settle":
                members[who].settle(group, [one.offset for one in held[who]])
                done += [one.event for one in held[who]]
                held[who] = []
            else:
                members[who].release(group, [one.offset for one in held[who]])
                held[who] = []
        for who in (0, 1):
            members[who].settle(group, [one.offset for one in held[who]])
            done += [one.event for one in held[who]]
        while rest := members[0].read(group, limit=3):
            members[0].settle(group, [one.offset for one in rest])
            done += [one.event for one in rest]
        assert sorted(one.id for one in done) == sorted(one.id for one in published)
        for subject in {one.subject for one in published}:
            assert [one for one in done if one.subject == subject] == [
                one for one in published if one.subject == subject
            ]


class TestEvent:
    def test_json_and_back(self) -> None:
        line = event(1).to_json()
        assert json.loads(line)["specversion"] == "1.0"
        assert Event.from_json(line) == event(1)
        assert Event.from_json(json.dumps({**json.loads(line), "datacontenttype": "application/json"})) == event(1)

    @pytest.mark.parametrize(
        ("line", "says"),
        [
            ("{", "no JSON object"),
            ("[1]", "no JSON object"),
            ("7", "no JSON object"),
            (b"\xff\xfe", "no JSON object"),
            ('{"id": "1"}', "wrong `source`"),
            (event(1).to_json().replace("Z", ""), "wrong `time`"),
            ("x" * (MAX_EVENT_BYTES + 1), "bytes"),
        ],
    )
    def test_what_is_no_event_is_refused(self, line: str | bytes, says: str) -> None:
        with pytest.raises(TesseraError, match=says):
            Event.from_json(line)
