"""The search, the drafts and the hand-offs of a candidate, measured on the newest tickets of the hold-out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from models.compose.share_drift import Share
from models.errors import TesseraError
from models.settings import SupportSettings

if TYPE_CHECKING:
    from models.compose.package import Composition
    from models.support.labelled import LabelledTickets
    from models.support.search_quality import SearchQuality


def measured(
    composition: Composition, holdout: LabelledTickets, live: Mapping[str, Any], settings: SupportSettings
) -> tuple[SearchQuality, Share]:
    """Return the quality of what the composition finds and drafts for the newest of these tickets, and hand-offs.

    The share of tickets that are handed to a person is that under the other rules, with every draft sent.

    Args:
        composition: over live resources; it sends every draft that passes the other rules.
        holdout: labelled tickets that nothing was trained or chosen on, oldest first.
        live: its resources, by name.
        settings: of the application.
    """
    from assets.support.triage import budget_of
    from models.compose.batch import from_records
    from models.compose.call import new_call
    from models.support.search_quality import not_measured, search_quality

    try:
        _ = live["knowledge_base"].version  # a step that fails would count as one that finds nothing
    except TesseraError as error:
        return not_measured(error.what.rstrip(".")), Share(0, 0)
    newest = holdout.part(range(max(len(holdout) - settings.gate.measured_tickets, 0), len(holdout)))
    step = composition.step()
    records = [{"text": text, "history": {}} for text in newest.texts]
    outcome = step.run(from_records(records, step.takes), new_call(budget_of(settings, len(newest))))
    found = dict(zip(outcome.places().tolist(), outcome.batch.records(), strict=True))
    named = [newest.articles[place] for place in found]
    quality = search_quality(list(found.values()), named, live["language_model"].name)
    kept = sum(not row["handed_off"] for row in found.values())
    return quality, Share(len(newest) - kept, len(newest))
