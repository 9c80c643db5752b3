"""The summary card: one run on at most 25 lines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from assets.apps import APPS, app_of_job
from assets.stages import metadata_keys as keys
from models.errors import TesseraError
from models.ledger import passed_by_hand
from pipelines.cli.console import counted, literal
from pipelines.cli.costs import cost_of_run
from pipelines.cli.hints import runnable
from pipelines.cli.next_step import next_step
from resources.stack.loader import Stack

if TYPE_CHECKING:
    from pipelines.cli.run import Outcome

_APPS = {app.name for app in APPS}
#: Tables whose rows a card counts: those that everything else is made of.
_TABLES = ("orders", "sessions", "stock", "payments", "payment_labels", "tickets", "ticket_labels", "articles")
#: Steps shown one by one, slowest first; the rest is summed up.
_STEPS_SHOWN = 4


def card(outcome: Outcome, stack: Stack) -> Panel:
    """Summary of a run: rows, models, gate, drift, paths, and the next command."""
    lines = Table.grid(padding=(0, 2))
    lines.add_column(style="dim", no_wrap=True)
    lines.add_column(overflow="fold")
    for name, text in _lines(outcome, stack):
        lines.add_row(name, text if isinstance(text, Text) else literal(runnable(text)))
    colour = "green" if outcome.success else "red"
    publishes = outcome.job in {"churn_nightly", "churn_fallback"}
    verdict = "done" if outcome.success else "NOT PUBLISHED" if publishes else "FAILED"
    title = Text.assemble((outcome.job, "bold"), f" {outcome.day} - {verdict} in {outcome.seconds:.1f} s")
    return Panel(Group(lines), title=title, title_align="left", border_style=colour, expand=False)


def in_short(outcome: Outcome) -> str:
    """One-line summary of a run, for a list of many runs."""
    shown = [
        ("churn/scores", _scores),
        ("fraud/scores", _payments_scored),
        ("fraud/alerts", _alerts),
        ("support/scores", _triaged),
        ("personalization/scores", _lists),
    ]
    shown += [(f"{app}/scores", _rows_scored) for app in sorted(_APPS - _TOLD_ONE_BY_ONE)]
    return "; ".join(str(write(outcome.metadata[key])) for key, write in shown if key in outcome.metadata)


def _lines(outcome: Outcome, stack: Stack) -> list[tuple[str | Text, str | Text]]:
    found = outcome.metadata
    lines: list[tuple[str | Text, str | Text]] = [("steps", _steps(outcome))]
    lines += [(table, _ingested(found[f"shop/{table}"])) for table in _TABLES if f"shop/{table}" in found]
    for key, name, write in _SECTIONS:
        if key in found and (text := write(found[key])):
            lines.append((name, text))
    for key, name, write in _GENERAL:
        of_apps = (found[f"{app}/{key}"] for app in sorted(_APPS - _TOLD_ONE_BY_ONE) if f"{app}/{key}" in found)
        lines += [(name, text) for shown in of_apps if (text := write(shown))]
    verdicts = _last_verdicts(found)
    lines += verdicts.values()
    if by_hand := _by_hand(app_of_job(outcome.job), stack):
        lines.append((literal("champion", "yellow"), literal(by_hand, "yellow")))
    if damage := _damage(outcome.job, stack):
        lines.append((literal("registry", "red"), literal(runnable(damage), "red")))
    blocked = {f"{asset}: {check}" for asset, check in outcome.blocked}  # the complaint says it
    lines += [
        (literal("check", "red"), Text.assemble(literal(name, "red"), " ", literal(runnable(says))))
        for name, says in outcome.failed_checks.items()
        if name not in blocked | verdicts.keys()
    ]
    if not found:  # checks that ran alone
        lines += [
            (literal("check", "green"), Text.assemble(literal(name, "green"), " ", literal(says)))
            for name, says in outcome.passed_checks.items()
        ]
    if outcome.complaint:
        lines.append((literal("stopped", "red"), literal(runnable(outcome.complaint), "red")))
    scored = found.get(f"{app_of_job(outcome.job)}/scores", {})
    if cost := cost_of_run(stack.home, outcome.run_id, scored.get(keys.ROW_COUNT)):
        lines.append(("cost", cost))
    lines.append(("home", f"{stack.home} (profile {stack.name}), run {outcome.run_id[:8]}"))
    return [*lines, ("next", next_step(outcome, stack))]


def _steps(outcome: Outcome) -> str:
    slowest = sorted(outcome.steps.items(), key=lambda step: -step[1])
    shown = [f"{name.replace('__', '/')} {seconds:.1f} s" for name, seconds in slowest[:_STEPS_SHOWN]]
    rest = sum(seconds for _, seconds in slowest[_STEPS_SHOWN:])
    return ", ".join([*shown, f"{len(slowest[_STEPS_SHOWN:])} more {rest:.1f} s"] if rest else shown)


#: Rows of the source that are neither kept nor quarantined, where there are any.
_BESIDE = (keys.ROWS_ALREADY_HELD, keys.ROWS_EXCLUDED, keys.ROWS_WAITING, keys.ROWS_BEFORE_HISTORY, keys.FILES_VANISHED)


def _ingested(found: dict[str, Any]) -> str:
    if keys.QUARANTINED_SHARE not in found:
        return str(found[keys.NOTE])
    return (
        f"{found[keys.ROWS_IN]:,} rows in, {found[keys.ROWS_KEPT]:,} kept, "
        f"{found[keys.ROWS_QUARANTINED]:,} in quarantine "
        f"({found[keys.QUARANTINED_SHARE]:.1%}), {found[keys.DAYS_INGESTED]} days"
        + "".join(f", {name.replace('_', ' ')} {found[name]:,}" for name in _BESIDE if name in found)
        + _odd(found.get(keys.NOTES, []))
    )


def _odd(notes: list[str]) -> str:
    """Return the first thing that is odd about a source, and how many more there are."""
    more = f" (and {len(notes) - 1} more)" if len(notes) > 1 else ""
    return f"; note: {notes[0]}{more}" if notes else ""


def _features(found: dict[str, Any]) -> str:
    return f"{found[keys.ROW_COUNT]:,} customers x {found[keys.FEATURES]} features"


def _training(found: dict[str, Any]) -> str:
    return (
        f"{found[keys.ROW_COUNT]:,} rows at {found[keys.CUTOFFS]} past cut-offs, "
        f"{found[keys.CHURN_RATE]:.1%} churned, evaluated at {found[keys.HOLDOUT]}"
    )


def _payments(found: dict[str, Any]) -> str:
    return (
        f"{found[keys.ROW_COUNT]:,} payments, {found[keys.FRAUD_SHARE]:.2%} fraud, "
        f"trained on {found[keys.TRAINED_ON]}, evaluated on {found[keys.HOLDOUT]}"
    )


#: Metrics of a candidate, of whatever kind of prediction, as the card names them.
_METRICS = {
    "auc": "AUC",
    "average_precision": "AP",
    "ece": "ECE",
    "mae": "MAE",
    "d2_absolute_error": "D²",
    "coverage": "coverage",
    "macro_f1": "macro-F1",
    "accuracy": "accuracy",
    "ndcg_at_10": "NDCG@10",
    "ndcg_at_20": "NDCG@20",
    "recall_at_20": "recall@20",
    "out_of_scope_recall": "out-of-scope recall",
    "urgency_auc": "urgency AUC",
    "article_first": "right article first",
    "article_found": "found",
    "cited_precision": "alone in drafts",
}


def _candidate(found: dict[str, Any]) -> str:
    measured = ", ".join(f"{words} {found[name]:.3f}" for name, words in _METRICS.items() if name in found)
    if keys.PRECISION_AT_TOP_PER_DAY in found:
        measured += f", precision at the top of a day {found[keys.PRECISION_AT_TOP_PER_DAY]:.3f}"
    return f"{found[keys.KIND]}: {measured} on unseen {found[keys.HOLDOUT]}; {found[keys.AGAINST_CHAMPION]}"


def _champion(found: dict[str, Any]) -> Text:
    return Text.assemble(literal(f"version {found[keys.VERSION]}", "bold"), " ", literal(found[keys.VERDICT]))


def _last_verdicts(found: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[str, Text]]:
    """Return the line of the last gate verdict, by the check's name, of each application that trained nothing."""
    lines: dict[str, tuple[str, Text]] = {}
    for app in sorted(_APPS):
        shown = found.get(f"{app}/champion") or found.get(f"{app}/publication") or {}
        if keys.GATE_VERDICT in shown and f"{app}/candidate" not in found:
            colour = "yellow" if keys.GATE_REASONS in shown else ""
            lines[f"{app}/champion: gate"] = ("last gate", literal(shown[keys.GATE_VERDICT], colour))
    return lines


