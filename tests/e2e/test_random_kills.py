"""A sample of the kills of `python -m benchmarks.recovery`: the same command again makes the undisturbed home."""

import random
from pathlib import Path

import pytest
from shop_home import Home

from benchmarks.recovery.killing import killed
from benchmarks.recovery.works import FORGOTTEN, WORKS


#: A killed `forget` is in the long mode: tests/faults/test_forgetting_crashes.py kills it before each kind of change.
@pytest.mark.parametrize("name", ["churn_online", pytest.param("forget", marks=pytest.mark.long)])
def test_a_command_that_was_killed_converges(name: str, trained: Home, tmp_path: Path) -> None:
    (work,) = [work for work in WORKS if work.name == name]
    assert FORGOTTEN in trained.opened().open("lake").scan("customers").to_table()["customer_id"].to_pylist()
    base = trained.copy(tmp_path / "base" / "home")
    (found,) = killed(work, base, tmp_path, 1, random.Random(tmp_path.name))  # noqa: S311 - not for secrets
    assert found.different == []
    assert found.kills + found.missed >= 1
    assert found.said == []
