"""The description of a vector index: the space of its vectors, its payload, whom its rows belong to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from models.erasure.tombstones import ENTITIES
from models.errors import TesseraError, choose_from
from models.text.probing import is_same_digest
from models.vectors.tokens import TOKENIZERS

Metric = Literal["cosine", "dot", "euclid"]
#: `document` is text that hits carry and no filter reads; `texts` are several short texts, e.g. tags.
PayloadType = Literal["text", "integer", "float", "boolean", "timestamp", "texts", "document"]

#: Columns of rows beside their payload.
ROW_COLUMNS = ("id", "vector", "text", "subject", "digest")
_COLLECTION = re.compile(r"[a-z][a-z0-9_]{0,39}")
_FIELD = re.compile(r"[a-z][a-z0-9_]{0,59}")


class VectorSpace(BaseModel):
    """The space that vectors are in: those of rows and queries can be compared only if all of it is the same.

    Attributes:
        embedder: name of the model that made the vectors.
        digest: of the model's weights and settings: another one makes other vectors.
        dimension: numbers per vector, 1 to 16,000.
        metric: cosine, dot product or Euclidean distance.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    embedder: str = Field(min_length=1)
    digest: str = Field(min_length=1)
    dimension: int = Field(ge=1, le=16_000)
    metric: Metric

    def is_same(self, other: VectorSpace) -> bool:
        """Return True if vectors of both can be compared; digests of a model behind an endpoint may differ a little."""
        same = self == other.model_copy(update={"digest": self.digest})
        return same and is_same_digest(self.digest, other.digest)

    def require(self, query: VectorSpace, what: str) -> None:
        """Check that a query is of this space.

        Args:
            query: the space of the query's vectors.
            what: the index, for the message.

        Raises:
            TesseraError: it is of another; the message names both.
        """
        if query is self or self.is_same(query):
            return
        mine, its = self.model_dump(), query.model_dump()
        names = [name for name in mine if mine[name] != its[name]]
        raise TesseraError(
            f"The query is of {_named(its, names)}, the {what} of {_named(mine, names)}: they cannot be compared.",
            expected=f"vectors of embedder {self.embedder!r}, {self.dimension} numbers, compared by {self.metric}",
            todo="Embed the query with the index's embedder, or build the index with the query's.",
        )


class IndexSpec(BaseModel):
    """Everything that is settled when a version of an index is begun.

    Attributes:
        space: of its vectors.
        payload: name -> type of the fields that hits carry and filters read; a row may lack some.
        subject: entity (`models.erasure.tombstones.ENTITIES`) whose ids the column `subject` holds; "" if rows belong
            to no one.
        tokenizer: how texts are taken apart for BM25, one of `models.vectors.tokens.TOKENIZERS`; "": no lexical search.
        day: day at whose end its rows were as they are; None if they belong to no day.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    space: VectorSpace
    payload: Mapping[str, PayloadType] = {}
    subject: str = ""
    tokenizer: str = "grams-1"
    day: date | None = None

    def is_before(self, other: IndexSpec) -> bool:
        """Return True if the rows are of an earlier day than those of the other."""
        return self.day is not None and other.day is not None and self.day < other.day

    @field_validator("payload")
    @classmethod
    def _fields_have_names(cls, payload: Mapping[str, PayloadType]) -> Mapping[str, PayloadType]:
        for name in payload:
            if not _FIELD.fullmatch(name) or name in ROW_COLUMNS or name == "score":
                raise ValueError(
                    f"{name!r} is no name of a payload field: lower-case letters, digits and `_`, at most 60, not one"
                    f" of {', '.join(ROW_COLUMNS)}, score"
                )
        return dict(payload)

    @field_validator("subject")
    @classmethod
    def _subject_can_be_erased(cls, subject: str) -> str:
        if subject and subject not in ENTITIES:
            raise ValueError(f"subject is {subject!r}, {choose_from(subject, ENTITIES)}")
        return subject

    @field_validator("tokenizer")
    @classmethod
    def _tokenizer_is_known(cls, tokenizer: str) -> str:
        if tokenizer and tokenizer not in TOKENIZERS:
            raise ValueError(f"tokenizer is {tokenizer!r}, {choose_from(tokenizer, TOKENIZERS)}")
        return tokenizer


def require_collection_name(name: str) -> None:
    """Check the name of a collection.

    Raises:
        TesseraError: a store would not take it.
    """
    if not _COLLECTION.fullmatch(name):
        raise TesseraError(
            f"{name!r} is no name of a collection of vectors.",
            expected="a lower-case letter, then lower-case letters, digits and `_`; at most 40",
            todo="Correct the name.",
        )


def _named(space: Mapping[str, object], names: list[str]) -> str:
    return ", ".join(f"{name} {space[name]!r}" for name in names)
