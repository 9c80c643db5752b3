"""The notifiers: the port's promises, and what only one of them does."""

import json
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from models.errors import TesseraError
from resources.conformance import NotifierConformance
from resources.notifier.apprise_services import AppriseNotifierConfig
from resources.notifier.log import LogNotifierConfig
from resources.notifier.port import Notifier
from resources.notifier.webhook import WebhookNotifierConfig


@dataclass
class Receiver:
    """A receiver on 127.0.0.1 that answers with `answers` one after the other, then with 200."""

    port: int = 0
    answers: list[int] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    silent_until: threading.Event | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/secret-path"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    state = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            state.requests.append(f"POST {self.headers['Content-Type']}")
            if state.silent_until is not None:
                state.silent_until.wait(10)
            status = state.answers.pop(0) if state.answers else 200
            if status < 300:
                state.bodies.append(json.loads(body))
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("Location", state.url)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_GET(self) -> None:
            state.requests.append("GET")
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield state
    if state.silent_until is not None:
        state.silent_until.set()
    server.shutdown()
    thread.join()
    server.server_close()


class TestLogNotifier(NotifierConformance):
    config = LogNotifierConfig

    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        return tmp_path / "deep" / "notices.jsonl"

    @pytest.fixture
    def notifier(self, file: Path) -> Notifier:
        return LogNotifierConfig(path=str(file)).open()

    @pytest.fixture
    def received(self, file: Path) -> Callable[[], list[dict[str, Any]]]:
        return lambda: [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


class TestWebhookNotifier(NotifierConformance):
    config = WebhookNotifierConfig

    @pytest.fixture
    def notifier(self, receiver: Receiver) -> Notifier:
        return WebhookNotifierConfig(url=receiver.url).open()

    @pytest.fixture
    def received(self, receiver: Receiver) -> Callable[[], list[dict[str, Any]]]:
        return lambda: receiver.bodies


LEVELS = {"info": "info", "warning": "warning", "failure": "error"}


def parsed(sent: dict[str, Any]) -> dict[str, Any]:
    """A notice of what Apprise's `json://` service sends: title, type, and one text of body and context."""
    text = "" if sent["message"] == sent["title"] else sent["message"]
    body, _, named = text.rpartition("\n\n")
    context = dict(line.split(": ", 1) for line in named.splitlines())
    return {"level": LEVELS[sent["type"]], "subject": sent["title"], "body": body, "context": context}


@pytest.mark.slow
class TestAppriseNotifier(NotifierConformance):
    config = AppriseNotifierConfig

    @pytest.fixture
    def notifier(self, receiver: Receiver) -> Notifier:
        return AppriseNotifierConfig(urls=[f"json://127.0.0.1:{receiver.port}/secret-path"]).open()

    @pytest.fixture
    def received(self, receiver: Receiver) -> Callable[[], list[dict[str, Any]]]:
        return lambda: [parsed(sent) for sent in receiver.bodies]

    @pytest.mark.slow
    def test_a_busy_service_gets_a_second_try_and_the_others_none(self, receiver: Receiver) -> None:
        receiver.answers = [200, 503, 200]
        urls = [f"json://127.0.0.1:{receiver.port}/{name}" for name in ("one", "other")]
        AppriseNotifierConfig(urls=urls).open().notify("warning", "9 % drift", "look", {"app": "churn"})
        assert len(receiver.requests) == 3
        assert [parsed(sent)["subject"] for sent in receiver.bodies] == ["9 % drift"] * 2

    @pytest.mark.slow
    def test_a_refusing_service_is_named_without_its_secret(self, receiver: Receiver) -> None:
        receiver.answers = [500, 500]
        notifier = AppriseNotifierConfig(urls=[f"json://me:token@127.0.0.1:{receiver.port}/secret-path"]).open()
        with pytest.raises(TesseraError, match=r"'s' was not delivered to JSON at 127\.0\.0\.1") as refused:
            notifier.notify("error", "s", "b", {})
        assert not any(secret in str(refused.value) for secret in ("token", "secret-path"))
        assert receiver.bodies == []

    @pytest.mark.parametrize("url", ["nonsense", "htp://team:token@host", "slack://"])
    def test_an_address_of_no_service_is_found_by_the_check(self, url: str) -> None:
        health = AppriseNotifierConfig(urls=["json://localhost", url]).open().check()
        assert (health.ok, "Address 2 of `notifier.urls`" in health.says, "token" in health.says) == (
            False,
            True,
            False,
        )

    def test_without_the_package_the_extra_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "apprise", None)
        health = AppriseNotifierConfig(urls=["json://localhost"]).open().check()
        assert not health.ok
        assert "requirements/apprise.lock" in health.todo

    def test_apprise_is_imported_with_the_first_notice(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in [name for name in sys.modules if name.partition(".")[0] == "apprise"]:
            monkeypatch.delitem(sys.modules, name)
        AppriseNotifierConfig(urls=["json://localhost"]).open()
        assert "apprise" not in sys.modules


class TestLog:
    def test_a_notice_says_when_and_nothing_is_written_before_the_first(self, tmp_path: Path) -> None:
        notifier = LogNotifierConfig(path=str(tmp_path / "deep" / "n.jsonl")).open()
        assert notifier.check().ok
        assert notifier.forget(lambda _: True) == 0
        assert list(tmp_path.iterdir()) == []
        notifier.notify("info", "s", "", {})
        assert json.loads((tmp_path / "deep" / "n.jsonl").read_text())["at"].endswith("+00:00")

    def test_no_notice_is_lost_while_others_are_forgotten(self, tmp_path: Path) -> None:
        path = tmp_path / "notices.jsonl"

        def write(who: int) -> None:
            notifier = LogNotifierConfig(path=str(path)).open()
            for number in range(40):
                notifier.notify("info", f"{who}.{number}", "", {"who": "ab"[number % 2]})

        writers = [threading.Thread(target=write, args=(who,)) for who in range(2)]
        for writer in writers:
            writer.start()
        while any(writer.is_alive() for writer in writers):
            LogNotifierConfig(path=str(path)).open().forget(lambda value: value == "a")
        for writer in writers:
            writer.join()
        LogNotifierConfig(path=str(path)).open().forget(lambda value: value == "a")
        subjects = [json.loads(line)["subject"] for line in path.read_text().splitlines()]
        assert sorted(subjects) == sorted(f"{who}.{number}" for who in range(2) for number in range(1, 40, 2))

    def test_lines_of_concurrent_writers_never_mix(self, tmp_path: Path) -> None:
        path = tmp_path / "notices.jsonl"

        def write(who: int) -> None:
            notifier = LogNotifierConfig(path=str(path)).open()
            for number in range(50):
                notifier.notify("info", f"{who}.{number}", "x" * 30_000, {})

        writers = [threading.Thread(target=write, args=(who,)) for who in range(4)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        subjects = [json.loads(line)["subject"] for line in path.read_text().splitlines()]
        assert sorted(subjects) == sorted(f"{who}.{number}" for who in range(4) for number in range(50))

    def test_the_subject_is_logged_at_its_level(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        notifier = LogNotifierConfig(path=str(tmp_path / "n.jsonl")).open()
        notifier.notify("warning", "9 % drift", "", {})
        assert [(record.levelno, record.getMessage()) for record in caplog.records] == [(logging.WARNING, "9 % drift")]

    def test_a_file_that_cannot_be_written_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "taken").write_text("")
        notifier = LogNotifierConfig(path=str(tmp_path / "taken" / "n.jsonl")).open()
        with pytest.raises(TesseraError, match=r"cannot be written to .*taken/n"):
            notifier.notify("info", "s", "", {})
        assert not notifier.check().ok


class TestWebhook:
    def test_check_asks_nobody(self, receiver: Receiver) -> None:
        assert WebhookNotifierConfig(url=receiver.url).open().check().ok
        assert receiver.requests == []

    def test_a_notice_says_when(self, receiver: Receiver) -> None:
        WebhookNotifierConfig(url=receiver.url).open().notify("info", "s", "", {})
        assert receiver.bodies[0]["at"].endswith("+00:00")

    @pytest.mark.slow
    def test_a_busy_receiver_gets_a_second_try_and_one_notice(self, receiver: Receiver) -> None:
        receiver.answers = [503]
        WebhookNotifierConfig(url=receiver.url).open().notify("info", "s", "", {})
        assert len(receiver.requests) == 2
        assert len(receiver.bodies) == 1
        assert receiver.requests[0].startswith("POST application/json")

    @pytest.mark.slow
    @pytest.mark.parametrize(("answers", "tries"), [([500, 502, 200], 2), ([404, 200], 1), ([302, 200], 1), ([308], 1)])
    def test_what_is_not_taken_is_an_error_that_hides_the_path(
        self, receiver: Receiver, answers: list[int], tries: int
    ) -> None:
        receiver.answers = list(answers)
        with pytest.raises(TesseraError, match=f"was not delivered to http://127.0.0.1:{receiver.port}") as caught:
            WebhookNotifierConfig(url=receiver.url).open().notify("info", "s", "", {})
        assert f"it answered {answers[tries - 1]}" in str(caught.value)
        assert "secret-path" not in str(caught.value)
        assert len(receiver.requests) == tries
        assert receiver.bodies == []

    @pytest.mark.slow
    def test_a_silent_receiver_does_not_hold_up_the_run(self, receiver: Receiver) -> None:
        receiver.silent_until = threading.Event()
        with pytest.raises(TesseraError, match="timed out"):
            WebhookNotifierConfig(url=receiver.url, timeout_seconds=0.1).open().notify("info", "s", "", {})

    @pytest.mark.slow
    def test_nobody_listening(self, receiver: Receiver) -> None:
        with pytest.raises(TesseraError, match="refused"):
            WebhookNotifierConfig(url="http://127.0.0.1:9/x").open().notify("info", "s", "", {})

    @pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://h/x", "hooks.example.com/x", "http://"])
    def test_only_http_addresses_open(self, url: str) -> None:
        with pytest.raises(TesseraError, match="http"):
            WebhookNotifierConfig(url=url).open()
