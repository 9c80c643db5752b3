"""Commands for events: the queue, the streams that process it, and their alerts."""

from difflib import get_close_matches
from pathlib import Path

import click

from pipelines.cli.commands.root import APP, JSON, PROFILE, app, tessera_command


@app.group()
def events() -> None:
    """Publish, replay and inspect events."""


@events.command("publish")
@PROFILE
@click.argument("file", metavar="FILE")
def publish_events(file: str) -> None:
    """Publish the events of FILE (- for stdin): one CloudEvent per line, JSON.

    What is stored already is left out; a line that is no event goes to the dead letters.
    """
    from pipelines.cli import events as eventing

    eventing.publish(file)


@events.command()
@PROFILE
@click.option("--from", "first", required=True, metavar="YYYY-MM-DD", help="First day of payments.")
@click.option("--to", "last", required=True, metavar="YYYY-MM-DD", help="Last day, included.")
@click.option("--speed", type=float, default=1.0, show_default=True, help="Times as fast as it was; 0: no pauses.")
def replay(first: str, last: str, speed: float) -> None:
    """Publish the payments of some days and their labels again, in the order in which they happened.

    Waits while consumers are too far behind. What is stored already is left out.
    """
    from pipelines.cli import events as eventing

    eventing.replay(first, last, speed)


@events.command("dead-letters")
@PROFILE
@click.option("--out", type=click.Path(path_type=Path), help="All of them, as JSON lines.")
@JSON
def dead_letters(out: Path | None, as_json: bool) -> None:
    """List dead letters, newest first, with the reason."""
    from pipelines.cli import events as eventing

    eventing.dead_letters(out, as_json=as_json)


@events.command("status")
@PROFILE
@JSON
def queue_status(as_json: bool) -> None:
    """Show the newest offset, and how many events each group has not acknowledged."""
    from pipelines.cli import events as eventing

    eventing.status(as_json=as_json)


@events.command()
@PROFILE
@click.argument("group", metavar="GROUP")
@click.option("--yes", is_flag=True, help="Do not ask.")
def drop(group: str, yes: bool) -> None:
    """Drop an abandoned GROUP, so that it holds up neither publishers nor pruning.

    A consumer that still reads as this group begins anew, with the oldest event that is kept.
    """
    from pipelines.cli import events as eventing

    eventing.drop(group, yes=yes)


class _Alerts(click.Group):
    """`tessera alerts` without the name of one of its commands is `tessera alerts list`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        # A mistyped command stays one: click says which was meant.
        named = args and (args[0] in ctx.help_option_names or get_close_matches(args[0], self.commands))
        return super().parse_args(ctx, args if named else ["list", *args])


@app.group(cls=_Alerts)
def alerts() -> None:
    """List and label alerts.

    Without a command, `list` is meant: `tessera alerts --open`.
    """


@alerts.command("list")
@PROFILE
@click.argument("app", metavar="[APP]", default="fraud")
@click.option("--date", metavar="YYYY-MM-DD", help="UTC day of the payments; default: all days.")
@click.option("--from", "first", metavar="YYYY-MM-DD", help="First day.")
@click.option("--to", "last", metavar="YYYY-MM-DD", help="Last day, included.")
@click.option("--open", "only_open", is_flag=True, help="Only alerts with a payment that has no label yet.")
@click.option("--out", type=click.Path(path_type=Path), help="A .parquet or .csv file with all of them.")
@JSON
def list_alerts(
    app: str, date: str | None, first: str | None, last: str | None, only_open: bool, out: Path | None, as_json: bool
) -> None:
    """List alerts of APP (fraud): card, payments, scores and reasons."""
    from pipelines.cli import alerts as alerting

    alerting.alerts(app, date, first, last, out, only_open=only_open, as_json=as_json)


@alerts.command("label")
@PROFILE
@click.argument("id")
@click.argument("label", metavar="fraud|ok")
@click.option("--who", metavar="NAME", help="Kept with the label; default: the user of this machine.")
def label_alert(id: str, label: str, who: str | None) -> None:
    """Label the payments of alert ID as fraud or ok.

    Features count the label from then on, and models are trained on it. Run it again if it was interrupted.
    """
    from pipelines.cli import alerts as alerting

    alerting.label(id, label, who)


@tessera_command
@APP
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="Events per batch.")
@click.option("--until-empty", is_flag=True, help="End when no event waits: catching up.")
def stream(app: str, limit: int, until_empty: bool) -> None:
    """Process the events of APP as they come: fraud scores payments and raises alerts, support answers tickets.

    Each event has its effect exactly once.
    """
    from pipelines.cli import stream as streaming

    streaming.stream(app, limit, until_empty=until_empty)
