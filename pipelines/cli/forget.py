"""`tessera forget`: erase one entity from everything the home holds, and prove it."""

import getpass
import sys
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

import click
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from assets.maintenance import erasure as forgetting
from assets.maintenance.erasure_journal import ErasureJournal
from assets.maintenance.erasure_scope import EventFields
from assets.maintenance.erasure_search import survey
from models.contracts.identifiers import BLANKS
from models.erasure.record import Erasure
from models.erasure.tombstones import ENTITIES
from models.errors import TesseraError, choose_from
from pipelines.cli.console import err, literal, out, printable, working
from resources.home import only_one
from resources.stack.loader import Stack, active_stack

_SHOWN_VERSIONS = 8


def forget(entity: str, id: str, why: str, *, yes: bool, even_if_unknown: bool, fields_of_events: EventFields) -> None:
    """Erases the entity after asking, and shows what was removed and the place of the proof.

    Raises:
        TesseraError: unknown kind of entity or id, no terminal to ask at, or a store that does not answer.
    """
    id = id.strip(BLANKS)  # as ingestion does
    _check(entity, id, why)
    stack = active_stack()
    with only_one(stack, "run", f"`tessera forget {entity}`"):
        parts = forgetting.Parts(**{field.name: stack.open(field.name) for field in fields(forgetting.Parts)})
        found = survey(parts.lake, parts.source, entity, id)
        if not found:
            _say_why_nothing_is_known(parts, stack, entity, id, even_if_unknown=even_if_unknown)
        if not yes:
            _ask(entity, id, found)
        of = (parts, stack.home, entity, id)
        with working(f"forgetting one {entity}"):
            record, proof = forgetting.forget(*of, why=why, who=getpass.getuser(), fields=fields_of_events)
    out.print(_card(record, proof))


def _check(entity: str, id: str, why: str) -> None:
    if entity not in ENTITIES:
        raise TesseraError(
            f"There is no kind of entity {entity!r}.", expected=choose_from(entity, ENTITIES), todo="Correct the name."
        )
    if not id.strip():
        raise TesseraError("The id is empty.", expected=f"the {ENTITIES[entity]} of one {entity}", todo="Give it.")
    if id.lower() in why.lower():
        raise TesseraError(
            f"--why names the {entity}, and is kept in the proof.",
            expected="a reason that names no one",
            todo="Say it without the id, for example `--why 'request of 2026-03-02, art. 17'`.",
        )


def _say_why_nothing_is_known(
    parts: forgetting.Parts, stack: Stack, entity: str, id: str, *, even_if_unknown: bool
) -> None:
    gone = parts.lake.forgotten(entity)
    if id in gone:
        proofs = ErasureJournal(stack.home / "forgotten").earlier(gone.tombstone(id).digest)
        known = f"the proof is {proofs[-1]}" if proofs else "no proof of it is finished yet"
        err.print(f"This {entity} was forgotten before ({known}); everything is searched once more.")
    elif not even_if_unknown:
        raise TesseraError(
            f"No table of the lake knows a {entity} {id!r}.",
            expected=f"a {ENTITIES[entity]} as written in the lake, upper and lower case as there",
            todo="Correct the id; or pass --even-if-unknown: it leaves queue and stream too, and is kept out.",
        )


def _ask(entity: str, id: str, found: Mapping[str, int]) -> None:
    if not sys.stdin.isatty():
        raise TesseraError(
            f"Forgetting a {entity} cannot be undone, and there is no terminal to ask at.",
            expected="a yes",
            todo="Pass --yes.",
        )
    for table, rows in found.items():
        out.print(f"{rows:>9,}  {table}")
    click.confirm(
        f"Forget {entity} {printable(id)}, here, online, in published scores and in the stream? This cannot be undone",
        abort=True,
    )


def _card(record: Erasure, proof: Path) -> Panel:
    """Summary of an erasure: rows removed by place, models trained on them, and the path of the proof."""
    lines = Table.grid(padding=(0, 2))
    lines.add_column(style="dim", no_wrap=True)
    lines.add_column(overflow="fold")
    for name, place in record.places.items():
        days = f" in {place.days:,} days" if place.days else ""
        note = f", {place.note}" if place.note else ""
        lines.add_row(name, literal(f"{place.rows:,} rows{days}{note}" if place.rows else "-"))
    lines.add_row("models", literal(_models(record)))
    if record.interrupted:
        lines.add_row("continued", f"an attempt of {record.started_at:%Y-%m-%d %H:%M} UTC; these are the counts of all")
    lines.add_row("remains", f"{len(record.remains)} things, each with its reason in the proof")
    lines.add_row("proof", f"{proof.parent.name}/{proof.name}, and .md for people")
    lines.add_row("home", literal(proof.parent.parent))
    says = literal(f" one {record.entity}, {record.rows:,} rows, digest {record.digest[:12]}")
    title = Text.assemble(("forgotten", "bold"), says)
    return Panel(lines, title=title, title_align="left", border_style="green", expand=False)


def _models(record: Erasure) -> str:
    names = [f"{m.app} {m.version}{' (champion)' if m.champion else ''}" for m in record.learnt]
    more = f" and {len(names) - _SHOWN_VERSIONS} more" if len(names) > _SHOWN_VERSIONS else ""
    learnt = (
        f"trained on it: {', '.join(names[:_SHOWN_VERSIONS])}{more}" if names else "none is known to be trained on it"
    )
    return learnt + (f"; {len(record.unsure)} for which it is unknown" if record.unsure else "")
