"""Conditions as the client of a Qdrant server takes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from qdrant_client import models
from typing_extensions import override

from models.vectors.values import Value
from resources.vectors.qdrant_filters import Conditions


class ClientConditions(Conditions):
    """Conditions of `qdrant_client`."""

    @override
    def match(self, field: str, value: Value) -> Any:
        return models.FieldCondition(key=field, match=models.MatchValue(value=cast("Any", value)))

    @override
    def match_any(self, field: str, values: Sequence[Value]) -> Any:
        return models.FieldCondition(key=field, match=models.MatchAny(any=cast("Any", [*values])))

    @override
    def range(self, field: str, limits: Mapping[str, Value]) -> Any:
        return models.FieldCondition(key=field, range=models.Range(**cast("Any", limits)))

    @override
    def empty(self, field: str) -> Any:
        return models.IsEmptyCondition(is_empty=models.PayloadField(key=field))

    @override
    def group(
        self, must: Sequence[Any] | None = None, should: Sequence[Any] | None = None, must_not: Any | None = None
    ) -> Any:
        return models.Filter(
            must=[*must] if must else None,
            should=[*should] if should else None,
            must_not=[*must_not] if must_not else None,
        )
