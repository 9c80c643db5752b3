"""`tessera alerts` as a user calls it: what is listed, what an analyst says, and what is wrong, in three parts."""

import signal
import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
from shop_home import Home

from assets.fraud.stream.state import Batch
from models.alerts import Alert, Feedback
from models.fraud.event_parsing import LABEL, label_of
from pipelines.cli import main
from resources.stack.loader import active_stack
from tests.fraud_store import FraudStore

DAY = date(2018, 8, 8)


def alert(customer: str, *transactions: int, day: date = DAY, score: float = 0.9) -> Alert:
    reasons = {"amount": 2.5, "terminal_risk_30d": 1.25, "is_night": -0.5}
    at = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    return Alert(
        f"fraud-{day:%Y%m%d}-{customer}",
        "fraud",
        day,
        customer,
        tuple(map(str, transactions)),
        at,
        score,
        score,
        "7",
        reasons,
    )


class Terminal:
    """The command line in this process, in a home of its own."""

    def __init__(self, home: Home, patch: pytest.MonkeyPatch, screen: pytest.CaptureFixture[str]) -> None:
        self.home, self._patch, self._screen = home, patch, screen
        for name, value in home.environment().items():
            patch.setenv(name, value)

    @property
    def store(self) -> FraudStore:
        return FraudStore(self.home.opened().open("state_store"))

    def says(self, *arguments: str, code: int = 0, columns: int = 140) -> str:
        """What `tessera` prints when it ends with `code`."""
        self._patch.setattr(sys, "argv", ["tessera", *arguments])
        self._patch.setattr("pipelines.cli.console.out._width", columns)
        active_stack.cache_clear()
        with pytest.raises(SystemExit) as ended:
            main()
        captured = self._screen.readouterr()
        assert ended.value.code == code, captured
        return captured.out if code == 0 else captured.err

    def refuses(self, *arguments: str) -> str:
        said = self.says(*arguments, code=2)
        assert [line.split(":")[0] for line in said.splitlines()] == ["Stopped", "Expected", "Do this"]
        return said