def _by_hand(app: str, stack: Stack) -> str:
    """Return the sentence about a champion that a person passed, for the card of every job of its application."""
    try:
        return passed_by_hand(stack.open("registry").ledger(app)) if app in _APPS else ""
    except TesseraError as error:
        return error.what


def _damage(job: str, stack: Stack) -> str:
    """Return what is wrong with the registry, for jobs of applications: a cached champion goes on without it."""
    return stack.open("registry").damage() if app_of_job(job) in _APPS else ""


def _scores(found: dict[str, Any]) -> str:
    rows = f"{found[keys.ROW_COUNT]:,} scored, {found[keys.CONTACTS]:,} to contact, mean {found[keys.MEAN_SCORE]:.3f}"
    return f"{rows}, {found[keys.DEGRADATION]}"


def _drift(found: dict[str, Any]) -> str:
    if keys.MAX_PSI not in found:
        return "not measured: these scores were made before, from other features"
    largest = f"largest PSI {found[keys.MAX_PSI]:.2f} ({found[keys.MAX_PSI_FEATURE]})"
    return f"{largest}; {found[keys.NOT_COMPARED]}" if keys.NOT_COMPARED in found else largest


def _estimated(found: dict[str, Any]) -> str:
    """Return the quality that the probabilities promise (CBPE); empty where it is not estimated."""
    shown = [
        f"{words} {found[name]:.3f} [{found[f'{name}_low']:.3f}, {found[f'{name}_high']:.3f}]"
        for metric, words in {**_METRICS, "precision": "precision of those acted on"}.items()
        if (name := f"estimated_{metric}") in found
    ]
    return f"{', '.join(shown)}: promised by the probabilities, no outcome is known yet" if shown else ""


