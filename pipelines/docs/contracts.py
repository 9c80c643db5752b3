"""The contracts as files that other tools read: JSON Schema, and Open Data Contract Standard (ODCS) v3 in YAML.

python -m pipelines.docs.contracts            writes docs/contracts/
python -m pipelines.docs.contracts --check    exit code 1 when the files, or a version number, are not up to date
python -m pipelines.docs.contracts --release  makes the present contracts those that later changes are compared with
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from models.contracts.change import compare, version_is_due
from models.contracts.contract import DELIVERED_ON, RULE_WORDS, Column, ColumnType, Contract
from models.contracts.shop import CONTRACTS

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "contracts"
_NOTE = "# Made by `python -m pipelines.docs.contracts`; edit models/contracts/ instead.\n"

#: Type in JSON, type in ODCS, type in Delta.
_TYPES: dict[ColumnType, tuple[str, str, str]] = {
    "string": ("string", "string", "string"),
    "timestamp": ("string", "date", "timestamp"),
    "date": ("string", "date", "date"),
    "int32": ("integer", "integer", "integer"),
    "int64": ("integer", "integer", "long"),
    "float64": ("number", "number", "double"),
    "bool": ("boolean", "boolean", "boolean"),
}


def json_schema(contract: Contract) -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of one kept row; timestamps and dates as ISO 8601 strings."""
    names = [*(c.name for c in contract.columns), DELIVERED_ON]
    delivered = {"type": "string", "format": "date", "description": "UTC day on which the row was delivered."}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": contract.table,
        "description": contract.description,
        "version": contract.version,
        "type": "object",
        "properties": {**{c.name: _json_property(c) for c in contract.columns}, DELIVERED_ON: delivered},
        "required": names,
        "additionalProperties": False,
    }


def data_contract(contract: Contract) -> dict[str, Any]:
    """Return the contract in the Open Data Contract Standard, version 3.0."""
    return {
        "apiVersion": "v3.0.1",
        "kind": "DataContract",
        "id": f"tessera-{contract.table}",
        "name": contract.table,
        "version": contract.version,
        "status": "active",
        "description": {"purpose": contract.description},
        "schema": [
            {
                "name": contract.table,
                "logicalType": "object",
                "physicalType": "table",
                "description": contract.description,
                "properties": [*(_odcs_property(c, contract.unique) for c in contract.columns), _odcs_delivered_on()],
                "quality": [{"type": "text", "description": words} for words in _row_promises(contract)],
            }
        ],
        "slaProperties": [
            {
                "property": "freshness",
                "value": contract.freshness_hours,
                "unit": "h",
                "element": f"{contract.table}.{DELIVERED_ON}",
            }
        ],
        "team": [{"username": contract.owner, "role": "owner"}],
    }


def exported_files() -> dict[str, str]:
    """Text of each file in `docs/contracts/`, by name."""
    files: dict[str, str] = {}
    for contract in CONTRACTS.values():
        files[f"{contract.table}.schema.json"] = json.dumps(json_schema(contract), indent=2) + "\n"
        text = yaml.safe_dump(data_contract(contract), sort_keys=False, allow_unicode=True, width=120)
        files[f"{contract.table}.odcs.yaml"] = _NOTE + text
    return files


def released(folder: Path = FOLDER / "released") -> dict[str, Contract]:
    """Return the contracts of the last release, by table."""
    found = [Contract.model_validate_json(file.read_text()) for file in sorted(folder.glob("*.json"))]
    return {contract.table: contract for contract in found}


def problems(folder: Path = FOLDER) -> list[str]:
    """Return a sentence for each file that is not up to date, and for each version number that hides a change."""
    stale = [
        f"{folder / name} is not what the contracts say: run `python -m pipelines.docs.contracts`."
        for name, text in exported_files().items()
        if not (folder / name).is_file() or (folder / name).read_text() != text
    ]
    for table, old in released(folder / "released").items():
        if table not in CONTRACTS:
            stale.append(f"The released contract of {table!r} is gone: keep it, or release without it.")
            continue
        due, change = version_is_due(old, CONTRACTS[table]), compare(old, CONTRACTS[table])
        if due:
            stale.append(f"{table}: a {change.kind} change ({'; '.join(change.notes)}) needs a new {due} version.")
    return stale


