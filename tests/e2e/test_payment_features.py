"""`tessera features fraud` on real payments, from an empty home."""

import os
import shutil
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
from in_process import Said, tessera

from models.features.fraud import IDENTITY
from models.features.fraud_definitions import FEATURES


def features(home: Path, data: Path, *arguments: str) -> Said:
    """`tessera features fraud`, in a home and on data of the test's own."""
    chosen = {"TESSERA_HOME": str(home), "TESSERA_PROFILE": "fraud-handbook", "TESSERA_DATA_DIR": str(data)}
    return tessera(["features", "fraud", *arguments], {**os.environ, **chosen})


@pytest.mark.real
def test_features_of_two_days_from_a_folder_of_any_parquet_files(shared_data: Path, tmp_path: Path) -> None:
    """A week of payments in a file of another name, beside the published features, which are no payments."""
    data, out = tmp_path / "data", tmp_path / "features.parquet"
    data.mkdir()
    handbook = shared_data / "fraud_handbook"
    shutil.copy(handbook / "expected_features_2018-07-25.parquet", data)
    with duckdb.connect() as connection:
        week = f"FROM '{handbook}/transactions_*.parquet' WHERE TX_DATETIME < TIMESTAMP '2018-04-08'"
        connection.execute(f"COPY (SELECT * {week}) TO '{data / 'week.parquet'}'")
        expected = connection.execute(f"SELECT count(*) {week} AND TX_DATETIME >= TIMESTAMP '2018-04-06'").fetchall()[
            0
        ][0]
    done = features(tmp_path / "home", data, "--from", "2018-04-06", "--to", "2018-04-07", "--out", str(out))
    assert done.code == 0
    assert all(line.endswith(" ...") or ": done in " in line for line in done.err.splitlines()), done.err
    assert f"{expected:,} payments with {len(FEATURES)} features" in done.out
    found = pq.read_table(out)
    assert found.column_names == [*IDENTITY, *FEATURES]
    assert found.num_rows == expected
    assert sum(column.null_count for column in found.columns) == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--out", "x.parquet"], "--from DAY --to DAY"),
        (["--from", "2018-04-07", "--to", "2018-04-06", "--out", "x.parquet"], "is after --to 2018-04-06"),
        (["--from", "2018-04-6", "--to", "2018-04-07", "--out", "x.parquet"], "'2018-04-6' is not a day"),
    ],
)
def test_wrong_questions_get_three_lines(arguments: list[str], says: str, tmp_path: Path) -> None:
    done = features(tmp_path / "home", tmp_path, *arguments)
    told = done.out + done.err
    assert done.code != 0
    assert says in told
    assert "Traceback" not in told
