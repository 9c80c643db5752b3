"""Where Feast finds the rows of a view: Parquet files in one folder, which the feature store keeps in step."""

from pathlib import Path

from feast import FileSource
from feast.data_format import ParquetFormat


def parquet_source(view: str, folder: Path) -> FileSource:
    """The source of `view`: every Parquet file in `folder/view`.

    `folder` must be absolute: Feast's DuckDB store resolves relative paths against the working directory.
    """
    return FileSource(
        name=f"{view}_files",
        path=str(folder / view / "*.parquet"),
        file_format=ParquetFormat(),
        timestamp_field="event_timestamp",
        created_timestamp_column="created_timestamp",
    )
