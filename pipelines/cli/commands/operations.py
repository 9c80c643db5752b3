"""Commands for those who run it: notices, status, servers, objectives."""

import click

from pipelines.cli.commands.root import JSON, tessera_command


@tessera_command
@click.argument("id", required=False)
@click.option("--acknowledge", is_flag=True, help="Close notice ID, or with --all every open one.")
@click.option("--send", is_flag=True, help="Deliver what waits for its receiver now.")
@click.option("--all", "include_all", is_flag=True, help="Acknowledged notices and those for the record, too.")
@click.option("--who", metavar="NAME", help="Kept with --acknowledge; default: the user of this machine.")
@JSON
def notices(id: str | None, acknowledge: bool, send: bool, include_all: bool, who: str | None, as_json: bool) -> None:
    """List open notices, or show notice ID whole; the exit code is 1 while an error is open.

    A notice stays open until a person acknowledges it; what happens again meanwhile is counted, not sent again.
    """
    from pipelines.cli import notices as noticing

    if acknowledge:
        noticing.acknowledge(id, who, every=include_all)
    elif send:
        raise SystemExit(noticing.send())
    else:
        raise SystemExit(noticing.notices(id, include_all=include_all, as_json=as_json))


@tessera_command
@JSON
def status(as_json: bool) -> None:
    """Show every application on one page: publication, champion, checks, notices, next night.

    The exit code is 1 if scores are missing or an error is open, else 0.
    """
    from pipelines.cli import status as page

    raise SystemExit(page.status(as_json=as_json))


@tessera_command
@click.option(
    "--expect",
    "expects",
    multiple=True,
    type=click.Choice(["dev", "stream", "stream_support"]),
    help="A server that must run: `tessera dev`, `tessera stream fraud`, `tessera stream support`.",
)
@click.option("--ping", metavar="URL", help="Asked only if all is well; the service behind it alarms when it is not.")
def watch(expects: tuple[str, ...], ping: str | None) -> None:
    """Send a notice for every night that is overdue and every server that does not run; for cron or a timer.

    It needs no daemon and not Dagster's storage. The exit code is 0 only if all is well.
    """
    from pipelines.cli import watch as watching

    raise SystemExit(watching.watch(expects=expects, ping=ping))


@tessera_command
def alert_test() -> None:
    """Deliver a test notice by the profile's notifier, to see that notices arrive."""
    from pipelines.cli import notices as noticing

    noticing.alert_test()


@tessera_command
@click.option("--port", type=click.IntRange(1, 65_535), default=3000, show_default=True, help="Port of the UI.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; others need a key.")
@click.option("--allow-host", multiple=True, metavar="NAME", help="Further name that the UI is opened by (a proxy's).")
def dev(port: int, host: str, allow_host: tuple[str, ...]) -> None:
    """Start Dagster's UI and daemon for this profile's home, on 127.0.0.1.

    From the first key on (`tessera keys create`), every request needs one. Requests with a `Host` or `Origin` of
    another site are refused (docs/security.md); `dagster dev` takes any.
    """
    from pipelines.cli import dev as serving

    raise SystemExit(serving.dev(port, host, allow_host))


@tessera_command
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; others need a key.")
@click.option("--port", type=click.IntRange(0, 65_535), default=8000, show_default=True, help="Port; 0: any free one.")
@click.option("--allow-host", multiple=True, metavar="NAME", help="Further name that it is asked by (a proxy's).")
def serve(host: str, port: int, allow_host: tuple[str, ...]) -> None:
    """Serve published scores, and what applications answer on request, over HTTP.

    Without a key (`tessera keys create`), only programs of this machine are served.
    """
    from pipelines.cli import serve as serving

    serving.serve(host, port, allow_host)


@tessera_command
@click.option("--app", metavar="APP", help="One application; default: all of the profile.")
@JSON
def slo(app: str | None, as_json: bool) -> None:
    """Show owner, objectives and error budgets of each application; exit code 1 if an objective is not met."""
    from pipelines.cli import slo as command

    raise SystemExit(command.slo(app, as_json=as_json))