def _realized(found: dict[str, Any]) -> str:
    """Return the realized quality of the day whose horizon has ended."""
    metric = next((name for name in found if f"{name}_low" in found), None)
    if metric is None:
        return f"none yet: {found[keys.NOTE]}"
    measured = f"{_METRICS.get(metric, metric)} {found[metric]:.3f} [{found[f'{metric}_low']:.3f}, "
    measured += f"{found[f'{metric}_high']:.3f}]"
    promised = f"; the gate accepted {found[f'{metric}_promised']:.3f}" if f"{metric}_promised" in found else ""
    coverage = f"; {found[keys.COVERAGE]:.1%} inside of their interval" if keys.COVERAGE in found else ""
    note = f"; {found[keys.NOTE]}" if keys.NOTE in found else ""
    return f"{found[keys.SCORED_DAY]}, version {found[keys.MODEL_VERSION]}: {measured}{promised}{coverage}{note}"


def _published(found: dict[str, Any]) -> Text:
    return Text.assemble(literal(found[keys.VERDICT], "bold"), f", digest {found[keys.DIGEST][:12]}")


def _online(found: dict[str, Any]) -> str:
    return f"features of {found[keys.ROW_COUNT]:,} customers in the online store"


def _served(found: dict[str, Any]) -> str:
    if not found[keys.ROWS_COMPARED]:
        return "nothing that was served that day is in the log"
    causes = {"wrong": keys.VALUE_SHARE, "stale": keys.STALE_SHARE, "missing": keys.MISSING_SHARE}
    worst = ", ".join(f"{found[key]:.2%} {words}" for words, key in causes.items())
    return f"{found[keys.ROWS_COMPARED]:,} logged rows against training: {worst} in the worst feature"


def _payments_scored(found: dict[str, Any]) -> str:
    mean = f", mean {found[keys.MEAN_SCORE]:.4f}" if keys.MEAN_SCORE in found else ""
    return (
        f"{found[keys.ROW_COUNT]:,} payments by version {found[keys.MODEL_VERSION]}{mean}, "
        f"{found[keys.OVER_THRESHOLD]:,} over the threshold, {found[keys.DEGRADATION]}"
    )


