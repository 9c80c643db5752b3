"""The contract of an imported model: its inputs as features of the application, its output, its origin."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.errors import TesseraError, choose_from
from models.training.encoding import Encoder

_FROZEN = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)
#: Fewer golden rows would show too little of a model.
MIN_GOLDEN_ROWS = 20


class InputFeature(BaseModel):
    """One input of the model, and the feature of the application that it is filled from."""

    model_config = _FROZEN

    name: str = Field(min_length=1, description="Name of the input in the model, and in the file of golden rows.")
    source: str = Field(
        default="", alias="from", description="Feature of the application; empty: it has the same name."
    )
    type: Literal["number", "text"] = Field(
        default="number", description="`text` is passed on as text: only a command or an endpoint can read it."
    )
    equals: str | None = Field(
        default=None, description="The input is 1 where the (text) feature has this value, else 0."
    )
    values: tuple[str, ...] = Field(default=(), description="Of a text: the values that the model knows.")
    if_missing: float | None = Field(
        default=None, allow_inf_nan=False, description="Number in place of NULL; empty: NULL is passed on."
    )

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        if (self.type == "text") != bool(self.values):
            raise ValueError(f"the input {self.name!r}: a text names its `values`, and a number has none")
        if self.equals is not None and (self.type == "text" or self.if_missing is not None):
            raise ValueError(f"the input {self.name!r}: with `equals` it is 1 or 0, neither text nor missing")
        return self

    @property
    def feature(self) -> str:
        """Return the feature of the application."""
        return self.source or self.name

    @property
    def categories(self) -> tuple[str, ...]:
        """Return the values of the feature that it looks at; none of a number."""
        return self.values if self.equals is None else (self.equals,)


class ModelOutput(BaseModel):
    """Outputs of the model per row, and which one is the score."""

    model_config = _FROZEN

    kind: Literal["probability", "log_odds", "number"] = Field(
        default="probability",
        alias="is",
        description="`log_odds` (logits) are turned into probabilities; `number`: of an application that predicts one.",
    )
    at_least: float | None = Field(
        default=None, allow_inf_nan=False, description="Of a number: lower predictions are raised to it, e.g. to 0."
    )
    column: int = Field(default=0, ge=0, description="Place of the score among the outputs, from 0.")
    of: int = Field(default=1, ge=1, le=1000, description="Number of outputs per row; any other is refused.")

    @model_validator(mode="after")
    def _is_inside(self) -> Self:
        if self.column >= self.of:
            raise ValueError(f"the score is output {self.column} (from 0), and there are {self.of} outputs")
        if self.at_least is not None and self.kind != "number":
            raise ValueError("`at_least` is of a number: a probability is from 0 to 1")
        return self

    @property
    def is_number(self) -> bool:
        """The score is a number in the unit of the labels, not a probability."""
        return self.kind == "number"


class GoldenFile(BaseModel):
    """Rows with the scores that the model gave where it ran before."""

    model_config = _FROZEN

    file: str = Field(description="CSV or Parquet file with a column per input, beside the contract.")
    score: str = Field(
        default="score", description="Column of the scores: probabilities of the positive class, or numbers."
    )
    tolerance: float = Field(
        default=1e-6,
        gt=0,
        le=0.01,
        description="Largest difference between a stored score and one of today; of a number n it is 1 + |n| times it.",
    )


class LegacyContract(BaseModel):
    """Everything that a version in the registry states of a model that was made elsewhere."""

    model_config = _FROZEN

    features: tuple[InputFeature, ...] = Field(min_length=1, description="Inputs in the order that the model has.")
    output: ModelOutput = ModelOutput()
    golden: GoldenFile = Field(description="Golden rows.")
    trained_until: date = Field(
        description="Last day (UTC) that any of its training labels looked at: it is evaluated on later rows only."
    )
    origin: str = Field(min_length=3, description="Where it comes from: system, person, commit.")
    licence: str = Field(min_length=2, description="Licence (SPDX) or terms under which it may be used.")
    runs: Annotated[Mapping[str, object] | None, Field(description="Settings of the adapter, by `kind`.")] = None

    @model_validator(mode="after")
    def _have_names_of_their_own(self) -> Self:
        twice = next((name for name, n in Counter(one.name for one in self.features).items() if n > 1), None)
        if twice:
            raise ValueError(f"two inputs are called {twice!r}")
        kinds = {one.feature: set[bool]() for one in self.features}
        for one in self.features:
            kinds[one.feature].add(bool(one.categories))
        if mixed := next((name for name, found in kinds.items() if len(found) > 1), None):
            raise ValueError(f"the feature {mixed!r} is used both as a number and as a text")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the inputs, in the model's order."""
        return tuple(one.name for one in self.features)

    def encoder(self) -> Encoder:
        """Return the encoder of the application's features that the model uses."""
        numeric = dict.fromkeys(one.feature for one in self.features if not one.categories)
        categories: dict[str, dict[str, None]] = {}
        for one in self.features:
            if one.categories:
                categories.setdefault(one.feature, {}).update(dict.fromkeys(one.categories))
        return Encoder(tuple(numeric), {name: tuple(values) for name, values in categories.items()})

    def check_features(self, known: Sequence[str]) -> None:
        """Check that the application has every feature that an input is filled from.

        Raises:
            TesseraError: it lacks one.
        """
        for one in self.features:
            if one.feature not in known:
                raise TesseraError(
                    f"The input {one.name!r} is filled from {one.feature!r}, which the application does not have.",
                    expected=choose_from(one.feature, known),
                    todo="Correct `from` in the contract, or define the feature in models/features/.",
                )
