"""A changed contract is called what it is, its version must tell, and the files for other tools follow."""

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from models.contracts import CONTRACTS, ORDERS, Column, Contract
from models.contracts.change import compare, version_is_due
from pipelines.docs.contracts import data_contract, json_schema, problems, release, released, write

ROOT = Path(__file__).resolve().parents[3]


def column(name: str, **update: Any) -> Contract:
    columns = [c.model_copy(update=update) if c.name == name else c for c in ORDERS.columns]
    return ORDERS.model_copy(update={"columns": tuple(columns)})


def promise(**update: Any) -> Contract:
    return ORDERS.model_copy(update=update)


def more(nullable: bool) -> Contract:
    new = Column(name="channel", type="string", description="Where it was ordered.", nullable=nullable)
    return promise(columns=(*ORDERS.columns, new))


CHANGES = [
    ("none", ORDERS),
    ("none", promise(description="Other words.", owner="team:other")),
    ("none", column("country", description="Other words.")),
    ("additive", more(nullable=True)),
    ("additive", promise(freshness_hours=1)),
    ("breaking", more(nullable=False)),
    ("breaking", promise(columns=ORDERS.columns[:-1])),
    ("breaking", promise(freshness_hours=24)),
    ("breaking", promise(key="order_id")),
    ("breaking", promise(versioned_by=("ordered_at",))),
    ("breaking", promise(event=None)),
    ("breaking", promise(rules=ORDERS.rules[1:])),
    ("breaking", column("quantity", type="float64")),
    ("breaking", column("customer_id", nullable=True)),
    ("breaking", column("customer_id", pii="direct")),
    ("breaking", column("unit_price", unit="cents per piece")),
    ("breaking", column("unit_price", at_most=10_000)),
    ("breaking", column("unit_price", at_most=30_000)),
    ("breaking", column("unit_price", more_than=None)),
    ("breaking", column("quantity", at_least=None)),
    ("breaking", column("quantity", never=None)),
    ("breaking", column("ordered_at", not_before=date(2010, 1, 1))),
    ("breaking", column("currency", one_of=("EUR",))),
]


@pytest.mark.parametrize(("kind", "new"), CHANGES)
def test_a_change_is_called_what_it_is(kind: str, new: Contract) -> None:
    change = compare(ORDERS, new)
    assert change.kind == kind
    assert bool(change.notes) is (kind != "none")


def test_a_rule_that_comes_and_one_that_goes_are_both_breaking() -> None:
    for old, new in ((ORDERS, promise(rules=())), (promise(rules=()), ORDERS)):
        assert compare(old, new).kind == "breaking"


def test_a_column_that_comes_and_goes_is_not_the_same_change() -> None:
    assert compare(ORDERS, more(nullable=True)).kind == "additive"
    assert compare(more(nullable=True), ORDERS).kind == "breaking"


@pytest.mark.parametrize(
    ("version", "change", "due"),
    [
        ("1.0.0", promise, None),
        ("1.0.0", lambda **v: more(nullable=True).model_copy(update=v), "minor"),
        ("1.0.1", lambda **v: more(nullable=True).model_copy(update=v), "minor"),
        ("1.1.0", lambda **v: more(nullable=True).model_copy(update=v), None),
        ("2.0.0", lambda **v: more(nullable=True).model_copy(update=v), None),
        ("1.9.0", lambda **v: more(nullable=False).model_copy(update=v), "major"),
        ("2.0.0", lambda **v: more(nullable=False).model_copy(update=v), None),
    ],
)
def test_the_version_tells_of_the_change(version: str, change: Callable[..., Contract], due: str | None) -> None:
    assert version_is_due(ORDERS, change(version=version)) == due


def test_every_contract_has_been_released_and_none_has_changed_without_a_new_version() -> None:
    assert released().keys() == CONTRACTS.keys()
    assert problems() == []


def test_a_breaking_change_without_a_new_major_version_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release(tmp_path)
    monkeypatch.setitem(CONTRACTS, "orders", column("customer_id", nullable=True))
    write(tmp_path)
    (found,) = problems(tmp_path)
    assert "needs a new major version" in found
    assert "customer_id: nullable was False and is True" in found


def test_a_file_that_is_not_up_to_date_is_found(tmp_path: Path) -> None:
    write(tmp_path)
    assert problems(tmp_path) == []
    (tmp_path / "orders.odcs.yaml").write_text("edited by hand")
    (tmp_path / "orders.schema.json").unlink()
    assert len(problems(tmp_path)) == 2


@pytest.mark.slow
def test_the_command_for_ci_agrees() -> None:
    command = [sys.executable, "-m", "pipelines.docs.contracts", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.slow
def test_declarations_can_be_imported_without_any_library_that_checks_rows() -> None:
    heavy = "{'polars', 'pandas', 'pandera', 'ibis', 'sklearn'}"
    script = f"import sys, models.contracts, models.ingestion; sys.exit(', '.join({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""


GOOD_ORDER = {
    "order_line_id": "o1-1",
    "order_id": "o1",
    "customer_id": "c1",
    "product_id": "p1",
    "ordered_at": "2024-05-02T10:00:00Z",
    "quantity": 2,
    "unit_price": 9.5,
    "currency": "EUR",
    "country": "Spain",
    "is_return": False,
    "delivered_on": "2024-05-02",
}


@pytest.mark.parametrize(
    ("change", "accepted"),
    [
        ({}, True),
        ({"quantity": 0}, False),
        ({"quantity": 100_001}, False),
        ({"unit_price": 0}, False),
        ({"currency": "XXX"}, False),
        ({"customer_id": ""}, False),
        ({"customer_id": None}, False),
        ({"more": 1}, False),
    ],
)
def test_the_json_schema_judges_as_the_contract_does(change: dict[str, Any], accepted: bool) -> None:
    schema = json_schema(ORDERS)
    jsonschema.Draft202012Validator.check_schema(schema)
    valid = jsonschema.Draft202012Validator(schema).is_valid({**GOOD_ORDER, **change})
    assert valid is accepted


@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=list(CONTRACTS))
def test_the_data_contract_has_what_the_standard_demands(contract: Contract) -> None:
    """ODCS 3.0: the required fields, and the allowed values of `apiVersion`, `kind` and `logicalType`."""
    told = yaml.safe_load(yaml.safe_dump(data_contract(contract)))
    assert {"version", "apiVersion", "kind", "id", "status"} <= told.keys()
    assert (told["apiVersion"], told["kind"]) == ("v3.0.1", "DataContract")
    (table,) = told["schema"]
    assert {p["logicalType"] for p in table["properties"]} <= {"string", "date", "number", "integer", "boolean"}
    key = {p["primaryKeyPosition"]: p["name"] for p in table["properties"] if p.get("primaryKey")}
    assert [key[place] for place in sorted(key)] == [*contract.unique]
    personal = {p["name"] for p in table["properties"] if "pii" in p.get("tags", [])}
    assert personal == {c.name for c in contract.columns if c.pii != "none"}
    assert told["slaProperties"][0]["value"] == contract.freshness_hours


def test_a_released_contract_is_read_back_as_it_was(tmp_path: Path) -> None:
    release(tmp_path)
    assert released(tmp_path / "released") == CONTRACTS
    assert json.loads((tmp_path / "released" / "orders.json").read_text())["version"] == ORDERS.version
