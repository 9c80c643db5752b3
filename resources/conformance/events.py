"""The tests of the events port."""

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import ClassVar
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.events import MAX_EVENT_BYTES, Event
from resources.conformance.suite import Conformance, needs
from resources.events.port import ErasableEvents, Events, RetainedEvents, TooFarBehind, as_text

T = datetime(2018, 7, 25, 12, 0, 0, 123456, tzinfo=UTC)
Open = Callable[..., Events]
#: A class that is inherited and its fixtures: examples share the queue, and each begins a group of its own.
_UNCHECKED = (HealthCheck.function_scoped_fixture, HealthCheck.differing_executors, HealthCheck.too_slow)
_STEPS = ["publish", "publish", "read", "acknowledge", "release"]


def _sequences(steps: list[str]) -> st.SearchStrategy[list[tuple[str, int]]]:
    return st.lists(st.tuples(st.sampled_from(steps), st.integers(0, 3)))


def event(number: int, subject: str = "card-1") -> Event:
    """Return a payment of a subject."""
    return Event(id=f"e{number}", source="/test", type="payment", time=T, subject=subject, data={"number": number})


def numbers(events: Events, group: str = "g", limit: int = 100) -> list[int]:
    """Read without acknowledging."""
    return [one.event.data["number"] for one in events.read(group, limit=limit)]


def of_two(count: int = 10) -> list[Event]:
    """Return events of `a` and `b` in turns, the even ones of `a`."""
    return [event(n, "ab"[n % 2]) for n in range(count)]


def _erasable(events: Events) -> ErasableEvents:
    assert isinstance(events, ErasableEvents)
    return events


def _retained(events: Events) -> RetainedEvents:
    assert isinstance(events, RetainedEvents)
    return events


