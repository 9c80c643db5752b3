"""docs/reliability.md, of the results in benchmarks/results: mutations, faultless nights, real days, the curve."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from benchmarks.reliability.catalogue import MUTATIONS
from benchmarks.reliability.curve import picture
from benchmarks.reliability.mutation import APPS, AppName
from benchmarks.reliability.real import LOOKED_AT
from benchmarks.reliability.results import kept
from benchmarks.report import PAGE, replace_section

RELIABILITY = PAGE.parent / "reliability.md"
_PICTURE = PAGE.parent / "pictures" / "reliability-curve.png"
_LIBRARIES = ("polars", "numpy", "xgboost", "scikit-learn")
_SAYS_CHARACTERS = 150
#: Name of the night without a mutation.
_QUIET = "no fault"
_TITLE = """# Reliability

Harmful changes of a night that are seen, and faultless nights that are called odd. Written by
`python -m benchmarks.reliability`; every section says how it was measured. Kills and damage: [recovery](recovery.md).
"""


def write() -> None:
    """Write the sections for which there are results; others stay as they are."""
    if not RELIABILITY.exists():
        RELIABILITY.write_text(_TITLE)
    for app in APPS:
        if body := _mutations(app):
            replace_section(f"mutations-{app}", body, libraries=_LIBRARIES, page=RELIABILITY)
    if body := _nights():
        replace_section("whole-nights", body, libraries=_LIBRARIES, page=RELIABILITY)
    if body := _alarms():
        replace_section("false-alarms", body, libraries=_LIBRARIES, page=RELIABILITY)
    if body := _labels():
        replace_section("labels", body, libraries=_LIBRARIES, page=RELIABILITY)
    if body := _performance():
        replace_section("known-outcomes", body, libraries=_LIBRARIES, page=RELIABILITY)
    if body := _curve():
        replace_section("curve", body, libraries=_LIBRARIES, page=RELIABILITY)


def _mutations(app: AppName) -> str:
    kinds = {kind: kept(f"mutations-of-{kind}-{app}") for kind in ("tables", "outputs")}
    results = [one for found in kinds.values() if found for one in found["found"]]
    if not results:
        return ""
    counts = Counter(one["outcome"] for one in results)
    said = ", ".join(f"{counts[name]} {word}" for name, word in _OUTCOMES.items() if counts[name])
    lines = [
        f"## {app.capitalize()}: mutations of a night",
        "",
        f"{len(results)} harmful changes, each on the first night of a home with 100 days: {said}. A change counts as "
        "seen if it is blocked or warned of and the sentence names its cause. Commands: "
        + _commands(found for found in kinds.values() if found),
        "",
        *_table(("change", "outcome", "check", "sentence"), map(_row, results)),
    ]
    if noted := {one.name: one.noted for one in MUTATIONS[app] if one.noted}:
        lines += ["", "Noted only, and why: " + "; ".join(f"`{name}`: {why}" for name, why in noted.items()) + "."]
    return "\n".join(lines)


#: Whole nights that are silent, and the reason.
_LOOKED_INTO = {
    "support, `urgent-null-for-half`": "35 of 53 labels lack `urgent`, 34 % are expected to: 4.4 spreads, where the "
    "budget of false alarms begins at 4.5. With the draw of the list above, 77 % lack it, and the night is stopped.",
}
#: Part of the whole nights that are listed.
_EVERY = 12
_OUTCOMES = {"block": "blocked", "warn": "warned of", "note": "noted only", "silent": "silent"}


def _row(one: Mapping[str, Any]) -> tuple[str, ...]:
    says = one["says"] if len(one["says"]) <= _SAYS_CHARACTERS else one["says"][: _SAYS_CHARACTERS - 1] + "…"
    outcome = _OUTCOMES[one["outcome"]] + ("" if one["names_the_cause"] else " (another cause is named)")
    return f"`{one['mutation']}`", outcome, one["check"], says


def _nights() -> str:
    known = {app: one for app in APPS if (one := kept(f"mutations-of-nights-{app}"))}
    if not known:
        return ""
    changed = {app: [one for one in found["found"] if one["mutation"] != _QUIET] for app, found in known.items()}
    rows = [(app, *_row(one)) for app, found in changed.items() for one in _shown_of(found)]
    quiet = [
        app for app, found in known.items() for one in found["found"] if one["mutation"] == _QUIET and not one["says"]
    ]
    lines = [
        "## Whole nights",
        "",
        "The mutations of tables above as whole nights on the stores of a home with published nights: delivery, "
        "ingestion, contract, watch, features, scores, audit. No alarm is raised of the same night without a change: "
        f"{', '.join(quiet) or 'in no home'}. These homes hold more days than those of the lists above, and what a "
        "notice says counts, which names at most four findings. Nights of personalization end with the watch of its "
        "tables. Commands: " + _commands(known.values()),
        "",
        *_table(("application", "nights", *_OUTCOMES.values(), "another cause named"), map(_counts, changed.items())),
        "",
        *(f"- {name}: {why}" for name, why in _LOOKED_INTO.items()),
        "",
        f"Every {_EVERY}th of them, and all that were noted only, silent, or named another cause:",
        "",
        *_table(("application", "change", "outcome", "check", "sentence"), rows),
    ]
    return "\n".join(lines)


def _counts(of: tuple[str, Sequence[Mapping[str, Any]]]) -> Sequence[str]:
    app, found = of
    outcomes = Counter(one["outcome"] for one in found)
    numbers = (len(found), *(outcomes[name] for name in _OUTCOMES), sum(not one["names_the_cause"] for one in found))
    return app, *map(str, numbers)


def _shown_of(found: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    odd = [one["outcome"] in ("note", "silent") or not one["names_the_cause"] for one in found]
    return [one for place, one in enumerate(found) if odd[place] or place % _EVERY == 0]


def _performance() -> str:
    known = {app: one for app in APPS if (one := kept(f"performance-{app}"))}
    if not known:
        return ""
    found = {app: one["found"] for app, one in known.items()}
    alarms = [
        (app, f"{one['customers']:,}", str(one["nights"]), str(one["warned"]), _percent(one["at_most"]))
        for app, one in found.items()
    ]
    hits = [(app, name, f"{n} of {of}") for app, one in found.items() for name, (n, of) in one["hits"].items()]
    odd = [f"- {app}: {line}" for app, one in found.items() for line in one["odd"]]
    lines = [
        "## Quality once outcomes are known",
        "",
        "The check `performance` over nights of faultless simulated shops, seeds beyond those that limits were fixed "
        "on, and over the same nights with published rows made worse. Nights follow each other and share outcomes, so "
        "the bound, as if they were independent, is too low. Commands: " + _commands(known.values()),
        "",
        *_table(("application", "customers", "faultless nights", "warned", "at most"), alarms),
        *(["", "Warned of without a fault:", "", *odd] if odd else []),
        "",
        *_table(("application", "published instead", "nights warned of"), hits),
    ]
    return "\n".join(lines)


def _labels() -> str:
    known = {app: one for app in APPS if (one := kept(f"labels-{app}"))}
    if not known:
        return ""
    rows = [
        (app, "; ".join(one["found"]["shops"]), str(one["found"]["pairs"]), str(one["found"]["refused"]))
        for app, one in known.items()
    ]
    said = [f"- {app}: {line}" for app, one in known.items() for line in one["found"]["said"]]
    lines = [
        "## Labels at the gate",
        "",
        "The check `labels_as_before` of faultless shops: champion and challenger trained 90, 60, 30, 14 and 0 days "
        "before the last day, each pair of them. Commands: " + _commands(known.values()),
        "",
        *_table(("application", "shops", "pairs", "refused"), rows),
        *(["", *said] if said else []),
    ]
    return "\n".join(lines)


def _commands(found: Iterable[Mapping[str, Any]]) -> str:
    return "; ".join(f"`{one['command']}` ({one['measured']})" for one in found) + "."


def _alarms() -> str:
    found = {app: kept(f"alarms-{app}") for app in APPS}
    known = {app: one["found"] for app, one in found.items() if one}
    if not known:
        return ""
    summary = [_summary(app, one) for app, one in known.items()]
    lines = [
        "## Faultless nights",
        "",
        "Nights of simulated shops without a fault, each assessed against the days before it: a steady shop, growth "
        "with the days around Christmas, a campaign and a price rise that stand in the settings, a new country. Limits "
        "were fixed on seeds 1 to 5, these are seeds 11 to 15. Bars: 1 blocked and 3 warned of 100 nights. Bounds are "
        "one-sided, 95 %, by Clopper and Pearson. Command: `python -m benchmarks.reliability alarms`.",
        "",
        *_table(("application", "nights", "blocked", "at most", "warned", "at most"), summary),
        "",
        *_table(("application", "nights of", "nights", "blocked", "warned", "noted"), _by_shop(known)),
    ]
    odd = [f"- {app}: {line}" for app, one in known.items() for line in one["odd"]]
    lines += ["", "Called odd:", "", *odd] if odd else ["", "None of them was blocked or warned of."]
    if real := kept("real"):
        lines += ["", *_real(real)]
    return "\n".join(lines)


def _summary(app: str, one: Mapping[str, Any]) -> tuple[str, ...]:
    bounds = (_percent(one["blocked_at_most"]), _percent(one["warned_at_most"]))
    return app, str(one["nights"]), str(one["blocked"]), bounds[0], str(one["warned"]), bounds[1]


def _by_shop(known: Mapping[str, Any]) -> Iterable[tuple[str, ...]]:
    for app, one in known.items():
        for row in one["rows"]:
            counts = (str(row.get(name, 0)) for name in ("block", "warn", "note"))
            yield app, row["name"], str(row["nights"]), *counts


def _real(real: Mapping[str, Any]) -> list[str]:
    rows = [
        (one["name"], str(one["nights"]), str(one.get("block", 0)), _percent(one["block_at_most"]),
         str(one.get("warn", 0)), _percent(one["warn_at_most"]))
        for one in real["found"]
    ]  # fmt: skip
    odd = [f"- {line}" for one in real["found"] for line in one["odd"]]
    noise = sum(verdict == "noise" for verdict, _ in LOOKED_AT.values())
    table = _table(("real days", "days", "blocked", "at most", "warned", "at most"), rows)
    return [
        f"Real days, of which no one knows whether they are faultless (`{real['command']}`):",
        "",
        *table,
        "",
        *odd,
        "",
        f"Rows of these days of Online Retail, read by hand: {noise} of them are noise, the others say something of "
        "the day that a person would want to know.",
        "",
        *_table(("day", "verdict", "rows"), ((day, *said) for day, said in LOOKED_AT.items())),
    ]


def _curve() -> str:
    found = {app: kept(f"curve-{app}") for app in APPS}
    known = {app: one["found"] for app, one in found.items() if one}
    if not known:
        return ""
    picture(known, str(_PICTURE))
    rows = [
        (app, f"{one['scale']:g}", f"{one['seen']} of {one['mutations']}", f"{one['odd']} of {one['nights']}")
        for app, points in known.items()
        for one in points
    ]
    return "\n".join(
        [
            "## Hits against false alarms",
            "",
            "Limits of the watch over tables, scaled: least effects and margin times the factor, budgets of false "
            "alarms by its square. 1 is as shipped: the filled point. By `python -m benchmarks.reliability curve`.",
            "",
            "![Mutations seen against faultless nights called odd](pictures/reliability-curve.png)",
            "",
            *_table(("application", "factor", "mutations seen", "faultless nights called odd"), rows),
        ]
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return lines + [f"| {' | '.join(cell.replace('|', '/').strip() for cell in row)} |" for row in rows]


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