def write(folder: Path = FOLDER) -> None:
    """Write the exported files to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in exported_files().items():
        (folder / name).write_text(text)


def release(folder: Path = FOLDER) -> None:
    """`folder/released` holds the present contracts, and no others."""
    (folder / "released").mkdir(parents=True, exist_ok=True)
    for file in (folder / "released").glob("*.json"):
        file.unlink()
    for contract in CONTRACTS.values():
        (folder / "released" / f"{contract.table}.json").write_text(contract.model_dump_json(indent=2) + "\n")


def _json_property(column: Column) -> dict[str, Any]:
    kind = _TYPES[column.type][0]
    limits = {
        "format": {"timestamp": "date-time", "date": "date"}.get(column.type),
        "minLength": 1 if column.type == "string" else None,
        "maxLength": column.at_most_characters,
        "exclusiveMinimum": column.more_than,
        "minimum": column.at_least,
        "maximum": column.at_most,
        "not": None if column.never is None else {"const": column.never},
        "enum": list(column.one_of) or None,
    }
    return {
        "type": [kind, "null"] if column.nullable else kind,
        "description": column.description,
        **{name: limit for name, limit in limits.items() if limit is not None},
    }


def _odcs_property(column: Column, unique: Sequence[str]) -> dict[str, Any]:
    _, logical, physical = _TYPES[column.type]
    options = {
        "minLength": 1 if column.type == "string" else None,
        "maxLength": column.at_most_characters,
        "minimum": column.at_least if column.more_than is None else column.more_than,
        "exclusiveMinimum": None if column.more_than is None else True,
        "maximum": column.at_most,
    }
    if column.not_before:
        options = {"minimum": column.not_before.isoformat()}
    kept = {name: option for name, option in options.items() if option is not None}
    return {
        "name": column.name,
        "logicalType": logical,
        "physicalType": physical,
        "description": column.description,
        "required": not column.nullable,
        **_odcs_key(column, unique),
        **({"logicalTypeOptions": kept} if kept else {}),
        **({} if column.pii == "none" else {"classification": f"personal ({column.pii})", "tags": ["pii"]}),
        **({"quality": quality} if (quality := _odcs_quality(column)) else {}),
        **({"customProperties": [{"property": "unit", "value": column.unit}]} if column.unit else {}),
    }


def _odcs_key(column: Column, unique: Sequence[str]) -> dict[str, Any]:
    if column.name not in unique:
        return {}
    alone = {"unique": True} if len(unique) == 1 else {}
    return {"primaryKey": True, "primaryKeyPosition": unique.index(column.name) + 1, **alone}


def _odcs_quality(column: Column) -> list[dict[str, str]]:
    words = [f"one of {', '.join(column.one_of)}"] if column.one_of else []
    words += [] if column.never is None else [f"never {column.never:g}"]
    return [{"type": "text", "description": f"{column.name} is {phrase}"} for phrase in words]


def _odcs_delivered_on() -> dict[str, Any]:
    return {
        "name": DELIVERED_ON,
        "logicalType": "date",
        "physicalType": "date",
        "description": "UTC day on which the row was delivered.",
        "required": True,
        "partitioned": True,
        "partitionKeyPosition": 1,
    }


def _row_promises(contract: Contract) -> list[str]:
    columns = ", ".join(contract.unique)
    unique = f"{columns} {'are' if contract.versioned_by else 'is'} unique over the whole table; of several deliveries"
    unique += " the first one stands"
    return [unique, *(RULE_WORDS[rule] for rule in contract.rules)]


def main(arguments: list[str] | None = None) -> int:
    """Exit code of the command; see the module's text."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.docs.contracts", description="Writes docs/contracts/.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 when not up to date")
    parser.add_argument("--release", action="store_true", help="later changes are compared with the present contracts")
    chosen = parser.parse_args(arguments)
    if not chosen.check:
        write()
    if chosen.release:
        release()
    found = problems()
    sys.stdout.writelines(f"{problem}\n" for problem in found)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
