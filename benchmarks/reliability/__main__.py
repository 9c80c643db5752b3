"""Measure what is seen of harmful changes and of faultless nights, and write docs/reliability.md.

    python -m benchmarks.reliability tables --app churn                 # every mutation of tables: its outcome
    python -m benchmarks.reliability tables --app churn --silent        # those that are silent, or name another cause
    python -m benchmarks.reliability tables --app churn --only prices-x1.2
    python -m benchmarks.reliability outputs --app churn                # mutations of features, models, training rows
    python -m benchmarks.reliability nights --app churn --count 10     # mutations of tables as whole nights
    python -m benchmarks.reliability alarms --app churn                 # 220 nights without a fault
    python -m benchmarks.reliability labels --app churn --most 1       # the gate's check of labels: faultless shops
    python -m benchmarks.reliability performance --app churn            # the check of known outcomes: alarms and hits
    python -m benchmarks.reliability real                               # real days through the watch
    python -m benchmarks.reliability curve --app churn                  # hits against false alarms, limits scaled
    python -m benchmarks.reliability page                               # docs/reliability.md, of the results above

A command without `--only` keeps its results in `benchmarks/results/`, which the page is made of.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.reliability.alarms import Faultless, counted, faultless
from benchmarks.reliability.catalogue import MUTATIONS
from benchmarks.reliability.curve import points
from benchmarks.reliability.home import DAY, prepared
from benchmarks.reliability.mutation import APPS, NIGHT_APPS, AppName, NightApp, Result
from benchmarks.reliability.page import write
from benchmarks.reliability.real import handbook, online_retail
from benchmarks.reliability.results import keep, kept
from benchmarks.reliability.table_checks import outcome, said_without_change

App = TypeVar("App", bound=str)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command that was asked for."""
    parser = argparse.ArgumentParser(prog="benchmarks.reliability", description="Measure reliability.")
    parser.add_argument(
        "what", choices=["tables", "outputs", "nights", "alarms", "labels", "performance", "real", "curve", "page"]
    )
    parser.add_argument("--app", choices=APPS, action="append", help="one application or several; default all")
    parser.add_argument("--only", help="name of one mutation")
    parser.add_argument(
        "--count",
        type=int,
        help="of `nights`: mutations, evenly spaced, default all; of `performance`: published nights of a shop",
    )
    parser.add_argument(
        "--home", help="of `nights`, `outputs` and `performance`: folder that keeps the home; pieces add up"
    )
    parser.add_argument("--skip", type=int, default=0, help="mutations that are left out, the first ones")
    parser.add_argument("--most", type=int, help="mutations of this piece; default all that are left")
    parser.add_argument("--seed", type=int, action="append", help="of `performance`: seed of a shop; default 11")
    parser.add_argument("--customers", type=int, help="of `performance`: active customers of a shop")
    parser.add_argument("--silent", action="store_true", help="show only what is not blocked or warned, and named")
    asked = parser.parse_args(arguments)
    if asked.what == "page":
        write()
    elif asked.what == "real":
        keep("real", [online_retail(), handbook()])
    _measure(asked)


def _measure(asked: Any) -> None:
    for app in asked.app or APPS:
        if asked.what == "alarms":
            _alarms(app)
        elif asked.what == "tables":
            _show(f"mutations-of-tables-{app}", tables(app, asked.only), asked)
        elif asked.what == "nights":
            _show(f"mutations-of-nights-{app}", _results(app, nights, asked), asked)
    for app in asked.app or NIGHT_APPS:
        if asked.what == "labels":
            _labels(app, faultless()[asked.skip :][: asked.most])
        elif asked.what == "performance":
            _performance(app, asked)
        elif asked.what == "curve":
            keep(f"curve-{app}", points(app, faultless()[1:4:2]))
        elif asked.what == "outputs":
            _show(f"mutations-of-outputs-{app}", _results(app, outputs, asked), asked)


def _results(app: App, measure: Callable[[App, Path, Any], list[Result]], asked: Any) -> list[Result]:
    """Return the results of a command, beside those of earlier pieces where a folder keeps the home."""
    started = time.process_time()
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(asked.home or scratch) / f"{asked.what}-{app}"
        found = measure(app, home, asked)
    _tell(f"{app}: {len(found)} results in {time.process_time() - started:.0f} CPU s, the home among them")
    earlier = kept(f"mutations-of-{asked.what}-{app}") if asked.home else None
    known = {one["mutation"]: Result(**one) for one in (earlier["found"] if earlier else ())}
    return [*{**known, **{one.mutation: one for one in found}}.values()]


