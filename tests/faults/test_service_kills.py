"""A server that is killed in a request, and files that several processes write: nothing is lost, nothing is doubled."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from service_process import PAYMENTS, alerts, effects, kill_and_repeat

from models.errors import TesseraError
from pipelines.gateway.keys import KeyFile
from pipelines.gateway.pseudonyms import Pseudonyms
from tests.fork_server import PROCESSES


@pytest.mark.slow
def test_a_request_whose_server_is_killed_has_its_effect_once_when_it_is_repeated(tmp_path: Path) -> None:
    kills = 3
    assert kill_and_repeat(tmp_path, kills).total() == kills
    labels, events = effects(tmp_path)
    wanted = {(alert.alert_id, payment) for alert in alerts(kills + 1) for payment in alert.evidence}
    assert labels == dict.fromkeys(wanted, 1)
    assert events == PAYMENTS * (kills + 1)


def _create(home: Path, first: int) -> None:
    keys = KeyFile(home)
    for number in range(first, first + 5):
        keys.create(f"key {number}", "viewer")


def test_keys_that_are_made_at_one_time_are_all_kept(tmp_path: Path) -> None:
    together = [PROCESSES.Process(target=_create, args=(tmp_path, 10 * one)) for one in range(3)]
    for one in together:
        one.start()
    for one in together:
        one.join()
    assert [one.exitcode for one in together] == [0, 0, 0]
    found = KeyFile(tmp_path).keys()
    assert {key.name for key in found.values()} == {f"key {10 * one + more}" for one in range(3) for more in range(5)}
    assert sorted(one.name for one in (tmp_path / "service").iterdir()) == ["keys.json", "keys.lock"]


def test_what_a_killed_writer_left_is_no_hindrance(tmp_path: Path) -> None:
    text = KeyFile(tmp_path).create("ada", "viewer")
    (tmp_path / "service" / "keys.tmp").write_text('{"keys": [')
    KeyFile(tmp_path).create("bob", "viewer")
    holder = KeyFile(tmp_path).holder(text)
    assert holder is not None
    assert [key.name for key in KeyFile(tmp_path).keys().values()] == ["ada", "bob"]


def test_the_secret_of_pseudonyms_is_one_and_whole_whoever_makes_it_first(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as together:
        found = set(together.map(lambda _: Pseudonyms(tmp_path).of("churn", "c1"), range(16)))
    assert len(found) == 1
    assert [one.name for one in (tmp_path / "service").iterdir()] == ["secret"]
    assert stat.S_IMODE((tmp_path / "service" / "secret").stat().st_mode) == 0o600
    (tmp_path / "service" / "secret").write_bytes(b"")  # what an older version left when it was killed at once
    with pytest.raises(TesseraError, match="has 0 bytes"):
        _ = Pseudonyms(tmp_path)
