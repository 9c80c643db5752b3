"""Margins weigh the order of candidates: by hand, in a composition that is saved, and from measured conversion."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from models.compose.batch import from_records
from models.compose.call import new_call
from models.compose.package import golden_answers, load_composition, save_composition
from models.personalization.composition import GOLDEN, golden_day, personalization, rehearsed
from models.personalization.config import StepsConfig
from models.personalization.margin import MarginOrder, falling
from models.personalization.parts import ITEMS, KNOWN

NONE = -np.inf


@pytest.mark.parametrize(
    ("weight", "margins", "order"),
    [
        (1.0, [1.0, 3.0, 1.0], [1, 0, 2]),
        (0.5, [1.0, 3.0, 1.0], [0, 1, 2]),
        (1.0, [1.0, 1.0, 1.0], [0, 1, 2]),
        (1.0, [0.01, 1.0, 1.0], [1, 2, 0]),
    ],
)
def test_candidates_are_ordered_by_conversion_times_margin(
    weight: float, margins: list[float], order: list[int]
) -> None:
    ranked = np.array([[9.0, 8.0, 7.0, NONE]], np.float32)
    found = MarginOrder(weight, (0.4, 0.2, 0.1)).scores(ranked, np.array([[*margins, 5.0]]))
    assert np.argsort(-found[0], kind="stable").tolist() == [*order, 3]
    assert found[0, 3] == NONE


def test_conversion_falls_from_place_to_place_whatever_chance_did() -> None:
    found = falling(np.array([0.3, 0.1, 0.2, 0.0, 0.0]))
    assert all(first > second > 0 for first, second in pairwise(found))
    assert found[1:3] == pytest.approx([0.15, 0.15], rel=1e-3)


def test_a_composition_keeps_its_order_by_margin(tmp_path: Path) -> None:
    resources, steps = rehearsed({}), StepsConfig(deadline_ms=None)
    plain, weighed = (
        personalization({}, resources[KNOWN], resources[ITEMS], steps, order)
        for order in (None, MarginOrder(1.0, (0.3, 0.2, 0.1)))
    )
    lists = []
    for number, made in enumerate((plain, weighed)):
        save_composition(tmp_path / str(number), made, GOLDEN)
        loaded = load_composition(tmp_path / str(number), resources=resources)
        assert golden_answers(loaded) == len(GOLDEN)
        lists.append(loaded.step.run(from_records(GOLDEN, loaded.step.takes), new_call()).batch["product_ids"][0])
    known = golden_day().known
    first = [known.margins[[known.places[id] for id in ids[:5]]].mean() for ids in lists]
    assert lists[0] != lists[1]
    assert first[1] > first[0]
