"""Every command, its arguments and its help text. The module that it calls does the work."""

import os
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, NoReturn

import click

from models.errors import TesseraError


class _Commands(click.Group):
    """Turns a wrong command or option into the same three-part message as every other mistake."""

    def main(self, *args: Any, **kwargs: Any) -> NoReturn:
        try:
            code = super().main(*args, **{**kwargs, "standalone_mode": False})
        except click.Abort as abort:
            if isinstance(abort.__cause__, EOFError):  # click takes any for the end of what a user types
                raise _cut_off(abort.__cause__) from None
            raise SystemExit(130) from None
        except click.exceptions.NoArgsIsHelpError as error:
            click.echo(error.format_message())
            raise SystemExit(2) from None
        except click.ClickException as error:
            called = "tessera"
            if isinstance(error, click.UsageError) and error.ctx is not None:
                called = error.ctx.command_path
            raise TesseraError(
                error.format_message(), expected=f"a command as in `{called} --help`", todo=f"See `{called} --help`."
            ) from None
        raise SystemExit(code if isinstance(code, int) else 0)


def _cut_off(error: EOFError) -> TesseraError:
    return TesseraError(
        f"A file ends too early: {error}.",
        expected="files that were written whole; a full disk cuts off what Python compiles, too",
        todo="Make room, delete the folders __pycache__ of this project and of .venv, and run the command again.",
    )


def _use(_context: click.Context, _option: click.Parameter, profile: str | None) -> None:
    """Set the profile of this process and of every process it starts."""
    if profile:
        os.environ["TESSERA_PROFILE"] = profile


_PROFILE = click.option(
    "--profile", callback=_use, expose_value=False, is_eager=True, help="Profile of stack.yaml; else TESSERA_PROFILE."
)
_DATE = click.option("--date", metavar="YYYY-MM-DD", help="UTC day; default: yesterday.")
_VERBOSE = click.option("--verbose", is_flag=True, help="Show every event of Dagster.")
_APP = click.argument("app", metavar="APP")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
_WHY = click.option("--why", metavar="TEXT", help="The reason, kept in the ledger.")
_EVEN_IF_REFUSED = click.option(
    "--even-if-refused", is_flag=True, help="Insist, with --why: every card shows it until the next promotion."
)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tessera", message="%(prog)s %(version)s", prog_name="tessera")
def app() -> None:
    """Tessera: gated, published, monitored nightly batch scores; every part is one line of stack.yaml."""


def _command(function: Callable[..., None]) -> Callable[..., None]:
    """Return a command of `tessera`, with the option `--profile`."""
    return app.command()(_PROFILE(function))


@_command
@click.argument("job")
@_DATE
@click.option("--reingest", metavar="TABLE", multiple=True, help="Drop TABLE and what is made of it; ingest it anew.")
@_VERBOSE
def run(job: str, date: str | None, reingest: tuple[str, ...], verbose: bool) -> None:
    """Run a JOB (churn_nightly, ...) for one day and show its card.

    The exit code is 0 only if the job did what it is for: for churn_nightly, the day's scores are published.
    """
    from pipelines.cli import run as running

    raise SystemExit(running.run(job, date, verbose=verbose, reingest=reingest))


@_command
@click.argument("job")
@click.option("--from", "first", required=True, metavar="YYYY-MM-DD", help="First day.")
@click.option("--to", "last", required=True, metavar="YYYY-MM-DD", help="Last day, included.")
@_VERBOSE
def backfill(job: str, first: str, last: str, verbose: bool) -> None:
    """Run a JOB for every day of a range, oldest first; days already done give the same rows again."""
    from pipelines.cli import run as running

    raise SystemExit(running.backfill(job, first, last, verbose=verbose))


