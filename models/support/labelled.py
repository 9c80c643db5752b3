"""Labelled tickets, and the parts of them that are trained, chosen and evaluated on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

#: Shares of the labelled tickets, oldest first: trained on, chosen on; the rest is the hold-out of the gate.
FIT, CHOOSE = 0.7, 0.1


@dataclass(frozen=True)
class LabelledTickets:
    """Tickets with the labels that were known at a moment, oldest first.

    Attributes:
        ids: of the tickets.
        texts: as customers wrote them.
        intents: by the newest label; `oos` belongs to none.
        urgent: by the newest label; None where it does not say.
        articles: that answered, by the newest label; None where it does not say.
    """

    ids: Sequence[str]
    texts: Sequence[str]
    intents: Sequence[str]
    urgent: Sequence[bool | None]
    articles: Sequence[str | None]

    def __len__(self) -> int:
        return len(self.ids)

    def part(self, rows: range) -> LabelledTickets:
        """Return some of them."""
        cut = slice(rows.start, rows.stop)
        return LabelledTickets(self.ids[cut], self.texts[cut], self.intents[cut], self.urgent[cut], self.articles[cut])


def parts_of(tickets: LabelledTickets) -> tuple[LabelledTickets, LabelledTickets, LabelledTickets]:
    """Return the tickets that are trained on, chosen on and evaluated on; each is newer than the one before."""
    first, second = round(len(tickets) * FIT), round(len(tickets) * (FIT + CHOOSE))
    return (
        tickets.part(range(first)),
        tickets.part(range(first, second)),
        tickets.part(range(second, len(tickets))),
    )
