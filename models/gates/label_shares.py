"""The check that compares the frequency of each class with the record of the champion's training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from math import hypot, inf

from pydantic import BaseModel, ConfigDict

from models.evaluation.shares import share_error
from models.gates.check import GateCheck

#: Share below which the frequency of a class says nothing.
_LEAST_SHARE = 0.05
#: Standard errors that a difference must exceed.
_BEYOND_CHANCE = 4.0
#: Classes that a sentence names.
_NAMED = 3


class LabelShares(BaseModel):
    """Share of each class in the labels of a training, and their number."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    labels: int
    shares: Mapping[str, float]


def label_shares(labels: Sequence[str]) -> LabelShares:
    """Return the shares of the classes."""
    counts = Counter(labels)
    return LabelShares(labels=len(labels), shares={name: n / len(labels) for name, n in sorted(counts.items())})


def shares_as_before(
    version: str, before: LabelShares | None, now: LabelShares, *, max_factor: float, max_new: float
) -> GateCheck:
    """Check that classes are about as frequent as when the champion was trained, and few of them are new.

    A candidate that learnt renamed labels is right by them, and the champion is not: accuracy alone promotes it.

    Args:
        version: of the champion; "" if there is none.
        before: recorded by the champion; None: it kept no record.
        now: labels of this training.
        max_factor: factor between the odds of a class then and now.
        max_new: share of the labels whose class the champion never saw.
    """
    name = "labels_as_before"
    if before is None:
        says = f"version {version} kept no record of its labels" if version else "no champion to compare with"
        return GateCheck(name, True, None, None, says)
    new = {label: share for label, share in now.shares.items() if label not in before.shares}
    problems = list(_changed(before, now, max_factor))[:_NAMED]
    if sum(new.values()) > max_new:
        named = ", ".join(sorted(new, key=lambda label: -new[label])[:_NAMED])
        problems.insert(0, f"{sum(new.values()):.0%} of the labels are new to it ({named})")
    says = f"against the labels of champion version {version}: {'; '.join(problems) or 'as frequent as then'}"
    if problems:
        says += ". Look for labels of another tool or another list; a person passes it with `tessera promote`"
    return GateCheck(name, not problems, sum(new.values()), max_new, says)


def _changed(before: LabelShares, now: LabelShares, max_factor: float) -> Iterator[str]:
    for label in sorted(before.shares.keys() & now.shares.keys()):
        was, share = before.shares[label], now.shares[label]
        chance = _BEYOND_CHANCE * hypot(share_error(was, before.labels), share_error(share, now.labels))
        if max(was, share) >= _LEAST_SHARE and abs(share - was) > chance and _factor(was, share) > max_factor:
            yield f"{share:.0%} of the labels are {label!r}, {was:.0%} then"


def _factor(one: float, other: float) -> float:
    odds = sorted(share / (1 - share) if share < 1 else inf for share in (one, other))
    return odds[1] / odds[0]