@app.command()
@click.argument("table")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--name", metavar="PROFILE", help="Name of the profile; default: that of the file.")
@click.option(
    "--column",
    "columns",
    multiple=True,
    metavar="CONTRACT=NAME",
    help="Name of the file's column for a column of the contract.",
)
@click.option("--currency", metavar="CODE", help="ISO 4217 code, where the file names no currency.")
@click.option(
    "--dates", type=click.Choice(["day-first", "month-first"]), help="Order of day and month, where both would fit."
)
@click.option("--replace", is_flag=True, help="Write the profile anew if there is one of that name.")
def init(table: str, file: Path, replace: bool, **wishes: Any) -> None:
    """Write a profile that reads your own orders from FILE. TABLE is `orders`."""
    from pipelines.cli import init as command

    command.init(table, file, command.Wishes(replace=replace, **wishes))


@app.command()
@_APP
@click.option("--task", type=click.Choice(["binary", "regression"]), required=True, help="Kind of prediction.")
@click.option("--dry-run", is_flag=True, help="List what would be written.")
def new(app: str, task: Literal["binary", "regression"], dry_run: bool) -> None:
    """Write the skeleton of an application APP into this clone, with tests that pass before a line is changed."""
    from pipelines.cli import new as command

    command.new(app, task, dry_run=dry_run)


@_command
@_APP
@_DATE
@click.option("--out", type=click.Path(path_type=Path), help="A .parquet or .csv file; default: show the highest.")
@_JSON
def scores(app: str, date: str | None, out: Path | None, as_json: bool) -> None:
    """Show the published scores of APP for a day: one row per entity; all of them with --out or --json."""
    from pipelines.cli import publications

    publications.scores(app, date, out, as_json=as_json)


@_command
@click.argument("app", metavar="ID|APP")
@click.argument("entity", metavar="[ENTITY]", required=False)
@_DATE
@_JSON
def trace(app: str, entity: str | None, date: str | None, as_json: bool) -> None:
    """Show the spans of a request, run or trace by its ID; or where the score of an ENTITY of APP comes from.

    With ENTITY: which model, features, inputs and run made its score, and who published it.
    """
    from pipelines.cli import spans
    from pipelines.cli import trace as tracing

    if entity is None:
        spans.show(app, as_json=as_json)
    else:
        tracing.trace(app, entity, date, as_json=as_json)


@_command
@click.option("--from", "first", metavar="YYYY-MM-DD", help="First day (UTC); default: 29 days before the last.")
@click.option("--to", "last", metavar="YYYY-MM-DD", help="Last day, included; default: today.")
@click.option("--by", type=click.Choice(["day", "app", "run", "model"]), default="day", show_default=True)
@_JSON
def costs(first: str | None, last: str | None, by: Literal["day", "app", "run", "model"], as_json: bool) -> None:
    """Show what calls to paid models cost: language models and embedders of other machines."""
    from pipelines.cli import costs as command

    command.costs(first, last, by, as_json=as_json)


@_command
@click.argument("name", required=False)
@click.option("--date", metavar="YYYY-MM-DD", help="UTC day; default: the newest one.")
@click.option("--evaluate", is_flag=True, help="Evaluate first, by exposures and outcomes that are ingested.")
@click.option("--resume", metavar="VARIANT", help="Show a variant of NAME again that a guardrail stopped.")
@click.option("--why", metavar="TEXT", help="Reason for --resume; it is kept.")
@_VERBOSE
@_JSON
def experiments(
    name: str | None,
    date: str | None,
    evaluate: bool,
    resume: str | None,
    why: str | None,
    verbose: bool,
    as_json: bool,
) -> None:
    """List experiments with units, effect and verdict as of the newest day or DATE; NAME shows one in detail."""
    from pipelines.cli import experiments as command

    if resume is not None:
        command.resume(name, resume, why)
        return
    command.experiments(name, date, evaluate=evaluate, as_json=as_json, verbose=verbose)


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
@_PROFILE
@_APP
@_JSON
def list_models(app: str, as_json: bool) -> None:
    """List model versions of APP with their metrics, the champion, and the ledger of every change."""
    from pipelines.cli import registry

    registry.models(app, as_json=as_json)


