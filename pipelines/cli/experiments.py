"""`tessera experiments` and `tessera evaluate ranker`: effects, verdicts, and rankers that were never live."""

import getpass
from collections.abc import Mapping
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

from rich.text import Text

from assets.stages.experiments.results import StoredResult, stored, table_of
from models.errors import TesseraError, choose_from
from models.experiments.config import ExperimentSettings
from models.experiments.decisions import Decision
from pipelines.cli.arguments import known_day, known_span
from pipelines.cli.console import err, listing, literal, out
from pipelines.cli.hints import runnable
from pipelines.cli.tables import print_json, read_table
from resources.lake.port import Lake
from resources.stack.loader import Stack, active_stack
from resources.stack.ports import Ports

_COLOURS = {"ship": "green", "stop": "red", "go on": "yellow"}


def experiments(name: str | None, day_text: str | None, *, evaluate: bool, as_json: bool, verbose: bool) -> None:
    """List the experiments of the profile, or show one in detail; evaluate them first if asked to.

    Raises:
        TesseraError: there is no such experiment, or no day of exposures and outcomes to evaluate it by.
        SystemExit: a report failed, e.g. by a broken guardrail: 1.
    """
    stack = active_stack()
    trials = stack.settings.experiments.trials
    chosen = _chosen(trials, name)
    day = known_day(day_text, stack) if day_text else None
    failed = evaluate and not _evaluate(stack, chosen, day, verbose=verbose)
    lake = Ports(stack).lake
    found = {one: _described(lake, one, settings, day) for one, settings in chosen.items()}
    if as_json:
        print_json(found[name] if name else found)
    elif name:
        _show_one(found[name])
    else:
        _show(found)
    if failed:
        raise SystemExit(1)


def resume(name: str | None, variant: str, why: str | None) -> None:
    """Let a variant be shown again that a guardrail stopped, with a reason that is kept.

    Raises:
        TesseraError: there is no such experiment, the variant is not stopped, or there is no reason.
    """
    from assets.stages.experiments import decisions

    stack = active_stack()
    trials = stack.settings.experiments.trials
    if name is None or not (why or "").strip():
        raise TesseraError(
            "A variant is resumed without a reason." if name else "A variant is resumed of no experiment.",
            expected="the experiment, the variant, and a sentence that the home keeps",
            todo=f'`tessera experiments {name or "NAME"} --resume {variant} --why "..."`.',
        )
    (settings,) = _chosen(trials, name).values()
    if variant not in settings.shares:
        raise TesseraError(
            f"{name} has no variant {variant!r}.", expected=choose_from(variant, settings.shares), todo="Correct it."
        )
    ports = Ports(stack)
    published = ports.sink.published_days(settings.app) if settings.app else []
    newest = max([*ports.lake.days(table_of(name)), *published])
    made = decisions.resume(ports.lake, name, variant, who=getpass.getuser(), why=str(why).strip(), newest=newest)
    out.print(
        f"{variant} of {name} is shown again: at once on request, and by nights from {made.from_day} on. Its guardrails"
        " count what is shown since."
    )


def _chosen(trials: Mapping[str, ExperimentSettings], name: str | None) -> Mapping[str, ExperimentSettings]:
    if name is None:
        return trials
    if name not in trials:
        raise TesseraError(
            f"There is no experiment {name!r}.",
            expected=choose_from(name, trials),
            todo="Correct the name, or describe it below `settings.experiments.trials` in stack.yaml.",
        )
    return {name: trials[name]}


