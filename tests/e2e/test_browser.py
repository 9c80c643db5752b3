"""A person logs in to Dagster in a real browser, clicks the nightly job, and its scores stand published."""

import json
import os
import re
import signal
import socket
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from playwright.sync_api import Page, expect, sync_playwright
from shop_home import DAY, Home

from tests.servers.ports import free_port

pytestmark = pytest.mark.browser

CHROMIUM = Path("/usr/bin/chromium")
#: Nothing but the page under test: no sandbox (containers), no calls to its maker.
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
NEXT = DAY + timedelta(days=1)
PATIENCE_MS = 180_000


@contextmanager
def served(home: Home) -> Iterator[str]:
    """The address of `tessera dev` on this home; afterwards none of its processes is left."""
    port = free_port()
    server = home.start("dev", "--port", str(port))
    family: list[psutil.Process] = []
    try:
        deadline = time.monotonic() + PATIENCE_MS / 1000
        while not _answers(port):
            assert server.poll() is None, server.communicate()
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        family = psutil.Process(server.pid).children(recursive=True)
        server.send_signal(signal.SIGTERM)
        _, err = server.communicate(timeout=60)
        left = psutil.wait_procs(family, timeout=10)[1]
        for process in left:
            process.kill()
    assert not left, f"still running after the end: {left}"
    assert "Traceback" not in err


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def page() -> Iterator[Page]:
    """A page of a fresh Chromium; without one the test skips, but never in CI."""
    if not CHROMIUM.exists():
        if os.environ.get("CI") == "true":
            pytest.fail(f"{CHROMIUM} is missing in CI")
        pytest.skip(f"there is no {CHROMIUM}")
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        page = browser.new_page(viewport={"width": 1600, "height": 1000})
        page.set_default_timeout(PATIENCE_MS)
        yield page
        browser.close()


def test_the_nightly_job_by_clicking(home: Home, page: Page) -> None:
    assert home.published(NEXT) is None
    keys = {role: home.tessera("keys", "create", role, "--role", role).out.strip() for role in ("viewer", "operator")}
    frames: list[str] = []
    page.on("websocket", lambda live: live.on("framereceived", lambda frame: frames.append(str(frame))))
    with served(home) as address:
        api = Api(address, keys["operator"])
        launched_by = [run["tags"] for run in _runs_of_the_job(api, "churn_nightly")]
        assert {"key": "tessera/launched_by", "value": "cli"} in launched_by[0], "runs of the command line are listed"
        says = home.refuses("dev", "--port", "1")
        assert f"is locked: `tessera dev` on {address}" in says

        job = f"{address}/locations/tessera/jobs/churn_nightly"
        page.goto(job)
        _log_in(page, "tsk_0_0")
        expect(page.get_by_role("alert")).to_have_text("The key is unknown or revoked.")
        _log_in(page, keys["viewer"])
        expect(page).to_have_url(job)
        expect(page.get_by_role("button", name="Materialize all")).to_be_disabled()
        page.goto(f"{address}/login")
        expect(page.get_by_text("Logged in by the key viewer, role viewer.")).to_be_visible()
        page.get_by_role("button", name="Log out").click()
        expect(page).to_have_url(f"{address}/login")
        page.goto(job)
        _log_in(page, keys["operator"])
        page.get_by_role("button", name="Materialize all").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_role("button", name="Show all partitions").click()
        dialog.get_by_role("textbox").first.fill(NEXT.isoformat())
        page.keyboard.press("Enter")
        dialog.get_by_role("button", name="Launch 1 run").click()
        page.get_by_role("link", name="View", exact=True).click()
        page.wait_for_url("**/runs/*")
        ended = page.get_by_text(re.compile("^RUN_(SUCCESS|FAILURE)$")).first
        expect(ended).to_be_visible()
        assert ended.inner_text() == "RUN_SUCCESS"
        assert any("pipelineRunLogs" in frame for frame in frames), "the logs came by the websocket"

        run = _run(api, page.url.split("/runs/")[1].split("?")[0])
        assert run == {"status": "SUCCESS", "jobName": "churn_nightly", "tags": run["tags"]}
        assert {"key": "dagster/partition", "value": NEXT.isoformat()} in run["tags"]
    assert (
        f"churn {NEXT}: {home.published(NEXT).rows:,} scores, fresh"
        in home.tessera("scores", "churn", "--date", NEXT.isoformat()).out
    )


@dataclass(frozen=True)
class Api:
    """The GraphQL API of a server, and a key for it."""

    address: str
    key: str

    def ask(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        """Return the data that answers a query."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        headers = {"Content-Type": "application/json", "X-API-Key": self.key}
        request = urllib.request.Request(f"{self.address}/graphql", body, headers)  # noqa: S310
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - our own server
            return json.load(answer)["data"]


def _log_in(page: Page, key: str) -> None:
    page.get_by_label("Key").fill(key)
    page.get_by_role("button", name="Log in").click()


def _run(api: Api, run_id: str) -> dict[str, Any]:
    query = "query($id: ID!) { runOrError(runId: $id) { ... on Run { status jobName tags { key value } } } }"
    return api.ask(query, {"id": run_id})["runOrError"]


def _runs_of_the_job(api: Api, job: str) -> list[dict[str, Any]]:
    """The runs that the job's page lists."""
    query = """query($job: PipelineSelector!) {
        pipelineOrError(params: $job) { ... on Pipeline { runs { tags { key value } } } } }"""
    names = {"repositoryName": "__repository__", "repositoryLocationName": "tessera", "pipelineName": job}
    return api.ask(query, {"job": names})["pipelineOrError"]["runs"]