@models.command("show")
@_PROFILE
@_APP
@click.argument("version", metavar="VERSION")
@_JSON
def show_model(app: str, version: str, as_json: bool) -> None:
    """Show a VERSION of APP: its tags and metrics; of an imported one also its contract."""
    from pipelines.cli import legacy_models

    legacy_models.show(app, version, as_json=as_json)


@models.command("import")
@_PROFILE
@_APP
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
@_PROFILE
@_APP
@click.option("--version", required=True, metavar="VERSION", help="The version that is to replace the champion.")
@click.option("--segment", default="", metavar="FEATURE=VALUE", help="Only entities with this value; default: all.")
@_WHY
@_EVEN_IF_REFUSED
def start_replacement(app: str, version: str, segment: str, why: str | None, even_if_refused: bool) -> None:
    """Start in shadow: from the next night on, VERSION scores every row too, and publishes none."""
    from pipelines.cli import replace as command

    command.start(app, version, segment, why, even_if_refused=even_if_refused)


@replace.command("raise")
@_PROFILE
@_APP
@_WHY
@_EVEN_IF_REFUSED
def raise_replacement(app: str, why: str | None, even_if_refused: bool) -> None:
    """Raise the share to the next step, if the comparison of both versions passes and enough labels have matured."""
    from pipelines.cli import replace as command

    command.raise_share(app, why, even_if_refused=even_if_refused)


@replace.command("kill")
@_PROFILE
@_APP
@_WHY
def kill_replacement(app: str, why: str | None) -> None:
    """Set the share to 0 at once: from the next scoring on, the champion scores every row."""
    from pipelines.cli import replace as command

    command.kill(app, why)


@replace.command("show")
@_PROFILE
@_APP
@_JSON
def show_replacement(app: str, as_json: bool) -> None:
    """Show the replacement that runs, the comparison of both versions, and every decision with who and why."""
    from pipelines.cli import replace as command

    command.show(app, as_json=as_json)


@_command
@_APP
@click.option("--to", metavar="VERSION", help="Default: the champion before the present one that the gate let pass.")
@_WHY
@_EVEN_IF_REFUSED
def rollback(app: str, to: str | None, why: str | None, even_if_refused: bool) -> None:
    """Make a former champion of APP champion again, after it scored its golden set as when it was trained.

    A version that never was champion, or that the gate stopped, is refused without --even-if-refused and --why.
    """
    from pipelines.cli import registry

    registry.rollback(app, to, why, even_if_refused=even_if_refused)


@_command
@_APP
@click.option("--version", required=True, metavar="VERSION", help="As `tessera models` lists it.")
@_WHY
@_EVEN_IF_REFUSED
def promote(app: str, version: str, why: str | None, even_if_refused: bool) -> None:
    """Make a version of APP champion: one that passed the gate, or one that you pass yourself with a reason.

    It is loaded and scores its golden set first. What the gate stopped is refused without --even-if-refused and --why.
    """
    from pipelines.cli import registry

    registry.promote(app, version, why, even_if_refused=even_if_refused)


@_command
@_APP
@_DATE
@_WHY
@click.option("--even-if-refused", is_flag=True, help="Publish a set whose only fault is a shift of the scores.")
def publish(app: str, date: str | None, why: str | None, even_if_refused: bool) -> None:
    """Publish the waiting audited scores of APP for a day, or those that were last withdrawn.

    A published day keeps its scores when another champion scores it again; the new ones wait for this command.

    What the audit blocked is refused. If it blocked nothing but a shift against earlier scores, and the shift is real,
    --even-if-refused and --why publish it: the record keeps both, and `tessera scores` shows them.
    """
    from pipelines.cli import publications

    publications.publish(app, date, why, even_if_refused=even_if_refused)


