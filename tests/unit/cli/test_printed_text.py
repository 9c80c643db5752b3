"""Text of customers, sellers and senders of events in the terminal: shown as it is, never obeyed."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from assets.churn.app import CHURN
from assets.fraud.alerts import ListedAlert
from models.alerts import Alert
from models.contracts.contract import QUARANTINE_SCHEMA
from models.errors import TesseraError
from models.publishing import Publication
from pipelines import cli
from pipelines.cli import alerts as alerting
from pipelines.cli import check as checking
from pipelines.cli import console, publications, registry
from pipelines.cli import events as eventing
from pipelines.cli import forget as forgetting
from pipelines.cli import quarantine as quarantined
from pipelines.cli.card import card
from pipelines.cli.run import Outcome
from resources.events.port import DeadLetter
from resources.health import Health
from resources.lake.delta import DeltaLakeConfig
from resources.layout import check_layout
from resources.registry.port import VersionInfo
from resources.stack.loader import ROOT, active_stack, load_stack

DAY = date(2026, 3, 1)
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
#: What terminals and rich obey, and what makes text look like other text.
HOSTILE = [
    "[/b]",
    "[red]",
    "[link=https://x.y]",
    "\\[",
    "\x1b[31m",
    "\x1b]0;t\x07",
    "\x9b2J",
    "\r",
    "\n",
    "\t",
    "\u202e",
]
HOSTILE += ["\u2028", "\u200b", "\x00", "\x7f", ":smile:", "\ud800", "'", "a"]
TEXTS = st.lists(st.sampled_from(HOSTILE) | st.text(max_size=4), max_size=5).map("".join)


def say_card(text: str) -> None:
    metadata: dict[str, dict[str, Any]] = {
        "churn/champion": {"version": text, "verdict": text},
        "churn/scores": {
            "dagster/row_count": 1, "contacts": 1, "mean_score": 0.5, "degradation": text,
            "max_psi": 1, "max_psi_feature": text,
        },
        "churn/publication": {"verdict": text, "digest": text},
        "fraud/performance": {"payments": 1, "paid_on": text, "labelled_share": 0.1, "frauds": 1, "note": text},
    }  # fmt: skip
    outcome = Outcome("churn_nightly", DAY, "run", metadata=metadata, failed_checks={text: text}, complaint=text)
    console.out.print(card(outcome, load_stack(ROOT / "stack.yaml", "local", "/h[/b]", {})))


def say_scores(text: str) -> None:
    rows = [{"customer_id": text, "score": 0.5, "decision": text, "reasons": [text], "model_version": text}]
    record = Publication.model_construct(app="churn", day=DAY, rows=1, degradation=text)
    table = pa.table({name: [row[name] for row in rows] for name in rows[0]})
    publications._show(table, record, CHURN.contract)  # pyright: ignore[reportPrivateUsage]


def say_letters(text: str) -> None:
    console.out.print(eventing._table([DeadLetter(text, text, 1, NOW)]))  # pyright: ignore[reportPrivateUsage]


def say_alerts(text: str) -> None:
    alert = Alert(text, text, DAY, text, ("1",), NOW, 0.9, 0.9, text, {text: 0.1}, text)
    console.out.print(alerting._table([ListedAlert(alert, 1)]))  # pyright: ignore[reportPrivateUsage]


def say_versions(text: str) -> None:
    info = VersionInfo(text, text, True, {}, {"kind": text, "gate": text})
    console.out.print(console.listing(["version"], [registry._cells(info, [])[:1]]))  # pyright: ignore[reportPrivateUsage]


def say_health(text: str) -> None:
    console.out.print(console.listing(["a", "b"], [(checking._mark(Health(False, text, text)), text)]))  # pyright: ignore[reportPrivateUsage]


def say_group(text: str) -> None:
    console.out.print(f"The group {text} is no more.")
    console.err.print(text)


def say_error(text: str) -> None:
    console.complain(TesseraError(f"{text} is wrong.", expected=text, todo=text))


def say_proof(text: str) -> None:
    from models.erasure.record import Erasure, Learnt, Place

    learnt = [Learnt(app=text, version=text, as_of=DAY, champion=True, golden_set=False)]
    places = {text: Place(rows=1, note=text)}
    record = Erasure(entity=text, digest=text, started_at=NOW, who=text, why=text, places=places, learnt=learnt)
    console.out.print(forgetting._card(record, Path(f"/{text}/forgotten/x")))  # pyright: ignore[reportPrivateUsage]


SAYING = [say_card, say_scores, say_letters, say_alerts, say_versions, say_health, say_group, say_error, say_proof]


def is_clean(said: str) -> bool:
    return all(line.isprintable() for line in said.split("\n"))


@pytest.mark.parametrize("say", SAYING)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(text="[/b]").via("ended `tessera quarantine` in a traceback")
@example(text="\x1b]0;owned\x07\x1b[2J")
@given(text=TEXTS.filter(lambda text: "\ud800" not in text))
@pytest.mark.slow
def test_any_text_is_printed_and_none_of_it_is_obeyed(
    say: Callable[[str], None], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    say(text)
    said = capsys.readouterr()
    assert is_clean(said.out + said.err)


def test_what_cannot_be_printed_is_seen(capsys: pytest.CaptureFixture[str]) -> None:
    console.out.print(console.listing(["customer_id"], [["a\x1b[31m[/b]:smile:\u202e\ud800"]]))
    assert r"a\x1b[31m[/b]:smile:\u202e\ud800" in capsys.readouterr().out


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TESSERA_HOME", str(tmp_path / "home"))
    active_stack.cache_clear()
    check_layout(tmp_path / "home")
    yield tmp_path / "home"
    active_stack.cache_clear()


def test_a_row_in_quarantine_may_say_anything(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = ["[/b]", "\x1b[31mred", ":boom: [bold]", "\u202eabc", "a\nb"]
    reasons = [[f"quantity '{text}' is not a number"] for text in texts]
    rows = {"delivered_on": [DAY] * 5, "key": texts, "reasons": reasons, "original": texts, "run_id": ["run"] * 5}
    lake = DeltaLakeConfig(path=str(home / "lake")).open()
    lake.replace("quarantine_orders", pa.table(rows).cast(QUARANTINE_SCHEMA), by="delivered_on", first=DAY, last=DAY)
    quarantined.show("orders", None)
    said = capsys.readouterr().out
    assert is_clean(said)
    assert all(console.printable(text) in said for text in texts)


def test_a_terminal_that_has_no_unicode_gets_escapes(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setattr("sys.argv", ["tessera", "quarantine", "Größe"])
    with pytest.raises(SystemExit, match="2"):
        cli.main()
    stream.flush()
    assert rb"Gr\xf6\xdfe" in stream.buffer.getvalue()  # type: ignore[attr-defined]