def _evaluate(stack: Stack, chosen: Mapping[str, ExperimentSettings], day: date | None, *, verbose: bool) -> bool:
    """Run the report of each experiment that has begun, as the sensor does under the daemon; True if none failed."""
    from assets.stages.experiments.log import last_day
    from assets.stages.experiments.report import REPORT_JOB, experiments_partitions, report_config
    from pipelines.cli import run as running
    from pipelines.home import dagster_instance
    from resources.home import only_one

    until = day or last_day(Ports(stack).lake)
    names = [name for name, one in chosen.items() if one.first_day <= until]
    for name, one in chosen.items():
        if name not in names:
            err.print(literal(f"{name} begins on {one.first_day}; the newest day that is ingested is {until}.", "dim"))
    done = True
    with only_one(stack, "run", "`tessera experiments --evaluate`"), dagster_instance(stack) as instance:
        running.end_lost(instance, stack)
        instance.add_dynamic_partitions(str(experiments_partitions.name), names)
        for name in names:
            further: dict[str, Any] = {"ops": report_config(until), "partition": name, "works_for": chosen[name].app}
            outcome = running.execute(REPORT_JOB, until, instance, verbose=verbose, **further)
            done = done and outcome.success
            if not outcome.success:
                err.print(literal(outcome.complaint, "red"))
    return done


def _described(lake: Lake, name: str, settings: ExperimentSettings, day: date | None) -> dict[str, Any]:
    """Return an experiment with its newest result, or that of a day, as JSON shows it."""
    from assets.stages.experiments.decisions import decisions_on
    from models.experiments.decisions import stops

    result, made = stored(lake, name, day), decisions_on(lake, name)
    about = {
        "app": settings.app,
        "part": settings.part,
        "first_day": settings.first_day,
        "last_day": settings.last_day,
        "layer": str(settings.layer or ""),
        "shares": settings.shares,
        "primary": settings.primary.name,
        "guardrails": [one.name for one in settings.guardrails],
        "shuffled_share": settings.shuffled_share,
        "stopped": {variant: _of_decision(one) for variant, one in stops(made).items()},
        "decisions": [_of_decision(one) for one in made],
    }
    return {"experiment": name, "state": _state(settings, result), **about, "result": _of_result(result)}


def _of_decision(one: Decision) -> dict[str, Any]:
    """Return a decision as JSON shows it."""
    names = ("variant", "action", "until", "from_day", "at", "who", "why")
    return {name: getattr(one, name) for name in names}


def _state(settings: ExperimentSettings, result: StoredResult | None) -> str:
    if result is None:
        return "not evaluated"
    if result.until < settings.first_day:
        return "not begun"
    if result.until <= settings.last_day:
        return "running"
    return "maturing" if result.until < settings.matures_on else "over"


def _of_result(result: StoredResult | None) -> dict[str, Any] | None:
    if result is None:
        return None
    kept = ("variant", "metric", "role", "units", "control_units", "mean", "control_mean", "effect", "low", "high")
    names = (*kept, "p_value", "variance_left", "limit", "state")
    return {
        "until": result.until,
        "verdict": result.decision,
        "ships": result.shipped or None,
        "reasons": list(result.reasons),
        "units": dict(result.exposed),
        "sample_ratio_p": result.sample_ratio_p,
        "faults_of_the_log": dict(result.faults),
        "effects": [{name: row[name] for name in names} for row in result.effects],
    }


def _show(found: Mapping[str, Mapping[str, Any]]) -> None:
    if not found:
        out.print("The profile has no experiments; docs/experiments.md says how to begin one.")
        return
    rows = [_row(one) for one in found.values()]
    for one in found.values():
        _show_stopped(one)
    out.print(listing(("experiment", "app", "state", "until", "units", "effect on", "effect", "verdict"), rows))
    if any(one["result"] is None for one in found.values()):
        out.print(runnable("Not evaluated yet: `tessera experiments --evaluate`."))


def _row(one: Mapping[str, Any]) -> list[str | Text]:
    result = one["result"]
    if result is None:
        return [one["experiment"], one["app"], one["state"], "", "", one["primary"], "", ""]
    units = " / ".join(f"{count:,}" for count in result["units"].values())
    first = next(iter(result["effects"]))
    return [
        *(one["experiment"], one["app"], one["state"], result["until"].isoformat(), units, one["primary"]),
        _effect(first),
        _verdict(result),
    ]


def _effect(row: Mapping[str, Any]) -> str:
    if row["low"] is None:
        return f"{row['variant']}: too few units"
    return f"{row['variant']}: {row['effect']:+.4g} ({row['low']:+.4g} to {row['high']:+.4g})"