def nights(app: AppName, home: Path, asked: Any) -> list[Result]:
    """Return the results of an application's mutations of tables as whole nights."""
    from benchmarks.reliability.whole_nights import evenly, whole_nights

    wanted = _wanted(asked)
    every = [None, *evenly(app, None if asked.only else asked.count)]
    return list(whole_nights(app, DAY, home, [one for one in every if wanted(one.name if one else "no fault")]))


def _wanted(asked: Any) -> Callable[[str], bool]:
    """Return whether a mutation belongs to the piece that was asked for; it is asked once for each, in order."""
    places = count()

    def wanted(name: str) -> bool:
        place = next(places) - asked.skip
        return asked.only in (None, name) and place >= 0 and (asked.most is None or place < asked.most)

    return wanted


def tables(app: AppName, only: str | None = None) -> list[Result]:
    """Return the results of the mutations of an application's tables."""
    started, home = time.process_time(), prepared(app)
    if said := said_without_change(home):
        _tell(f"the night without a fault: {said}")
    made = time.process_time()
    results = [outcome(home, one) for one in MUTATIONS[app] if only in (None, one.name)]
    each = (time.process_time() - made) / max(len(results), 1)
    _tell(f"{app}: a home in {made - started:.1f} CPU s, {each:.2f} CPU s a mutation")
    return results


def outputs(app: NightApp, folder: Path, asked: Any) -> list[Result]:
    """Return the results of the mutations of features, models, published rows and training rows."""
    from benchmarks.reliability import output_checks, scored_home, support_home, support_outputs
    from benchmarks.reliability.kept_home import kept_home

    wanted = _wanted(asked)
    with tempfile.TemporaryDirectory() as scratch:
        if app == "support":
            home = kept_home(
                folder,
                lambda place: support_home.SupportHome(place, DAY),
                lambda place: support_home.made(place, DAY, 24),
            )
            return list(support_outputs.outcomes(home, Path(scratch), wanted))
        scored = kept_home(
            folder,
            lambda place: scored_home.ScoredHome(app, place, DAY),
            lambda place: scored_home.made(app, place, DAY, 24),
        )
        return list(output_checks.outcomes(scored, Path(scratch), wanted))


def is_seen(result: Result) -> bool:
    """Return True if it was blocked or warned of by its cause."""
    return result.outcome in ("block", "warn") and result.names_the_cause


def _show(name: str, results: Sequence[Result], asked: Any) -> None:
    for one in results:
        if not asked.silent or not is_seen(one):
            _tell(f"{one.mutation:36s}{one.outcome:8s}{one.check:28s}{one.says}{_named(one)}")
    counts = ", ".join(f"{count} {outcome}" for outcome, count in Counter(one.outcome for one in results).items())
    _tell(f"{name}: {len(results)} mutations: {counts}")
    if not asked.only and results:
        keep(name, [one.as_dict() for one in results])


def _alarms(app: AppName) -> None:
    found = counted(app, faultless())
    _tell(f"{app}: {found['nights']} nights, {found['blocked']} blocked, {found['warned']} warned")
    for line in found["odd"]:
        _tell(line)
    keep(f"alarms-{app}", found)


def _labels(app: NightApp, shops: Sequence[Faultless]) -> None:
    from benchmarks.reliability.label_alarms import refusals

    if app == "support":
        return
    found = refusals(app, shops)
    _tell(f"{app}: {found['pairs']} pairs of trainings, {found['refused']} refused")
    for line in found["said"]:
        _tell(line)
    keep(f"labels-{app}", found)


def _performance(app: NightApp, asked: Any) -> None:
    from benchmarks.reliability.performance import Shops, measured

    kept_in = Path(asked.home) if asked.home else None
    found = measured(app, Shops(asked.seed or (11,), asked.count, asked.customers, kept_in))
    _tell(f"{app}: {found['nights']} nights without a fault, {found['warned']} warned; {found['hits']}")
    for line in found["odd"]:
        _tell(line)
    keep(f"performance-{app}", found)


def _named(result: Result) -> str:
    return "" if result.names_the_cause or result.outcome == "silent" else "   (names another cause)"


def _tell(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