def _alerts(found: dict[str, Any]) -> str:
    return (
        f"{found[keys.ALERTS]:,} cards alerted: {found[keys.ALREADY_RAISED]:,} before, {found[keys.ADDED]:,} added; "
        f"review budget {found[keys.BUDGET]:,}"
    )


def _streamed(found: dict[str, Any]) -> str:
    if not found[keys.STREAMED]:
        return "no stream scored any payment of this day"
    return (
        f"{found[keys.STREAMED]:,} payments against the offline features: "
        f"{found[keys.VALUE_SHARE]:.2%} wrong in the worst feature, "
        f"{found[keys.SCORES_DIFFERING]:,} other scores, "
        f"{found[keys.ONLY_ONLINE]:,} only online, {found[keys.ONLY_OFFLINE]:,} only offline"
    )


def _performance(found: dict[str, Any]) -> str:
    if not found[keys.PAYMENTS]:
        return f"no payments on {found[keys.PAID_ON]}"
    known = f"{found[keys.PAID_ON]}: {found[keys.LABELLED_SHARE]:.1%} labelled, {found[keys.FRAUDS]:,} frauds"
    measured = [f"{words} {found[name]:.3f}" for name, words in _QUALITY.items() if name in found]
    return "; ".join(
        [known, *([", ".join(measured)] if measured else []), *([found[keys.NOTE]] if keys.NOTE in found else [])]
    )


_QUALITY = {
    "average_precision": "AP",
    "card_precision": "card precision at the top",
    "alert_precision": "precision of alerts",
    "alert_recall": "recall",
}


def _tickets(found: dict[str, Any]) -> str:
    return f"{found[keys.ROW_COUNT]:,} tickets, {found[keys.GUESTS]:,} of guests"


def _labelled(found: dict[str, Any]) -> str:
    return f"{found[keys.ROW_COUNT]:,} labelled tickets, {found[keys.LABELLED]:,} with urgency"


def _indexed(found: dict[str, Any], rows: str = "passages") -> str:
    new = "new" if found[keys.IS_NEW] else "as before"
    return (
        f"{found[keys.ROW_COUNT]:,} {rows}, version {found[keys.INDEX_VERSION]} ({new}), "
        f"recall {found[keys.RECALL_AT_K]:.3f}"
    )


def _triaged(found: dict[str, Any]) -> str:
    return (
        f"{found[keys.ROW_COUNT]:,} tickets by version {found[keys.MODEL_VERSION]}, {found[keys.HANDED_OFF]:,} to a "
        f"person, {found[keys.OUT_OF_SCOPE]:,} out of scope, {found[keys.ESCALATED]:,} escalated, "
        f"{found[keys.DEGRADATION]}"
    )


def _labels_came(found: dict[str, Any]) -> str:
    if keys.LABELLED not in found:
        return str(found[keys.NOTE])
    shares = {
        "accuracy": "accuracy",
        "out_of_scope_recall": "out-of-scope recall",
        "answered_accuracy": "of answered",
        "article_first": "right article first",
        "article_found": "found",
        "cited_precision": "alone in drafts",
    }
    measured = [f"{words} {found[name]:.3f}" for name, words in shares.items() if name in found]
    known = f"{found[keys.OPENED_ON]}: {found[keys.LABELLED]:,} of {found[keys.ROW_COUNT]:,} tickets labelled"
    return "; ".join([known, *([", ".join(measured)] if measured else [])])


def _wanted(found: dict[str, Any]) -> str:
    return (
        f"{found[keys.ROW_COUNT]:,} products that {found[keys.CUSTOMERS]:,} customers wanted after "
        f"{found[keys.CUTOFFS]} past cut-offs, evaluated at {found[keys.HOLDOUT]}"
    )


#: Rules that remove candidates, as the card names them.
_REMOVED = {
    "blocked": "blocked",
    "out_of_stock": "out of stock",
    "owned_durable": "owned durables",
    "category_cap": "above the cap of a category",
}


