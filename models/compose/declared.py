"""Compositions declared as data, e.g. in YAML: who runs after whom, by which rule."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence as Steps
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, TypeAdapter, ValidationError

from models.compose.fallback import Fallback
from models.compose.fan_out import FanOut
from models.compose.merges import Gather, Mean, Merge, Vote
from models.compose.router import Below, Router, Switch
from models.compose.sequence import Sequence, Soft
from models.compose.step import Step
from models.errors import TesseraError, choose_from, clause


class _Declared(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Use(_Declared):
    """A part by name; with `defaults` its failure stops nothing: its fields then have these values."""

    kind: Literal["use"] = "use"
    step: str
    defaults: dict[str, Any] | None = None


class SequenceOf(_Declared):
    """Parts one after the other."""

    kind: Literal["sequence"]
    name: str
    steps: tuple[Part, ...] = Field(min_length=1)
    gives: tuple[str, ...] | None = Field(default=None, description="Fields that it gives; all by default.")
    defaults: dict[str, Any] | None = None


class RouterOf(_Declared):
    """The cheapest part first; the next one where the number `below` is below the threshold."""

    kind: Literal["router"]
    name: str
    steps: tuple[Part, ...] = Field(min_length=2)
    below: str = Field(default="confidence", description="The number of an answer that is compared.")
    thresholds: tuple[float, ...] = Field(description="One for each part but the last.")
    shares: tuple[float, ...] | None = Field(
        default=None, description="Expected share of records that each part but the first is asked for, 0 to 1."
    )
    keeps_cheaper: bool = Field(default=True, description="The cheaper answer stands where the dearer part fails.")
    defaults: dict[str, Any] | None = None


class SwitchOf(_Declared):
    """One part of several, by the value of a text field."""

    kind: Literal["switch"]
    name: str
    field: str
    routes: dict[str, Part] = Field(min_length=1)
    otherwise: Part | None = None
    defaults: dict[str, Any] | None = None


class FanOutOf(_Declared):
    """Parts side by side, and a merge."""

    kind: Literal["fan_out"]
    name: str
    branches: dict[str, Part] = Field(min_length=2)
    merge: GatherOf | VoteOf | MeanOf | UseMerge = Field(
        default_factory=lambda: GatherOf(kind="gather"), discriminator="kind"
    )
    at_least: int | None = Field(default=None, description="Branches that must succeed for a record; all by default.")
    defaults: dict[str, Any] | None = None


class FallbackOf(_Declared):
    """The next part where one fails, and a fixed answer at the end."""

    kind: Literal["fallback"]
    name: str
    steps: tuple[Part, ...] = Field(min_length=1)
    default: dict[str, Any] | None = None
    defaults: dict[str, Any] | None = None


class GatherOf(_Declared):
    """All fields of all branches."""

    kind: Literal["gather"]


class VoteOf(_Declared):
    """The text that most branches give."""

    kind: Literal["vote"]
    field: str
    weights: dict[str, float] = {}


class MeanOf(_Declared):
    """The mean of a number or a vector of each branch."""

    kind: Literal["mean"]
    field: str
    weights: dict[str, float] = {}
    scale: Literal["linear", "log_odds"] = "linear"


class UseMerge(_Declared):
    """A merge by name, e.g. a stacked model."""

    kind: Literal["use"]
    merge: str


#: What YAML calls the things of which pydantic's messages name Python's type.
_PLAIN = {
    "tuple_type": "a list was expected",
    "dict_type": "a mapping was expected",
    "model_type": "the name of a part, or a mapping with `kind`, was expected",
    "model_attributes_type": "a mapping with `kind` was expected, as `{kind: vote, field: intent}`",
    "too_short": "too few entries",
    "recursion_loop": "it contains itself",
}
KINDS = ("sequence", "router", "switch", "fan_out", "fallback")


def _kind(value: object) -> str:
    """Return the tag of a part; a bare name stands for `{kind: use, step: NAME}`."""
    if isinstance(value, str):
        return "name"
    return str(value.get("kind", "use") if isinstance(value, Mapping) else getattr(value, "kind", "use"))


#: A part is declared in place, or named: `NAME`, or `{step: NAME, defaults: {...}}`.
Part = Annotated[
    Annotated[str, Tag("name")]
    | Annotated[Use, Tag("use")]
    | Annotated[SequenceOf, Tag("sequence")]
    | Annotated[RouterOf, Tag("router")]
    | Annotated[SwitchOf, Tag("switch")]
    | Annotated[FanOutOf, Tag("fan_out")]
    | Annotated[FallbackOf, Tag("fallback")],
    Discriminator(_kind),
]
_WHOLE: TypeAdapter[Any] = TypeAdapter(Part)
for _model in (SequenceOf, RouterOf, SwitchOf, FanOutOf, FallbackOf):
    _model.model_rebuild()


def declared(
    name: str, declaration: object, parts: Mapping[str, Step], merges: Mapping[str, Merge] | None = None
) -> Step:
    """Build a composition from its declaration.

    Args:
        name: of it in errors.
        declaration: a mapping with `kind`, as read from YAML or JSON.
        parts: steps by the names that the declaration uses.
        merges: merges by the names that the declaration uses.

    Raises:
        TesseraError: the declaration has a mistake, names a part that is not there, or contracts disagree.
    """
    try:
        found = _WHOLE.validate_python(declaration)
    except ValidationError as error:
        raise _mistake(name, error) from error
    return _Builder(name, parts, merges or {}).built(found)


def _mistake(name: str, error: ValidationError) -> TesseraError:
    """Build the error for the first mistake of a declaration."""
    first = error.errors()[0]
    # Places name the kind of each part on the way, and a letter or a number of its own says more.
    place = ".".join(str(one) for one in first["loc"] if one not in (*KINDS, "use", "name"))
    kind = first.get("ctx", {}).get("tag")
    if kind is not None:
        return TesseraError(
            f"{name}{place and f': {place}'} has the kind {kind!r}.",
            expected=choose_from(str(kind), [*KINDS, "use"]),
            todo="Correct the declaration.",
        )
    says = _PLAIN.get(first["type"]) or clause(first["msg"])
    return TesseraError(
        f"{name}: {place or 'the declaration'} is {first['input']!r}: {says}.",
        expected="the settings of its kind, as docs/composition.md lists them",
        todo="Correct the declaration.",
    )


class _Builder:
    def __init__(self, name: str, parts: Mapping[str, Step], merges: Mapping[str, Merge]) -> None:
        self._name = name
        self._parts = parts
        self._merges = merges

    def built(self, part: Part) -> Step:
        """Return the step of a part."""
        match part:
            case str() | Use():
                return self._named(part if isinstance(part, str) else part.step)
            case SequenceOf():
                return Sequence(part.name, self._edges(part.steps), gives=part.gives)
            case RouterOf():
                rule = Below(part.below, part.thresholds)
                steps = [self.built(step) for step in part.steps]
                return Router(part.name, steps, rule, shares=part.shares, keeps_cheaper=part.keeps_cheaper)
            case SwitchOf():
                routes = {value: self.built(step) for value, step in part.routes.items()}
                otherwise = None if part.otherwise is None else self.built(part.otherwise)
                return Switch(part.name, part.field, routes, otherwise=otherwise)
            case FanOutOf():
                branches = {branch: self._edge(step) for branch, step in part.branches.items()}
                return FanOut(part.name, branches, self._merge(part.merge), at_least=part.at_least)
            case FallbackOf():
                return Fallback(part.name, [self.built(step) for step in part.steps], default=part.default)

    def _edges(self, parts: Steps[Part]) -> list[Step | Soft]:
        return [self._edge(part) for part in parts]

    def _edge(self, part: Part) -> Step | Soft:
        defaults = None if isinstance(part, str) else part.defaults
        return self.built(part) if defaults is None else Soft(self.built(part), defaults)

    def _named(self, step: str) -> Step:
        found = self._parts.get(step)
        if found is None:
            raise TesseraError(
                f"{self._name} uses a part {step!r}.",
                expected=choose_from(step, self._parts),
                todo="Correct its name, or add the part.",
            )
        return found

    def _merge(self, merge: GatherOf | VoteOf | MeanOf | UseMerge) -> Merge:
        match merge:
            case GatherOf():
                return Gather()
            case VoteOf():
                return Vote(merge.field, merge.weights)
            case MeanOf():
                return Mean(merge.field, merge.weights, merge.scale)
            case UseMerge():
                found = self._merges.get(merge.merge)
                if found is None:
                    raise TesseraError(
                        f"{self._name} uses a merge {merge.merge!r}.",
                        expected=choose_from(merge.merge, self._merges),
                        todo="Correct its name, or add the merge.",
                    )
                return found