def _verdict(result: Mapping[str, Any]) -> Text:
    text = f"{result['verdict']} {result['ships'] or ''}".strip()
    return literal(text, _COLOURS[result["verdict"]])


def _show_stopped(one: Mapping[str, Any]) -> None:
    """Say of each variant that is not shown since when and why, and how it is shown again."""
    for name, stop in one["stopped"].items():
        since = f"by nights from {stop['from_day']} on, on request since {stop['at']:%Y-%m-%d %H:%M} UTC"
        out.print(literal(f"{name} of {one['experiment']} is not shown: {since}. {stop['why']}", "red"))
        out.print(runnable(f'Show it again: `tessera experiments {one["experiment"]} --resume {name} --why "..."`.'))


def _show_one(one: Mapping[str, Any]) -> None:
    days = f"{one['first_day']} to {one['last_day']}"
    served = one["app"] or "a service elsewhere"
    layer = f", {one['layer']}" if one["layer"] else ""
    out.print(f"{one['experiment']}: {one['part']} of {served}{layer}, {days}, {one['state']}")
    _show_stopped(one)
    result = one["result"]
    if result is None:
        out.print(runnable(f"Not evaluated yet: `tessera experiments {one['experiment']} --evaluate`."))
        return
    units = ", ".join(f"{name} {count:,} ({one['shares'][name]:.0%})" for name, count in result["units"].items())
    out.print(f"until {result['until']}: {units}; sample ratio p {result['sample_ratio_p']:.2g} over all looks")
    columns = ("metric", "role", "variant", "units", "mean", "control", "effect over all looks", "p", "state")
    out.print(listing(columns, [_detail(row) for row in result["effects"]]))
    if result["faults_of_the_log"]:
        out.print(literal(f"not counted: {', '.join(f'{n:,} {k}' for k, n in result['faults_of_the_log'].items())}"))
    out.print(Text.assemble("Verdict: ", _verdict(result)))
    for reason in result["reasons"]:
        out.print(literal(f"  {reason}"))


def _detail(row: Mapping[str, Any]) -> list[str]:
    few = row["low"] is None
    return [
        *(row["metric"], row["role"], row["variant"], f"{row['units']:,} / {row['control_units']:,}"),
        *(f"{row['mean']:.4g}", f"{row['control_mean']:.4g}"),
        "too few units" if few else f"{row['effect']:+.4g} ({row['low']:+.4g} to {row['high']:+.4g})",
        "" if few else f"{row['p_value']:.2g}",
        row["state"],
    ]


def estimate_ranker(lists: Path, first: str, last: str, label: str, *, as_json: bool) -> None:
    """Print what a ranker would have brought, estimated from the labelled impressions of some days.

    Raises:
        TesseraError: the file has other columns, or the log cannot say (nothing shuffled, no such lists).
    """
    import polars as pl

    from assets.stages.experiments.off_policy import WANTED, estimate_ranker

    stack = active_stack()
    span = known_span(first, last, stack)
    rows = pl.DataFrame(read_table(lists, ("list_id", "product_id")))
    if missing := [name for name in WANTED if name not in rows.columns]:
        raise TesseraError(
            f"{str(lists)!r} has no column {missing[0]!r}.",
            expected=f"columns {', '.join(WANTED)}",
            todo="Write the product that the ranker wants in each slot of the logged lists.",
        )
    wanted = rows.select(pl.col("list_id").cast(pl.String), pl.col("slot").cast(pl.Int32), "product_id")
    found = estimate_ranker(Ports(stack).lake, wanted, *span, label=label)
    if as_json:
        print_json(asdict(found))
        return
    measured = found.found
    names = {"as shown": measured.logged, "IPS": measured.ips, "SNIPS": measured.snips}
    cells = ([name, f"{one.value:.4f}", f"{one.low:.4f} to {one.high:.4f}"] for name, one in names.items())
    out.print(listing((f"{found.label} per slot", "estimate", "95 %"), cells))
    out.print(
        f"{found.lists:,} lists, {measured.slots:,} slots; worth {measured.effective_slots:,.0f} unweighted slots, "
        f"largest weight {measured.max_weight:.1f}; {measured.supported_share:.1%} of the wanted slots could be shown."
    )
