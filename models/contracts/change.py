"""Compatibility of a contract's new version for producers and consumers of the table."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from models.contracts.contract import Column, Contract

ChangeKind = Literal["none", "additive", "breaking"]

#: Attributes that promise nothing about the rows.
_WORDING = {"description"}


@dataclass(frozen=True)
class Change:
    """The kind of a change, and a sentence for each thing that makes it so."""

    kind: ChangeKind
    notes: Sequence[str]


def compare(old: Contract, new: Contract) -> Change:
    """Classify the change from `old` to `new`.

    *Breaking*: a row that was accepted can now be rejected, or a guarantee that a reader may rely on is gone; a limit
    that moves in either direction does one of the two. *Additive*: a new nullable column, or rows that arrive sooner.
    *None*: only descriptions changed.
    """
    breaking = [*_broken_promises(old, new), *_broken_columns(old, new)]
    if breaking:
        return Change("breaking", breaking)
    names = {c.name for c in old.columns}
    additive = [f"column {c.name} is new and may be null" for c in new.columns if c.name not in names]
    if new.freshness_hours < old.freshness_hours:
        additive.append(f"rows come within {new.freshness_hours} h instead of {old.freshness_hours} h")
    return Change("additive", additive) if additive else Change("none", [])


def version_is_due(old: Contract, new: Contract) -> str | None:
    """Name the part of the version that must be raised for the change from `old` to `new`, or None if it is right."""
    before, after = ([int(n) for n in contract.version.split(".")] for contract in (old, new))
    kind = compare(old, new).kind
    if kind == "breaking" and after[0] <= before[0]:
        return "major"
    return "minor" if kind == "additive" and after[:2] <= before[:2] else None


def _broken_promises(old: Contract, new: Contract) -> list[str]:
    notes = [
        f"{name} was {getattr(old, name)!r} and is {getattr(new, name)!r}"
        for name in ("table", "key", "versioned_by", "event", "is_register")
        if getattr(old, name) != getattr(new, name)
    ]
    notes += [f"rule {rule} is gone" for rule in old.rules if rule not in new.rules]
    notes += [f"rule {rule} is new" for rule in new.rules if rule not in old.rules]
    if new.freshness_hours > old.freshness_hours:
        notes.append(f"rows come only within {new.freshness_hours} h instead of {old.freshness_hours} h")
    return notes


def _broken_columns(old: Contract, new: Contract) -> list[str]:
    before, after = ({c.name: c for c in contract.columns} for contract in (old, new))
    notes = [f"column {name} is gone" for name in before if name not in after]
    notes += [f"column {n} is new and must not be null" for n, c in after.items() if n not in before and not c.nullable]
    for name in before.keys() & after.keys():
        notes += _moved_limits(before[name], after[name])
    return sorted(notes)


def _moved_limits(old: Column, new: Column) -> list[str]:
    before, after = old.model_dump(exclude=_WORDING), new.model_dump(exclude=_WORDING)
    return [f"{old.name}: {k} was {before[k]!r} and is {after[k]!r}" for k in before if before[k] != after[k]]
