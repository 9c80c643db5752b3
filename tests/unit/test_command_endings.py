"""The end of a command: one sentence and a conventional exit code, whatever ended it."""

import errno
import os
import signal
import sqlite3
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import OperationalError

from models.errors import TesseraError
from pipelines.cli import ending
from pipelines.cli.card import card
from pipelines.cli.console import out
from pipelines.cli.run import Outcome
from pipelines.cli.stopping import Stopped, check_stopped
from pipelines.faults import fault_in, fault_of, without_lines_of_dagster
from resources.stack.loader import ROOT, load_stack

DAY = date(2026, 3, 1)


def raising(error: BaseException) -> Callable[[], None]:
    def command() -> None:
        raise error

    return command


def wrapped(inner: Exception) -> Exception:
    """The error as a library hands it on."""
    try:
        try:
            raise inner
        except Exception as caught:
            raise RuntimeError("while writing the table") from caught
    except RuntimeError as outer:
        return outer


FAULTS = [
    (OSError(errno.ENOSPC, "No space left on device", "/home/x/lake/part.parquet"), "The disk is full"),
    (OSError(errno.EDQUOT, "Disk quota exceeded"), "The disk is full"),
    (OSError(errno.EFBIG, "File too large"), "larger than this process may write"),
    (OSError(errno.EROFS, "Read-only file system", "/home/x"), "read-only"),
    (OSError(errno.EMFILE, "Too many open files"), "Too many files are open"),
    (OSError(errno.ESTALE, "Stale file handle"), "does not answer"),
    (OSError(errno.ENOTCONN, "Transport endpoint is not connected"), "does not answer"),
    (OSError(errno.EIO, "Input/output error"), "does not answer"),
    (PermissionError(errno.EACCES, "Permission denied", "/home/x"), "may not be read or written"),
    (FileNotFoundError(errno.ENOENT, "No such file or directory", "/home/x/a"), "is gone (/home/x/a)"),
    (MemoryError(), "not enough memory"),
    (sqlite3.OperationalError("database or disk is full"), "The disk is full"),
    (sqlite3.OperationalError("attempt to write a readonly database"), "read-only"),
    (sqlite3.OperationalError("unable to open database file"), "is gone"),
    (sqlite3.DatabaseError("database disk image is malformed"), "is damaged"),
    (OperationalError("SELECT", {}, sqlite3.DatabaseError("file is not a database")), "is damaged"),
    (OperationalError("INSERT", {}, sqlite3.OperationalError("database or disk is full")), "The disk is full"),
    (OSError("Generic LocalFileSystem error: No space left on device (os error 28)"), "The disk is full"),
    (pa.ArrowException("[Errno 28] Error writing bytes to file. Detail: No space left on device"), "The disk is full"),
]


@pytest.mark.parametrize(("error", "says"), FAULTS, ids=lambda value: str(value)[:50])
@pytest.mark.parametrize("hand_on", [lambda error: error, wrapped], ids=["itself", "wrapped"])
def test_a_fault_of_the_machine_ends_in_three_lines(
    error: Exception, says: str, hand_on: Callable[[Exception], Exception], capsys: pytest.CaptureFixture[str]
) -> None:
    assert ending.ended(raising(hand_on(error))) == 1
    shown = capsys.readouterr().err
    assert [line.split(":")[0] for line in shown.splitlines()] == ["Stopped", "Expected", "Do this"]
    assert says in shown


@settings(max_examples=20, deadline=None)
@given(st.sampled_from([error for error, _ in FAULTS if isinstance(error, OSError) and error.errno]), st.text())
def test_an_operating_system_error_is_known_whatever_it_was_about(error: OSError, file: str) -> None:
    assert fault_of(OSError(error.errno, error.strerror, file)) is not None


@pytest.mark.parametrize("error", [KeyError("customer_id"), ValueError("28"), RuntimeError("[Errno 28] in a label")])
def test_a_bug_is_none(error: Exception) -> None:
    with pytest.raises(type(error)):
        ending.ended(raising(error))


def test_a_mistake_of_the_user_ends_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert ending.ended(raising(TesseraError("It is wrong.", expected="right", todo="Do."))) == 2
    assert "It is wrong." in capsys.readouterr().err


def test_a_part_that_a_full_disk_stopped_is_no_mistake_of_the_user(capsys: pytest.CaptureFixture[str]) -> None:
    def command() -> None:
        try:
            raise sqlite3.OperationalError("database or disk is full")
        except sqlite3.OperationalError as error:
            raise TesseraError("The events do not work.", expected="a file", todo="Correct `path`.") from error

    assert ending.ended(command) == 1
    assert "The disk is full. The events do not work." in capsys.readouterr().err


def test_what_dagster_prints_of_an_event_that_it_cannot_store_is_kept_off(capsys: pytest.CaptureFixture[str]) -> None:
    with without_lines_of_dagster():
        sys.stderr.write("Exception while writing logger call to event log: it is full\n")
        sys.stderr.write("another line\n")
    assert capsys.readouterr().err == "another line\n"


