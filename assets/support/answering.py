"""One ticket, answered now: by `tessera ask`, or by the handler of an event; the same composition as at night."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc

from assets.stages.promotion import champion_composition
from assets.support.app import SUPPORT
from assets.support.history import with_history
from assets.support.triage import triaged
from models.contracts import TICKETS
from models.errors import TesseraError
from models.settings import Settings
from models.text.embedder import encodable
from models.text.language import is_unsupported

if TYPE_CHECKING:
    from models.compose.package import LoadedComposition
    from resources.lake.port import Lake
    from resources.stack.ports import Ports

#: Id of a ticket that is asked for and not stored.
ASKED = "asked"


@dataclass(frozen=True)
class Answered:
    """One ticket that was read.

    Attributes:
        row: as the night would publish it.
        steps: name, wall time (ms) and EUR of each step that ran.
        spent_eur: paid for calls to others.
        calls: to others.
        ms: wall time of all steps.
        version: of the composition.
        outputs: rows of the lake table `support_steps`: what each step gave.
    """

    row: Mapping[str, Any]
    steps: Sequence[tuple[str, float, float]]
    spent_eur: float
    calls: float
    ms: float
    version: str
    outputs: Sequence[Mapping[str, Any]]

    @property
    def context(self) -> Mapping[str, Any]:
        """Everything that a person needs: history, articles, draft."""
        return json.loads(self.row["context"])

    @property
    def articles(self) -> Sequence[Mapping[str, Any]]:
        """Articles that were found, best first."""
        return self.context["articles"].get("hits", ())

    @property
    def index_version(self) -> str:
        """Version of the index that was searched; empty if the search failed."""
        return str(self.context["articles"].get("index_version", ""))

    @property
    def is_in_another_language(self) -> bool:
        """The text is in a language that is not supported: it was read as the default one."""
        said = (one["output"] for one in self.outputs if (one["step"], one["state"]) == ("language", "ok"))
        return any(is_unsupported(json.loads(one)["language_confidence"]) for one in said)

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        steps = [{"step": name, "ms": round(ms, 3), "eur": eur} for name, ms, eur in self.steps]
        spent = {"spent_eur": self.spent_eur, "calls": self.calls, "ms": round(self.ms, 3)}
        return {**self.row, "context": self.context, "steps": steps, **spent, "version": self.version}


def answer(
    ports: Ports, settings: Settings, text: str, customer: str | None, order: str | None, at: datetime
) -> Answered:
    """Read a ticket that was opened at `at` with the champion of the profile.

    Raises:
        TesseraError: there is no text, or no champion that can be used.
    """
    return answer_with(*served(ports), ports, settings, text, customer, order, at)


def answer_with(
    loaded: LoadedComposition,
    version: str,
    ports: Ports,
    settings: Settings,
    text: str,
    customer: str | None,
    order: str | None,
    at: datetime,
) -> Answered:
    """Read a ticket that was opened at `at` with a composition that is open (`served`).

    Raises:
        TesseraError: there is no text.
    """
    return answered(loaded, version, ports, settings, _ticket(text, customer, order, at))


def served(ports: Ports) -> tuple[LoadedComposition, str]:
    """Return the champion over the profile's ports, after its golden records, and its version.

    Raises:
        TesseraError: there is none, or it cannot be used.
    """
    from assets.support.resources import triage_resources
    from models.compose.package import over_resources
    from models.support.composition import rehearsed

    registry = ports.registry
    live = triage_resources(ports.vectors, ports.embedder, ports.language_model)
    if registry.champion(SUPPORT.name) is None:
        raise TesseraError(
            f"There is no champion of {SUPPORT.name}.",
            expected="a version that passed the gate",
            todo=f"Run `tessera run {SUPPORT.name}_nightly`.",
        )
    before = rehearsed(live)
    found = champion_composition(registry, SUPPORT.name, before)
    folder = registry.fetch(SUPPORT.name, found.version)
    return over_resources(found.composition, folder, before, live, registry.trusted_packages), found.version


def is_known(lake: Lake, customer: str) -> bool:
    """Return True if a table of the lake that is part of a ticket's history, or the register, names the customer."""
    tables = (table for table in ("customers", "orders", "tickets") if lake.exists(table))
    return any(lake.scan(table).count_rows(filter=pc.field("customer_id") == customer) for table in tables)


def answered(
    loaded: LoadedComposition, version: str, ports: Ports, settings: Settings, ticket: Mapping[str, Any]
) -> Answered:
    """Read one ticket (columns of its contract), e.g. of an event, with a composition that is open."""
    own = settings.support
    features = with_history(ports.lake, ports.sink, [ticket], ticket["opened_at"].date(), own.customer_score_of)
    found = triaged(loaded, features, own)
    spending = found.call.spending
    steps = [(run.step, run.ms, run.money_eur) for run in sorted(found.call.log, key=lambda run: run.start_ms)]
    (row,) = found.rows
    outputs = found.steps(ticket["opened_at"].date()).to_pylist()
    return Answered(row, steps, spending.money_eur, spending.calls, sum(ms for _, ms, _ in steps), version, outputs)


def _ticket(text: str, customer: str | None, order: str | None, at: datetime) -> dict[str, Any]:
    most = TICKETS.column("text").at_most_characters or len(text)
    if not text.strip() or len(text) > most:
        raise TesseraError(
            f"The text has {len(text):,} characters." if text.strip() else "The text is empty.",
            expected=f"a customer's message of 1 to {most:,} characters",
            todo='Write it in quotes: `tessera ask "My parcel is late"`.',
        )
    found = {"ticket_id": ASKED, "customer_id": customer or None, "channel": "chat", "opened_at": at}
    return {**found, "text": encodable(text), "order_id": order or None}
