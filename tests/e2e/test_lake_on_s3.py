"""The nightly job with its tables on an S3-compatible store: the same published rows as with local tables."""

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from shop_home import LENIENT, Home, write_stack

from tests.servers.s3_server import bucket, s3_server

FIRST = date(2025, 1, 1)
DAY = FIRST + timedelta(days=65)
#: A young shop: enough days to train on, few enough files.
YOUNG: dict[str, Any] = {
    "ingestion": {"history_days": 66},
    "churn": {
        "horizon_days": 14,
        "population_days": 60,
        "max_training_cutoffs": 2,
        "gate": LENIENT,
        "refit": {"enabled": False},
    },
}


@pytest.fixture
def store() -> Iterator[str]:
    with s3_server() as address:
        yield address


def test_a_night_on_s3_publishes_what_a_local_night_publishes(store: str, tmp_path: Path) -> None:
    options = bucket(store, "tessera")
    remote = {"kind": "delta", "path": "s3://tessera/lake", "storage_options": options, "copies": "${home}/copies"}
    digests: list[str] = []
    for name, ports in (("local", {}), ("s3", {"lake": remote})):
        stack = write_stack(tmp_path / f"{name}.yaml", {"ports": ports, "settings": YOUNG})
        home = Home(tmp_path / name, stack)
        home.tessera("run", "churn_nightly", "--date", DAY.isoformat())
        digests.append(home.digest(DAY))
    assert digests[0] == digests[1]
    assert not (tmp_path / "s3" / "lake").exists()
