"""The nightly job with its tables on an S3-compatible store: the same published rows as with local tables."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from shop_home import DAY, SHOP, Home, write_stack

from tests.servers.s3_server import bucket, s3_server

#: Seven weeks of a shop so small that the server, which is slow, is asked for few files.
TINY: dict[str, Any] = {
    "ports": {"source": SHOP | {"customers": 300, "first_day": (DAY - timedelta(days=50)).isoformat()}},
    "settings": {
        "ingestion": {"history_days": 51},
        "churn": {"horizon_days": 10, "population_days": 28, "gate": {"min_rows": 100, "min_class_rows": 20}},
    },
}


@pytest.fixture
def store() -> Iterator[str]:
    with s3_server() as address:
        yield address


def test_a_night_on_s3_publishes_what_a_local_night_publishes(store: str, tmp_path: Path) -> None:
    options = bucket(store, "tessera")
    remote = {"kind": "delta", "path": "s3://tessera/lake", "storage_options": options, "copies": "${home}/copies"}
    there = Home(tmp_path / "s3", write_stack(tmp_path / "s3.yaml", TINY, {"ports": {"lake": remote}}))
    here = Home(tmp_path / "local", write_stack(tmp_path / "local.yaml", TINY))
    for home in (there, here):
        home.tessera("run", "churn_nightly", "--date", DAY.isoformat())
    assert there.digest(DAY) == here.digest(DAY)
    assert not (tmp_path / "s3" / "lake").exists()
