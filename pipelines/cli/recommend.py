"""`tessera recommend`: the list of one customer, by the same composition as at night."""

from __future__ import annotations

from pathlib import Path

from assets.personalization.request import open_lists, session_events
from models.experiments.config import NO_EXPERIMENT
from models.experiments.serving import AND
from pipelines.cli.console import err, listing, literal, out
from pipelines.cli.tables import print_json
from resources.layout import check_existing
from resources.stack.loader import active_stack
from resources.stack.ports import Ports


def recommend(customer: str, session: str | None, *, as_json: bool) -> None:
    """Show the list of a customer with sources and reasons, and the time of each step.

    Raises:
        TesseraError: there is no champion, nothing was published, or the session cannot be read.
    """
    stack = active_stack()
    check_existing(stack.home)
    events = session_events(Path(session)) if session else []
    if session and not events:
        err.print(literal(f"{session} holds no events: the list is that of the night", "yellow"))
    found = open_lists(Ports(stack), stack.settings).of(customer, events)
    if as_json:
        print_json(found.as_json())
        return
    for note in found.notes:
        err.print(literal(note, "yellow"))
    row = found.row
    columns = (row["product_ids"], row["scores"], row["sources"], row["reasons"])
    lines = [
        (str(place), id, f"{score:z.3f}", source, why)
        for place, (id, score, source, why) in enumerate(zip(*columns, strict=True), 1)
    ]
    out.print(listing(("", "product", "score", "found by", "reason"), lines))
    out.print(listing(("step", "ms"), [(name, f"{ms:.1f}") for name, ms in found.steps]))
    if row["experiment"] != NO_EXPERIMENT:
        for name, variant in zip(row["experiment"].split(AND), row["variant"].split(AND), strict=True):
            out.print(literal(f"variant {variant} of the experiment {name}", "dim"))
    if min(row["propensities"], default=1.0) < 1:
        out.print(literal("places of this list are shuffled for an experiment: scores need not descend", "dim"))
    out.print(literal(f"{row['list_by']} list, version {found.version}, the shop as of {found.as_of}", "dim"))
