"""Checks of a composition when it is built: contracts that agree, names that differ."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from models.compose.batch import from_records
from models.compose.fields import Fields, FieldType
from models.compose.step import Step
from models.errors import TesseraError, choose_from


def walk(step: Step) -> Iterator[Step]:
    """Yield a step and all steps inside it, outer ones first."""
    yield step
    for inner in step.steps:
        yield from walk(inner)


def check_names(step: Step) -> None:
    """Refuse a composition in which two steps have one name: logs and pictures name steps.

    Raises:
        TesseraError: two have.
    """
    names = Counter(name for _, name in {(id(one), one.name) for one in walk(step)})
    twice = sorted(name for name, count in names.items() if count > 1)
    if twice:
        raise TesseraError(
            f"{step.name} has several steps of the name {twice[0]!r}.",
            expected="a name of its own for each step",
            todo="Rename one.",
        )


def agreed(name: str, steps: Sequence[Step]) -> tuple[Fields, Fields]:
    """Return what a sequence of steps takes from outside, and what its steps give.

    Raises:
        TesseraError: a step takes a field in another type than it has there, or gives one that is already there.
    """
    outside, given = Fields(f"{name}'s input", {}), Fields(f"{name}'s output", {})
    origin: dict[str, tuple[Step, str]] = {}
    for step in steps:
        for field, kind in step.takes.types.items():
            if field not in origin:
                origin[field] = (step, "takes")
                outside = outside.plus(step.takes.only([field]), f"{name}'s input")
            elif not kind.accepts(_kind(origin[field], field)):
                if origin[field][1] == "gives" or not outside[field].accepts(kind):
                    raise mismatch(step, field, *origin[field])
                outside = outside.plus(step.takes.only([field]), outside.name)
                origin[field] = (step, "takes")
        for field in step.gives.types:
            if field in origin:
                raise _given_twice(step, field, *origin[field])
            origin[field] = (step, "gives")
        given = given.plus(step.gives, f"{name}'s output")
    return outside, given


def _kind(origin: tuple[Step, str], field: str) -> FieldType:
    step, side = origin
    return step.gives[field] if side == "gives" else step.takes[field]


def mismatch(step: Step, field: str, other: Step, side: str) -> TesseraError:
    """Build the error for a field that two contracts have in different types."""
    contract = other.gives if side == "gives" else other.takes
    return TesseraError(
        f"Step {step.name!r} takes {step.takes.name}.{field} as {step.takes[field]}, and step {other.name!r} {side} "
        f"{contract.name}.{field} as {contract[field]}.",
        expected=f"{field}: {step.takes[field]}",
        todo=f"Change one of the two contracts, or put a step between {other.name!r} and {step.name!r}.",
    )


def _given_twice(step: Step, field: str, other: Step, side: str) -> TesseraError:
    verb = "gives" if side == "gives" else "takes from the record"
    return TesseraError(
        f"Step {step.name!r} gives {step.gives.name}.{field}, which step {other.name!r} {verb}.",
        expected="a field that nothing gave before: a step adds to a record and replaces nothing",
        todo="Rename the field of one of the two.",
    )


def check_covers(name: str, wanted: Fields, step: Step) -> None:
    """Refuse a step that does not give every field of `wanted` in its type.

    Raises:
        TesseraError: a field is missing or of another type.
    """
    for field, kind in wanted.types.items():
        if field not in step.gives:
            raise TesseraError(
                f"Step {step.name!r} of {name} gives {step.gives.name} without {field!r}, which {wanted.name} has.",
                expected=f"{field}: {kind}; it gives {choose_from(field, step.gives.types)}",
                todo="Steps that stand for each other give the same fields: change one of the two contracts.",
            )
        if not kind.accepts(step.gives[field]):
            raise TesseraError(
                f"Step {step.name!r} of {name} gives {step.gives.name}.{field} as {step.gives[field]}, and "
                f"{wanted.name}.{field} is {kind}.",
                expected=f"{field}: {kind}",
                todo="Steps that stand for each other give the same fields: change one of the two contracts.",
            )


def union_of_inputs(name: str, steps: Sequence[Step]) -> Fields:
    """Return the fields that several steps take from one record.

    Raises:
        TesseraError: two take a field in different types.
    """
    found = Fields(f"{name}'s input", {})
    origin: dict[str, Step] = {}
    for step in steps:
        for field, kind in step.takes.types.items():
            if field not in origin:
                origin[field] = step
                found = found.plus(step.takes.only([field]), found.name)
            elif kind != found[field]:
                raise mismatch(step, field, origin[field], "takes")
    return found


def check_values(what: str, contract: Fields, values: Mapping[str, Any]) -> None:
    """Refuse fixed values that are not those of a contract; `what` begins the sentence.

    Raises:
        TesseraError: a field is missing or too much, or a value is of another type.
    """
    if values.keys() != contract.types.keys():
        raise TesseraError(
            f"{what} has values of {sorted(values)}.",
            expected=f"a value of each field of {contract.name}: {sorted(contract.types)}",
            todo="Correct them.",
        )
    try:
        from_records([values], contract)
    except TesseraError as error:
        raise TesseraError(f"{what}: {error.what}", expected=error.expected, todo="Correct the value.") from error
