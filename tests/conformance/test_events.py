"""What every queue of events does, whatever is behind it."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from socket import socket
from typing import Any
from uuid import uuid4

import psycopg
import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.errors import TesseraError
from models.events import MAX_EVENT_BYTES, Event
from resources.events.port import Events, TooFarBehind, as_text
from resources.events.sqlite_events import SqliteEventsConfig
from tests.faults.events_process import KINDS, noted

T = datetime(2018, 7, 25, 12, 0, 0, 123456, tzinfo=UTC)
#: Opens the same queue again, as another process would; keyword arguments are settings.
Open = Callable[..., Events]
Start = Callable[..., tuple[list[int], Callable[[], list[int]]]]


def event(number: int, subject: str = "card-1") -> Event:
    return Event(id=f"e{number}", source="/test", type="payment", time=T, subject=subject, data={"number": number})


@pytest.fixture(params=["sqlite", "redis", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, dict[str, Any]]:
    """An empty queue: its kind and where it is."""
    if request.param == "sqlite":
        return "sqlite", {"path": str(tmp_path / "events.db")}
    if request.param == "redis":
        return "redis", {"url": f"redis://{request.getfixturevalue('fresh_redis')}/0"}
    return "postgres", {"url": request.getfixturevalue("postgres_database").url}


@pytest.fixture
def opened(place: tuple[str, dict[str, Any]]) -> Open:
    def opening(**settings: Any) -> Events:
        config: Any = KINDS[place[0]](**place[1], **settings)
        return config.open()

    return opening


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

    def test_an_id_of_other_content_is_refused_and_kept(self, opened: Open, events: Events) -> None:
        first = event(1).model_copy(update={"data": {"number": 1, "by": "ann"}})
        events.publish([first])
        turned = first.model_copy(update={"data": {"by": "ann", "number": 1}})
        others = [
            first.model_copy(update={"data": {"number": 2, "by": "ann"}}),
            first.model_copy(update={"subject": "card-2"}),
            first.model_copy(update={"time": T + timedelta(microseconds=1)}),
            first.model_copy(update={"type": "payment.labelled"}),
            event(3).model_copy(update={"data": {"number": True}}),
        ]
        given = [turned, *others[:4], event(2), event(3), others[4], first]
        said = opened().publish(given, origins=[f"a.jsonl, line {n}" for n in range(1, 10)])
        assert (said, said.conflicts) == (2, (1, 2, 3, 4, 7))
        letters = events.dead_letters()
        assert [Event.from_json(one.body) for one in reversed(letters)] == others
        assert [one.reason for one in letters[:2]] == [
            "An event with this `source` and `id`, but other content, came before (a.jsonl, line 8).",
            "An event with this `source` and `id`, but other content, came before (a.jsonl, line 5).",
        ]
        assert [one.event for one in events.read("g", limit=9)] == [first, event(2), event(3)]

    def test_a_publisher_that_has_to_wait_refuses_nothing_yet(self, opened: Open) -> None:
        events = opened(max_backlog=1)
        events.publish([event(1)])
        with pytest.raises(TooFarBehind):
            events.publish([event(1, "card-2"), event(2)])
        assert events.dead_letters() == []

    @settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(sent=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 1)), max_size=12), cut=st.integers(1, 5))
    def test_every_event_is_delivered_refused_or_there_already(
        self, opened: Open, sent: list[tuple[int, int]], cut: int
    ) -> None:
        """Counted beside the queue: of each id the first content is delivered; what differs from it is refused."""
        events, run = opened(), uuid4().hex
        before = len(events.dead_letters(limit=10_000))
        held: dict[int, int] = {}
        expected = [held.setdefault(number, content) == content for number, content in sent]
        stored = 0
        for at in range(0, len(sent), cut):
            part = [event(n, f"s{c}").model_copy(update={"source": run}) for n, c in sent[at : at + cut]]
            stored += events.publish(part)
        handled = events.read("g", limit=100)
        refused = handled[::2]
        for one in refused:
            events.refuse("g", one, "refused")
        events.settle("g", [one.offset for one in handled])
        while more := events.read("g", limit=100):
            events.settle("g", [one.offset for one in more])
            handled = [*handled, *more]
        letters = len(events.dead_letters(limit=10_000)) - before
        again = sum(expected) - len(held)
        assert (stored, len(handled)) == (len(held), len(held))
        assert letters == expected.count(False) + len(refused)
        assert len(sent) == stored + expected.count(False) + again

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

    def test_what_is_held_comes_to_nobody_else(self, opened: Open, events: Events) -> None:
        events.publish([event(n, f"card-{n}") for n in range(3)])
        assert numbers(events, limit=2) == [0, 1]
        assert numbers(opened()) == [2]
        assert numbers(events) == []

    def test_it_comes_again_when_the_lease_has_ended(self, opened: Open) -> None:
        events = opened(lease_seconds=0.01)
        events.publish([event(n, f"card-{n}") for n in range(3)])
        assert numbers(events, limit=2) == [0, 1]
        time.sleep(0.02)
        assert numbers(opened(lease_seconds=600)) == [0, 1, 2]

    def test_what_is_released_comes_at_once(self, events: Events) -> None:
        events.publish([event(1), event(2)])
        held = events.read("g", limit=10)
        events.release("g", [one.offset for one in held])
        assert numbers(events) == [1, 2]

    def test_a_successor_takes_over_and_all_comes_in_order(self, opened: Open, events: Events) -> None:
        events.publish([event(n, f"card-{n % 4}") for n in range(9)])
        dead = events.read("g", limit=3)
        assert numbers(opened(), limit=2) == [3, 7]
        events.settle("g", [dead[1].offset])
        successor = opened()
        assert successor.take_over("g") == 4
        assert numbers(successor) == [0, 2, 3, 4, 5, 6, 7, 8]
        assert successor.take_over("other") == 0

    def test_events_of_one_subject_are_never_with_two_members(self, opened: Open, events: Events) -> None:
        events.publish([event(0, "a"), event(1, "b"), event(2, "a"), event(3, "c")])
        first = events.read("g", limit=1)
        assert numbers(opened(lease_seconds=600)) == [1, 3]
        events.settle("g", [first[0].offset])
        assert numbers(events) == [2]

    def test_what_waits_for_its_subject_does_not_stop_the_others(self, opened: Open, events: Events) -> None:
        """However many of a held subject come first, and however few are asked for at a time."""
        events.publish([event(n, "a" if n < 8 else f"b{n}") for n in range(12)])
        first = events.read("g", limit=1)
        other = opened()
        assert [numbers(other, limit=1) for _ in range(5)] == [[8], [9], [10], [11], []]
        events.settle("g", [first[0].offset])
        found = other.read("g", limit=3)
        assert [(one.event.data["number"], one.attempt) for one in found] == [(1, 1), (2, 1), (3, 1)]
        assert numbers(events) == []
        assert events.backlog("g") == 11

    def test_groups_read_independently(self, events: Events) -> None:
        events.publish([event(n) for n in range(3)])
        for one in events.read("g", limit=10):
            events.settle("g", [one.offset])
        assert numbers(events, "other") == [0, 1, 2]
        assert (events.backlog("g"), events.backlog("other"), events.backlog("new")) == (0, 3, 3)
        assert events.groups() == ["g", "other"]

    def test_settling_what_was_never_read_or_never_published(self, events: Events) -> None:
        events.publish([event(n) for n in range(3)])
        events.settle("g", [2, 4, 99])
        assert events.backlog("g") == 2
        events.publish([event(3)])
        assert numbers(events) == [0, 2, 3]

    def test_a_slow_group_stops_the_publisher(self, opened: Open) -> None:
        events = opened(max_backlog=3)
        events.publish([event(n) for n in range(3)])
        with pytest.raises(TooFarBehind, match="3 events wait already") as raised:
            events.publish([event(3)])
        assert raised.value.room == 0
        assert events.publish([event(1), event(2)]) == 0
        held = events.read("g", limit=10)
        events.settle("g", [one.offset for one in held[:2]])
        with pytest.raises(TooFarBehind, match="1 events wait already") as raised:
            events.publish([event(n) for n in range(1, 6)])
        assert (raised.value.room, events.newest_offset()) == (2, held[-1].offset)
        assert events.publish([event(3), event(4)]) == 2
        events.read("slow", limit=1)
        events.settle("g", range(1, events.newest_offset() + 1))
        with pytest.raises(TooFarBehind, match="5 events wait already"):
            events.publish([event(5)])

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
        events.refuse("g", first, "somebody else has the same opinion")
        assert events.dead_letters() == letters

    @pytest.mark.parametrize("body", ["a\0b", "\ud800", "ä" * (MAX_EVENT_BYTES + 1), ""])
    def test_any_body_can_be_kept(self, events: Events, body: str) -> None:
        events.refuse_body(body, f"reason {body[:5]}")
        letter = events.dead_letters()[0]
        assert letter.body == as_text(body)
        assert letter.reason == f"reason {as_text(body[:5])}"
        assert len(letter.body) < MAX_EVENT_BYTES + 50

    def test_any_event_can_be_kept(self, events: Events) -> None:
        odd = {"a\0": "\0'\"\\{}%s:x ü 🙂", "": [None, True, 2**70, 1e300, {"deep": [[]]}]}
        given = Event(
            id="it's %s", source=":source", type="{}", time=datetime.max.replace(tzinfo=UTC), subject="", data=odd
        )
        events.publish([given, given.model_copy(update={"id": "2", "time": datetime.min.replace(tzinfo=UTC)})])
        found = events.read("it's %s", limit=5)
        assert found[0].event == given
        events.refuse("it's %s", found[1], "refused")
        assert Event.from_json(events.dead_letters()[0].body) == found[1].event

    def test_replay_delivers_again_from_an_offset(self, events: Events) -> None:
        events.publish([event(n) for n in range(5)])
        found = events.read("g", limit=10)
        events.settle("g", [one.offset for one in found])
        assert events.replay("g", first=found[3].offset) == 2
        assert numbers(events) == [3, 4]

    def test_replay_skips_nothing_and_takes_nothing_from_who_has_it(self, opened: Open, events: Events) -> None:
        events.publish([event(n, f"card-{n}") for n in range(5)])
        assert events.replay("g", first=4) == 2
        assert numbers(events, limit=2) == [0, 1]
        other = opened()
        events.settle("g", [other.read("g", limit=2)[0].offset])
        assert events.replay("g", first=2) == 4
        assert events.backlog("g") == 5
        assert numbers(events) == [2, 4]
        events.settle("g", range(1, 6))
        assert (events.backlog("g"), numbers(events)) == (0, [])
        assert events.replay("g", first=99) == 0
        assert events.replay("g", first=-5) == 5
        assert numbers(events) == [0, 1, 2, 3, 4]

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
        assert events.publish([event(9), event(0)]) == 2
        assert events.newest_offset() == newest + 2
        assert events.backlog("new") == 3
        assert numbers(events, "new") == [2, 9, 0]
        assert events.replay("g", first=1) == 3

    def test_dead_letters_of_long_ago_are_pruned(self, events: Events) -> None:
        events.refuse_body("{broken", "no JSON")
        assert events.prune(before=datetime.now(UTC) - timedelta(hours=1)) == 0
        assert [letter.body for letter in events.dead_letters()] == ["{broken"]
        assert events.prune(before=datetime.now(UTC) + timedelta(hours=1)) == 0
        assert events.dead_letters() == []
        events.refuse_body("{new", "no JSON")
        assert [letter.body for letter in events.dead_letters()] == ["{new"]

    def test_what_somebody_holds_is_not_pruned(self, events: Events) -> None:
        later = datetime.now(UTC) + timedelta(hours=1)
        events.publish([event(n, f"card-{n}") for n in range(4)])
        held = events.read("g", limit=4)
        events.settle("g", [held[0].offset, held[2].offset])
        assert events.prune(before=later) == 1
        events.settle("g", [one.offset for one in held])
        assert events.prune(before=later) == 3
        assert (events.backlog("g"), events.backlog("new"), numbers(events, "new")) == (0, 0, [])

    def test_nothing_gives_nothing(self, events: Events) -> None:
        assert events.publish([]) == 0
        assert (events.newest_offset(), events.backlog("g"), events.read("g", limit=5)) == (0, 0, [])
        for call in (events.settle, events.release):
            call("g", [])
        assert events.dead_letters() == []
        assert events.check().ok

    def test_many_can_make_the_first_connection(self, opened: Open) -> None:
        with ThreadPoolExecutor(8) as pool:
            stored = pool.map(lambda n: opened().publish([event(n), event(100)]), range(8))
        assert sum(stored) == 9

    def test_threads_may_share_one(self, events: Events) -> None:
        def work(who: int) -> None:
            for number in range(20):
                events.publish([event(100 * who + number, f"card-{who}")])
                events.settle("g", [one.offset for one in events.read("g", limit=3)])

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(work, range(4)))
        assert (events.newest_offset(), events.backlog("g")) == (80, 0)

    @settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        steps=st.lists(
            st.tuples(st.sampled_from(["publish", "publish", "read", "settle", "release", "forget"]), st.integers(0, 3))
        )
    )
    def test_nothing_is_lost_doubled_or_reordered_within_a_subject(
        self, opened: Open, steps: list[tuple[str, int]]
    ) -> None:
        """Two members in any interleaving; the order per subject is that of publication, each event settled once.

        What is forgotten counts for nobody, whether it was handled before, is held, or still to come.
        """
        group = f"g{time.monotonic_ns()}"
        members = [opened(lease_seconds=600), opened(lease_seconds=600)]
        members[0].settle(group, range(1, members[0].newest_offset() + 1))
        published: list[Event] = []
        held: list[list] = [[], []]
        done: list[Event] = []
        gone: set[str] = set()
        for kind, number in steps:
            who = number % 2
            assert members[who].backlog(group) == len({one.id for one in published} - {one.id for one in done} - gone)
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
            elif kind == "forget":
                members[who].forget(f"s{number}")
                gone |= {one.id for one in published if one.subject == f"s{number}"}
            else:
                members[who].release(group, [one.offset for one in held[who]])
                held[who] = []
        for who in (0, 1):
            members[who].settle(group, [one.offset for one in held[who]])
            done += [one.event for one in held[who]]
        while rest := members[0].read(group, limit=3):
            members[0].settle(group, [one.offset for one in rest])
            done += [one.event for one in rest]
        assert members[0].backlog(group) == 0
        left = [one for one in published if one.id not in gone]
        assert sorted(one.id for one in done if one.id not in gone) == sorted(one.id for one in left)
        assert len({one.id for one in done}) == len(done)
        for subject in {one.subject for one in left}:
            assert [one for one in done if one.subject == subject and one.id not in gone] == [
                one for one in left if one.subject == subject
            ]


def of_two(count: int = 10) -> list[Event]:
    """Events of `a` and `b` in turns, the even ones of `a`."""
    return [event(n, "ab"[n % 2]) for n in range(count)]


def _until_waiting(url: str, count: int) -> None:
    """Until that many connections wait for a lock."""
    with psycopg.connect(url, autocommit=True) as asking:
        query = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        while asking.execute(query).fetchone() != (count,):
            time.sleep(0.005)


class TestForgetting:
    """What names one subject goes, for all groups and for good; the others notice nothing."""

    def test_wherever_a_group_stands_it_goes_on_with_the_others(self, opened: Open, events: Events) -> None:
        events.publish(of_two())
        held = events.read("held", limit=4)
        events.settle("held", [held[1].offset])
        events.settle("ahead", [held[0].offset, held[3].offset, held[3].offset + 1])
        events.settle("done", range(1, 11))
        other = opened(lease_seconds=600)
        assert other.forget("a") == 5
        assert [events.backlog(name) for name in ("held", "ahead", "done", "new")] == [4, 4, 0, 5]
        assert events.newest_offset() == 10
        events.settle("held", [held[0].offset])
        events.release("held", [held[2].offset])
        events.refuse("held", held[2], "refused by who holds it")
        events.refuse("new", held[2], "refused by who never read it")
        assert events.dead_letters() == []
        assert [events.backlog(name) for name in ("held", "ahead", "done", "new")] == [4, 4, 0, 5]
        assert numbers(other, "held") == [], "an earlier one of the subject is held"
        events.release("held", [held[3].offset])
        assert numbers(events, "held") == [3, 5, 7, 9]
        assert [one.offset for one in other.read("new", limit=2)] == [2, 4]
        assert numbers(events, "new", limit=1) == []
        events.settle("new", [2, 4])
        assert numbers(events, "new") == [5, 7, 9]
        assert numbers(events, "ahead") == [1, 5, 7, 9]
        assert (other.take_over("held"), other.forget("a")) == (4, 0)

    def test_offsets_of_the_forgotten_stay_unused_and_nothing_counts_them(self, opened: Open) -> None:
        events = opened(max_backlog=6)
        events.publish(of_two(6))
        assert events.forget("a") == 3
        assert events.publish([event(n, "b") for n in (10, 11, 12)]) == 3
        with pytest.raises(TooFarBehind, match="6 events wait already"):
            events.publish([event(13, "b")])
        found = events.read("g", limit=100)
        assert [one.offset for one in found] == [2, 4, 6, 7, 8, 9]
        with pytest.raises(TooFarBehind, match="6 events wait already"):
            events.publish([event(13, "b")])
        events.settle("g", range(1, 10))
        assert [events.replay("g", first=first) for first in (9, 6, 5, 1)] == [1, 4, 4, 6]
        assert events.backlog("g") == 6
        assert numbers(events) == [1, 3, 5, 10, 11, 12]
        events.settle("g", range(1, 10))
        assert events.backlog("g") == 0
        assert events.forget("b") == 6
        assert [events.backlog(name) for name in ("g", "new")] == [0, 0]
        assert events.replay("g", first=1) == 0
        assert events.publish(of_two(2)) == 2, "what is published again is new"
        assert [one.offset for one in events.read("g", limit=5)] == [10, 11]

    def test_pruning_goes_on_over_the_gaps(self, events: Events) -> None:
        later = datetime.now(UTC) + timedelta(hours=1)
        events.publish(of_two(8))
        events.forget("a")
        events.settle("g", [one.offset for one in events.read("g", limit=2)])
        assert events.prune(before=later) == 2
        assert [events.backlog(name) for name in ("g", "new")] == [2, 2]
        assert events.replay("g", first=1) == 2
        assert numbers(events) == [5, 7]
        events.settle("g", range(1, 9))
        assert events.prune(before=later) == 2
        assert [events.backlog(name) for name in ("g", "new")] == [0, 0]
        events.publish([event(20, "c"), event(21, "a")])
        assert events.forget("c") == 1
        assert events.backlog("g") == 1
        assert [one.offset for one in events.read("g", limit=5)] == [10]

    def test_data_may_name_somebody_whatever_the_subject(self, events: Events) -> None:
        id = 'ü%_!"\\'
        named = [{"customer_id": id}, {"paid": [{"customer_id": id}]}, {"customer_id": "x"}, {"terminal_id": id}]
        events.publish([event(n).model_copy(update={"data": {"number": n, **data}}) for n, data in enumerate(named)])
        events.publish([event(9).model_copy(update={"data": {"number": 9, "customer_id": 596, "terminal_id": "x"}})])
        assert events.forget(id) == 2
        assert events.forget("596") == 1
        assert numbers(events) == [2, 3]

    def test_dead_letters_that_name_somebody_go_too(self, events: Events) -> None:
        events.publish([event(1, "a"), event(2, "b"), event(3, "a")])
        for one in events.read("g", limit=2):
            events.refuse("g", one, "refused")
        for body in ('{"customer_id": "a"}', '{"broken": "a', '{"broken": "ab', '{"customer_id": "b", "by": "a"}'):
            events.refuse_body(body, "no event")
        assert events.forget("a") == 2 + 1 + 2
        assert [json.loads(one.body)["subject"] for one in events.dead_letters() if one.offset] == ["b"]
        assert [one.body for one in events.dead_letters() if not one.offset] == [
            '{"customer_id": "b", "by": "a"}',
            '{"broken": "ab',
        ]

    def test_while_others_publish_read_and_begin(self, opened: Open) -> None:
        """Nothing of the others is lost, held back or counted wrongly, and no call fails."""
        groups, rounds = [f"g{n}" for n in range(20)], 30

        def publishing() -> None:
            events = opened()
            for number in range(rounds):
                events.publish([event(2 * number, "a"), event(2 * number + 1, f"b{number % 3}")])

        def forgetting() -> None:
            events = opened()
            for _ in range(rounds // 2):
                events.forget("a")

        def reading() -> None:
            events = opened(lease_seconds=600)
            for group in groups:
                events.settle(group, [one.offset for one in events.read(group, limit=200)][::2])

        with ThreadPoolExecutor(3) as pool:
            works = [pool.submit(work) for work in (publishing, forgetting, reading)]
        assert [work.exception() for work in works] == [None] * 3
        events = opened()
        events.forget("a")
        for group in groups:
            events.take_over(group)
            events.settle(group, [one.offset for one in events.read(group, limit=200)])
        assert {events.backlog(group) for group in groups} == {0}
        assert numbers(events, "last") == [2 * number + 1 for number in range(rounds)]
        events.drop("last")
        assert events.prune(before=datetime.now(UTC) + timedelta(hours=1)) == rounds

    @pytest.mark.parametrize("place", ["postgres"], indirect=True)
    def test_a_group_that_begins_at_that_moment_is_left_nothing_of_it(
        self, place: tuple[str, dict[str, Any]], opened: Open
    ) -> None:
        """Its first member has found the events, and has not said so yet, when they are removed."""
        opened().publish(of_two(4))
        with psycopg.connect(place[1]["url"]) as blocking, ThreadPoolExecutor(2) as pool:
            blocking.execute("LOCK TABLE tessera_events.ahead IN SHARE MODE")
            reading = pool.submit(lambda: numbers(opened(lease_seconds=600), "new"))
            _until_waiting(place[1]["url"], 1)
            forgetting = pool.submit(lambda: opened().forget("a"))
            _until_waiting(place[1]["url"], 2)
            blocking.commit()
            assert (reading.result(), forgetting.result()) == ([0, 1, 2, 3], 2)
        assert opened().backlog("new") == 2

    @pytest.mark.parametrize("place", ["sqlite"], indirect=True)
    def test_sqlite_keeps_no_byte_while_others_use_the_file(
        self, place: tuple[str, dict[str, Any]], opened: Open
    ) -> None:
        """Many events, so that pages were divided; and a log that another connection wrote."""
        other, events, file = opened(), opened(), Path(place[1]["path"])
        for start in range(0, 600, 100):
            made = [event(n, "secret" if n % 3 else f"s{n}") for n in range(start, start + 100)]
            other.publish([one.model_copy(update={"id": f"{one.subject}-{one.id}"}) for one in made])
            held = other.read("g", limit=90)
            other.settle("g", [one.offset for one in held[::2]])
        other.refuse("g", held[3], "refused")
        assert other.backlog("g") > 300
        assert b"secret" in file.read_bytes() + Path(f"{file}-wal").read_bytes()
        assert events.forget("secret") >= 400
        assert b"secret" not in b"".join(one.read_bytes() for one in file.parent.iterdir())
        assert other.take_over("g") == other.backlog("g") == len(numbers(other, limit=1000)) > 0

    @pytest.mark.parametrize("place", ["sqlite", "postgres"], indirect=True)
    def test_a_queue_of_an_earlier_version_can_forget(self, place: tuple[str, dict[str, Any]], opened: Open) -> None:
        opened().publish(of_two(4))
        if place[0] == "sqlite":
            with closing(sqlite3.connect(place[1]["path"])) as old:
                old.executescript("DROP TABLE hole; PRAGMA user_version = 1;")
        else:
            with psycopg.connect(place[1]["url"]) as old:
                old.execute("DROP TABLE tessera_events.hole")
        events = opened()
        assert (events.forget("a"), events.newest_offset(), numbers(events)) == (2, 4, [1, 3])


class TestDropping:
    def test_an_abandoned_group_holds_up_nobody(self, opened: Open) -> None:
        events, later = opened(lease_seconds=600, max_backlog=4), datetime.now(UTC) + timedelta(hours=1)
        events.publish([event(n, f"card-{n}") for n in range(4)])
        held = events.read("left", limit=2)
        events.settle("left", [4])
        events.settle("g", [one.offset for one in events.read("g", limit=4)])
        assert events.prune(before=later) == 0
        events.drop("left")
        events.drop("never was")
        assert events.groups() == ["g"]
        assert events.publish([event(4)]) == 1
        assert events.prune(before=later) == 4
        events.drop("g")
        assert events.groups() == []
        assert events.publish([event(n) for n in (5, 6, 7)]) == 3, "what was pruned waits for nobody"
        with pytest.raises(TooFarBehind, match="4 events wait already"):
            events.publish([event(8)])
        events.settle("left", [one.offset for one in held])  # a member that was still at work
        assert events.groups() == ["left"]
        assert numbers(events, "left") == [4, 5, 6, 7]


class TestProcesses:
    """Publishers and consumers of their own, forked from one that uses the same queue."""

    def test_a_killed_consumer_loses_nothing(self, opened: Open, start: Start, out: Path) -> None:
        events = opened(lease_seconds=0.01)
        events.publish([event(n, f"card-{n % 3}") for n in range(9)])
        pids, ended = start([{"do": "hold", "group": "g", "limit": 6, "settled": 2, "out": str(out)}], 0.2)
        while not noted(out):
            time.sleep(0.001)
        assert events.backlog("g") == 7
        os.kill(pids[0], signal.SIGKILL)
        assert ended() == [-signal.SIGKILL]
        time.sleep(0.2)
        found = events.read("g", limit=100)
        assert [(one.event.data["number"], one.attempt) for one in found] == [
            *((n, 2) for n in range(2, 6)),
            *((n, 1) for n in range(6, 9)),
        ]

    @pytest.mark.parametrize("place", ["sqlite"], indirect=True)
    def test_a_forked_process_begins_without_a_connection(
        self, place: tuple[str, dict[str, Any]], start: Start
    ) -> None:
        """SQLite's locks belong to the process that took them."""
        _, ended = start([{"do": "inherit_nothing", "path": place[1]["path"]}])
        assert ended() == [0]

    @pytest.mark.parametrize("place", ["sqlite"], indirect=True)
    def test_many_processes_may_make_the_same_file(self, start: Start, tmp_path: Path) -> None:
        """Two that switch a new file to WAL at once: SQLite lets neither wait."""
        work = {"do": "open_at_once", "folder": str(tmp_path), "start": time.time() + 0.2, "rounds": 60}
        _, ended = start([work] * 8)
        assert ended() == [0] * 8
        assert {SqliteEventsConfig(path=str(tmp_path / f"{n}.db")).open().newest_offset() for n in range(60)} == {1}

    def test_publishers_and_consumers_at_once_lose_double_and_reorder_nothing(
        self, opened: Open, start: Start, out: Path
    ) -> None:
        count, subjects = 60, 7
        publishers = [
            {"do": "publish", "who": who, "count": count, "batch": batch, "subjects": subjects}
            for who, batch in (("a", 1), ("b", 7), ("c", 40))
        ]
        consumer = {"do": "consume", "group": "g", "until": 4 * count, "members": 2, "out": str(out)}
        _, ended = start([*publishers, {**consumer, "limit": 1}, {**consumer, "limit": 11}])
        assert ended() == [0] * 5
        handled = noted(out)
        assert sorted(row[0] for row in handled) == list(range(1, 4 * count + 1))
        assert {row[2] for row in handled} == {f"{who}-{n}" for who in ("a", "b", "c", "all") for n in range(count)}
        assert len({row[3] for row in handled}) == 2
        for subject in range(subjects):
            offsets = [row[0] for row in handled if row[1] == f"s{subject}"]
            assert offsets == sorted(offsets)
        stored = [one.event for one in opened().read("other", limit=1000)]
        for who in "abc":
            assert [one.data["number"] for one in stored if one.data["who"] == who] == list(range(count))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "handled.jsonl"


