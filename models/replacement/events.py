"""Events of replacements, and the replacement that they leave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Action = Literal["start", "raise", "kill"]
#: Value of the split's salt: one experiment per pair of versions.
_SALT = "replacement"


@dataclass(frozen=True)
class ReplacementEvent:
    """A decision on a replacement. `at` is UTC.

    Attributes:
        incumbent: version that is champion.
        challenger: version that is to replace it.
        share: of the entities that the challenger scores from now on.
        segment: `feature=value` that entities must have to be scored by it; "": all.
        overruled: what the comparison found against it, where a person insisted.
    """

    at: datetime
    action: Action
    incumbent: str
    challenger: str
    share: float
    segment: str
    who: str
    why: str
    overruled: str = ""

    @property
    def salt(self) -> str:
        """Return the salt of the hash: a unit that the challenger scores keeps it as the share rises."""
        return f"{_SALT} {self.incumbent} {self.challenger}"


def standing(events: Sequence[ReplacementEvent], champion: str | None) -> ReplacementEvent | None:
    """Return the newest event of the replacement that runs; None: none does.

    A replacement is over when it was killed, and when another version than its incumbent is champion.
    """
    if not events or events[-1].action == "kill" or events[-1].incumbent != champion:
        return None
    return events[-1]
