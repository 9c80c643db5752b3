"""Merges of the branches of a fan-out."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from models.compose.batch import Batch
from models.compose.fields import Column, Fields, FieldType, fields
from models.errors import TesseraError, choose_from
from models.training.model import Matrix, Vector

#: Probabilities are kept so far from 0 and 1 before their log-odds are taken.
_EDGE = 1e-12


class Merge(Protocol):
    """Makes one answer of those of several branches."""

    @property
    def partial(self) -> bool:
        """True if it also makes one of some of the branches."""
        ...

    def gives(self, branches: Mapping[str, Fields]) -> Fields:
        """Return the fields of its answer.

        Raises:
            TesseraError: a branch does not give what it merges.
        """
        ...

    def merged(self, parts: Mapping[str, Batch]) -> Mapping[str, Column]:
        """Return the answer's columns. `parts`: the records that all of these branches succeeded for."""
        ...


@dataclass(frozen=True)
class Gather:
    """All fields of all branches, which differ."""

    partial: bool = False

    def gives(self, branches: Mapping[str, Fields]) -> Fields:
        """Return the fields of all branches."""
        found, origin = Fields("Gathered", {}), dict[str, str]()
        for branch, given in branches.items():
            for name in given.types:
                if name in origin:
                    raise TesseraError(
                        f"The branches {origin[name]!r} and {branch!r} both give {name!r}.",
                        expected="fields that differ, or a merge that makes one of them (vote, mean, stacking)",
                        todo="Rename one, or name a merge.",
                    )
                origin[name] = branch
            found = found.plus(given)
        return found

    def merged(self, parts: Mapping[str, Batch]) -> Mapping[str, Column]:
        """Return the columns of all branches."""
        return {name: column for part in parts.values() for name, column in part.columns.items()}


@dataclass(frozen=True)
class Vote:
    """The text that most branches give; the earlier branch decides a tie. `agreement` is its share of the votes.

    Attributes:
        field: the text.
        weights: branch -> weight of its vote; 1 of a branch without.
    """

    field: str
    weights: Mapping[str, float] = dataclasses.field(default_factory=dict[str, float])
    partial: bool = True

    def gives(self, branches: Mapping[str, Fields]) -> Fields:
        """Return the text and the agreement."""
        _all_have(branches, self.field, FieldType("text"))
        _known(self.weights, branches)
        return fields("Voted", {self.field: "text", "agreement": "number"})

    def merged(self, parts: Mapping[str, Batch]) -> Mapping[str, Column]:
        """Return the text with the most votes of each record, and its share."""
        weights = [self.weights.get(branch, 1.0) for branch in parts]
        votes = [part[self.field] for part in parts.values()]
        n = len(votes[0])
        texts, shares = np.empty(n, dtype=object), np.empty(n)
        for row in range(n):
            counted: dict[str, float] = {}
            for vote, weight in zip(votes, weights, strict=True):
                counted[vote[row]] = counted.get(vote[row], 0.0) + weight
            texts[row] = max(counted, key=counted.__getitem__)  # the first of equals: dictionaries keep their order
            shares[row] = counted[texts[row]] / sum(weights)
        return {self.field: texts, "agreement": shares}


@dataclass(frozen=True)
class Mean:
    """The weighted mean of a number or a vector of each branch.

    Attributes:
        field: the number or the vector.
        weights: branch -> weight; 1 of a branch without.
        scale: `log_odds`: the mean is taken of log-odds of probabilities; `linear`: as they are.
    """

    field: str
    weights: Mapping[str, float] = dataclasses.field(default_factory=dict[str, float])
    scale: Literal["linear", "log_odds"] = "linear"
    partial: bool = True

    def gives(self, branches: Mapping[str, Fields]) -> Fields:
        """Return the field."""
        first = next(iter(branches.values()))
        kind = first[self.field] if self.field in first else FieldType("number")
        if kind.name not in ("number", "vector"):
            raise TesseraError(
                f"{self.field!r} is {kind}, of which there is no mean.",
                expected="a number or a vector",
                todo="Name another field, or another merge.",
            )
        _all_have(branches, self.field, kind)
        _known(self.weights, branches)
        return Fields("Mean", {self.field: kind})

    def merged(self, parts: Mapping[str, Batch]) -> Mapping[str, Column]:
        """Return the mean of each record."""
        weights = np.array([self.weights.get(branch, 1.0) for branch in parts])
        weights = weights / weights.sum()
        columns = [part[self.field] for part in parts.values()]
        dtype = columns[0].dtype
        if self.scale == "log_odds":
            columns = [np.log(one / (1 - one)) for one in (np.clip(each, _EDGE, 1 - _EDGE) for each in columns)]
        total = sum(weight * column for weight, column in zip(weights, columns, strict=True))
        found = 1 / (1 + np.exp(-np.asarray(total))) if self.scale == "log_odds" else np.asarray(total)
        return {self.field: found.astype(dtype)}


@dataclass(frozen=True)
class Stacking:
    """A model of the branches' numbers.

    Attributes:
        field: the number of each branch.
        predict: the model: of a float32 matrix with a column for each branch, in their order.
        as_field: name of its number.
    """

    field: str
    predict: Callable[[Matrix], Vector]
    as_field: str = "probability"
    partial: bool = False

    def gives(self, branches: Mapping[str, Fields]) -> Fields:
        """Return the model's number."""
        _all_have(branches, self.field, FieldType("number"))
        return fields("Stacked", {self.as_field: "number"})

    def merged(self, parts: Mapping[str, Batch]) -> Mapping[str, Column]:
        """Return the model's number of each record."""
        rows = np.column_stack([part[self.field] for part in parts.values()]).astype(np.float32)
        return {self.as_field: np.asarray(self.predict(rows), dtype=np.float64)}


@dataclass(frozen=True)
class Custom:
    """A function of the branches' records.

    Attributes:
        function: called with branch -> columns; gives columns.
        answer: fields that it gives.
        partial: whether it can do without some of the branches.
    """

    function: Callable[[Mapping[str, Mapping[str, Column]]], Mapping[str, Column]]
    answer: Fields
    partial: bool = False

    def gives(self, branches: Mapping[str, Fields]) -> Fields:  # noqa: ARG002 - the function knows what it reads
        """Return its fields."""
        return self.answer

    def merged(self, parts: Mapping[str, Batch]) -> Mapping[str, Column]:
        """Return what the function gives."""
        return self.function({branch: part.columns for branch, part in parts.items()})


def _all_have(branches: Mapping[str, Fields], name: str, kind: FieldType) -> None:
    for branch, given in branches.items():
        if name not in given or given[name] != kind:
            found = f"{given.name}.{name} as {given[name]}" if name in given else f"{given.name} without {name!r}"
            raise TesseraError(
                f"The branch {branch!r} gives {found}, and the branches are merged by {name!r}.",
                expected=f"{name}: {kind}; it gives {choose_from(name, given.types)}",
                todo="Change the branch's contract, or name another field to the merge.",
            )


def _known(weights: Mapping[str, float], branches: Mapping[str, Fields]) -> None:
    for branch, weight in weights.items():
        if branch not in branches:
            raise TesseraError(
                f"The merge weighs a branch {branch!r}.",
                expected=choose_from(branch, branches),
                todo="Correct its name.",
            )
        if not 0 < weight < float("inf"):
            raise TesseraError(
                f"The merge weighs {branch!r} by {weight}.", expected="a number above 0", todo="Correct it."
            )
