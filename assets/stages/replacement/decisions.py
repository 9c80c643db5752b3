"""Decisions on replacements in the lake: start, raise, kill, with who and why."""

# pyright: basic

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from models.errors import TesseraError, choose_from
from models.gates.check import GateCheck
from models.ledger import PASSED
from models.replacement.config import ReplacementConfig
from models.replacement.events import ReplacementEvent, standing
from resources.lake.port import Lake
from resources.registry.port import Registry

#: Lake table, one partition per month.
TABLE, _BY = "replacements", "month"
_SCHEMA = pa.schema(
    [
        (_BY, pa.date32()),
        ("app", pa.string()),
        ("at", pa.timestamp("us", "UTC")),
        ("action", pa.string()),
        ("incumbent", pa.string()),
        ("challenger", pa.string()),
        ("share", pa.float64()),
        ("segment", pa.string()),
        ("who", pa.string()),
        ("why", pa.string()),
        ("overruled", pa.string()),
    ]
)


def replacement_events(lake: Lake, app: str) -> list[ReplacementEvent]:
    """Return all decisions on replacements of an application, oldest first."""
    if not lake.exists(TABLE):
        return []
    names = [field.name for field in fields(ReplacementEvent)]
    rows = lake.scan(TABLE).to_table(filter=pc.field("app") == app).to_pylist()
    return sorted((ReplacementEvent(**{name: row[name] for name in names}) for row in rows), key=lambda one: one.at)


def current_replacement(lake: Lake, registry: Registry, app: str) -> ReplacementEvent | None:
    """Return the newest decision on the replacement that runs; None: none does."""
    events = replacement_events(lake, app)
    return standing(events, registry.champion(app)) if events else None


def start(
    lake: Lake, registry: Registry, app: str, version: str, *, segment: str, who: str, why: str, insists: bool
) -> ReplacementEvent:
    """Start the replacement of a version beside the champion, in shadow: it scores every row, and publishes none.

    Raises:
        TesseraError: there is no champion or no such version, it is the champion, the gate stopped it (unless a person
            insists), or another replacement runs.
    """
    with lake.lock(TABLE):
        champion, known = registry.champion(app), {info.version: info for info in registry.versions(app)}
        if champion is None or version not in known or version == champion:
            raise TesseraError(
                f"Version {version} of {app} cannot be phased in: "
                + ("there is no champion to replace." if champion is None else "it is the champion, or unknown."),
                expected=choose_from(version, [one for one in known if one != champion]),
                todo=f"See `tessera models {app}`.",
            )
        running = current_replacement(lake, registry, app)
        if running is not None:
            raise TesseraError(
                f"A replacement of {app} runs: version {running.challenger}, at {running.share:.0%}.",
                expected="one at a time",
                todo=f'End it first: `tessera replace kill {app} --why "..."`, or promote its version.',
            )
        gate = known[version].tags.get("gate", "")
        if gate != PASSED and not insists:
            raise TesseraError(
                f"Version {version} of {app} was not passed by the gate ({gate or 'no verdict'}).",
                expected="a version that passed",
                todo="Choose another one; to insist: --even-if-refused --why TEXT.",
            )
        overruled = "" if gate == PASSED else f"gate: {gate or 'no verdict'}"
        return _record(
            lake, app, ReplacementEvent(_now(lake, app), "start", champion, version, 0.0, segment, who, why, overruled)
        )


def raise_share(
    lake: Lake,
    registry: Registry,
    app: str,
    config: ReplacementConfig,
    checks: Sequence[GateCheck],
    *,
    who: str,
    why: str,
    insists: bool,
) -> ReplacementEvent:
    """Raise the challenger's share to the next step, after the comparison passed or a person insisted.

    Raises:
        TesseraError: no replacement runs, its share is 1 already, or a check failed.
    """
    with lake.lock(TABLE):
        running = _running(lake, registry, app)
        share = next_share(running, app, config)
        failed = "; ".join(f"{check.name}: {check.says}" for check in checks if not check.passed)
        if (failed or not checks) and not insists:
            raise TesseraError(
                f"The share of version {running.challenger} of {app} stays at {running.share:.0%}: "
                f"{failed or 'nothing was compared'}.",
                expected=f"a comparison that passes (settings.{app}.replacement)",
                todo="Wait for more nights and labels, or end it; to insist: --even-if-refused --why TEXT.",
            )
        made = ReplacementEvent(
            _now(lake, app), "raise", running.incumbent, running.challenger, share, running.segment, who, why, failed
        )
        return _record(lake, app, made)


def kill(lake: Lake, registry: Registry, app: str, *, who: str, why: str) -> ReplacementEvent:
    """End the replacement: from the next scoring on the champion scores alone, and the challenger is not asked.

    Raises:
        TesseraError: no replacement runs.
    """
    with lake.lock(TABLE):
        running = _running(lake, registry, app)
        made = ReplacementEvent(
            _now(lake, app), "kill", running.incumbent, running.challenger, 0.0, running.segment, who, why
        )
        return _record(lake, app, made)


def next_share(running: ReplacementEvent, app: str, config: ReplacementConfig) -> float:
    """Return the next step of the share.

    Raises:
        TesseraError: it is at the last one.
    """
    share = config.next_share(running.share)
    if share is None:
        raise TesseraError(
            f"Version {running.challenger} of {app} scores every entity already.",
            expected="a share below 100 %",
            todo=f"Make it champion: `tessera promote {app} --version {running.challenger}`.",
        )
    return share


def _running(lake: Lake, registry: Registry, app: str) -> ReplacementEvent:
    found = current_replacement(lake, registry, app)
    if found is None:
        raise TesseraError(
            f"No replacement of {app} runs.",
            expected="one that was started, and whose incumbent is still champion",
            todo=f'`tessera replace start {app} --version VERSION --why "..."`.',
        )
    return found


def _now(lake: Lake, app: str) -> datetime:
    """Return the present, after the newest decision: their order is that of their times."""
    events, now = replacement_events(lake, app), datetime.now(UTC)
    return max(now, events[-1].at + timedelta(microseconds=1)) if events else now


def _record(lake: Lake, app: str, event: ReplacementEvent) -> ReplacementEvent:
    row = {_BY: event.at.date().replace(day=1), "app": app, **vars(event)}
    lake.append(TABLE, pa.Table.from_pylist([row], schema=_SCHEMA), by=_BY)
    return event
