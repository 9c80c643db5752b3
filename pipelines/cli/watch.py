"""`tessera watch`: a dead-man's switch beside the daemon, for cron or a systemd timer.

It needs neither Dagster's storage nor a running server: what is published is read from the sink, and what should run
holds a lock in the home. If the machine itself is gone, no `--ping` arrives, and the service behind it alarms.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from assets.apps import APPS
from models.errors import TesseraError
from pipelines import heartbeats
from pipelines.cli.console import counted, err, literal, out
from pipelines.overdue import Deadline, deadline_of, report_newest
from pipelines.status import night_of
from pipelines.stream_conditions import stream_conditions
from resources.home import doing_now
from resources.http_address import http_address
from resources.notifier.grouping import FAULT
from resources.outbox import OCCASION
from resources.stack.loader import Stack, active_stack
from resources.stack.ports import Ports

#: Lock in the home -> command that holds it while it runs.
SERVERS = {"dev": "tessera dev", "stream": "tessera stream fraud", "stream_support": "tessera stream support"}


def watch(*, expects: Sequence[str], ping: str | None) -> int:
    """Send a notice for each overdue night, late stream and server that does not run; 0 and a ping if there is none.

    Args:
        expects: names in `SERVERS`: what must run.
        ping: address that is asked (GET) only if all is well.

    Raises:
        TesseraError: the profile cannot be read, or `ping` is no http(s) address.
    """
    if ping is not None:
        http_address(ping, "`--ping`")
    stack, now = active_stack(), datetime.now(UTC)
    ports = Ports(stack)
    problems = [found for name in expects if (found := _absent(ports, name, now))]
    # Without the daemon no night begins and no stream catches up: one notice, however much stands.
    fault = _fault_of("dev") if "dev" in expects and problems and doing_now(stack, "dev") is None else ""
    problems += _asked(lambda: _overdue(ports, now, fault))
    problems += _asked(lambda: _streams(ports, now, fault))
    problems += _asked(lambda: _waiting(ports))
    for problem in problems:
        out.print(literal(problem, "red"))
    if not problems:
        out.print(f"{now:%Y-%m-%d %H:%M} UTC: every application of profile {stack.name} published in time.")
        problems = _pinged(ping) if ping else []
    return int(bool(problems))


def _overdue(ports: Ports, now: datetime, fault: str) -> list[str]:
    from pipelines.definitions import build_definitions

    definitions, delivered = build_definitions(ports.stack), set(ports.source.tables())
    found: list[str] = []
    for app in (one for one in APPS if one.publishes and one.name in ports.stack.apps):
        night = night_of(app, definitions)
        if night is not None and delivered.issuperset(app.made_from):
            deadline = deadline_of(app, ports.stack, night)
            found += _asked(lambda deadline=deadline: _of_app(ports, deadline, now, fault))
    return found


def _of_app(ports: Ports, deadline: Deadline, now: datetime, fault: str) -> list[str]:
    missed = report_newest(ports.sink, ports.notifier, deadline, now, fault)
    newest = deadline.newest_due(now)
    return [f"{deadline.app}: {counted(missed, 'night')} up to {newest} published nothing."] if missed else []


def _streams(ports: Ports, now: datetime, fault: str) -> list[str]:
    found = list(stream_conditions(ports.events, ports.stack, now))
    problems = [problem for one in found for problem in _asked(lambda one=one: one.send(ports.notifier, fault))]
    return [*(f"{one.subject}. {one.body.splitlines()[0]}" for one in found if one.level == "error"), *problems]


def _waiting(ports: Ports) -> list[str]:
    left = ports.notifier.deliver()
    return [f"{counted(left, 'notice')} waiting for the receiver."] if left else []


def _absent(ports: Ports, name: str, now: datetime) -> str:
    stack: Stack = ports.stack
    if doing_now(stack, name) is not None:
        return ""
    says = f"`{SERVERS[name]}` does not run in {stack.home}."
    context = {OCCASION: now.date().isoformat(), FAULT: _fault_of(name)}
    problems = _asked(lambda: ports.notifier.notify("error", _fault_of(name), f"{says} Start it.", context))
    return " ".join([says, *problems])


def _fault_of(name: str) -> str:
    return f"{SERVERS[name]} does not run"


def _asked(ask: Callable[[], list[str] | None]) -> list[str]:
    """Return problems that were found, or that a part does not answer: that is one, too."""
    try:
        return ask() or []
    except TesseraError as error:
        return [f"{error.what} {error.todo}"]


def _pinged(address: str) -> list[str]:
    if problem := heartbeats.ping(address):
        err.print(literal(problem, "red"))
        return [problem]
    return []
