"""Forgetting that is killed at any boundary and begun again ends where an undisturbed one ends, every row counted.

And while others write what they had read before, the entity does not come back.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from forgetting_home import ID, fill, opened, places_with, state

from assets.maintenance.erasure import forget
from models.erasure.record import Erasure
from tests.fraud_store import FraudStore

HERE = Path(__file__).resolve().parent


def environment() -> dict[str, str]:
    folders = [str(HERE.parents[1]), str(HERE.parent)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(folders), "OPENBLAS_NUM_THREADS": "1"}


class Forgetters:
    """Starts processes that forget, and says how they ended."""

    def __init__(self) -> None:
        command = [sys.executable, str(HERE / "forgetting_process.py")]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self._server = subprocess.Popen(command, text=True, bufsize=1, env=environment(), **pipes)

    def run(self, folder: Path, step: int = -1) -> tuple[int, list[str]]:
        """Exit code (negative: the signal that ended it) and what it changed."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(f"{folder} {step}\n")
        code, *changes = self._server.stdout.readline().split()
        return int(code), changes

    def close(self) -> None:
        self._server.communicate()


@pytest.fixture(scope="module")
def forgetters() -> Iterator[Forgetters]:
    server = Forgetters()
    yield server
    server.close()


def proof(folder: Path) -> Erasure:
    """The only one; nothing else is left beside it."""
    (file,) = (folder / "forgotten").glob("*.json")
    assert {path.suffix for path in (folder / "forgotten").iterdir()} <= {".json", ".md"}
    return Erasure.model_validate_json(file.read_text())


def chosen(changes: list[str]) -> list[int]:
    """Steps at which to die: right before each kind of change, in the middle of those that are made many times."""
    places = {name: [at for at, done in enumerate(changes) if done == name] for name in changes}
    return sorted(steps[len(steps) // 2] for steps in places.values())


def test_killed_at_every_boundary_and_begun_again(tmp_path: Path, forgetters: Forgetters) -> None:
    fill(tmp_path / "start")
    smooth = shutil.copytree(tmp_path / "start", tmp_path / "smooth")
    code, changes = forgetters.run(smooth)
    assert code == 0
    assert len(set(changes)) >= 18, f"there must be something to interrupt: {changes}"
    end, told = state(opened(smooth)), proof(smooth)
    assert places_with(smooth, ID) == []
    for step in chosen(changes):
        folder = shutil.copytree(tmp_path / "start", tmp_path / f"at-{step}")
        assert forgetters.run(folder, step)[0] == -signal.SIGKILL
        assert forgetters.run(folder)[0] == 0
        assert places_with(folder, ID) == [], changes[step]
        assert state(opened(folder)) == end, changes[step]
        _accounts_for_all(folder, told, changes[step])
        shutil.rmtree(folder)


def _accounts_for_all(folder: Path, told: Erasure, at: str) -> None:
    proofs = [json.loads(file.read_text()) for file in sorted((folder / "forgotten").glob("*.json"))]
    first = Erasure.model_validate(proofs[0])
    uncounted = {name for name, place in first.places.items() if "or more" in place.note}
    assert len(uncounted) <= 1, "where only the store knew, and it has forgotten"
    assert first.places.keys() == told.places.keys()
    for name, place in first.places.items():
        expected = range(told.places[name].rows + 1) if name in uncounted else [told.places[name].rows]
        assert place.rows in expected, (at, name)
    assert [(m.version, m.golden_set) for m in first.learnt] == [(m.version, m.golden_set) for m in told.learnt], at
    assert first.unsure == told.unsure
    assert not list((folder / "forgotten").glob("*.journal"))


#: Writes again and again what it read before anybody was forgotten, ingests every day anew, and publishes payments; a
#: worker scores them, which holds in memory what it read before.
STUBBORN = """
import sys
from pathlib import Path
from forgetting_home import FIRST, ID, LAST, CONFIG, HighAmounts, features, opened, payment, training_rows, worker
from resources.conformance.score_sets import APP, reader, score_rows
from assets.stages.ingestion.run import ingest
from models.errors import TesseraError

parts = opened(Path(sys.argv[1]))
old, rows = features(LAST), score_rows([0.1, 0.2, 0.3, 0.4, 0.5])
trained = training_rows(LAST, old["customer_id"].to_pylist())
stream = worker(parts) if sys.argv[3] == "worker" else None
parts.events.publish([payment(100, ID, amount=1.0)])
if stream:
    stream.process(HighAmounts(), limit=3)
print("ready", flush=True)
refused = 0
enough, after = Path(sys.argv[2]), 0
for number in range(9):
    after += enough.exists()  # two rounds more, each a whole one
    if after > 2:
        break
    parts.events.publish([payment(101 + number, ID)])
    if stream:
        stream.process(HighAmounts(), limit=3)
    parts.lake.replace("churn_features", old.slice(number % 2), by="feature_date", first=LAST, last=LAST)
    parts.lake.replace("churn_training_set", trained.slice(number % 2), by="as_of", first=LAST, last=LAST)
    ingest("orders", parts.source, parts.lake, FIRST if number % 2 else LAST, CONFIG, f"run {number}")
    try:
        parts.sink.write_attempt(APP, LAST, f"b{number}", reader(rows))
    except TesseraError as error:
        assert "Somebody was forgotten" in str(error), error
        refused += 1
print("written", refused, flush=True)
"""


def test_writers_that_read_before_do_not_bring_the_entity_back(tmp_path: Path) -> None:
    parts = fill(tmp_path / "home")
    command = [sys.executable, "-c", STUBBORN, str(tmp_path / "home"), str(tmp_path / "enough")]
    writers = [
        subprocess.Popen([*command, what], stdout=subprocess.PIPE, text=True, env=environment())
        for what in ("worker", "publisher")
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    record, _ = forget(parts, tmp_path / "home", "customer", ID, why="asked for it", who="ana")
    running = [writer.poll() for writer in writers]
    (tmp_path / "enough").touch()
    said = [writer.communicate()[0] for writer in writers]
    assert None in running, "nobody was writing any more when it was done"
    assert [writer.returncode for writer in writers] == [0, 0]
    assert all(line.startswith("written") for line in said)
    assert record.rows > 0
    assert FraudStore(parts.state_store).erase(ID) == 0
    parts.events.forget(ID)  # what was published afterwards, and waits to be dropped or pruned
    assert places_with(tmp_path / "home", ID) == []