@_command
@_APP
@_DATE
@click.option("--why", default="withdrawn by hand", show_default=True, help="Kept in the history.")
def unpublish(app: str, date: str | None, why: str) -> None:
    """Withdraw the published scores of a day of APP; rows and history stay."""
    from pipelines.cli import publications

    publications.unpublish(app, date, why)


@_command
@_APP
@click.option("--entities", type=click.Path(path_type=Path), help="churn: customer_id and event_timestamp.")
@click.option("--from", "first", metavar="YYYY-MM-DD", help="fraud: first day.")
@click.option("--to", "last", metavar="YYYY-MM-DD", help="fraud: last day, included.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="A .parquet or .csv file.")
@click.option("--online", is_flag=True, help="What is served now; `--entities` needs no event_timestamp then.")
def features(app: str, entities: Path | None, first: str | None, last: str | None, out: Path, online: bool) -> None:
    """Write features of APP: churn by entity, as known at its timestamp; fraud by payment, for a range of days."""
    from pipelines.cli import features as featuring

    featuring.features(app, entities, first, last, out, online=online)


@_command
@click.argument("table")
@click.option("--date", metavar="YYYY-MM-DD", help="UTC day of delivery; default: all days.")
@click.option("--out", type=click.Path(path_type=Path), help="A .parquet or .csv file with all of them.")
@_JSON
def quarantine(table: str, date: str | None, out: Path | None, as_json: bool) -> None:
    """List quarantined rows of TABLE, newest first, with their count, reasons and original text."""
    from pipelines.cli import quarantine as quarantined

    quarantined.show(table, date, out, as_json=as_json)


@_command
@click.argument("table")
@_DATE
@click.option("--why", metavar="TEXT", help="The reason, kept in the home and shown by the check.")
def accept(table: str, date: str | None, why: str | None) -> None:
    """Let a day of TABLE through that the check `anomalies` stopped; the next run for that day then goes on."""
    from pipelines.cli import accept as accepting

    accepting.accept(table, date, why)


@_command
@click.argument("entity")
@click.argument("id")
@click.option("--why", default="asked to be forgotten", show_default=True, help="Kept in the proof; names no one.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--even-if-unknown", is_flag=True, help="Erase an id that no row has yet.")
@click.option("--named-by", metavar="FIELD", multiple=True, help="A field of events that names such entities, too.")
@click.option("--not-named-by", metavar="FIELD", multiple=True, help="A field of events with another meaning.")
def forget(
    entity: str,
    id: str,
    why: str,
    yes: bool,
    even_if_unknown: bool,
    named_by: tuple[str, ...],
    not_named_by: tuple[str, ...],
) -> None:
    """Erase the ENTITY (customer) with this ID everywhere and for good, and write a proof.

    Its rows leave every table, the online store, published scores, events and the stream; a tombstone keeps them out.
    """
    from assets.maintenance.erasure_scope import EventFields
    from pipelines.cli import forget as forgetting

    fields = EventFields(named_by, not_named_by)
    forgetting.forget(entity, id, why, yes=yes, even_if_unknown=even_if_unknown, fields_of_events=fields)


@app.group()
def evaluate() -> None:
    """Evaluate the compositions for texts on your own benchmark; choices are made on a part of the training rows."""


_FILE = click.Path(path_type=Path)
_EMBEDDER = click.option(
    "--embedder",
    type=click.Choice(["minilm", "hashed"]),
    default="minilm",
    show_default=True,
    help="hashed: no weights.",
)


@evaluate.command("intents")
@_PROFILE
@click.option("--train", required=True, type=_FILE, help="CSV or Parquet: text, label; `oos`: out of scope.")
@click.option("--test", required=True, type=_FILE, help="The same columns; nothing is chosen on it.")
@_EMBEDDER
@click.option(
    "--retention",
    type=click.FloatRange(0.5, 1.0),
    default=0.95,
    show_default=True,
    help="Share of texts in scope that thresholds keep, unless 30 `oos` training rows or more choose it.",
)
@click.option(
    "--price-per-cpu-hour", type=click.FloatRange(0.0), default=0.05, show_default=True, help="EUR, for the costs."
)
@_JSON
def evaluate_intents(train: Path, test: Path, as_json: bool, **wishes: Any) -> None:
    """Train the intent models and their composition on one file, and evaluate them on another.

    Prints accuracy, in-scope accuracy and out-of-scope recall at the threshold, cost and CPU per text.
    """
    from pipelines.cli import evaluate as evaluating

    evaluating.intents(train, test, as_json=as_json, **wishes)


@evaluate.command("ranker")
@_PROFILE
@click.option("--lists", required=True, type=_FILE, help="CSV or Parquet: list_id, slot, product_id, as it wants them.")
@click.option("--from", "first", required=True, metavar="YYYY-MM-DD", help="First day on which lists were shown.")
@click.option("--to", "last", required=True, metavar="YYYY-MM-DD", help="Last day, included.")
@click.option("--label", type=click.Choice(["clicked", "carted", "bought"]), default="clicked", show_default=True)
@_JSON
def evaluate_ranker(lists: Path, first: str, last: str, label: str, as_json: bool) -> None:
    """Estimate what a ranker would have brought, from logged lists whose slots were shuffled (IPS, SNIPS)."""
    from pipelines.cli import experiments as command

    command.estimate_ranker(lists, first, last, label, as_json=as_json)


@evaluate.command("retrieval")
@_PROFILE
@click.option("--corpus", required=True, type=_FILE, help="CSV or Parquet: id, text.")
@click.option("--queries", required=True, type=_FILE, help="The same columns.")
@click.option("--out", required=True, type=_FILE, help="A .parquet or .csv file: query_id, id, rank.")
@_EMBEDDER
def evaluate_retrieval(corpus: Path, queries: Path, out: Path, embedder: str) -> None:
    """Search a corpus for each query by BM25 and vectors, fused, and write the ten best documents."""
    from pipelines.cli import evaluate as evaluating

    evaluating.retrieval(corpus, queries, out, embedder)


@evaluate.command("recommendations")
@_PROFILE
@click.option("--events", required=True, type=_FILE, help="CSV or Parquet: customer_id, product_id, at (if known).")
@click.option("--test", required=True, type=_FILE, help="The same columns: what customers took later.")
@click.option("--k", type=click.IntRange(1, 100), default=20, show_default=True, help="Products of a list.")
@_JSON
def evaluate_recommendations(events: Path, test: Path, k: int, as_json: bool) -> None:
    """Train the recommender on the events of customers, and evaluate its lists on what they took later.

    Prints recall, NDCG, coverage and novelty beside popularity, own frequency and EASE, with paired intervals. Rankers
    are chosen on the last part of the events; nothing is chosen on the test file.
    """
    from pipelines.cli import evaluate_recommendations as evaluating

    evaluating.recommendations(events, test, k, as_json=as_json)


@app.group()
def events() -> None:
    """Publish, replay and inspect events."""


@events.command("publish")
@_PROFILE
@click.argument("file", metavar="FILE")
def publish_events(file: str) -> None:
    """Publish the events of FILE (- for stdin): one CloudEvent per line, JSON.

    What is stored already is left out; a line that is no event goes to the dead letters.
    """
    from pipelines.cli import events as eventing

    eventing.publish(file)


@events.command()
@_PROFILE
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
@_PROFILE
@click.option("--out", type=click.Path(path_type=Path), help="All of them, as JSON lines.")
@_JSON
def dead_letters(out: Path | None, as_json: bool) -> None:
    """List dead letters, newest first, with the reason."""
    from pipelines.cli import events as eventing

    eventing.dead_letters(out, as_json=as_json)


@events.command("status")
@_PROFILE
@_JSON
def queue_status(as_json: bool) -> None:
    """Show the newest offset, and how many events each group has not acknowledged."""
    from pipelines.cli import events as eventing

    eventing.status(as_json=as_json)


@events.command()
@_PROFILE
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
@_PROFILE
@click.argument("app", metavar="[APP]", default="fraud")
@click.option("--date", metavar="YYYY-MM-DD", help="UTC day of the payments; default: all days.")
@click.option("--from", "first", metavar="YYYY-MM-DD", help="First day.")
@click.option("--to", "last", metavar="YYYY-MM-DD", help="Last day, included.")
@click.option("--open", "only_open", is_flag=True, help="Only alerts with a payment that has no label yet.")
@click.option("--out", type=click.Path(path_type=Path), help="A .parquet or .csv file with all of them.")
@_JSON
def list_alerts(
    app: str, date: str | None, first: str | None, last: str | None, only_open: bool, out: Path | None, as_json: bool
) -> None:
    """List alerts of APP (fraud): card, payments, scores and reasons."""
    from pipelines.cli import alerts as alerting

    alerting.alerts(app, date, first, last, out, only_open=only_open, as_json=as_json)


@alerts.command("label")
@_PROFILE
@click.argument("id")
@click.argument("label", metavar="fraud|ok")
@click.option("--who", metavar="NAME", help="Kept with the label; default: the user of this machine.")
def label_alert(id: str, label: str, who: str | None) -> None:
    """Label the payments of alert ID as fraud or ok.

    Features count the label from then on, and models are trained on it. Run it again if it was interrupted.
    """
    from pipelines.cli import alerts as alerting

    alerting.label(id, label, who)


@_command
@click.argument("customer", metavar="CUSTOMER")
@click.option("--session", metavar="FILE", help="Events of this visit, the oldest first: JSON, one per line or a list.")
@_JSON
def recommend(customer: str, session: str | None, as_json: bool) -> None:
    """Recommend products to CUSTOMER, by the same composition as at night, as of the day that was published last.

    Events of this visit change the list. A part that fails or is late is named, and the popular list stands in.
    """
    from pipelines.cli import recommend as recommending

    recommending.recommend(customer, session, as_json=as_json)


@_command
@_APP
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="Events per batch.")
@click.option("--until-empty", is_flag=True, help="End when no event waits: catching up.")
def stream(app: str, limit: int, until_empty: bool) -> None:
    """Process the events of APP as they come: fraud scores payments and raises alerts, support answers tickets.

    Each event has its effect exactly once.
    """
    from pipelines.cli import stream as streaming

    streaming.stream(app, limit, until_empty=until_empty)