@pytest.fixture(scope="module")
def server() -> Iterator[subprocess.Popen[str]]:
    """One for all: importing everything takes seconds."""
    command = [sys.executable, "-m", "tests.faults.events_process"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        yield running
        running.stdin.close()
    assert running.returncode == 0


@pytest.fixture
def start(place: tuple[str, dict[str, Any]], server: subprocess.Popen[str]) -> Start:
    """Starts works as processes; gives their ids, and what waits for their exit codes."""

    def answer() -> list[int]:
        return json.loads(server.stdout.readline())

    def starting(works: list[dict[str, Any]], lease_seconds: float = 600) -> tuple[list[int], Callable[[], list[int]]]:
        kind, settings = place
        server.stdin.write(json.dumps([kind, {**settings, "lease_seconds": lease_seconds}, works]) + "\n")
        server.stdin.flush()
        return answer(), answer

    return starting


class TestServers:
    """What can only happen to a queue on a server."""

    @pytest.mark.parametrize("place", ["redis", "postgres"], indirect=True)
    def test_a_lost_connection_is_opened_again(self, place: tuple[str, dict[str, Any]], opened: Open) -> None:
        events = opened()
        events.publish([event(1)])
        if place[0] == "redis":
            with redis.Redis.from_url(place[1]["url"]) as other:
                other.client_kill_filter(_type="normal", skipme=True)
        else:
            others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tessera'"
            with psycopg.connect(place[1]["url"]) as other:
                other.execute(others)
        with suppress(TesseraError):  # the call that finds it lost may fail, the next one may not
            events.publish([event(2)])
        events.publish([event(2)])
        assert numbers(events) == [1, 2]

    @pytest.mark.parametrize("place", ["redis", "postgres"], indirect=True)
    def test_queues_of_one_server_are_apart(self, place: tuple[str, dict[str, Any]], opened: Open) -> None:
        name = {"redis": "prefix", "postgres": "schema_name"}[place[0]]
        one, other = opened(), opened(**{name: "another"})
        one.publish([event(1)])
        assert other.publish([event(1), event(2)]) == 2
        assert (one.newest_offset(), other.newest_offset()) == (1, 2)

    @pytest.mark.parametrize("kind", ["redis", "postgres"])
    def test_one_that_is_not_there_is_not_well(self, kind: str) -> None:
        with socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            scheme = {"redis": "redis", "postgres": "postgresql"}[kind]
            config: Any = KINDS[kind](url=f"{scheme}://u:s3cr3t@127.0.0.1:{nobody.getsockname()[1]}/0")
            health = config.open().check()
        assert not health.ok
        assert "does not work" in health.says
        assert "s3cr3t" not in health.says + health.todo


class TestMissingClient:
    @pytest.mark.parametrize("kind", ["redis", "postgres"])
    def test_the_lock_to_install_is_named(self, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, {"redis": "redis", "postgres": "psycopg"}[kind], None)
        config: Any = KINDS[kind]()
        with pytest.raises(TesseraError, match=f"requirements/{kind}.lock"):
            config.open()


class TestEvent:
    def test_json_and_back(self) -> None:
        line = event(1).to_json()
        assert json.loads(line)["specversion"] == "1.0"
        assert Event.from_json(line) == event(1)
        assert Event.from_json(json.dumps({**json.loads(line), "datacontenttype": "application/json"})) == event(1)

    def test_what_is_wide_is_not_deep(self) -> None:
        wide = event(1).model_copy(update={"data": {"number": 1, "of": [{"a": []}] * 500}})
        assert Event.from_json(wide.to_json()) == wide

    @pytest.mark.parametrize(
        ("line", "says"),
        [
            ("{", "no JSON object"),
            ("[1]", "no JSON object"),
            (event(1).to_json().replace('"time": "', '"time": "on '), "`time`: input .* as in RFC 3339, such as 2018-"),
            ("7", "no JSON object"),
            (b"\xff\xfe", "no JSON object"),
            ('{"id": "1"}', "wrong `source`"),
            (event(1).to_json().replace("Z", ""), "wrong `time`"),
            (event(1).to_json().replace('"2018-07-25T12:00:00.123456Z"', "1532520000"), "wrong `time`"),
            (event(1).to_json().replace("2018-07-25T12:00:00.123456Z", "0001-01-01T00:00:00+14:00"), "wrong `time`"),
            (event(1).to_json().replace("1.0", "0.3"), "wrong `specversion`"),
            (event(1).to_json().replace("card-1", "a\\u0000"), "wrong `subject`"),
            (event(1).to_json().replace("card-1", "\\ud800"), "wrong `subject`"),
            (event(1).to_json().replace("card-1", "s" * 257), "wrong `subject`"),
            (event(1).to_json().replace('{"number": 1}', '{"number": "\\ud800"}'), "wrong `data`"),
            (event(1).to_json().replace('{"number": 1}', '{"number": NaN}'), "wrong `data`"),
            (event(1).to_json().replace('{"number": 1}', '{"number": 1e999}'), "wrong `data`"),
            (event(1).to_json().replace('{"number": 1}', "[]"), "wrong `data`"),
            (
                event(1).to_json().replace('{"number": 1}', f'{{"number": {"[" * 100}{"]" * 100}}}'),
                "nested at most 100",
            ),
            ("[" * 60_000, "no JSON object"),
            ("9" * 60_000, "no JSON object"),
            ("x" * (MAX_EVENT_BYTES + 1), "bytes"),
        ],
    )
    def test_what_is_no_event_is_refused(self, line: str | bytes, says: str) -> None:
        with pytest.raises(TesseraError, match=says):
            Event.from_json(line)
