"""Contracts of the steps of personalization."""

from collections.abc import Mapping
from typing import Any

from models.compose.fields import fields

#: A customer ("" for one who is not logged in), the day whose end is known (YYYY-MM-DD), and the events of this visit
#: under `events`: product_id, kind, in the order of time.
REQUEST = fields("Request", {"customer_id": "text", "as_of": "text", "session": "record"})
WHO = fields("Who", {"customer_id": "text", "as_of": "text"})
VISIT = fields("Visit", {"as_of": "text", "session": "record"})
DAY = fields("Day", {"as_of": "text"})
#: `customer`: place among the known customers, -1 for none; `country`: "" if it is not known.
PROFILE = fields("Profile", {"customer": "integer", "country": "text"})
#: Products of the visit that the shop knows, the newest first, under `products`; `unknown` counts the others.
CONTEXT = fields("Context", {"context": "record"})
#: Context of a visit in which nothing happened.
EMPTY_VISIT: Mapping[str, Any] = {"products": (), "carted": (), "unknown": 0}
GATHERED = DAY.plus(PROFILE).plus(CONTEXT, "Gathered")
#: `block`: candidates of several requests (`models.personalization.block.Block`); `row`: that of this one.
CANDIDATES = fields("Candidates", {"candidates": "record"})
RANKING = CONTEXT.plus(CANDIDATES, "Ranking")
#: Candidates, best first: `products`, their `scores` (comparable within one customer only) and `places` in the row of
#: the block.
RANKED = fields("Ranked", {"ranked": "record"})
RULED = DAY.plus(PROFILE).plus(CONTEXT).plus(RANKED, "Ruled")
#: The list. `counts`: what each rule removed, and what filled it.
LISTED = fields(
    "Listed",
    {"product_ids": "texts", "scores": "record", "sources": "texts", "reasons": "texts", "counts": "record"},
)
