"""Profiles of those who are asked for: known customers, strangers, and what either did in this visit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.personalization.known import Known
from models.recommend.history import Profiles, ages_of, profiles_of
from models.recommend.interactions import Interactions

Codes = NDArray[np.int64]


def asked_profiles(
    known: Known, events: Interactions, profiles: Profiles, customers: Codes, visits: Sequence[Mapping[str, Any]]
) -> Profiles:
    """Return profiles of some customers, in the order asked for; what they did in this visit is part of them.

    Args:
        known: the day.
        events: interactions that the profiles are of.
        profiles: of all customers of `events`.
        customers: places among them, -1 for strangers.
        visits: of each, as `models.personalization.parts.visited` gives them.
    """
    if (customers >= 0).all() and not any(visit["products"] for visit in visits):
        return profiles.of(customers)
    parts = [_rows(known, events, place, visit) for place, visit in zip(customers.tolist(), visits, strict=True)]
    owner = np.repeat(np.arange(len(parts), dtype=np.int32), [len(product) for product, _ in parts])
    product, day = (np.concatenate([part[at] for part in parts]) for at in (0, 1))
    order = np.lexsort((day, product, owner))
    rows = (owner[order], product[order].astype(np.int32), day[order].astype(np.float32))
    asked = Interactions(np.arange(len(parts)).astype(str), known.offers.ids, *rows, is_timed=True)
    return profiles_of(asked, ages_of(asked, known.now))


def _rows(known: Known, events: Interactions, place: int, visit: Mapping[str, Any]) -> tuple[Any, Any]:
    """Return product and day of each interaction of one customer; those of the visit are of the day after."""
    begin, end = events.rows_of(place) if place >= 0 else (0, 0)
    today = np.array(visit["products"], dtype=np.int32)
    product = np.concatenate([events.product[begin:end], today])
    return product, np.concatenate([events.day[begin:end], np.full(len(today), known.now)])
