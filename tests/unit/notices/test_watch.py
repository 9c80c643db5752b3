"""The dead-man's switch: late nights and absent servers are found without daemon and Dagster's storage."""

import http.server
import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from models.errors import TesseraError
from pipelines.cli.watch import watch
from pipelines.overdue import Deadline, report_newest
from resources.conformance.score_sets import audit_and_publish, publication, reader, score_rows
from resources.home import only_one
from resources.notifier.log import LogNotifier
from resources.outbox import Outbox
from resources.sink.delta_sink import DeltaSink
from resources.stack.loader import Stack
from resources.stack.ports import Ports
from tests.servers.http_thread import served

DAY = date(2026, 3, 1)
DEADLINE = Deadline("churn", timedelta(hours=4))


def published(sink: DeltaSink, day: date) -> None:
    rows = score_rows([0.1, 0.2])
    sink.write_attempt("churn", day, "a1", reader(rows))
    audit_and_publish(sink, publication("a1", rows, day=day))


@pytest.fixture
def sink(tmp_path: Path) -> DeltaSink:
    sink = DeltaSink(str(tmp_path / "scores"))
    published(sink, DAY)
    return sink


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return Outbox(tmp_path / "notices.db", LogNotifier(tmp_path / "notices.jsonl"))


@pytest.mark.parametrize(
    ("now", "missed"),
    [
        (datetime(2026, 3, 2, 5, tzinfo=UTC), 0),  # the night of the 1st is there
        (datetime(2026, 3, 3, 3, 59, tzinfo=UTC), 0),  # that of the 2nd has a minute left
        (datetime(2026, 3, 3, 4, 1, tzinfo=UTC), 1),
        (datetime(2026, 3, 12, 4, 1, tzinfo=UTC), 10),
    ],
)
def test_overdue_nights_are_counted_and_one_notice_is_sent(
    sink: DeltaSink, outbox: Outbox, now: datetime, missed: int
) -> None:
    for _ in range(3):
        assert report_newest(sink, outbox, DEADLINE, now) == missed
    notices = outbox.notices()
    assert [notice.times for notice in notices] == [1] * bool(missed)
    assert all((f"{missed} days in a row" in notice.body) == (missed > 1) for notice in notices)


def test_a_notice_that_a_person_acknowledged_does_not_come_again_until_the_next_night_is_missing(
    sink: DeltaSink, outbox: Outbox
) -> None:
    now = datetime(2026, 3, 3, 5, tzinfo=UTC)
    report_newest(sink, outbox, DEADLINE, now)
    outbox.acknowledge([outbox.notices()[0].id], "ana")
    report_newest(sink, outbox, DEADLINE, now)
    assert outbox.notices(only="open") == []
    report_newest(sink, outbox, DEADLINE, now + timedelta(days=1))
    assert [notice.subject for notice in outbox.notices(only="open")] == [
        "churn 2026-03-03: the publication is overdue"
    ]


def test_an_application_that_never_published_is_not_overdue(tmp_path: Path, outbox: Outbox) -> None:
    assert (
        report_newest(DeltaSink(str(tmp_path / "scores")), outbox, DEADLINE, datetime(2026, 3, 3, 5, tzinfo=UTC)) == 0
    )


@pytest.fixture
def pings() -> Iterator[tuple[str, list[str]]]:
    """An address and the paths that were asked for there."""
    seen: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: object) -> None: ...

    with served(Handler) as address:
        yield f"{address}/alive", seen


def test_a_ping_is_sent_only_if_all_is_well(stack: Stack, pings: tuple[str, list[str]]) -> None:
    address, seen = pings
    assert watch(expects=[], ping=address) == 0
    assert seen == ["/alive"]
    assert watch(expects=["dev"], ping=address) == 1
    assert seen == ["/alive"], "the daemon does not run"
    assert [notice.subject for notice in Ports(stack).notifier.notices()] == ["tessera dev does not run"]
    with only_one(stack, "dev", "`tessera dev`"):
        assert watch(expects=["dev"], ping=address) == 0
    assert seen == ["/alive"] * 2


def test_a_ping_that_does_not_arrive_is_a_problem(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    assert watch(expects=[], ping="http://127.0.0.1:1/secret-path") == 1
    said = capsys.readouterr()
    assert "The ping did not arrive at http://127.0.0.1" in said.err
    assert "secret-path" not in said.out + said.err
    with pytest.raises(TesseraError, match="`--ping` has no http"):
        watch(expects=[], ping="alive")


def test_late_nights_are_found_without_dagsters_storage(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    ports = Ports(stack)
    assert isinstance(ports.sink, DeltaSink)
    published(ports.sink, DAY)
    shutil.rmtree(stack.home / "dagster", ignore_errors=True)
    assert watch(expects=[], ping=None) == 1
    assert "published nothing." in capsys.readouterr().out
    assert not (stack.home / "dagster").exists()