@pytest.fixture
def terminal(empty: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Terminal:
    return Terminal(empty, monkeypatch, capsys)


@pytest.fixture
def raised(terminal: Terminal) -> Terminal:
    """Three alerts of two days."""
    later = DAY + timedelta(days=1)
    terminal.store.add_alerts([alert("596", 1, 2), alert("u[7]\n", 3, score=0.95), alert("596", 4, day=later)])
    return terminal


def rows(said: str) -> list[list[str]]:
    """The words of each line of the table."""
    lines = said.splitlines()
    begin = next(at for at, line in enumerate(lines) if line.startswith("alert "))
    return [line.split() for line in lines[begin + 1 :] if line and not line.startswith("next")]


def test_before_the_first_alert(terminal: Terminal, tmp_path: Path) -> None:
    assert terminal.says("alerts").startswith("There are no alerts yet")
    assert "0 alerts written" in terminal.says("alerts", "--out", str(tmp_path / "none.csv"))
    assert "none exists yet" in terminal.refuses("alerts", "label", "fraud-20180808-596", "fraud")


def test_the_newest_day_comes_first_and_the_highest_score(raised: Terminal) -> None:
    said = raised.says("alerts")
    assert said.startswith("3 alerts from 2018-08-08 to 2018-08-09, 3 without a label\n")
    assert [row[0] for row in rows(said)] == ["fraud-20180809-596", "fraud-20180808-u[7]\\n", "fraud-20180808-596"]
    assert " ".join(rows(said)[2][1:]) == "2018-08-08 596 1 +1 0.900 7 amount +2.50, terminal_risk_30d +1.25"
    assert rows(raised.says("alerts", "fraud", "--date", "2018-08-09")) == rows(said)[:1]
    assert rows(raised.says("alerts", "--to", "2018-08-08")) == rows(said)[1:]
    nothing = raised.says("alerts", "--from", "2018-08-10")
    assert nothing == "There are no alerts on these days; there are some on 2 days from 2018-08-08 to 2018-08-09.\n"


@pytest.mark.parametrize("columns", [30, 60, 80])
def test_a_narrow_terminal_holds_every_line(raised: Terminal, columns: int) -> None:
    said = raised.says("alerts", "--date", "2018-08-08", columns=columns)
    table = said.splitlines()[1:-1]
    assert max(len(line.rstrip()) for line in table) <= columns
    assert "customer" not in table[0], "the id says it"


def test_files_hold_everything(raised: Terminal, tmp_path: Path) -> None:
    raised.says("alerts", "label", "fraud-20180808-596", "ok")
    for name in ("a.csv", "a.parquet"):
        assert "3 alerts written" in raised.says("alerts", "--out", str(tmp_path / name))
    found = pq.read_table(tmp_path / "a.parquet").to_pylist()
    assert [(row["alert_id"], row["payments"], row["label"], row["unlabelled"]) for row in found] == [
        ("fraud-20180808-u[7]\n", [3], None, 1),
        ("fraud-20180808-596", [1, 2], "ok", 0),
        ("fraud-20180809-596", [4], None, 1),
    ]
    assert found[0]["reasons"] == ["amount +2.50", "terminal_risk_30d +1.25", "is_night -0.50"]
    flat = pacsv.read_csv(tmp_path / "a.csv", parse_options=pacsv.ParseOptions(newlines_in_values=True)).to_pylist()
    assert flat[1]["payments"] == "1; 2"
    assert "2 alerts written" in raised.says("alerts", "--open", "--out", str(tmp_path / "a.csv"))


def labels(terminal: Terminal) -> list[tuple[str, str, int, bool]]:
    """What waits for the stream: event id, subject, payment, and what was said."""
    queue = terminal.home.opened().open("events")
    events = [one.event for one in queue.read("looking", limit=100)]
    queue.release("looking", [one.offset for one in queue.read("looking", limit=100)])
    assert {(one.type, one.source) for one in events} <= {(LABEL, "/alerts")}
    said = {(int(one.evidence_id), one.label == "fraud"): one.labelled_at for one in all_feedback(terminal)}
    assert all(one.time == said[label_of(one).transaction_id, label_of(one).is_fraud] for one in events)
    return [(one.id, one.subject, label_of(one).transaction_id, label_of(one).is_fraud) for one in events]


def all_feedback(terminal: Terminal) -> Sequence[Feedback]:
    return terminal.store.feedback("fraud", DAY, datetime.now(UTC).date() + timedelta(days=1))


class TestLabel:
    def test_each_payment_is_told_once(self, raised: Terminal) -> None:
        said = raised.says("alerts", "label", "fraud-20180808-596", "ok", "--who", "ana")
        assert said == "fraud-20180808-596 is labelled ok: 2 payments, 2 events published.\n"
        again = raised.says("alerts", "label", "fraud-20180808-596", "ok", "--who", "bo")
        assert again == "fraud-20180808-596 was already labelled ok: 2 payments, nothing new to tell the stream.\n"
        assert "is labelled fraud: 2 payments, 2 events" in raised.says(
            "alerts", "label", "fraud-20180808-596", "fraud"
        )
        assert labels(raised) == [
            (f"fraud-20180808-596/{number}/{label}", "596", number, label == "fraud")
            for label in ("ok", "fraud")
            for number in (1, 2)
        ]
        assert [one.who for one in all_feedback(raised)][:2] == ["ana", "ana"]
        assert "2 without a label" in raised.says("alerts")

    def test_a_payment_that_joined_a_labelled_alert_makes_it_open_again(self, raised: Terminal) -> None:
        raised.says("alerts", "label", "fraud-20180809-596", "ok")
        join(raised.store, alert("596", 4, 5, day=DAY + timedelta(days=1)))
        assert "ok (1 new)" in raised.says("alerts", "--open", "--date", "2018-08-09")
        said = raised.says("alerts", "label", "fraud-20180809-596", "ok")
        assert said == "fraud-20180809-596 was already labelled ok: 2 payments, 1 event published.\n"
        nothing = raised.says("alerts", "--open", "--date", "2018-08-09")
        assert nothing == "All 1 alert on 2018-08-09 are labelled.\n"

    def test_an_analyst_may_correct_themselves_once(self, raised: Terminal) -> None:
        raised.says("alerts", "label", "fraud-20180808-596", "fraud")
        assert "is labelled ok: 2 payments, 2 events" in raised.says("alerts", "label", "fraud-20180808-596", "ok")
        said = raised.refuses("alerts", "label", "fraud-20180808-596", "fraud")
        assert "was called fraud before, and that was corrected" in said
        assert [label for *_, label in labels(raised)] == [True, True, False, False]

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (("label", "fraud-20180808-569", "fraud"), "did you mean 'fraud-20180808-596'?"),
            (("label", "fraud-20180808-596", "frod"), "did you mean 'fraud'?"),
            (("label", "fraud", "fraud-20180808-596"), " tessera alerts label ID fraud`"),
            (("label", "fraud-20180808-596", "ok", "--who", " "), "Pass --who NAME"),
            (("label", "fraud-20180808-596"), "Missing argument"),
            (("lable", "fraud-20180808-596", "ok"), "Did you mean 'label'?"),
            (("frud",), "did you mean 'fraud'?"),
            (("--date", "yesterday"), "'yesterday' is not a day"),
            (("--date", "2018-08-08", "--to", "2018-08-09"), "Leave one out"),
            (("--from", "2018-08-09", "--to", "2018-08-08"), "Exchange them"),
            (("--out", "alerts.xlsx"), ".parquet or .csv"),
        ],
    )
    def test_mistakes(self, raised: Terminal, arguments: tuple[str, ...], says: str) -> None:
        assert says in raised.refuses("alerts", *arguments)
        assert not labels(raised)

    def test_a_queue_that_does_not_answer_is_told_again(self, raised: Terminal, tmp_path: Path) -> None:
        wrong = raised.home.with_stack(
            tmp_path / "stack.yaml", {"ports": {"events": {"kind": "redis", "url": "redis://127.0.0.1:1"}}}
        )
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TESSERA_STACK", str(wrong.stack))
            said = raised.refuses("alerts", "label", "fraud-20180808-596", "fraud")
        assert "fraud-20180808-596 is labelled fraud, but the stream was not told" in said
        assert " tessera alerts label fraud-20180808-596 fraud` again" in said
        assert "was already labelled fraud: 2 payments, 2 events" in raised.says(
            "alerts", "label", "fraud-20180808-596", "fraud"
        )

    def test_what_a_killed_command_left_is_completed_by_the_next(self, raised: Terminal, tmp_path: Path) -> None:
        """Killed after the alert is answered and before the stream is told."""
        dying = {"kind": "tests.faults.dying_events.DyingEventsConfig", "path": "${home}/events.db"}
        home = raised.home.with_stack(tmp_path / "stack.yaml", {"ports": {"events": dying}})
        process = home.fork("alerts", "label", "fraud-20180808-596", "fraud", "--who", "ana")
        process.communicate(timeout=300)
        assert process.returncode == -signal.SIGKILL
        before = all_feedback(raised)
        assert [(one.evidence_id, one.label, one.who) for one in before] == [
            ("1", "fraud", "ana"),
            ("2", "fraud", "ana"),
        ]
        assert not labels(raised)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TESSERA_STACK", str(home.stack))
            said = raised.says("alerts", "label", "fraud-20180808-596", "fraud", "--who", "bo")
        assert said == "fraud-20180808-596 was already labelled fraud: 2 payments, 2 events published.\n"
        assert all_feedback(raised) == before, "what was said first stays"
        assert [number for _, _, number, _ in labels(raised)] == [1, 2]


def join(store: FraudStore, joined: Alert) -> None:
    """What the worker does when another payment of the card scores high."""
    store.commit(Batch(position=1, newest=1, alerts={joined.alert_id: joined}, generation=store.generation()))