@pytest.mark.parametrize("code", [0, 1, 2, 7])
def test_an_exit_code_of_its_own_is_kept(code: int) -> None:
    assert ending.ended(raising(SystemExit(code))) == code


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
class TestSignals:
    def test_one_ends_the_command_in_a_sentence(
        self, number: signal.Signals, code: int, capsys: pytest.CaptureFixture[str]
    ) -> None:
        before = signal.getsignal(number)
        assert ending.ended(lambda: signal.raise_signal(number)) == code
        assert len(capsys.readouterr().err.splitlines()) == 1
        assert signal.getsignal(number) is before

    def test_one_that_a_library_caught_is_not_forgotten(self, number: signal.Signals, code: int) -> None:
        """Dagster has handlers of its own while it executes a run, for both signals the same."""

        def command() -> None:
            mine = signal.signal(number, lambda *_: None)
            signal.raise_signal(number)
            signal.signal(number, mine)
            check_stopped()

        assert ending.ended(command) == code

    def test_one_of_which_a_library_makes_its_own_error(self, number: signal.Signals, code: int) -> None:
        def command() -> None:
            try:
                signal.raise_signal(number)
            except Stopped:
                raise RuntimeError("Query interrupted") from None

        assert ending.ended(command) == code

    def test_a_second_one_does_not_disturb_the_end(self, number: signal.Signals, code: int) -> None:
        def command() -> None:
            try:
                signal.raise_signal(number)
            finally:
                signal.raise_signal(signal.SIGTERM)

        assert ending.ended(command) == code


def test_nobody_stops_a_command_that_is_not_told_to() -> None:
    assert ending.ended(check_stopped) == 0


@pytest.fixture
def outcome() -> Outcome:
    return Outcome("churn_nightly", DAY, "0123456789")


class TestNext:
    """The last line of a card."""

    def shown(self, outcome: Outcome, tmp_path: Path, **environment: str) -> str:
        with pytest.MonkeyPatch.context() as patch:
            for name in ("TESSERA_STACK", "TESSERA_PROFILE", "TESSERA_HOME"):
                patch.delenv(name, raising=False)
            for name, value in environment.items():
                patch.setenv(name, value)
            stack = load_stack(ROOT / "stack.yaml", None, str(tmp_path), os.environ)
            with out.capture() as captured:
                out.print(card(outcome, stack))
        text = captured.get().replace("│", " ")
        return " ".join(text[text.rindex(" next ") :].split())

    @pytest.mark.parametrize(
        ("job", "command"),
        [
            ("churn_nightly", "tessera scores churn --date 2026-03-01"),
            ("churn_fallback", "tessera scores churn --date 2026-03-01"),
            ("churn_training", "tessera models churn"),
            ("churn_online", "tessera features churn"),
            ("fraud_nightly", "tessera alerts --date 2026-03-01"),
            ("fraud_training", "tessera models fraud"),
            ("storage_weekly", "tessera check"),
        ],
    )
    def test_a_run_that_did_its_work(self, outcome: Outcome, tmp_path: Path, job: str, command: str) -> None:
        outcome.job, outcome.success = job, True
        assert command in self.shown(outcome, tmp_path)

    @pytest.mark.parametrize("job", ["churn_nightly", "fraud_nightly", "churn_training", "storage_weekly"])
    def test_a_run_that_failed(self, outcome: Outcome, tmp_path: Path, job: str) -> None:
        """In a home without a champion there is nothing older to publish."""
        outcome.job, outcome.complaint = job, "There is no file orders.csv."
        assert f"tessera run {job} --date 2026-03-01 once that is corrected" in self.shown(outcome, tmp_path)
        outcome.is_unexpected = True
        assert f"tessera run {job} --date 2026-03-01 --verbose" in self.shown(outcome, tmp_path)

    def test_a_run_that_bad_rows_stopped(self, outcome: Outcome, tmp_path: Path) -> None:
        outcome.blocked = [("shop/orders", "quarantined_share")]
        assert "tessera quarantine orders" in self.shown(outcome, tmp_path)

    def test_a_publication_that_the_audit_stopped(self, outcome: Outcome, tmp_path: Path) -> None:
        outcome.blocked = [("churn/scores", "audit")]
        assert "tessera dev shows the check audit of churn/scores" in self.shown(outcome, tmp_path)

    def test_profile_and_home_are_part_of_it(self, outcome: Outcome, tmp_path: Path) -> None:
        outcome.success = True
        shown = self.shown(outcome, tmp_path, TESSERA_PROFILE="online-retail", TESSERA_HOME="/a home")
        assert shown.startswith("next TESSERA_PROFILE=online-retail TESSERA_HOME='/a home' \\ .venv/bin/tessera scores")


def test_what_a_step_says_of_a_full_disk_is_a_sentence_too() -> None:
    said = fault_in("OSError: [Errno 28] No space left on device: '/home/x/part'")
    assert said is not None
    assert said.what == "The disk is full (/home/x/part)."