def _lists(found: dict[str, Any]) -> str:
    removed = [f"{found[name]:,} {words}" for name, words in _REMOVED.items() if found.get(name)]
    popular = f", {found[keys.POPULAR_LISTS]:,} of them popular ones" if found.get(keys.POPULAR_LISTS) else ""
    own = f"; {found[keys.MEAN_OWN_SHARE]:.1%} chosen before" if keys.MEAN_OWN_SHARE in found else ""
    rules = f"; rules removed {', '.join(removed) or 'nothing'}"
    return f"{found[keys.ROW_COUNT]:,} lists{popular}{own}{rules}; {found[keys.DEGRADATION]}"


def _vacuumed(found: dict[str, Any]) -> str:
    return f"{found[keys.FILES_REMOVED]:,} files removed that no table used any more"


def _pruned(found: dict[str, Any]) -> str:
    return f"{found[keys.EVENTS_REMOVED]:,} events removed that every group acknowledged long ago"


def _stated(found: dict[str, Any]) -> str:
    states = ", ".join(f"{found[key]} {key.removeprefix('apps_')}" for key in found if key.startswith("apps_"))
    return f"applications: {states}; {counted(found[keys.OPEN_NOTICES], 'open notice')}"


_SECTIONS = (
    ("churn/features", "features", _features),
    ("churn/training_set", "training", _training),
    ("churn/candidate", "candidate", _candidate),
    ("churn/champion", "champion", _champion),
    ("churn/scores", "scores", _scores),
    ("churn/scores", "drift", _drift),
    ("churn/scores", "estimate", _estimated),
    ("churn/publication", "published", _published),
    ("churn/performance", "outcomes", _realized),
    ("churn/online_features", "online", _online),
    ("churn/served_features", "served", _served),
    ("fraud/training_set", "training", _payments),
    ("fraud/candidate", "candidate", _candidate),
    ("fraud/champion", "champion", _champion),
    ("fraud/scores", "scores", _payments_scored),
    ("fraud/scores", "estimate", _estimated),
    ("fraud/publication", "published", _published),
    ("fraud/alerts", "alerts", _alerts),
    ("fraud/online_skew", "stream", _streamed),
    ("fraud/performance", "performance", _performance),
    ("support/features", "tickets", _tickets),
    ("support/knowledge_base", "articles", _indexed),
    ("support/training_set", "training", _labelled),
    ("support/candidate", "candidate", _candidate),
    ("support/champion", "champion", _champion),
    ("support/scores", "triage", _triaged),
    ("support/publication", "published", _published),
    ("support/performance", "performance", _labels_came),
    ("personalization/features", "profiles", _features),
    ("personalization/item_index", "products", lambda found: _indexed(found, "products")),
    ("personalization/training_set", "training", _wanted),
    ("personalization/candidate", "candidate", _candidate),
    ("personalization/champion", "champion", _champion),
    ("personalization/scores", "lists", _lists),
    ("personalization/publication", "published", _published),
    ("personalization/performance", "outcomes", _realized),
    ("storage/vacuum", "storage", _vacuumed),
    ("storage/events", "events", _pruned),
    ("storage/status", "status", _stated),
)


def _rows_at_cutoffs(found: dict[str, Any]) -> str:
    return f"{found[keys.ROW_COUNT]:,} rows at {found[keys.CUTOFFS]} past cut-offs, evaluated at {found[keys.HOLDOUT]}"


def _rows_scored(found: dict[str, Any]) -> str:
    means = [f", {name.replace('_', ' ')} {found[name]:.3f}" for name in found if name.startswith("mean_")]
    return f"{found[keys.ROW_COUNT]:,} scored{''.join(means)}, {found[keys.DEGRADATION]}"


#: Applications whose lines stand above; those of any other are the same for all.
_TOLD_ONE_BY_ONE = {key.partition("/")[0] for key, *_ in _SECTIONS}
_GENERAL = (
    ("features", "features", lambda found: f"{found[keys.ROW_COUNT]:,} rows x {found[keys.FEATURES]} features"),
    ("training_set", "training", _rows_at_cutoffs),
    ("candidate", "candidate", _candidate),
    ("champion", "champion", _champion),
    ("scores", "scores", _rows_scored),
    ("scores", "drift", _drift),
    ("scores", "estimate", _estimated),
    ("publication", "published", _published),
    ("performance", "outcomes", _realized),
)
