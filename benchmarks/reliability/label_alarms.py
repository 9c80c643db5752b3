"""Trainings of faultless shops through the gate's check of labels: those that it would refuse, of all pairs."""

# pyright: basic

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from datetime import timedelta
from itertools import combinations
from pathlib import Path
from typing import Any

from assets.stages.ingestion.run import ingest
from benchmarks.reliability.alarms import Faultless
from benchmarks.reliability.scored_home import HISTORY_DAYS, SETTINGS, TABLES, ScoredApp, ScoredHome
from models.gates.label_checks import compared
from models.gates.label_record import LabelRecord, label_record
from models.simulation.defects import DefectShares
from models.simulation.shop import Shop
from resources.source.simulated import SimulatedSource

#: Days before the last one on which a champion or a challenger is trained.
_BACK = (90, 60, 30, 14, 0)
_CUSTOMERS = 3000


def refusals(app: ScoredApp, shops: Sequence[Faultless]) -> dict[str, Any]:
    """Return the number of pairs of trainings, and the sentences of those that the check would refuse."""
    pairs, said = 0, list[str]()
    for shop in shops:
        for (back, before), (later, now) in combinations(_records(app, shop).items(), 2):
            pairs += 1
            found = compared(before, now, _limits(app), "1")
            said += [] if found.passed else [f"{shop.name}, {back} days against {later}: {found.says}"]
    return {"app": app, "shops": [one.name for one in shops], "pairs": pairs, "refused": len(said), "said": said}


def _records(app: ScoredApp, shop: Faultless) -> dict[int, LabelRecord]:
    held = HISTORY_DAYS[app] + _BACK[0]
    first = shop.last - timedelta(days=held)
    source = SimulatedSource(Shop(_CUSTOMERS, shop.seed, first, DefectShares(), shop.scenario), first)
    with tempfile.TemporaryDirectory() as folder:
        home = ScoredHome(app, Path(folder) / "home", shop.last)
        ingestion = home.settings.ingestion.model_copy(update={"history_days": held})
        for table in TABLES[app]:
            ingest(table, source, home.lake, shop.last, ingestion, "benchmark")
        return {back: label_record(home.task(shop.last - timedelta(days=back)).split) for back in _BACK}


def _limits(app: ScoredApp) -> Any:
    own: Any = getattr(SETTINGS, app)
    return own.gate
