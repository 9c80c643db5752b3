"""Forgetting that is killed at any boundary and begun again ends where an undisturbed one ends, every row counted.

And while others write what they had read before, the entity does not come back.
"""

import json
import shutil
import signal
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import forgetting_process
from forgetting_home import ID, fill, opened, places_with, state

from assets.maintenance.erasure import forget
from models.erasure.record import Erasure
from tests.fork_server import PROCESSES
from tests.fraud_store import FraudStore

#: Homes in which processes are killed again and again, until each kind of change was interrupted in one of them.
HOMES = 6


def started(does: Callable[..., None], *arguments: Any, **named: Any) -> BaseProcess:
    process = PROCESSES.Process(target=does, args=arguments, kwargs=named)
    process.start()
    return process


def forgotten(folder: Path, last: str = "", nth: int = 0) -> tuple[int | None, list[str]]:
    """How a process ended that forgot (negative: the signal), and what it changed."""
    said = folder.with_name(f"{folder.name}.txt")
    process = started(forgetting_process.forget_watched, folder, last, nth, said)
    process.join()
    return process.exitcode, said.read_text().split() if said.exists() else []


def proof(folder: Path) -> Erasure:
    """The only one; nothing else is left beside it."""
    (file,) = (folder / "forgotten").glob("*.json")
    assert {path.suffix for path in (folder / "forgotten").iterdir()} <= {".json", ".md"}
    return Erasure.model_validate_json(file.read_text())


def histories(changes: list[str]) -> list[list[tuple[str, int]]]:
    """Kinds of change before which the processes of each home die, one after the other; early ones first.

    The first dies in the middle of changes of its kind, those that go on from there before the first that is left.
    """
    middles = {name: [at for at, done in enumerate(changes) if done == name] for name in changes}
    kinds = sorted(middles, key=lambda name: middles[name][len(middles[name]) // 2])
    homes = [kinds[first::HOMES] for first in range(HOMES)]
    return [[(first, changes.count(first) // 2), *((name, 0) for name in later)] for first, *later in homes]


def test_killed_at_every_boundary_and_begun_again(tmp_path: Path) -> None:
    fill(tmp_path / "start")
    smooth = shutil.copytree(tmp_path / "start", tmp_path / "smooth")
    code, changes = forgotten(smooth)
    assert code == 0
    assert len(set(changes)) >= 18, f"there must be something to interrupt: {changes}"
    end, told = state(opened(smooth)), proof(smooth)
    assert places_with(smooth, ID) == []
    for number, deaths in enumerate(histories(changes)):
        folder = shutil.copytree(tmp_path / "start", tmp_path / f"home-{number}")
        ends = [forgotten(folder, *death)[0] for death in deaths]
        assert ends == [-signal.SIGKILL] * len(deaths), list(zip(deaths, ends, strict=True))
        assert forgotten(folder)[0] == 0
        assert places_with(folder, ID) == [], deaths
        assert state(opened(folder)) == end, deaths
        _accounts_for_all(folder, told, str(deaths))
        shutil.rmtree(folder)


def _accounts_for_all(folder: Path, told: Erasure, at: str) -> None:
    proofs = [json.loads(file.read_text()) for file in sorted((folder / "forgotten").glob("*.json"))]
    first = Erasure.model_validate(proofs[0])
    uncounted = {name for name, place in first.places.items() if "or more" in place.note}
    planned = {name for name in uncounted if name.startswith(("lake:", "scores:"))}
    assert not planned, "rows of the lake and of scores are counted before they are removed"
    assert first.places.keys() == told.places.keys()
    for name, place in first.places.items():
        expected = range(told.places[name].rows + 1) if name in uncounted else [told.places[name].rows]
        assert place.rows in expected, (at, name)
    assert [(m.version, m.golden_set) for m in first.learnt] == [(m.version, m.golden_set) for m in told.learnt], at
    assert first.unsure == told.unsure
    assert not list((folder / "forgotten").glob("*.journal"))


def test_writers_that_read_before_do_not_bring_the_entity_back(tmp_path: Path) -> None:
    parts = fill(tmp_path / "home")
    enough, said = tmp_path / "enough", [tmp_path / "worker", tmp_path / "publisher"]
    writers = [
        started(forgetting_process.write_stubbornly, tmp_path / "home", file, enough, as_worker=file.name == "worker")
        for file in said
    ]
    while not all(file.exists() for file in said):
        assert all(writer.is_alive() for writer in writers)
        time.sleep(0.02)
    record, _ = forget(parts, tmp_path / "home", "customer", ID, why="asked for it", who="ana")
    running = [writer.is_alive() for writer in writers]
    enough.touch()
    for writer in writers:
        writer.join()
    assert any(running), "nobody was writing any more when it was done"
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert record.rows > 0
    assert FraudStore(parts.state_store).erase(ID) == 0
    parts.events.forget(ID)  # what was published afterwards, and waits to be dropped or pruned
    assert places_with(tmp_path / "home", ID) == []