@_command
@click.argument("text", required=False)
@click.option("--ticket", metavar="ID", help="Show what `tessera stream support` answered to this ticket.")
@click.option("--customer", metavar="ID", help="Who asks; default: a guest.")
@click.option("--order", metavar="ID", help="The order that it is about.")
@click.option("--at", metavar="MOMENT", help="When it was asked, UTC (2026-03-01T12:30:00); default: now.")
@_JSON
def ask(
    text: str | None, ticket: str | None, customer: str | None, order: str | None, at: str | None, as_json: bool
) -> None:
    """Triage TEXT, a customer's message, by the same composition as at night.

    Prints intent, articles, the answer or the hand-off with its reasons, cost, and milliseconds per step.
    """
    from pipelines.cli import ask as asking

    if ticket is not None:
        asking.show_stored(ticket, text or customer or order or at, as_json=as_json)
        return
    asking.ask(text or "", customer, order, at, as_json=as_json)


@_command
@click.argument("id", required=False)
@click.option("--acknowledge", is_flag=True, help="Close notice ID, or with --all every open one.")
@click.option("--send", is_flag=True, help="Deliver what waits for its receiver now.")
@click.option("--all", "include_all", is_flag=True, help="Acknowledged notices and those for the record, too.")
@click.option("--who", metavar="NAME", help="Kept with --acknowledge; default: the user of this machine.")
@_JSON
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


