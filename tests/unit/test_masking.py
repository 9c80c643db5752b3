"""Values of secrets and e-mail addresses: in no log line, event, notice, or line on standard error."""

import logging
import sys
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import TesseraError
from pipelines.cli.console import complain
from pipelines.masked_events import mask_events
from resources import masking
from resources.masking import masked, remember
from resources.notifier.log import LogNotifier
from resources.outbox import Outbox
from resources.stack.secrets import environment_value

CANARY = "canary4711"
#: What people set by mistake, or rightly, with the text of it that a library quotes.
QUOTED = {
    f"postgresql://user:{CANARY}@host:5432/db": f"connection to postgresql://user:{CANARY}@host:5432/db failed",
    f"user:{CANARY}@host/db": f'missing "=" after "user:{CANARY}@host/db" in connection info string',
    f"postgresql://user:{CANARY} x@host/db": f'unexpected spaces found in "{CANARY} x"',
    f"postgresql://user:ab/{CANARY}@host/db": f"invalid port {CANARY}",
    f"postgresql://user:%zz{CANARY}@host/db": f'invalid percent-encoded token: "%zz{CANARY}"',
    f"postgresql://user:{CANARY}%2Fx@host/db": f"password {CANARY}/x was refused",
    f"'redis://:{CANARY}@host/0'\n": f"cannot read redis://:{CANARY}@host/0",
    f"host:6379,password={CANARY},ssl=true": f"AUTH {CANARY}",
    f"https://hooks.example.com/services/T0/{CANARY}": f"404 for /services/T0/{CANARY}",
    f"https://hooks.example.com/?token={CANARY}": f"404 for /?token={CANARY}",
    f"https://{CANARY}@hooks.example.com/x": f"no user {CANARY}",
    f"https://user:{CANARY}@[2001:db8::1]:8443/x": f"nonnumeric port: '{CANARY}@[2001:db8::1]:8443'",
    f"https://user:a%40{CANARY}@host/x": f"Authorization: Basic {b64encode(f'user:a@{CANARY}'.encode()).decode()}",
    "https://[::1]:8443/hook?channel=canaryletters": "404 for canaryletters",
    f"mailtos://user:{CANARY}@host": f"user {CANARY}",
    f"slack://{CANARY}/B1/C1": f"no channel for {CANARY}",
    f"sk-{CANARY}\n": f"Illegal header value b'Bearer sk-{CANARY}'",
    f'"{CANARY}"': f"{CANARY!r}",
}


@pytest.fixture(autouse=True)
def _nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(masking, "_names", {})
    monkeypatch.setattr(masking, "_pattern", None)
    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)
    factory = logging.getLogRecordFactory()
    yield
    logging.setLogRecordFactory(factory)


@pytest.mark.parametrize("value", QUOTED)
def test_a_quoted_secret_is_replaced_by_its_name(
    value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOOK", value)
    assert environment_value("HOOK") == value
    shown = masked(QUOTED[value])
    assert not any(secret in shown for secret in (CANARY, "canaryletters", "Y2FuYXJ5"))
    assert "{env: HOOK}" in shown
    complain(TesseraError(QUOTED[value], expected="an answer", todo="Correct it."))
    assert CANARY not in capsys.readouterr().err


def test_words_of_programs_stay_readable() -> None:
    remember("URL", "postgresql://tessera:postgres@localhost:5432/orders")
    said = "The Postgres of the events at localhost, database orders: run `tessera check`."
    assert masked(said) == said


_NAMES = st.text("abcdefghijklmnopqrstuvwxyzäöü0123456789._+-", min_size=1, max_size=20)
_EMAILS = st.builds(lambda name, host: f"{CANARY}{name}@{host}.example.com", _NAMES, st.sampled_from(["a", "mail-1"]))


@given(email=_EMAILS, before=st.text(max_size=9), after=st.text(" '\"\n)>,;:", max_size=5))
def test_no_text_lets_an_address_through(email: str, before: str, after: str) -> None:
    assert CANARY not in masked(f"{before} {email} {after}")
    assert CANARY not in str(masking.masked_values({"a": [f"{before} {email}{after}", {"b": (email, 1)}]}))


def test_no_sink_of_text_lets_an_address_through(tmp_path: Path) -> None:
    text = f"row 7: '{CANARY}@example.com', <{CANARY}.b+c@mail.example.org>, \u00fc{CANARY}@x.de"
    outbox = Outbox(tmp_path / "notices.db", LogNotifier(tmp_path / "notices.jsonl"))
    outbox.notify("error", text, text, {"row": text})
    masking.install()
    assert CANARY not in logging.getLogRecordFactory()("a", 20, "f", 1, "said %s", (text,), None).getMessage()
    with dg.DagsterInstance.ephemeral() as instance:
        mask_events(instance)
        run = _failing(text).execute_in_process(instance=instance, raise_on_error=False)
        stored = [dg.serialize_value(entry) for entry in instance.all_logs(run.run_id)]
    assert sum("[e-mail]" in entry for entry in stored) >= 3
    assert not any(CANARY in entry for entry in stored)
    assert not any(CANARY.encode() in file.read_bytes() for file in tmp_path.iterdir())


def _failing(text: str) -> dg.JobDefinition:
    @dg.op
    def fails(context: dg.OpExecutionContext) -> None:
        context.log.info(text)
        context.log_event(
            dg.AssetObservation("a", metadata={"row": text, "table": dg.MetadataValue.json([{"x": text}])})
        )
        raise ValueError(text)

    @dg.job(executor_def=dg.in_process_executor)
    def job() -> None:
        fails()

    return job


def test_a_traceback_that_nothing_catches_is_masked(capsys: pytest.CaptureFixture[str]) -> None:
    remember("KEY", CANARY)
    try:
        raise ValueError(f"no {CANARY}")
    except ValueError as error:
        sys.excepthook(type(error), error, error.__traceback__)
        record = logging.getLogRecordFactory()("a", 40, "f", 1, "it failed", (), sys.exc_info())
    assert "ValueError: no {env: KEY}" in capsys.readouterr().err
    assert CANARY not in logging.Formatter().format(record)
    assert "{env: KEY}" in logging.Formatter().format(record)


def test_a_log_message_that_does_not_fit_its_arguments_is_left_to_the_handler(tmp_path: Path) -> None:
    remember("KEY", CANARY)
    record = logging.getLogRecordFactory()("a", 40, str(tmp_path), 1, "%d", ("x",), None)
    assert record.args == ("x",)
