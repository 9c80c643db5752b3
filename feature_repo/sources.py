"""Feast data sources: a view reads the current version of a lake table."""

from pathlib import Path

from feast import FileSource
from feast.data_format import DeltaFormat


def lake_table(table: str, tables: Path | str) -> FileSource:
    """Return the source of a view: the Delta table `tables/table`, which need not exist yet.

    `tables`, the lake's path, must be absolute: Feast resolves relative ones against different places.
    """
    return FileSource(
        name=table,
        path=f"{tables}/{table}",
        file_format=DeltaFormat(),
        timestamp_field="event_timestamp",
        created_timestamp_column="created_timestamp",
    )
