"""Values of cached steps in a file: equal after any restart, bounded, and never a reason to fail."""

import multiprocessing
import sqlite3
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.compose.batch import from_records
from models.compose.call import new_call
from models.compose.fields import fields
from models.compose.step import Leaf
from resources.step_cache.content import from_bytes, to_bytes
from resources.step_cache.port import StepCache
from tests.unit.compose.compose_steps import answering, answers

WHOLE = {"text": "ü\ud800 \0", "number": 0.1, "missing": None, "flag": True, "texts": ["a", ""]}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "steps.db"


def test_a_step_is_not_asked_again_after_a_restart_unless_its_version_changes(file: Path) -> None:
    asked: list[float] = []

    def step(version: str) -> Leaf:
        return answering("a", lambda x: asked.extend(x) or x, cached=True, version=version)

    first = answers(step("1"), 1, 2, call=new_call(cache=StepCache(file)))
    call = new_call(cache=StepCache(file))
    assert answers(step("1"), 1, 2, 3, call=call)[0][:2] == first[0]
    assert (asked, call.log[0].cached) == ([1, 2, 3], 2)
    answers(step("2"), 1, call=new_call(cache=StepCache(file)))
    assert asked == [1, 2, 3, 1]


def test_values_of_every_type_come_back_as_they_were(file: Path) -> None:
    gives = fields(
        "All",
        {"a": "text?", "b": "number?", "c": "vector(3)", "d": "timestamp", "e": "record", "f": "texts", "g": "flag"},
    )
    records = [
        {
            "a": text,
            "b": number,
            "c": [0.1, 2, 3],
            "d": datetime(2026, 1, 2, 3, 4, 5, 6, UTC),
            "e": {"x": {"y": [1, None]}},
            "f": ["é"],
            "g": False,
        }
        for text, number in (("\ud800", None), (None, 0.1))
    ]
    made = from_records(records, gives)
    leaf = Leaf(
        "all", fields("N", {"n": "number"}), gives, lambda n: made.take(n.astype(int)).columns, cached=True, version="1"
    )
    batch = from_records([{"n": 0.0}, {"n": 1.0}], leaf.takes)
    fresh = leaf.run(batch, new_call(cache=StepCache(file)))
    call = new_call(cache=StepCache(file))
    kept = leaf.run(batch, call)
    assert call.log[0].cached == 2
    for name, column in fresh.batch.columns.items():
        assert kept.batch[name].dtype == column.dtype
        assert [repr(one) for one in kept.batch[name]] == [repr(one) for one in column]


def json_values() -> st.SearchStrategy[Any]:
    plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
    return st.recursive(plain, lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner))


@pytest.mark.slow
@settings(max_examples=30)
@given(st.dictionaries(st.sampled_from(["a", "\0vector", "\0timestamp"]), json_values() | st.tuples(json_values())))
def test_what_is_kept_comes_back_equal_and_what_would_not_is_not_kept(values: dict[str, Any]) -> None:
    content = to_bytes(values)
    assert content is None or repr(from_bytes(content)) == repr(values)


def test_a_damaged_entry_is_a_miss(file: Path) -> None:
    StepCache(file).put({"a": WHOLE, "b": WHOLE, "c": WHOLE})
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE entry SET content = substr(content, 1, 20) WHERE key = 'a'")
        connection.execute(
            "UPDATE entry SET content = (SELECT content FROM entry WHERE key = 'c') || x'20' WHERE key = 'b'"
        )
    connection.close()
    assert StepCache(file).get(["a", "b", "c", "d"]) == {"c": WHOLE}
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE entry SET content = (SELECT content FROM entry WHERE key = 'c') WHERE key = 'a'")
    connection.close()
    assert StepCache(file).get(["a"]) == {}, "another entry's content"


@pytest.mark.parametrize("at", [0, 100, 5000])
def test_a_damaged_file_is_made_anew(file: Path, at: int, caplog: pytest.LogCaptureFixture) -> None:
    cache = StepCache(file)
    cache.put({str(key): WHOLE for key in range(200)})
    cache.close()
    content = bytearray(file.read_bytes())
    content[at : at + 3000] = b"\xff" * 3000
    file.write_bytes(content)
    again = StepCache(file)
    for _ in range(3):
        found = again.get([str(key) for key in range(200)])
        assert all(one == WHOLE for one in found.values())
        again.put({"new": WHOLE})
    assert again.get(["new"]) == {"new": WHOLE}
    again.close()


def test_a_folder_that_cannot_be_written_is_told_and_the_step_runs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    cache = StepCache(tmp_path / "file" / "steps.db")
    leaf = answering("a", cached=True, version="1")
    assert answers(leaf, 1, call=new_call(cache=cache))[0] == [{"answer": "a", "confidence": 1.0}]
    assert "cannot be read" in caplog.text


def test_entries_that_were_not_used_for_longest_go(file: Path) -> None:
    cache = StepCache(file, max_entries=3)
    cache.put({"a": WHOLE, "b": WHOLE, "c": WHOLE})
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE entry SET used = used - 1000")
    connection.close()
    cache.get(["a"])
    cache.put({"d": WHOLE, "e": WHOLE})
    assert cache.get(["a", "b", "c", "d", "e"]).keys() == {"a", "d", "e"}


def _many(file: Path, first: int) -> None:
    cache = StepCache(file)
    for at in range(first, first + 20):
        cache.put({str(at): {"n": at}})


def test_threads_and_processes_share_a_file(file: Path) -> None:
    shared, found = StepCache(file), dict[str, Mapping[str, Any]]()
    forked = multiprocessing.get_context("fork").Process(target=_many, args=(file, 0))
    forked.start()
    threads = [threading.Thread(target=lambda first=first: _put(shared, first)) for first in (20, 40)]
    for one in (*threads,):
        one.start()
    for one in (*threads, forked):
        one.join(30)
    found = dict(StepCache(file).get([str(at) for at in range(60)]))
    assert found == {str(at): {"n": at} for at in range(60)}


def _put(cache: StepCache, first: int) -> None:
    for at in range(first, first + 20):
        cache.put({str(at): {"n": at}})


def test_arrays_of_objects_are_not_kept() -> None:
    assert to_bytes({"a": np.array([object()])}) is None
