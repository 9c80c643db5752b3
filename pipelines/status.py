"""The state of each application on one page: publication, champion, gate, checks, open notices, next night."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

import dagster as dg

from assets.apps import APPS
from assets.stages.app import App
from assets.stages.champion_result import last_verdict
from models.errors import TesseraError
from models.ledger import passed_by_hand
from pipelines.overdue import deadline_of, missed_days
from resources.outbox import StoredNotice
from resources.stack.ports import Ports

#: `wrong`: scores are missing or an error is open; `look`: a person should look at something; `new`: it never ran.
State = Literal["well", "look", "wrong", "new"]
_DAY = timedelta(days=1)
#: Records of a check that are looked through for its last evaluation, and states of those that have one.
_RECENT, _EVALUATED = 10, {"SUCCEEDED", "FAILED"}


@dataclass(frozen=True)
class CheckState:
    """The last evaluation of a check; `at` is UTC."""

    asset: str
    name: str
    passed: bool
    says: str
    at: datetime


@dataclass(frozen=True)
class AppStatus:
    """The state of one application; times are UTC.

    Attributes:
        app: its name.
        state: in one word.
        problems: why it is not `well`, worst first.
        day: newest published day; None if nothing is published.
        published: its rows, source and model version, in words.
        overdue_days: days since then whose deadline has passed.
        champion: its version; None without one.
        champion_days: age of that decision in days.
        freshness: in words: on time, or so many days overdue.
        drift: of the last scores: none, or that it warns; empty if it was never measured.
        data_checks: how many checks of its tables passed last, in words.
        gate: the last verdict of the gate, in words.
        checks: the last evaluation of each check.
        open_notices: subjects, newest first.
        next_night: start of its next nightly run; None if it has no schedule.
    """

    app: str
    state: State
    problems: Sequence[str]
    day: date | None
    published: str
    overdue_days: int
    freshness: str
    drift: str
    data_checks: str
    champion: str | None
    champion_days: int | None
    gate: str
    checks: Sequence[CheckState]
    open_notices: Sequence[str]
    next_night: datetime | None


def statuses(ports: Ports, instance: dg.DagsterInstance, definitions: dg.Definitions, now: datetime) -> list[AppStatus]:
    """Return the state of each application of the profile; of one whose source delivers nothing, no night is overdue.

    Args:
        ports: of the profile.
        instance: holds the evaluations of checks.
        definitions: of the profile, with checks and schedules.
        now: UTC.
    """
    delivered = set(ports.source.tables())
    notices = ports.notifier.notices(only="open")
    checks = _checks(instance, definitions)
    return [
        _status(app, ports, checks, notices, definitions, now, runs=delivered.issuperset(app.made_from))
        for app in APPS
        if app.name in ports.stack.apps
    ]


def _status(
    app: App,
    ports: Ports,
    checks: Sequence[CheckState],
    notices: Sequence[StoredNotice],
    definitions: dg.Definitions,
    now: datetime,
    *,
    runs: bool,
) -> AppStatus:
    ledger = ports.registry.ledger(app.name)
    own = [check for check in checks if check.asset.split("/")[0] == app.name]
    tables = [check for check in checks if check.asset.removeprefix("shop/") in app.made_from]
    mine = [notice for notice in reversed(notices) if notice.context.get("app") == app.name]
    night = night_of(app, definitions) if runs else None
    days = list(ports.sink.published_days(app.name)) if app.publishes else []
    published, problem = _published(app, ports, days[-1]) if days else ("", "")
    overdue = missed_days(ports.sink, deadline_of(app, ports.stack, night), now) if app.publishes and night else 0
    verdict, sentence = last_verdict(ports.registry, app.name)
    champion = ledger[-1].to_version if ledger else None
    wrong = [problem] if problem else []
    wrong += [f"{overdue} days are overdue since {days[-1]}"] if overdue else []
    wrong += [notice.subject for notice in mine if notice.level == "error"]
    look = [f"{one.asset}: {one.name}: {one.says}" for one in (*own, *tables) if not one.passed and one.name != "gate"]
    look += [by_hand] if (by_hand := passed_by_hand(ledger)) else []
    look += [f"gate: {sentence}"] if sentence and (verdict is None or not verdict.promotes) else []
    look += [notice.subject for notice in mine if notice.level == "warning"]
    is_new = not days and champion is None and not mine
    return AppStatus(
        app=app.name,
        state="new" if is_new else "wrong" if wrong else "look" if look else "well",
        problems=[] if is_new else list(dict.fromkeys([*wrong, *look])),
        day=days[-1] if days else None,
        published=published,
        overdue_days=overdue,
        freshness=_freshness(overdue, has_days=bool(days), runs=night is not None),
        drift=next(("none" if one.passed else "warns" for one in own if one.name == "drift"), ""),
        data_checks=f"{sum(one.passed for one in tables)} of {len(tables)} passed" if tables else "",
        champion=champion,
        champion_days=(now - ledger[-1].at).days if champion else None,
        gate=sentence,
        checks=[*own, *tables],
        open_notices=[notice.subject for notice in mine],
        next_night=_next(night, now) if night else None,
    )


def _freshness(overdue_days: int, *, has_days: bool, runs: bool) -> str:
    if not runs:
        return "no night runs: its tables are not delivered"
    if overdue_days:
        return f"{overdue_days} days overdue"
    return "on time" if has_days else ""


def _published(app: App, ports: Ports, day: date) -> tuple[str, str]:
    """Return what is published for a day, and what is wrong with it."""
    try:
        found = ports.sink.published(app.name, day)
    except TesseraError as error:
        return "damaged", error.what
    if found is None:
        return "", f"{day} is withdrawn"
    words = f"{found.rows:,} rows, {found.degradation}, version {found.model_version}"
    return words, "" if found.degradation == "fresh" else f"{day} is published with {found.degradation} only"


def night_of(app: App, definitions: dg.Definitions) -> timedelta | None:
    """Return the time of the day at which its nightly run starts, after midnight UTC."""
    for schedule in definitions.schedules or ():
        if isinstance(schedule, dg.ScheduleDefinition) and schedule.job_name == f"{app.name}_nightly":
            minute, hour = str(schedule.cron_schedule).split()[:2]
            return timedelta(hours=int(hour), minutes=int(minute))
    return None


def _next(night: timedelta, now: datetime) -> datetime:
    today = datetime.combine(now.date(), datetime.min.time(), UTC) + night
    return today if today > now else today + _DAY


def _checks(instance: dg.DagsterInstance, definitions: dg.Definitions) -> list[CheckState]:
    keys = sorted(definitions.resolve_asset_graph().asset_check_keys, key=lambda key: (key.asset_key, key.name))
    return [found for key in keys if (found := _last(instance, key)) is not None]


def _last(instance: dg.DagsterInstance, key: dg.AssetCheckKey) -> CheckState | None:
    """Return the last evaluation of a check; a run may have ended before it evaluated what it had planned."""
    records: Sequence[Any] = instance.event_log_storage.get_asset_check_execution_history(key, limit=_RECENT)
    for record in records:
        if record.status.value in _EVALUATED:
            at = datetime.fromtimestamp(record.create_timestamp, UTC)
            passed, says = bool(record.evaluation.passed), str(record.evaluation.description or "")
            return CheckState(key.asset_key.to_user_string(), key.name, passed, says, at)
    return None
