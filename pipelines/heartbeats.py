"""Heartbeats of nights: after each one that succeeded, a file in the home, and an address that is asked."""

from __future__ import annotations

import http.client
import urllib.request

import dagster as dg

from models.errors import TesseraError
from pipelines import run_tags
from resources.heartbeat import beat
from resources.http_address import http_address
from resources.stack.loader import Stack

_PING_SECONDS = 10


def night_succeeded(stack: Stack, run: dg.DagsterRun | None) -> str:
    """Write the heartbeat of a nightly run that succeeded; return why the address was not reached, else "".

    The file is `heartbeats/<job>.json` of the home, with the day, the run and the time.
    """
    if run is None or run.status != dg.DagsterRunStatus.SUCCESS or not run.job_name.endswith("_nightly"):
        return ""
    beat(stack.home, run.job_name, {"day": run.tags.get(run_tags.PARTITION, ""), "run_id": run.run_id})
    address = stack.calendar.heartbeat_url.replace("{job}", run.job_name)
    return ping(address) if address else ""


def ping(address: str) -> str:
    """Ask an http(s) address (GET); return why it was not reached, else "".

    Its user, path and query may be secrets, and are not named.
    """
    try:
        place = http_address(address, "The heartbeat's address")
    except TesseraError as error:
        return f"{error.what} {error.todo}"
    try:
        with urllib.request.urlopen(place.request(), timeout=_PING_SECONDS):  # noqa: S310 - http(s) only
            return ""
    except (OSError, http.client.HTTPException) as error:
        return f"The ping did not arrive at {place.shown}: {getattr(error, 'reason', error)}."
