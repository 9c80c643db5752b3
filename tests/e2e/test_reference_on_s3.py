"""References to rows of tables on an S3-compatible store."""

import pickle
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest

from models.errors import TesseraError
from resources.engine.local import LocalEngineConfig
from resources.lake.delta import DeltaLake
from resources.lake.port import TableRef
from tests.servers.s3_server import bucket, s3_server


@pytest.fixture
def store() -> Iterator[str]:
    with s3_server() as address:
        yield address


def test_a_reference_to_rows_on_s3_is_read_where_the_engine_is(store: str, tmp_path: Path) -> None:
    """Nothing is copied: an engine of this process reads through the lake, another one by the addresses."""
    options = bucket(store, "tables")
    lake = DeltaLake("s3://tables/lake", options, copies=str(tmp_path / "copies"))
    days = [date(2024, 3, 1), date(2024, 3, 2)]
    rows = pa.table({"n": [1, 2, 3], "day": [days[0], days[0], days[1]]})
    lake.replace("t", rows, by="day", first=days[0], last=days[1])
    ref = lake.refer("t")
    engine = LocalEngineConfig(temp_directory=str(tmp_path / "tmp")).open()
    found = engine.query(lambda t: t.filter(t.n > 1).order_by("n").select("n", "day"), {"t": ref}).read_all()
    assert found.to_pydict() == {"n": [2, 3], "day": days}
    sent: TableRef = pickle.loads(pickle.dumps(ref))  # noqa: S301 - of this test
    keys = {key: value for key, value in options.items() if key.startswith("AWS_")}
    assert not any(value in repr(sent) for key, value in keys.items() if "KEY" in key)
    there = [(pl.read_parquet(file.address, storage_options=keys)["n"].to_list(), file.day) for file in sent.files]
    assert there == [([1, 2], days[0]), ([3], days[1])]
    with pytest.raises(TesseraError, match=r"s3://tables/lake/t/.* cannot be opened here"):
        sent.dataset()
    assert not (tmp_path / "copies").exists()
