"""The nightly job with its tables on an S3-compatible store: the same published rows as with local tables."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from shop_home import DAY, Home, write_stack

from tests.servers.s3_server import bucket, s3_server


@pytest.fixture
def store() -> Iterator[str]:
    with s3_server() as address:
        yield address


def test_a_night_on_s3_publishes_what_a_local_night_publishes(store: str, trained: Home, tmp_path: Path) -> None:
    options = bucket(store, "tessera")
    remote = {"kind": "delta", "path": "s3://tessera/lake", "storage_options": options, "copies": "${home}/copies"}
    home = Home(tmp_path / "s3", write_stack(tmp_path / "s3.yaml", {"ports": {"lake": remote}}))
    home.tessera("run", "churn_nightly", "--date", DAY.isoformat())
    assert home.digest(DAY) == trained.digest(DAY)
    assert not (tmp_path / "s3" / "lake").exists()
