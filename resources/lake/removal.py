"""Files of a table written once more without some of their rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import pyarrow.compute as pc
import pyarrow.fs as pa_fs

from resources.lake.parts import Part, number_of, write_part

if TYPE_CHECKING:
    import pyarrow.dataset as ds

# pyright: basic, reportAttributeAccessIssue=false
# pyarrow makes the functions of `pyarrow.compute` when it is imported.


@dataclass(frozen=True)
class Rewritten:
    """A file of `day` at `path` (relative to the table) that loses `removed` rows.

    `part` is the file with the other rows, None if there are none.
    """

    path: str
    day: date
    removed: int
    part: Part | None


def rewrite_without(table: ds.Dataset, files: pa_fs.FileSystem, where: pc.Expression, by: str) -> Iterator[Rewritten]:
    """Each file with a row for which `where` is true, after its other rows were written to a new file beside it.

    Nothing refers to the new files yet. Of other files only the columns of `where` are read, and not even those where
    the limits in their footers exclude it. One file is held in memory at a time.
    """
    from pyarrow.dataset import get_partition_keys  # brings pandas, which loading the definitions must not

    kept = ~pc.coalesce(where, pc.scalar(False))  # where it is unknown, the row stays
    for number, fragment in enumerate(table.get_fragments()):
        removed = fragment.count_rows(filter=where)
        if not removed:
            continue
        day = get_partition_keys(fragment.partition_expression)[by]
        rows = fragment.to_table(schema=table.schema, filter=kept).drop_columns([by])
        folder = fragment.path.rpartition("/")[0]
        place = number_of(fragment.path, number)
        part = write_part(files, rows, folder, day, place) if rows.num_rows else None
        yield Rewritten(fragment.path, day, removed, part)