@_command
@_JSON
def status(as_json: bool) -> None:
    """Show every application on one page: publication, champion, checks, notices, next night.

    The exit code is 1 if scores are missing or an error is open, else 0.
    """
    from pipelines.cli import status as page

    raise SystemExit(page.status(as_json=as_json))


@_command
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


@_command
def alert_test() -> None:
    """Deliver a test notice by the profile's notifier, to see that notices arrive."""
    from pipelines.cli import notices as noticing

    noticing.alert_test()


@_command
@_JSON
def check(as_json: bool) -> None:
    """Check every part of the profile; print ok, or the fault and its remedy."""
    from pipelines.cli import check as checking

    raise SystemExit(checking.check(as_json=as_json))


@_command
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


@_command
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; others need a key.")
@click.option("--port", type=click.IntRange(0, 65_535), default=8000, show_default=True, help="Port; 0: any free one.")
@click.option("--allow-host", multiple=True, metavar="NAME", help="Further name that it is asked by (a proxy's).")
def serve(host: str, port: int, allow_host: tuple[str, ...]) -> None:
    """Serve published scores, and what applications answer on request, over HTTP.

    Without a key (`tessera keys create`), only programs of this machine are served.
    """
    from pipelines.cli import serve as serving

    serving.serve(host, port, allow_host)


