"""Commands for model versions: list, import, promote, roll back, replace another model step by step."""

from difflib import get_close_matches
from pathlib import Path

import click

from pipelines.cli.commands.root import APP, EVEN_IF_REFUSED, JSON, PROFILE, WHY, app, tessera_command


class _Models(click.Group):
    """`tessera models APP` is `tessera models list APP`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        from models.settings import APP_NAMES

        apps = bool(args) and (args[0] in APP_NAMES or not get_close_matches(args[0], self.commands))
        named = not args or args[0] in ctx.help_option_names or not apps
        return super().parse_args(ctx, args if named else ["list", *args])


@app.group(cls=_Models)
def models() -> None:
    """List model versions, show one, and import models that were made elsewhere.

    Without a command, `list` is meant: `tessera models churn`.
    """


@models.command("list")
@PROFILE
@APP
@JSON
def list_models(app: str, as_json: bool) -> None:
    """List model versions of APP with their metrics, the champion, and the ledger of every change."""
    from pipelines.cli import registry

    registry.models(app, as_json=as_json)


@models.command("show")
@PROFILE
@APP
@click.argument("version", metavar="VERSION")
@JSON
def show_model(app: str, version: str, as_json: bool) -> None:
    """Show a VERSION of APP: its tags and metrics; of an imported one also its contract."""
    from pipelines.cli import legacy_models

    legacy_models.show(app, version, as_json=as_json)


@models.command("import")
@PROFILE
@APP
@click.argument("model", metavar="[MODEL]", required=False, type=click.Path(path_type=Path))
@click.option("--contract", required=True, type=click.Path(path_type=Path), help="YAML: inputs, output, golden rows.")
@click.option("--date", metavar="YYYY-MM-DD", help="Newest day whose rows evaluate it; default: the newest one.")
@click.option("--run-in", type=click.Path(path_type=Path), help="Python of the environment in which a pickle runs.")
@click.option("--trust-name", "trusted", metavar="NAME", multiple=True, help="A name in the pickle that you vouch for.")
def import_model(
    app: str, model: Path | None, contract: Path, date: str | None, run_in: Path | None, trusted: tuple[str, ...]
) -> None:
    """Import MODEL, made elsewhere, as a version of APP, evaluated by the same gate as a trained one.

    MODEL is a file (ONNX, XGBoost, LightGBM, skops) or an MLflow folder; without it, the contract names a command or an
    endpoint. The exit code is 1 if the gate stops it; `tessera promote` makes a version champion.
    """
    from pipelines.cli import legacy_models

    raise SystemExit(legacy_models.import_model(app, model, contract, date, run_in, trusted))


@app.group()
def replace() -> None:
    """Replace a champion by another version, night by night: shadow, 1, 5, 25, 100 % of the entities."""


@replace.command("start")
@PROFILE
@APP
@click.option("--version", required=True, metavar="VERSION", help="The version that is to replace the champion.")
@click.option("--segment", default="", metavar="FEATURE=VALUE", help="Only entities with this value; default: all.")
@WHY
@EVEN_IF_REFUSED
def start_replacement(app: str, version: str, segment: str, why: str | None, even_if_refused: bool) -> None:
    """Start in shadow: from the next night on, VERSION scores every row too, and publishes none."""
    from pipelines.cli import replace as command

    command.start(app, version, segment, why, even_if_refused=even_if_refused)


@replace.command("raise")
@PROFILE
@APP
@WHY
@EVEN_IF_REFUSED
def raise_replacement(app: str, why: str | None, even_if_refused: bool) -> None:
    """Raise the share to the next step, if the comparison of both versions passes and enough labels have matured."""
    from pipelines.cli import replace as command

    command.raise_share(app, why, even_if_refused=even_if_refused)


@replace.command("kill")
@PROFILE
@APP
@WHY
def kill_replacement(app: str, why: str | None) -> None:
    """Set the share to 0 at once: from the next scoring on, the champion scores every row."""
    from pipelines.cli import replace as command

    command.kill(app, why)


@replace.command("show")
@PROFILE
@APP
@JSON
def show_replacement(app: str, as_json: bool) -> None:
    """Show the replacement that runs, the comparison of both versions, and every decision with who and why."""
    from pipelines.cli import replace as command

    command.show(app, as_json=as_json)


@tessera_command
@APP
@click.option("--to", metavar="VERSION", help="Default: the champion before the present one that the gate let pass.")
@WHY
@EVEN_IF_REFUSED
def rollback(app: str, to: str | None, why: str | None, even_if_refused: bool) -> None:
    """Make a former champion of APP champion again, after it scored its golden set as when it was trained.

    A version that never was champion, or that the gate stopped, is refused without --even-if-refused and --why.
    """
    from pipelines.cli import registry

    registry.rollback(app, to, why, even_if_refused=even_if_refused)


@tessera_command
@APP
@click.option("--version", required=True, metavar="VERSION", help="As `tessera models` lists it.")
@WHY
@EVEN_IF_REFUSED
def promote(app: str, version: str, why: str | None, even_if_refused: bool) -> None:
    """Make a version of APP champion: one that passed the gate, or one that you pass yourself with a reason.

    It is loaded and scores its golden set first. What the gate stopped is refused without --even-if-refused and --why.
    """
    from pipelines.cli import registry

    registry.promote(app, version, why, even_if_refused=even_if_refused)


@tessera_command
@APP
@click.option("--version", metavar="VERSION", help="Version that answers beside the champion.")
@click.option(
    "--share", type=click.FloatRange(0, 1), default=0.0, show_default=True, help="Of entities it answers; 0: a shadow."
)
@click.option("--stop", is_flag=True, help="End the rollout: the champion answers alone.")
@WHY
@JSON
def rollout(app: str, version: str | None, share: float, stop: bool, why: str | None, as_json: bool) -> None:
    """Let another version answer requests of APP beside the champion, and show how both agree."""
    from pipelines.cli import rollout as command

    command.rollout(app, version, share, stop=stop, why=why, as_json=as_json)
