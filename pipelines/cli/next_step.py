"""The last line of a card: the command that helps in the situation that the run left."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from rich.text import Text

from assets.apps import app_of_job
from models.errors import TesseraError
from pipelines.cli.console import literal
from pipelines.cli.hints import given_environment
from resources.stack.loader import Stack

if TYPE_CHECKING:
    from pipelines.cli.run import Outcome

_TESSERA = ".venv/bin/tessera"


def next_step(outcome: Outcome, stack: Stack) -> Text:
    """Return the command, with the environment of this one in a line before it, and what it is good for."""
    command, use = _after_success(outcome, stack) if outcome.success else _after_failure(outcome, stack)
    line = literal(f"{_TESSERA} {command}   {use}")
    given = given_environment()
    # The shell reads both lines as one.
    return Text.assemble(literal(" ".join([*given, "\\"])), "\n", line) if given else line


def _after_success(outcome: Outcome, stack: Stack) -> tuple[str, str]:
    app, day = app_of_job(outcome.job), outcome.day
    if outcome.job.endswith("_training"):
        return f"models {app}", f"(the gate's report: make dev, asset {app}/candidate)"
    if outcome.job in {"churn_nightly", "churn_fallback"}:
        return f"scores churn --date {day} --out scores.parquet", "(or the UI: make dev)"
    if outcome.job == "churn_online":
        return "features churn --entities customers.csv --out served.csv --online", "(a file with customer_id)"
    if outcome.job == "personalization_nightly":
        return f"recommend {_a_customer(stack, outcome.day)}", f"(every list: tessera scores {app} --date {day})"
    if outcome.job == "experiments_nightly" and stack.settings.experiments.trials:
        return "experiments --evaluate", "(effects and verdicts; the picture: make dev, asset experiments/report)"
    if app == "fraud":
        return f"alerts --date {day}", "(or the UI: make dev)"
    if app:
        return f"scores {app} --date {day}", "(or the UI: make dev)"
    return "check", "(or the UI: make dev)"


def _a_customer(stack: Stack, day: date) -> str:
    """Return a customer who has a list of the day."""
    sink = stack.open("sink")
    published = sink.published("personalization", day)
    first = next(iter(sink.published_rows(published)), None) if published else None
    return first["customer_id"][0].as_py() if first is not None and first.num_rows else "CUSTOMER"


def _after_failure(outcome: Outcome, stack: Stack) -> tuple[str, str]:
    again = f"run {outcome.job} --date {outcome.day}"
    for asset, check in outcome.blocked:
        if check == "quarantined_share":
            return f"quarantine {asset.rpartition('/')[2]}", f"shows what is wrong with the rows; then {again}"
        return "dev", f"shows the check {check} of {asset}; {_older(outcome, stack) or again}"
    if older := _older(outcome, stack):
        return older, "publishes older scores, flagged"
    if outcome.is_unexpected:
        return f"{again} --verbose", "shows where"
    return again, "once that is corrected"


def _older(outcome: Outcome, stack: Stack) -> str:
    """Return the command that publishes older scores for a night that failed; empty where there are none."""
    if outcome.job != "churn_nightly":
        return ""
    try:
        has_champion = stack.open("registry").champion("churn") is not None
    except (TesseraError, OSError):
        has_champion = False
    return f"run churn_fallback --date {outcome.day}" if has_champion else ""