@_command
@click.option("--app", metavar="APP", help="One application; default: all of the profile.")
@_JSON
def slo(app: str | None, as_json: bool) -> None:
    """Show owner, objectives and error budgets of each application; exit code 1 if an objective is not met."""
    from pipelines.cli import slo as command

    raise SystemExit(command.slo(app, as_json=as_json))


@_command
@_APP
@click.option("--version", metavar="VERSION", help="Version that answers beside the champion.")
@click.option(
    "--share", type=click.FloatRange(0, 1), default=0.0, show_default=True, help="Of entities it answers; 0: a shadow."
)
@click.option("--stop", is_flag=True, help="End the rollout: the champion answers alone.")
@_WHY
@_JSON
def rollout(app: str, version: str | None, share: float, stop: bool, why: str | None, as_json: bool) -> None:
    """Let another version answer requests of APP beside the champion, and show how both agree."""
    from pipelines.cli import rollout as command

    command.rollout(app, version, share, stop=stop, why=why, as_json=as_json)


@app.group()
def keys() -> None:
    """Create, list and revoke keys of `tessera serve` and `tessera dev`, and show who read a score."""


@keys.command("create")
@_PROFILE
@click.argument("name")
@click.option("--role", type=click.Choice(["viewer", "operator", "admin"]), default="viewer", show_default=True)
@click.option("--app", metavar="APP", help="The only application that it may ask; default: all.")
def create_key(name: str, role: Literal["viewer", "operator", "admin"], app: str | None) -> None:
    """Create a key for NAME and print it, this once; only its digest is stored."""
    from pipelines.cli import keys as command

    command.create(name, role, app)


@keys.command("list")
@_PROFILE
@_JSON
def list_keys(as_json: bool) -> None:
    """List keys: name, role, application, when created and revoked."""
    from pipelines.cli import keys as command

    command.list_keys(as_json=as_json)


@keys.command("revoke")
@_PROFILE
@click.argument("name")
def revoke_key(name: str) -> None:
    """Revoke the key of NAME; a server that runs refuses it within a second."""
    from pipelines.cli import keys as command

    command.revoke(name)


@keys.command("open")
@_PROFILE
@click.option("--yes", is_flag=True, help="Do not ask.")
def open_without_keys(yes: bool) -> None:
    """Remove every key: servers on a loopback address serve programs of this machine without one again."""
    from pipelines.cli import keys as command

    command.open_without(yes=yes)


@keys.command("reads")
@_PROFILE
@_APP
@click.argument("entity")
@_JSON
def reads_of(app: str, entity: str, as_json: bool) -> None:
    """Show who asked the service about ENTITY of APP, and when."""
    from pipelines.cli import keys as command

    command.reads(app, entity, as_json=as_json)
