"""Tickets by event: answered as by `tessera ask`, once whatever dies; refused alone; erased with the customer."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from assets.support.answering import answered, served
from assets.support.stream import GROUP, TicketProcessor, TicketReader, stored_answer
from models.event_types import PAYMENT, TICKET_OPENED
from models.events import Event
from models.stream_state import StreamState
from models.support.stream_state import ANSWER, SUPPORT_STATE
from resources.calls.guard import Answered
from resources.calls.policy import CallPolicy
from resources.events.sqlite_events import SqliteEventsConfig
from resources.language_model.extractive import ExtractiveModel
from resources.language_model.port import GuardedLanguageModel, Request
from resources.state_store.port import StateChanges
from resources.state_store.sqlite_state_store import SqliteStateStore
from tests.apps.support.support_world import DAY, SETTINGS, TODAY, home_after_a_night

#: One worker makes the home once.
pytestmark = pytest.mark.xdist_group("support home")
NOW = datetime(2025, 7, 1, tzinfo=UTC)


class CountingModel(ExtractiveModel):
    """The extractive model, which counts what it is asked."""

    calls = 0

    @override
    def complete_once(self, request: Request, timeout_seconds: float) -> Answered[str]:
        self.calls += 1
        return super().complete_once(request, timeout_seconds)


class DyingStore(SqliteStateStore):
    """A state store that fails before it commits, or right after, once."""

    dies = ""

    @override
    def commit(self, stream: StreamState, changes: StateChanges) -> None:
        dies, self.dies = self.dies, ""
        if dies == "before":
            raise KeyboardInterrupt
        super().commit(stream, changes)
        if dies == "after":
            raise KeyboardInterrupt


class World:
    """A home after a night, with a queue and a state store."""

    def __init__(self, folder: Path) -> None:
        self.home = home_after_a_night(folder)
        self.model, self.store = CountingModel(3), DyingStore(folder / "streams.db")
        self.events = SqliteEventsConfig(path=str(folder / "events.db")).open()
        self.ports = self.home.ports(model=GuardedLanguageModel(self.model, CallPolicy()))
        self.ports.events, self.ports.state_store = self.events, self.store

    def run(self, limit: int = 100) -> Any:
        """What a worker that starts now does with the events that wait."""
        worker = TicketProcessor(self.ports, clock=lambda: NOW)
        return worker.process(TicketReader(self.ports, SETTINGS), limit=limit)

    def answers(self) -> dict[str, Any]:
        return {id: found for id in IDS if (found := stored_answer(self.store, id)) is not None}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


IDS = tuple(ticket["ticket_id"] for ticket in TODAY)


def opened(ticket: dict[str, Any], **change: Any) -> Event:
    data = {name: ticket[name] for name in ("ticket_id", "customer_id", "channel", "text", "order_id")} | change
    subject = ticket["customer_id"] or ""
    id = f"{data['ticket_id']}/{len(json.dumps(change))}"
    return Event(id=id, source="/tickets", type=TICKET_OPENED, time=ticket["opened_at"], subject=subject, data=data)


def test_tickets_are_answered_by_event_as_by_ask_and_as_at_night(world: World) -> None:
    world.events.publish([opened(ticket) for ticket in TODAY])
    done = world.run()
    assert (done.events, done.answered, done.refused) == (4, 4, 0)
    loaded, version = served(world.ports)
    published = world.home.published()
    night = world.home.lake.scan("support_steps").to_table().to_pylist()
    for ticket in TODAY:
        id, asked = ticket["ticket_id"], answered(loaded, version, world.ports, SETTINGS, ticket)
        stored = world.answers()[id]
        assert {name: stored[name] for name in asked.row} == json.loads(json.dumps(dict(asked.row)))
        assert {name: published[id][name] for name in asked.row} == asked.row
        steps = {(one["step"], one["state"], one["output"]) for one in stored["steps"]}
        assert steps == {(one["step"], one["state"], one["output"]) for one in night if one["ticket_id"] == id}
        assert stored["version"] == version
    assert world.events.backlog(GROUP) == 0


@pytest.mark.parametrize("dies", ["before", "after"])
def test_a_ticket_has_its_effect_once_when_the_worker_dies_around_the_commit(world: World, dies: str) -> None:
    world.events.publish([opened(ticket) for ticket in TODAY[:2]])
    world.store.dies = dies
    with pytest.raises(KeyboardInterrupt):
        world.run()
    before, calls = world.answers(), world.model.calls
    assert len(before) == (2 if dies == "after" else 0)
    done = world.run()
    assert (done.answered, done.again) == ((0, 2) if dies == "after" else (2, 0))
    assert world.model.calls == calls, "no call is paid twice: stored, or in the cache of the port"
    assert set(world.answers()) == set(IDS[:2])
    assert dies == "before" or world.answers() == before
    assert (world.events.backlog(GROUP), world.run().events) == (0, 0)


def test_a_ticket_that_is_sent_again_is_known_and_another_one_of_its_id_is_refused(world: World) -> None:
    first = opened(TODAY[0])
    again = first.model_copy(update={"id": "sent again"})
    world.events.publish([first, again, opened(TODAY[0], text="quite another text"), opened(TODAY[1])])
    done = world.run()
    assert (done.answered, done.again, done.refused) == (2, 1, 1)
    (letter,) = world.events.dead_letters()
    assert letter.reason == "ticket_id 'z1' is that of another ticket, which came before"


def test_what_is_no_ticket_is_refused_alone_and_events_of_other_applications_are_left_to_them(world: World) -> None:
    wrong = {
        "ticket_id is missing": opened(TODAY[0], ticket_id=None),
        "text is empty": opened(TODAY[0], text=""),
        "text is ['x'], which is no text": opened(TODAY[0], text=["x"]),
        "channel": opened(TODAY[0], channel="pigeon"),
        "customer_id is 1.5": opened(TODAY[0], customer_id=1.5),
        "is in the future": opened({**TODAY[0], "opened_at": NOW + timedelta(days=1)}),
        "ticket.exploded": opened(TODAY[0]).model_copy(update={"id": "odd", "type": "ticket.exploded"}),
    }
    paid = Event(id="p", source="/payments", type=PAYMENT, time=TODAY[0]["opened_at"], subject="c1", data={})
    numbered = [one.model_copy(update={"id": f"e{number}"}) for number, one in enumerate(wrong.values())]
    world.events.publish([paid, *numbered, opened(TODAY[1])])
    done = world.run()
    assert (done.events, done.answered, done.refused) == (len(wrong) + 2, 1, len(wrong))
    reasons = {json.loads(letter.body)["id"]: letter.reason for letter in world.events.dead_letters()}
    for number, why in enumerate(wrong):
        assert why in reasons[f"e{number}"]
    assert set(world.answers()) == {"z2"}


def test_nothing_is_kept_of_a_forgotten_customer_and_its_answers_are_erased(world: World) -> None:
    world.events.publish([opened(ticket) for ticket in TODAY])
    world.run()
    assert world.store.erase(SUPPORT_STATE, "customer_id", "c1") > 2
    assert set(world.answers()) == {"z2", "z3"}
    world.home.lake.leave_tombstone("customer", "c1", day=DAY, why="asked for it")
    late = {**TODAY[0], "ticket_id": "z9"}
    world.events.publish([opened(late), opened(late, ticket_id="z8", customer_id=None)])
    done = world.run()
    assert (done.answered, done.forgotten) == (0, 2), "the subject names the customer, too"
    assert not world.store.rows(SUPPORT_STATE, ANSWER.name, [("z9",), ("z8",)])
