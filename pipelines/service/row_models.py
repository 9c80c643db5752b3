"""Models of published rows, made from the output contracts of the applications."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, cast

from pydantic import BaseModel, ConfigDict, Field, create_model

from models.publishing import Degradation
from models.scoring.output import OutputColumn, OutputContract, OutputType

_TYPES: dict[OutputType, Any] = {
    "string": str,
    "timestamp": datetime,
    "date": date,
    "int32": int,
    "int64": int,
    "float32": float,
    "float64": float,
    "bool": bool,
    "list<string>": list[str],
    "list<float32>": list[float],
    "list<float64>": list[float],
}
_EXAMPLES: dict[OutputType, Any] = {
    "string": "u00001633",
    "timestamp": "2026-03-01T10:15:00Z",
    "date": "2026-03-01",
    "int32": 1,
    "int64": 1,
    "float32": 0.5,
    "float64": 0.5,
    "bool": True,
    "list<string>": ["a"],
    "list<float32>": [0.5],
    "list<float64>": [0.5],
}


class Freshness(BaseModel):
    """The published set that a row is from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    day: date = Field(description="UTC day that was scored.")
    published_at: datetime = Field(description="When it was published.")
    degradation: Degradation = Field(description="Source of the scores; all but `fresh` are below the best.")
    steps: list[str] = Field(description="Each better source that failed, with the reason.")
    age_hours: float = Field(description="Hours since the end of the day that was scored.")


def column_type(column: OutputColumn) -> Any:
    """Return the Python type of the values of a column."""
    found = _TYPES[column.type]
    return found | None if column.nullable else found


def row_model(app: str, contract: OutputContract) -> type[BaseModel]:
    """Return the model of one published row of an application."""
    fields = {column.name: (column_type(column), _field(column)) for column in (*contract.keys, *contract.payload)}
    title = app.title().replace("_", "")
    made = create_model(f"{title}Row", __config__=ConfigDict(extra="forbid"), **cast(dict[str, Any], fields))
    made.__doc__ = f"One published row of {app}."
    return made


def answer_model(app: str, contract: OutputContract) -> type[BaseModel]:
    """Return the model of the answer on one entity."""
    title, row = app.title().replace("_", ""), row_model(app, contract)
    fields: dict[str, Any] = {
        "entity": (column_type(contract.column(contract.entity)), Field(description=contract.entity)),
        "rows": (list[row], Field(description="One row, or one for each further key of the contract.")),
        "freshness": (Freshness, Field(description="The set that the rows are from.")),
        "model_version": (str, Field(description="Version in the registry of the model that made the rows.")),
        "feature_version": (str, Field(description="Version of the definitions of its features.")),
    }
    config = ConfigDict(extra="forbid", protected_namespaces=())
    made = create_model(f"{title}Scores", __config__=config, **fields)
    made.__doc__ = f"Published rows of {app} on one entity."
    return made


def example_answer(contract: OutputContract) -> dict[str, Any]:
    """Return an answer on one entity, as the OpenAPI document shows it."""
    row = {column.name: _example(column) for column in (*contract.keys, *contract.payload)}
    return {
        "entity": row[contract.entity],
        "rows": [row],
        "freshness": {
            "day": "2026-03-01",
            "published_at": "2026-03-02T02:03:11Z",
            "degradation": "fresh",
            "steps": [],
            "age_hours": 7.2,
        },
        "model_version": "3",
        "feature_version": "v1",
    }


def _example(column: OutputColumn) -> Any:
    return column.one_of[0] if column.one_of and column.type == "string" else _EXAMPLES[column.type]


def _field(column: OutputColumn) -> Any:
    example = _example(column)
    one_of = f" One of: {', '.join(column.one_of)}." if column.one_of else ""
    limits: dict[str, Any] = {"ge": column.at_least, "le": column.at_most} if column.is_number else {}
    return Field(description=f"{column.description}{one_of}".strip() or column.name, examples=[example], **limits)
