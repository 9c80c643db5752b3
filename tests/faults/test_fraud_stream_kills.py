"""The stream's worker is killed again and again: every payment has its effect exactly once, and labels stay."""

import random
from datetime import UTC, datetime
from pathlib import Path

import pytest

from models.fraud.alerts import Verdict
from tests.faults.fraud_stream_kills import contents, histories, killed, published, workers
from tests.faults.fraud_stream_process import opened, work
from tests.unit.features.handbook import replayed

NOW = datetime(2018, 8, 20, 12, tzinfo=UTC)


@pytest.mark.real
@pytest.mark.parametrize(
    ("at_least", "events"),
    [(20, 6_000), pytest.param(50, 12_000, marks=pytest.mark.long)],
    ids=["20 kills", "50 kills"],
)
def test_a_worker_killed_at_any_moment_loses_and_doubles_nothing(
    at_least: int, events: int, shared_data: Path, tmp_path: Path
) -> None:
    given = replayed(shared_data, events, terminals=150)
    once, disturbed = tmp_path / "once", tmp_path / "disturbed"
    for folder in (once, disturbed):
        published(folder, given)
    work(once, 100)
    draw = random.Random(11)  # noqa: S311 - not for secrets
    with workers() as start:
        kills, labelled = 0, dict[str, Verdict]()
        while (
            kills < at_least or len(labelled) <= at_least / 2
        ):  # a slow machine scores fewer payments between two kills
            kills += killed(start, disturbed, 20, beyond=0, seconds=draw.random() * 0.01)
            labelled |= answered(disturbed, "fraud" if kills % 2 else "ok")
            assert opened(disturbed)[1].position()[0] < len(given), "the replay is too short for so many kills"
    work(disturbed, 20)
    for name, label in labelled.items():
        opened(once)[1].answer(name, label, who="ann", at=NOW)
    assert contents(disturbed) == contents(once)
    assert histories(disturbed) == histories(once)
    assert opened(disturbed)[0].backlog("fraud") == 0
    assert len(contents(once)["alert"]) > 2 * at_least


def answered(folder: Path, label: Verdict) -> dict[str, Verdict]:
    """What was said of the newest alert, while the worker may still join payments to it; nothing if it is known."""
    store = opened(folder)[1]
    alerts = [
        one for day in store.alert_days("fraud")[-1:] for one in store.find("fraud", day, day) if one.label is None
    ]
    for one in alerts[-1:]:
        store.answer(one.alert_id, label, who="ann", at=NOW)
    return {one.alert_id: label for one in alerts[-1:]}
