"""A home in which tickets are triaged: labelled tickets of four intents, articles, orders; no MLflow, no weights."""

from __future__ import annotations

import atexit
import random
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pyarrow as pa

from assets.support import assets as support
from models.compose.gate import CompositionGateConfig
from models.contracts import ARTICLES, ORDERS, TICKET_LABELS, TICKETS, Contract
from models.settings import Settings, SupportSettings
from models.support.config import TriageConfig, TriageGateConfig
from models.support.hand_off import HandOffConfig
from resources.embedder.hashed import HashedEmbedderConfig
from resources.language_model.extractive import ExtractiveModelConfig
from resources.vectors.qdrant_edge import QdrantEdgeConfig
from tests.apps.composed_home import ComposedHome
from tests.unit.text.tickets import OUT_OF_SCOPE_TEXTS, tickets

DAY = date(2025, 6, 30)
SETTINGS = Settings(
    support=SupportSettings(
        steps=TriageConfig(
            languages=("en", "de"), embedding_ms=1.0, hand_off=HandOffConfig(sends_drafts=True, min_cited_precision=0.3)
        ),
        gate=TriageGateConfig(min_tickets=30, resamples=200, router=CompositionGateConfig(min_rows=30, resamples=200)),
    )
)
_BODIES = {
    "refund": "Your money is paid back within a week. A wrong amount or a double charge is refunded to the same card.",
    "delivery": "A parcel arrives in three days. The tracking code shows where the courier has the package.",
    "login": "A locked account opens with the reset code that we send by email. Choose a new password to login.",
    "cancel": "A subscription ends at the next renew date. Stop the plan or the membership in your account.",
}


def ticket(id: str, text: str, opened_at: datetime, *, customer: str | None = None, **more: Any) -> dict[str, Any]:
    """A row of the table `tickets`, delivered on the day it was opened."""
    found = {"ticket_id": id, "customer_id": customer, "channel": "mail", "opened_at": opened_at, "text": text}
    return {**found, "order_id": None, "delivered_on": opened_at.date(), **more}


def label(
    ticket_id: str, intent: str, at: datetime, *, urgent: bool | None = None, article: str | None = None
) -> dict[str, Any]:
    """A row of the table `ticket_labels`."""
    found = {"ticket_id": ticket_id, "intent": intent, "urgent": urgent, "handed_off": None, "article_id": article}
    return {**found, "labelled_at": at, "delivered_on": at.date()}


def at(day: date, hour: int = 12) -> datetime:
    """A moment of a day, UTC."""
    return datetime.combine(day, time(hour), UTC)


def history(each: int = 40) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Tickets of the sixty days before `DAY`, and their labels of the day after; urgent says so by `NOW`."""
    found = tickets(each, seed=1)
    rows = [*zip(found.texts, found.labels, strict=True), *((text, "oos") for text in OUT_OF_SCOPE_TEXTS)]
    random.Random(3).shuffle(rows)  # noqa: S311 - no secret
    asked, known = [], []
    for number, (text, intent) in enumerate(rows):
        opened, urgent = at(DAY - timedelta(days=61 - number * 60 // len(rows))), number % 3 == 0
        asked.append(ticket(f"t{number:04d}", f"NOW please {text}" if urgent else text, opened))
        article = f"kb-{intent}" if intent in _BODIES else None
        known.append(label(f"t{number:04d}", intent, opened + timedelta(days=1), urgent=urgent, article=article))
    return asked, known


TODAY = (
    ticket("z1", "please why is my parcel late, tracking of the courier is lost", at(DAY, 8), customer="c1"),
    ticket("z2", "how can you refund the money, wrong amount, ann@example.org", at(DAY, 9)),
    ticket("z3", "paint some eggs quickly", at(DAY, 10), customer="c2"),
    ticket("z4", "NOW please my account is locked, reset the password", at(DAY, 11), customer="c1"),
)


def order_line(line: str, customer: str, placed: datetime, delivered_on: date, **more: Any) -> dict[str, Any]:
    """A row of the table `orders`."""
    found = {"order_line_id": line, "order_id": f"o-{line}", "customer_id": customer, "product_id": "mug"}
    found |= {"ordered_at": placed, "quantity": 1, "unit_price": 2.0, "currency": "EUR", "country": "DE"}
    return {**found, "is_return": False, "delivered_on": delivered_on, **more}


class SupportHome(ComposedHome):
    """A home in a folder."""

    def ports(self, *, model: Any = None, store: Any = None) -> Any:
        """The ports that triage opens outside of a run."""
        return SimpleNamespace(
            lake=self.lake,
            sink=self.sink,
            registry=self.registry,
            vectors=store or QdrantEdgeConfig(path=str(self.folder / "vectors")).open(),
            embedder=HashedEmbedderConfig(dimension=128).open(),
            language_model=model or ExtractiveModelConfig().open(),
        )

    def write(self, contract: Contract, rows: Sequence[Mapping[str, Any]]) -> None:
        """Put rows of a contracted table into the lake."""
        table = pa.Table.from_pylist(list(rows), contract.lake_schema())
        days = [row["delivered_on"] for row in rows]
        self.lake.replace(contract.table, table, by="delivered_on", first=min(days), last=max(days))

    def fill(self) -> None:
        """Write tickets, labels, articles and orders."""
        asked, known = history()
        self.write(TICKETS, [*asked, *TODAY])
        self.write(TICKET_LABELS, known)
        self.write(ARTICLES, [article(name, body) for name, body in _BODIES.items()])
        self.write(ORDERS, [order_line("1", "c1", at(DAY - timedelta(days=5)), DAY - timedelta(days=4))])

    def night(
        self, settings: Settings = SETTINGS, day: date = DAY, run_config: Mapping[str, Any] | None = None, **others: Any
    ) -> dg.ExecuteInProcessResult:
        """Run every asset of the application for a day."""
        return self._night(support, settings, day, run_config, others)

    def published(self, day: date = DAY) -> dict[str, dict[str, Any]]:
        """The published rows of a day by ticket."""
        return self._published("support", "ticket_id", day)


def article(name: str, body: str, language: str = "en") -> dict[str, Any]:
    """A row of the table `articles`."""
    moment = at(DAY - timedelta(days=90))
    found = {"article_id": f"kb-{name}", "title": f"About {name}", "body": body, "language": language}
    return {**found, "updated_at": moment, "is_retired": False, "delivered_on": moment.date()}


@cache
def _after_a_night() -> Path:
    """A home after its first night; a process makes it once."""
    folder = Path(tempfile.mkdtemp(prefix="support-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    home = SupportHome(folder)
    home.fill()
    made = home.night()
    assert made.success, [event.step_failure_data for event in made.all_events if event.is_step_failure]
    return folder


def home_after_a_night(folder: Path) -> SupportHome:
    """Put a copy of a home into a folder: a champion, the tickets of `DAY` triaged and published."""
    for part in ("lake", "models", "scores", "vectors"):
        shutil.copytree(_after_a_night() / part, folder / part)
    return SupportHome(folder)
