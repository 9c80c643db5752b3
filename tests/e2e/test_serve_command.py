"""`tessera serve` and `tessera keys`, as a user runs them."""

import json
import signal
import time
from pathlib import Path

import httpx
import pytest
from shop_home import Home

from resources.conformance import score_sets
from resources.stack.loader import ROOT


@pytest.fixture
def published(tmp_path: Path) -> Home:
    """A home in which a day of churn is published, and nothing else was done."""
    home = Home(tmp_path / "home", ROOT / "stack.yaml")
    stack = home.opened()
    stack.open("notifier")
    rows, sink = score_sets.some_rows(3), stack.open("sink")
    attempt = score_sets.digest(rows)[:16]
    sink.write_attempt("churn", score_sets.DAY, attempt, score_sets.reader(rows))
    score_sets.audit_and_publish(sink, score_sets.publication(attempt, rows))
    return home


@pytest.mark.slow
def test_it_serves_what_the_command_shows_until_a_signal(published: Home) -> None:
    shown = published.tessera("scores", "churn", "--date", score_sets.DAY.isoformat(), "--json")
    server = published.fork("serve", "--port", "0")
    address = _address(published)
    for row in json.loads(shown.out)[:3]:
        (found,) = httpx.get(f"{address}/v1/churn/scores/{row['customer_id']}").json()["rows"]
        assert found == {name: row[name] for name in found}
    assert "is locked" in published.refuses("serve", "--port", "0")
    server.send_signal(signal.SIGTERM)
    _, err = server.communicate(timeout=60)
    assert (server.returncode, err.splitlines()[-1]) == (0, "Stopped.")


def test_a_host_beyond_this_machine_needs_a_key(published: Home) -> None:
    assert "keys create" in published.refuses("serve", "--host", "0.0.0.0")  # noqa: S104 - refused
    assert "--host" in published.refuses("serve", "--host", "example.com")


def test_keys_are_made_listed_and_revoked(published: Home) -> None:
    made = published.tessera("keys", "create", "reports", "--role", "operator", "--app", "churn")
    assert made.out.startswith("tsk_")
    (listed,) = json.loads(published.tessera("keys", "list", "--json").out)
    assert (listed["name"], listed["role"], listed["app"], listed["revoked_at"]) == (
        "reports", "operator", "churn", None,
    )  # fmt: skip
    assert made.out.strip() not in published.tessera("keys", "list").out
    published.tessera("keys", "revoke", "reports")
    assert "no key" in published.refuses("keys", "revoke", "reports")
    assert "application" in published.refuses("keys", "create", "x", "--app", "chrun")
    assert "no log of reads" in published.refuses("keys", "reads", "churn", "c000007")


def _address(home: Home) -> str:
    """The address of the server, which is written beside its lock."""
    holder = home.folder / "locks" / "serve.holder"
    for _ in range(600):
        if holder.exists() and "http" in (text := holder.read_text()):
            return text.split("`")[2].split()[1].rstrip(",")
        time.sleep(0.05)
    raise AssertionError("it does not serve")
