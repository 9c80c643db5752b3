"""Feature rows come in the order of the files, only the asked columns, whatever the row groups."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from models.scoring.feature_files import feature_batches


def test_rows_of_several_files_in_order(tmp_path: Path) -> None:
    table = pa.table({"customer_id": [f"c{n:03d}" for n in range(100)], "x": range(100), "y": range(100)})
    files = []
    for number, (start, length) in enumerate([(0, 33), (33, 0), (33, 67)]):
        files.append(str(tmp_path / f"{number}.parquet"))
        pq.write_table(table.slice(start, length), files[-1], row_group_size=10)
    batches = list(feature_batches(files, ["customer_id", "y"], batch_rows=16))
    assert max(batch.num_rows for batch in batches) <= 16
    assert pa.Table.from_batches(batches).equals(table.select(["customer_id", "y"]))
