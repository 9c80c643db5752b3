"""The outbox: nothing is lost while a receiver is down, what is the same is sent once, and a person closes it."""

import json
import multiprocessing
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import TesseraError
from resources.conformance import NotifierConformance
from resources.health import Health
from resources.notifier.log import LogNotifier, LogNotifierConfig
from resources.notifier.port import Level, Notifier
from resources.outbox import Outbox

MINUTE = timedelta(minutes=1)


@dataclass
class Receiver(Notifier):
    """A receiver that can be down, or refuse notices of one subject."""

    is_down: bool = False
    refuses: str = ""
    taken: list[str] = field(default_factory=list)
    tries: int = 0

    def notify(self, level: Level, subject: str, body: str, context: Mapping[str, str]) -> None:
        self.tries += 1
        if self.is_down or subject == self.refuses:
            raise TesseraError("The pager is down.", expected="an answer", todo="Repair it.")
        assert context["notice"]
        self.taken.append(subject)

    def check(self) -> Health:
        return Health(True, "a pager")


@dataclass
class Clock:
    now: datetime = datetime(2026, 3, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def outbox(tmp_path: Path, receiver: Receiver, clock: Clock) -> Outbox:
    return Outbox(tmp_path / "home" / "notices.db", receiver, clock)


class TestAsANotifier(NotifierConformance):
    """The outbox is one itself, here with the file as receiver."""

    config = LogNotifierConfig

    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        return tmp_path / "notices.jsonl"

    @pytest.fixture
    def notifier(self, tmp_path: Path, file: Path) -> Notifier:
        return Outbox(tmp_path / "notices.db", LogNotifier(file))

    @pytest.fixture
    def received(self, file: Path) -> Callable[[], list[dict[str, Any]]]:
        def read() -> list[dict[str, Any]]:
            lines = file.read_text().splitlines() if file.exists() else []
            notices = [json.loads(line) for line in lines]
            assert all(notice["context"].pop("notice") for notice in notices)
            return notices

        return read


def test_what_a_receiver_did_not_take_waits_and_arrives_in_order(
    outbox: Outbox, receiver: Receiver, clock: Clock
) -> None:
    receiver.is_down = True
    for subject in ("one", "two", "three"):
        outbox.notify("error", subject, "what happened", {"app": "churn"})
    assert receiver.tries == 1, "each further notice would wait for a receiver that is down"
    health = outbox.check()
    assert (health.ok, health.says) == (
        False,
        "a pager; 3 notices wait since 2026-03-01 00:00: The pager is down.",
    )
    receiver.is_down = False
    assert outbox.deliver() == 3, "not before a minute has gone"
    clock.now += MINUTE
    assert outbox.deliver() == 0
    assert receiver.taken == ["one", "two", "three"]
    assert outbox.deliver() == 0
    assert receiver.taken == ["one", "two", "three"]
    assert outbox.check().ok


@pytest.mark.slow
def test_a_refused_notice_does_not_hold_up_the_others(outbox: Outbox, receiver: Receiver, clock: Clock) -> None:
    receiver.refuses = "too long"
    outbox.notify("error", "too long", "", {})
    for minute in range(60):
        clock.now += MINUTE
        outbox.notify("error", f"minute {minute}", "", {})
        outbox.deliver()
    waiting = outbox.notices(only="waiting")
    assert "too long" in [notice.subject for notice in waiting]
    assert len(receiver.taken) >= 50
    assert receiver.taken == sorted(receiver.taken, key=lambda subject: int(subject.split()[1]))
    assert next(notice.tries for notice in waiting if notice.subject == "too long") < 10


def test_the_same_is_sent_once_and_counted_until_a_person_acknowledges_it(
    outbox: Outbox, receiver: Receiver, clock: Clock
) -> None:
    for day in ("2026-03-01", "2026-03-02", "2026-03-03"):
        outbox.notify("warning", "churn: drift warns", f"since {day}", {"app": "churn", "day": day})
        clock.now += timedelta(days=1)
    outbox.notify("warning", "churn: drift warns", "", {"app": "fraud"})
    assert receiver.taken == ["churn: drift warns"] * 2
    first, other = outbox.notices(only="open")
    assert (first.times, first.body, first.context["day"], other.times) == (3, "since 2026-03-03", "2026-03-03", 1)
    with pytest.raises(TesseraError, match="no open notice 'abc'"):
        outbox.acknowledge(["abc"], "ana")
    assert outbox.acknowledge([first.id], "ana") == [first]
    assert [notice.id for notice in outbox.notices(only="open")] == [other.id]
    outbox.notify("warning", "churn: drift warns", "again", {"app": "churn"})
    assert len(receiver.taken) == 3
    assert [(notice.times, notice.acknowledged_by) for notice in outbox.notices()] == [(3, "ana"), (1, ""), (1, "")]


def test_notices_for_the_record_ask_for_nothing(outbox: Outbox) -> None:
    outbox.notify("info", "a test", "", {})
    assert outbox.notices(only="open") == []


def test_old_notices_that_are_done_are_removed_and_open_ones_stay(outbox: Outbox, clock: Clock) -> None:
    for level, subject in (("info", "a"), ("error", "b"), ("error", "c")):
        outbox.notify(level, subject, "", {})  # pyright: ignore[reportArgumentType]
    outbox.acknowledge([outbox.notices()[1].id], "ana")
    clock.now += timedelta(days=91)
    outbox.notify("error", "d", "", {})
    assert [notice.subject for notice in outbox.notices()] == ["c", "d"]


def test_an_erased_person_is_in_no_byte_of_it(tmp_path: Path, receiver: Receiver) -> None:
    outbox = Outbox(tmp_path / "notices.db", receiver)
    for customer in ("c000001", "c000002"):
        outbox.notify("warning", "fraud alert", f"of {customer}", {"alert": f"20260301-{customer}"})
    assert outbox.forget(lambda value: value.endswith("c000001")) == 1
    content = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert (b"c000001" in content, b"c000002" in content) == (False, True)


def test_a_damaged_file_is_named(tmp_path: Path, receiver: Receiver) -> None:
    (tmp_path / "notices.db").write_bytes(b"no database" * 1000)
    with pytest.raises(TesseraError, match=r"notices\.db cannot be used"):
        Outbox(tmp_path / "notices.db", receiver).notify("info", "a", "", {})


@pytest.mark.slow
def test_a_file_that_is_cut_off_is_named_before_anything_is_written(tmp_path: Path, receiver: Receiver) -> None:
    outbox = Outbox(tmp_path / "notices.db", receiver)
    for number in range(50):
        outbox.notify("error", f"{number}", "x" * 500, {})
    with (tmp_path / "notices.db").open("r+b") as file:
        file.truncate(file.seek(0, os.SEEK_END) // 2)
    with pytest.raises(TesseraError, match=r"the file is cut off|malformed"):
        outbox.notify("info", "a", "", {})


@pytest.mark.slow
@settings(max_examples=15)
@given(steps=st.lists(st.sampled_from(["notice", "same", "down", "up", "minute", "deliver"]), max_size=30))
def test_whatever_happens_each_notice_arrives_exactly_once(
    steps: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    receiver, clock = Receiver(), Clock()
    outbox = Outbox(tmp_path_factory.mktemp("home") / "notices.db", receiver, clock)
    given_: list[str] = []
    for number, step in enumerate(steps):
        if step == "notice" or (step == "same" and not given_):
            given_.append(f"{number}")
            outbox.notify("error", given_[-1], "", {})
        elif step == "same":
            outbox.notify("error", given_[0], "", {})
        elif step in ("down", "up"):
            receiver.is_down = step == "down"
        elif step == "minute":
            clock.now += MINUTE
        else:
            outbox.deliver()
    receiver.is_down = False
    assert outbox.deliver(now=True) == 0
    assert sorted(receiver.taken) == sorted(given_)


class Dying(LogNotifier):
    """Its process dies right after a notice was written down."""

    def notify(self, level: Level, subject: str, body: str, context: Mapping[str, str]) -> None:
        super().notify(level, subject, body, context)
        os.kill(os.getpid(), signal.SIGKILL)


def _notify_and_die(folder: Path) -> None:
    Outbox(folder / "notices.db", Dying(folder / "notices.jsonl")).notify("error", "a", "", {})


def test_a_process_that_dies_after_the_delivery_doubles_nothing(tmp_path: Path) -> None:
    process = multiprocessing.get_context("fork").Process(target=_notify_and_die, args=(tmp_path,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    outbox = Outbox(tmp_path / "notices.db", LogNotifier(tmp_path / "notices.jsonl"))
    assert [notice.delivered_at for notice in outbox.notices()] == [None]
    assert outbox.deliver(now=True) == 0
    assert len((tmp_path / "notices.jsonl").read_text().splitlines()) == 1