class EventsConformance(Conformance):
    """The tests that every queue of events must pass. A harness overrides the fixture `opened`."""

    port: ClassVar = "events"

    @pytest.fixture
    def opened(self) -> Open:
        """A function that opens the queue under test, the same one each time, as another process would; empty at first.

        Its keyword arguments are settings of the adapter: `lease_seconds` and `max_backlog`.
        """
        raise NotImplementedError("The harness overrides the fixture `opened`.")

    @pytest.fixture
    def events(self, opened: Open) -> Events:
        """The queue under test; what is read is held for ten minutes."""
        return opened(lease_seconds=600)

    def test_what_is_published_comes_back_whole_and_in_order(self, events: Events) -> None:
        given = [event(n, f"card-{n % 3}") for n in range(10)]
        assert events.publish(given) == 10
        found = events.read("g", limit=100)
        assert [one.event for one in found] == given
        assert [one.attempt for one in found] == [1] * 10
        offsets = [one.offset for one in found]
        assert offsets == sorted(set(offsets))
        assert events.newest_offset() == offsets[-1]

    def test_the_span_that_published_an_event_comes_with_it_and_is_no_content(self, events: Events) -> None:
        traceparent = f"00-{'4bf92f35' * 4}-{'00f067aa' * 2}-01"
        traced = event(1).model_copy(update={"traceparent": traceparent})
        assert events.publish([traced, event(2)]) == 2
        assert not events.publish([event(1)]).conflicts
        assert [one.event.traceparent for one in events.read("g", limit=9)] == [traceparent, ""]

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

    @settings(max_examples=5, suppress_health_check=_UNCHECKED)
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
            events.reject("g", one, "refused")
        events.acknowledge("g", [one.offset for one in handled])
        while more := events.read("g", limit=100):
            events.acknowledge("g", [one.offset for one in more])
            handled = [*handled, *more]
        letters = len(events.dead_letters(limit=10_000)) - before
        again = sum(expected) - len(held)
        assert (stored, len(handled)) == (len(held), len(held))
        assert letters == expected.count(False) + len(refused)
        assert len(sent) == stored + expected.count(False) + again

    def test_an_acknowledged_event_never_comes_again(self, opened: Open) -> None:
        events = opened(lease_seconds=0.01)
        events.publish([event(n, f"card-{n}") for n in range(4)])
        found = events.read("g", limit=10)
        events.acknowledge("g", [found[0].offset, found[2].offset])
        events.acknowledge("g", [found[0].offset])
        time.sleep(0.02)
        again = opened(lease_seconds=0.01).read("g", limit=10)
        assert [(one.event.data["number"], one.attempt) for one in again] == [(1, 2), (3, 2)]
        events.acknowledge("g", [one.offset for one in again])
        time.sleep(0.02)
        assert events.read("g", limit=10) == []
        assert events.backlog("g") == 0

    def test_what_is_held_comes_to_no_one_else(self, opened: Open, events: Events) -> None:
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
        events.acknowledge("g", [dead[1].offset])
        successor = opened()
        assert successor.reclaim("g") == 4
        assert numbers(successor) == [0, 2, 3, 4, 5, 6, 7, 8]
        assert successor.reclaim("other") == 0

    def test_events_of_one_subject_are_never_with_two_members(self, opened: Open, events: Events) -> None:
        events.publish([event(0, "a"), event(1, "b"), event(2, "a"), event(3, "c")])
        first = events.read("g", limit=1)
        assert numbers(opened(lease_seconds=600)) == [1, 3]
        events.acknowledge("g", [first[0].offset])
        assert numbers(events) == [2]

    def test_what_waits_for_its_subject_does_not_stop_the_others(self, opened: Open, events: Events) -> None:
        """However many of a held subject come first, and however few are asked for at a time."""
        events.publish([event(n, "a" if n < 8 else f"b{n}") for n in range(12)])
        first = events.read("g", limit=1)
        other = opened()
        assert [numbers(other, limit=1) for _ in range(5)] == [[8], [9], [10], [11], []]
        events.acknowledge("g", [first[0].offset])
        found = other.read("g", limit=3)
        assert [(one.event.data["number"], one.attempt) for one in found] == [(1, 1), (2, 1), (3, 1)]
        assert numbers(events) == []
        assert events.backlog("g") == 11

    def test_groups_read_independently(self, events: Events) -> None:
        events.publish([event(n) for n in range(3)])
        for one in events.read("g", limit=10):
            events.acknowledge("g", [one.offset])
        assert numbers(events, "other") == [0, 1, 2]
        assert (events.backlog("g"), events.backlog("other"), events.backlog("new")) == (0, 3, 3)
        assert events.groups() == ["g", "other"]

    def test_the_oldest_event_that_waits_is_known(self, events: Events) -> None:
        before = datetime.now(UTC)
        events.publish([event(n, f"card-{n}") for n in range(2)])
        assert events.waiting_since("g") is None, "a group that never read waits for nothing"
        events.read("g", limit=1)
        between = datetime.now(UTC)
        time.sleep(0.01)
        events.publish([event(n, f"card-{n}") for n in range(2, 4)])
        slack = timedelta(seconds=1)  # the server's clock
        first = events.waiting_since("g")
        assert first is not None
        assert before - slack <= first <= between + slack
        assert len(events.read("g", limit=9)) == 3
        events.acknowledge("g", [2, 1])
        second = events.waiting_since("g")
        assert second is not None
        assert first < second
        events.acknowledge("g", [3, 4])
        assert events.waiting_since("g") is None

    def test_settling_what_was_never_read_or_never_published(self, events: Events) -> None:
        events.publish([event(n) for n in range(3)])
        events.acknowledge("g", [2, 4, 99])
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
        events.acknowledge("g", [one.offset for one in held[:2]])
        with pytest.raises(TooFarBehind, match="1 events wait already") as raised:
            events.publish([event(n) for n in range(1, 6)])
        assert (raised.value.room, events.newest_offset()) == (2, held[-1].offset)
        assert events.publish([event(3), event(4)]) == 2
        events.read("slow", limit=1)
        events.acknowledge("g", range(1, events.newest_offset() + 1))
        with pytest.raises(TooFarBehind, match="5 events wait already"):
            events.publish([event(5)])

    def test_a_refused_event_is_kept_with_its_reason_and_the_next_one_comes(self, events: Events) -> None:
        events.publish([event(1), event(2)])
        first = events.read("g", limit=1)[0]
        events.reject("g", first, "the amount is negative")
        events.reject_body("{broken", "no JSON")
        assert numbers(events) == [2]
        letters = events.dead_letters()
        assert [(letter.reason, letter.offset) for letter in letters] == [
            ("no JSON", None),
            ("the amount is negative", first.offset),
        ]
        assert Event.from_json(letters[1].body) == first.event
        assert letters[0].body == "{broken"
        assert events.dead_letters(limit=1) == letters[:1]
        events.reject("g", first, "somebody else has the same opinion")
        assert events.dead_letters() == letters

    @pytest.mark.parametrize("body", ["a\0b", "\ud800", "ä" * (MAX_EVENT_BYTES + 1), ""])
    def test_any_body_can_be_kept(self, events: Events, body: str) -> None:
        events.reject_body(body, f"reason {body[:5]}")
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
        events.reject("it's %s", found[1], "refused")
        assert Event.from_json(events.dead_letters()[0].body) == found[1].event

    def test_replay_delivers_again_from_an_offset(self, events: Events) -> None:
        events.publish([event(n) for n in range(5)])
        found = events.read("g", limit=10)
        events.acknowledge("g", [one.offset for one in found])
        assert events.replay("g", first=found[3].offset) == 2
        assert numbers(events) == [3, 4]

    def test_replay_skips_nothing_and_takes_nothing_from_who_has_it(self, opened: Open, events: Events) -> None:
        events.publish([event(n, f"card-{n}") for n in range(5)])
        assert events.replay("g", first=4) == 2
        assert numbers(events, limit=2) == [0, 1]
        other = opened()
        events.acknowledge("g", [other.read("g", limit=2)[0].offset])
        assert events.replay("g", first=2) == 4
        assert events.backlog("g") == 5
        assert numbers(events) == [2, 4]
        events.acknowledge("g", range(1, 6))
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

    @needs("retained")
    def test_only_what_every_group_acknowledged_is_pruned(self, events: Events) -> None:
        events.publish([event(n) for n in range(3)])
        later = datetime.now(UTC) + timedelta(hours=1)
        assert _retained(events).prune(before=later) == 0
        newest = events.newest_offset()
        events.acknowledge("g", [one.offset for one in events.read("g", limit=2)])
        assert _retained(events).prune(before=datetime.now(UTC) - timedelta(hours=1)) == 0
        assert _retained(events).prune(before=later) == 2
        assert events.newest_offset() == newest
        assert numbers(events) == [2]
        assert events.publish([event(9), event(0)]) == 2
        assert events.newest_offset() == newest + 2
        assert events.backlog("new") == 3
        assert numbers(events, "new") == [2, 9, 0]
        assert events.replay("g", first=1) == 3

    @needs("retained")
    def test_dead_letters_of_long_ago_are_pruned(self, events: Events) -> None:
        events.reject_body("{broken", "no JSON")
        assert _retained(events).prune(before=datetime.now(UTC) - timedelta(hours=1)) == 0
        assert [letter.body for letter in events.dead_letters()] == ["{broken"]
        assert _retained(events).prune(before=datetime.now(UTC) + timedelta(hours=1)) == 0
        assert events.dead_letters() == []
        events.reject_body("{new", "no JSON")
        assert [letter.body for letter in events.dead_letters()] == ["{new"]

    @needs("retained")
    def test_what_somebody_holds_is_not_pruned(self, events: Events) -> None:
        later = datetime.now(UTC) + timedelta(hours=1)
        events.publish([event(n, f"card-{n}") for n in range(4)])
        held = events.read("g", limit=4)
        events.acknowledge("g", [held[0].offset, held[2].offset])
        assert _retained(events).prune(before=later) == 1
        events.acknowledge("g", [one.offset for one in held])
        assert _retained(events).prune(before=later) == 3
        assert (events.backlog("g"), events.backlog("new"), numbers(events, "new")) == (0, 0, [])

    def test_nothing_gives_nothing(self, events: Events) -> None:
        assert events.publish([]) == 0
        assert (events.newest_offset(), events.backlog("g"), events.read("g", limit=5)) == (0, 0, [])
        for call in (events.acknowledge, events.release):
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
                events.acknowledge("g", [one.offset for one in events.read("g", limit=3)])

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(work, range(4)))
        assert (events.newest_offset(), events.backlog("g")) == (80, 0)

    @settings(max_examples=15, suppress_health_check=_UNCHECKED)
    @given(steps=_sequences(_STEPS))
    def test_nothing_is_lost_doubled_or_reordered_within_a_subject(
        self, opened: Open, steps: list[tuple[str, int]]
    ) -> None:
        self._interleaved(opened, steps)

    @needs("erasable")
    def test_nothing_of_others_is_lost_doubled_or_reordered_when_subjects_are_erased(self, opened: Open) -> None:
        @settings(max_examples=15, suppress_health_check=_UNCHECKED)
        @given(steps=_sequences([*_STEPS, "erase"]))
        def interleaved(steps: list[tuple[str, int]]) -> None:
            self._interleaved(opened, steps)

        _erasable(opened())
        interleaved()

    def _interleaved(self, opened: Open, steps: list[tuple[str, int]]) -> None:
        """Two members in any interleaving; the order per subject is that of publication, each event handled once.

        What is erased counts for no group, whether it was handled before, is held, or still to come.
        """
        group = f"g{time.monotonic_ns()}"
        members = [opened(lease_seconds=600), opened(lease_seconds=600)]
        members[0].acknowledge(group, range(1, members[0].newest_offset() + 1))
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
            elif kind == "acknowledge":
                members[who].acknowledge(group, [one.offset for one in held[who]])
                done += [one.event for one in held[who]]
                held[who] = []
            elif kind == "erase":
                _erasable(members[who]).forget(f"s{number}")
                gone |= {one.id for one in published if one.subject == f"s{number}"}
            else:
                members[who].release(group, [one.offset for one in held[who]])
                held[who] = []
        for who in (0, 1):
            members[who].acknowledge(group, [one.offset for one in held[who]])
            done += [one.event for one in held[who]]
        while rest := members[0].read(group, limit=3):
            members[0].acknowledge(group, [one.offset for one in rest])
            done += [one.event for one in rest]
        assert members[0].backlog(group) == 0
        left = [one for one in published if one.id not in gone]
        assert sorted(one.id for one in done if one.id not in gone) == sorted(one.id for one in left)
        assert len({one.id for one in done}) == len(done)
        for subject in {one.subject for one in left}:
            assert [one for one in done if one.subject == subject and one.id not in gone] == [
                one for one in left if one.subject == subject
            ]

    @needs("erasable")
    def test_wherever_a_group_stands_it_goes_on_with_the_others(self, opened: Open, events: Events) -> None:
        events.publish(of_two())
        held = events.read("held", limit=4)
        events.acknowledge("held", [held[1].offset])
        events.acknowledge("ahead", [held[0].offset, held[3].offset, held[3].offset + 1])
        events.acknowledge("done", range(1, 11))
        other = opened(lease_seconds=600)
        assert _erasable(other).forget("a") == 5
        assert [events.backlog(name) for name in ("held", "ahead", "done", "new")] == [4, 4, 0, 5]
        assert events.newest_offset() == 10
        events.acknowledge("held", [held[0].offset])
        events.release("held", [held[2].offset])
        events.reject("held", held[2], "refused by who holds it")
        events.reject("new", held[2], "refused by who never read it")
        assert events.dead_letters() == []
        assert [events.backlog(name) for name in ("held", "ahead", "done", "new")] == [4, 4, 0, 5]
        assert numbers(other, "held") == [], "an earlier one of the subject is held"
        events.release("held", [held[3].offset])
        assert numbers(events, "held") == [3, 5, 7, 9]
        assert [one.offset for one in other.read("new", limit=2)] == [2, 4]
        assert numbers(events, "new", limit=1) == []
        events.acknowledge("new", [2, 4])
        assert numbers(events, "new") == [5, 7, 9]
        assert numbers(events, "ahead") == [1, 5, 7, 9]
        assert (other.reclaim("held"), _erasable(other).forget("a")) == (4, 0)

    @needs("erasable")
    def test_offsets_of_the_forgotten_stay_unused_and_nothing_counts_them(self, opened: Open) -> None:
        events = opened(max_backlog=6)
        events.publish(of_two(6))
        assert _erasable(events).forget("a") == 3
        assert events.publish([event(n, "b") for n in (10, 11, 12)]) == 3
        with pytest.raises(TooFarBehind, match="6 events wait already"):
            events.publish([event(13, "b")])
        found = events.read("g", limit=100)
        assert [one.offset for one in found] == [2, 4, 6, 7, 8, 9]
        with pytest.raises(TooFarBehind, match="6 events wait already"):
            events.publish([event(13, "b")])
        events.acknowledge("g", range(1, 10))
        assert [events.replay("g", first=first) for first in (9, 6, 5, 1)] == [1, 4, 4, 6]
        assert events.backlog("g") == 6
        assert numbers(events) == [1, 3, 5, 10, 11, 12]
        events.acknowledge("g", range(1, 10))
        assert events.backlog("g") == 0
        assert _erasable(events).forget("b") == 6
        assert [events.backlog(name) for name in ("g", "new")] == [0, 0]
        assert events.replay("g", first=1) == 0
        assert events.publish(of_two(2)) == 2, "what is published again is new"
        assert [one.offset for one in events.read("g", limit=5)] == [10, 11]

    @needs("erasable")
    def test_pruning_goes_on_over_the_gaps(self, events: Events) -> None:
        later = datetime.now(UTC) + timedelta(hours=1)
        events.publish(of_two(8))
        _erasable(events).forget("a")
        events.acknowledge("g", [one.offset for one in events.read("g", limit=2)])
        assert _retained(events).prune(before=later) == 2
        assert [events.backlog(name) for name in ("g", "new")] == [2, 2]
        assert events.replay("g", first=1) == 2
        assert numbers(events) == [5, 7]
        events.acknowledge("g", range(1, 9))
        assert _retained(events).prune(before=later) == 2
        assert [events.backlog(name) for name in ("g", "new")] == [0, 0]
        events.publish([event(20, "c"), event(21, "a")])
        assert _erasable(events).forget("c") == 1
        assert events.backlog("g") == 1
        assert [one.offset for one in events.read("g", limit=5)] == [10]

    @needs("erasable")
    def test_data_may_name_somebody_whatever_the_subject(self, events: Events) -> None:
        id = 'ü%_!"\\'
        named = [{"customer_id": id}, {"paid": [{"customer_id": id}]}, {"customer_id": "x"}, {"terminal_id": id}]
        events.publish([event(n).model_copy(update={"data": {"number": n, **data}}) for n, data in enumerate(named)])
        events.publish([event(9).model_copy(update={"data": {"number": 9, "customer_id": 596, "terminal_id": "x"}})])
        assert _erasable(events).forget(id) == 2
        assert _erasable(events).forget("596") == 1
        assert numbers(events) == [2, 3]

    @needs("erasable")
    def test_fields_that_nothing_declares_are_searched_and_erased_where_they_name_somebody(
        self, events: Events
    ) -> None:
        given = [{"paid": [{"by": "x"}]}, {"by": "x", "to": "x"}, {"to": 596}, {"terminal_id": "x"}, {"to": "y"}]
        events.publish([event(n).model_copy(update={"data": {"number": n, **data}}) for n, data in enumerate(given)])
        events.reject_body('{"customer_id": "b", "by": "x"}', "no event")
        queue = _erasable(events)
        assert queue.undeclared("x") == {"by": 3, "to": 1}
        assert (queue.undeclared("596"), queue.undeclared("b")) == ({"to": 1}, {})
        assert (queue.forget("x"), queue.forget("x", also=["by"])) == (0, 3)
        assert (queue.undeclared("x"), numbers(events)) == ({}, [2, 3, 4])

    @needs("erasable")
    def test_dead_letters_that_name_somebody_go_too(self, events: Events) -> None:
        events.publish([event(1, "a"), event(2, "b"), event(3, "a")])
        for one in events.read("g", limit=2):
            events.reject("g", one, "refused")
        for body in ('{"customer_id": "a"}', '{"broken": "a', '{"broken": "ab', '{"customer_id": "b", "by": "a"}'):
            events.reject_body(body, "no event")
        assert _erasable(events).forget("a") == 2 + 1 + 2
        assert [json.loads(one.body)["subject"] for one in events.dead_letters() if one.offset] == ["b"]
        assert [one.body for one in events.dead_letters() if not one.offset] == [
            '{"customer_id": "b", "by": "a"}',
            '{"broken": "ab',
        ]

    @needs("erasable")
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
                _erasable(events).forget("a")

        def reading() -> None:
            events = opened(lease_seconds=600)
            for group in groups:
                events.acknowledge(group, [one.offset for one in events.read(group, limit=200)][::2])

        with ThreadPoolExecutor(3) as pool:
            works = [pool.submit(work) for work in (publishing, forgetting, reading)]
        assert [work.exception() for work in works] == [None] * 3
        events = opened()
        _erasable(events).forget("a")
        for group in groups:
            events.reclaim(group)
            events.acknowledge(group, [one.offset for one in events.read(group, limit=200)])
        assert {events.backlog(group) for group in groups} == {0}
        assert numbers(events, "last") == [2 * number + 1 for number in range(rounds)]
        events.delete_group("last")
        assert _retained(events).prune(before=datetime.now(UTC) + timedelta(hours=1)) == rounds

    @needs("retained")
    def test_an_abandoned_group_holds_up_no_one(self, opened: Open) -> None:
        events, later = opened(lease_seconds=600, max_backlog=4), datetime.now(UTC) + timedelta(hours=1)
        events.publish([event(n, f"card-{n}") for n in range(4)])
        held = events.read("left", limit=2)
        events.acknowledge("left", [4])
        events.acknowledge("g", [one.offset for one in events.read("g", limit=4)])
        assert _retained(events).prune(before=later) == 0
        events.delete_group("left")
        events.delete_group("never was")
        assert events.groups() == ["g"]
        assert events.publish([event(4)]) == 1
        assert _retained(events).prune(before=later) == 4
        events.delete_group("g")
        assert events.groups() == []
        assert events.publish([event(n) for n in (5, 6, 7)]) == 3, "what was pruned waits for no group"
        with pytest.raises(TooFarBehind, match="4 events wait already"):
            events.publish([event(8)])
        events.acknowledge("left", [one.offset for one in held])  # a member that was still at work
        assert events.groups() == ["left"]
        assert numbers(events, "left") == [4, 5, 6, 7]
