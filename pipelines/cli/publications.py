"""`tessera scores`, `publish` and `unpublish`: the published set of a day."""

import getpass
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from assets.apps import app_named
from assets.stages.publication import last_or_waiting
from assets.stages.reading import for_users
from models.errors import TesseraError
from models.publishing import LADDER, AuditVerdict, Publication
from models.scoring.output import OutputContract, printed
from pipelines.cli.arguments import PUBLISHING_APPS, check_runs, known_app, known_day
from pipelines.cli.console import listing, literal, out
from pipelines.cli.hints import runnable
from pipelines.cli.tables import print_json, write_table
from resources.sink.port import Sink
from resources.stack.loader import active_stack
from resources.stack.ports import Ports

_SHOWN = 10
#: Characters of a column that gives way to several narrow ones.
_WIDE = 30


def scores(app: str, day_text: str | None, file: Path | None, *, as_json: bool = False) -> None:
    """Write the published scores to `file`, or show the highest ones.

    Raises:
        TesseraError: nothing is published for that day, or the file cannot be written.
    """
    stack = active_stack()
    day = known_day(day_text, stack)
    sink = Ports(stack).sink
    if sink.published(known_app(app), day) is None:
        check_runs(app, stack)
    publication, reader = sink.scores(app, day)
    rows = for_users(reader.read_all(), day)
    if as_json and file is None:
        types = dict(zip(rows.schema.names, rows.schema.types, strict=True))
        print_json([{name: printed(types[name], value) for name, value in row.items()} for row in rows.to_pylist()])
        return
    if file is None:
        _show(rows, publication, app_named(app, PUBLISHING_APPS).contract)
        return
    write_table(rows, file)
    out.print(f"{rows.num_rows:,} scores of {day} written to {file} (model version {publication.model_version}).")


def publish(app: str, day_text: str | None, why: str | None, *, even_if_refused: bool) -> None:
    """Move the pointer of the day back to what it last named, else to the audited scores that wait.

    Raises:
        TesseraError: there is nothing to publish, or the audit blocked it and it is not overruled with a reason.
    """
    stack = active_stack()
    day = known_day(day_text, stack)
    sink = Ports(stack).sink
    if even_if_refused and not (why or "").strip():
        raise TesseraError(
            "`--even-if-refused` is given without a reason.",
            expected="a sentence that the record keeps and `tessera scores` shows",
            todo='Add `--why "..."`.',
        )
    standing = sink.published(known_app(app), day)
    waiting = sink.draft(app, day) if standing is not None else None
    waits = waiting is not None and standing is not None and _waits(waiting, standing)
    if standing is not None and not even_if_refused and not waits:
        out.print(f"{day} is published already: {standing.rows:,} rows of model version {standing.model_version}.")
        return
    if even_if_refused:
        record = _refused(sink, app, day)
    else:
        record = waiting.draft if waits and waiting else _last_or_waiting(sink, app, day)
    # A champion that the gate had refused stays named.
    reasons = "; ".join(dict.fromkeys([why or "published by hand", *filter(None, record.why.split("; "))]))
    about = {"published_at": datetime.now(UTC), "who": getpass.getuser(), "why": reasons}
    seen = standing.attempt if standing else None
    publication = sink.publish(record.model_copy(update=about), replaces=seen, overrule=even_if_refused)
    out.print(f"{day} is published: {publication.rows:,} rows of model version {publication.model_version}.")
    _show_overruled(publication)


def _waits(verdict: AuditVerdict, standing: Publication) -> bool:
    """The newest audited set of the day passed, is another one, from no worse source than the published one."""
    draft = verdict.draft
    is_worse = LADDER.index(draft.degradation) > LADDER.index(standing.degradation)
    return verdict.passed and draft.attempt != standing.attempt and not is_worse


def _last_or_waiting(sink: Sink, app: str, day: date) -> Publication:
    found, _ = last_or_waiting(sink, app, day)
    if found is None:
        raise _nothing(app, day)
    return found


def _refused(sink: Sink, app: str, day: date) -> Publication:
    """Return the draft of the newest verdict of the day, which did not pass."""
    draft = sink.draft(app, day)
    if draft is None:
        raise _nothing(app, day)
    if draft.passed:
        raise TesseraError(
            f"The newest scores of {app} for {day} passed the audit.",
            expected="scores that the audit blocked, where --even-if-refused is given",
            todo=f"Run `tessera publish {app} --date {day}` without it.",
        )
    return draft.draft


def _show_overruled(publication: Publication) -> None:
    if publication.refused:
        failed = "; ".join(f"{name}: {found}" for name, found in publication.refused.items())
        says = f"published by {publication.who} although the audit refused it ({failed}): {publication.why}"
        out.print(literal(says, "yellow"))


def unpublish(app: str, day_text: str | None, why: str) -> None:
    """Withdraws the day.

    Raises:
        TesseraError: nothing is published for that day.
    """
    stack = active_stack()
    day = known_day(day_text, stack)
    sink = Ports(stack).sink
    if sink.unpublish(known_app(app), day, why=why, who=getpass.getuser()) is None:
        raise _nothing(app, day)
    out.print(runnable(f"{day} is withdrawn; `tessera publish {app} --date {day}` brings it back."))


def _nothing(app: str, day: date) -> TesseraError:
    return TesseraError(
        f"No scores of {app} are published for {day}.",
        expected="a day whose nightly job has published",
        todo=f"Run `tessera run {app}_nightly --date {day}`.",
    )


def _show(rows: pa.Table, publication: Publication, output: OutputContract) -> None:
    top = rows.sort_by([(output.score, "descending"), (output.entity, "ascending")]).slice(0, _SHOWN)
    columns = [name for name in output.schema.names if name in rows.column_names and name != "model_version"]
    out.print(f"{publication.app} {publication.day}: {publication.rows:,} scores, {publication.degradation}")
    for step in publication.steps:
        out.print(literal(step, "yellow"))
    _show_overruled(publication)
    cells = {name: [_cell(value) for value in top[name].to_pylist()] for name in columns}
    shown = _fitting(cells, keeps={output.entity, output.score})
    out.print(listing(shown, zip(*(cells[name] for name in shown), strict=True)))
    if left_out := [name for name in columns if name not in shown]:
        out.print(f"no room for: {', '.join(left_out)} (--out and --json have them)")


def _fitting(cells: Mapping[str, Sequence[str]], keeps: Collection[str]) -> list[str]:
    """Return the columns that have room side by side: wide ones give way, then the last, and those to keep never."""
    width = {name: max(len(name), *map(len, values), 0) + 2 for name, values in cells.items()}
    shown = list(cells)
    while sum(width[name] for name in shown) > out.width:
        may_go = [name for name in shown if name not in keeps]
        if not may_go:
            break
        widest = max(may_go, key=lambda name: width[name])
        shown.remove(widest if width[widest] > _WIDE else may_go[-1])
    return shown


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, list):
        return "; ".join(_cell(one) for one in value)
    return "" if value is None else str(value)
