"""CSV files and Excel sheets as Parquet files of texts, made once for each state of a file and deleted at the end."""

# pyright: basic
# pyarrow ships no types.

import itertools
import shutil
import tempfile
import weakref
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from resources.source.csv_records import Lines, Record, RecordReader, records
from resources.source.csv_text import lines_of
from resources.source.excel import sheet_records
from resources.source.formats import Format, broken

FILE, ROW = "_tessera_file", "_tessera_row"
#: The first field of a row beyond the header's columns; empty where a row cannot be taken apart at all.
BEYOND = "_beyond_the_header"
#: Why a record cannot be read, and its text; both null for a whole record.
PROBLEM, TEXT = "_tessera_problem", "_tessera_text"
INTERNAL = (FILE, ROW, BEYOND, PROBLEM, TEXT)

_ROWS_AT_ONCE = 32_768
_CONSTANT = pa.dictionary(pa.int32(), pa.string())
_PREFIX, _LOCK = "texts-", "in-use.lock"


@dataclass
class Spool:
    """Texts of files in a temporary folder; what a killed process left there is deleted by the next one.

    Args:
        cache: the folder above it.
    """

    cache: Path
    _made: dict[tuple[object, ...], tuple[Path, int]] = field(default_factory=dict, init=False, repr=False)
    _folder: Path | None = field(default=None, init=False, repr=False)

    def texts(self, file: Path, form: Format) -> tuple[Path, int]:
        """Return a Parquet file with every record of a CSV file or sheet, and their number.

        Columns: the header's (strings, null where empty), the internal ones; `ROW` counts from 1.

        Raises:
            TesseraError: the file is refused.
        """
        state = file.stat()
        key = (str(file), state.st_size, state.st_mtime_ns, form)
        if key not in self._made:
            place = self._opened() / f"{len(self._made)}.parquet"
            self._made[key] = (place, _write(file, form, place))
        return self._made[key]

    def _opened(self) -> Path:
        if self._folder is None:
            self.cache.mkdir(parents=True, exist_ok=True)
            _delete_left(self.cache)
            self._folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=self.cache))
            lock = FileLock(self._folder / _LOCK)
            lock.acquire()
            weakref.finalize(self, _delete, self._folder, lock)
        return self._folder


def header(file: Path, form: Format) -> list[str]:
    """Names of a file's columns; none if the file is empty.

    Raises:
        TesseraError: the file is refused.
    """
    with _records(file, form) as (names, _):
        return names


def _delete(folder: Path, lock: FileLock) -> None:
    lock.release()
    shutil.rmtree(folder, ignore_errors=True)


def _delete_left(cache: Path) -> None:
    """Delete the folders of processes that were killed: no process holds their locks."""
    for path in cache.glob(f"{_PREFIX}*/{_LOCK}"):
        lock = FileLock(path, blocking=False)
        try:
            lock.acquire()
        except (Timeout, OSError):
            continue
        _delete(path.parent, lock)


@contextmanager
def _records(file: Path, form: Format) -> Iterator[tuple[list[str], Iterator[Lines | list[Record]]]]:
    """Provide the names of a file's columns, and its records without the header, in blocks."""
    if form.kind_of(file) == "xlsx":
        found = sheet_records(file, form)
        names, first = _names(file, form, next(found, None))
        yield names, _in_blocks(itertools.chain(first, found))
        return
    with lines_of(file, form) as lines:
        reader = RecordReader(_without_separator(lines, file, form), form)
        names, first = _names(file, form, next(reader.records(), None))
        yield names, itertools.chain([first] if first else [], reader.blocks(_ROWS_AT_ONCE))


def _in_blocks(found: Iterator[Record]) -> Iterator[list[Record]]:
    while block := list(itertools.islice(found, _ROWS_AT_ONCE)):
        yield block


def _without_separator(lines: Iterator[str], file: Path, form: Format) -> Iterator[str]:
    """Without the first line `sep=;`, which gives Excel the delimiter."""
    for first in lines:
        said = first.rstrip("\r\n").lower()
        if len(said) == 5 and said.startswith("sep="):
            if said[4] != form.delimiter:
                raise broken(file, "csv", f"its fields end with {said[4]!r}", f"Set `delimiter: {said[4]!r}`.")
            yield "\n"  # blank: it keeps its number and is no record
        else:
            yield first
        break
    yield from lines


def _names(file: Path, form: Format, first: Record | None) -> tuple[list[str], list[Record]]:
    """Return the names of the columns, and the first record if it is no header."""
    if first is None:
        return [], []
    kind = form.kind_of(file)
    if first.problem:
        raise broken(file, kind, f"line {first.number}: {first.problem}")
    if not form.header and kind == "csv":
        return [f"column{place}" for place in range(len(first.fields))], [first]
    names = [name if name.strip() else f"column{place}" for place, name in enumerate(first.fields)]
    twice = [name for name, count in Counter(map(str.lower, names)).items() if count > 1]
    if twice or not any(field.strip() for field in first.fields):
        says = f"line {first.number} does not name each column once"
        raise broken(file, kind, f"{says}: {', '.join(map(repr, twice or first.fields))}")
    return names, []


def _write(file: Path, form: Format, place: Path) -> int:
    count = 0
    with _records(file, form) as (names, found):
        texts = [*names, BEYOND, PROBLEM, TEXT]
        schema = pa.schema([*((name, pa.string()) for name in texts), (FILE, _CONSTANT), (ROW, pa.int64())])
        with pq.ParquetWriter(place, schema, compression="lz4", use_dictionary=False) as writer:
            for block in found:
                table = _of_lines(block, form, len(names)) if isinstance(block, Lines) else None
                columns = table or _of_records(_as_records(block, form), len(names), file)
                rows = len(columns[-1])
                files = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), [str(file)])
                places = pa.array(range(count + 1, count + rows + 1), pa.int64())
                writer.write_table(pa.Table.from_arrays([*columns, files, places], schema=schema))
                count += rows
    return count


def _of_lines(block: Lines, form: Format, width: int) -> list[pa.Array] | None:
    """Return the columns of simple lines; None should the two readers not agree."""
    text = "".join(block.lines).encode()
    names = [str(place) for place in range(width)]
    read = pacsv.read_csv(
        pa.BufferReader(text),
        pacsv.ReadOptions(use_threads=False, block_size=len(text) + 1, column_names=names),
        pacsv.ParseOptions(delimiter=form.delimiter, quote_char=form.quote or False),
        pacsv.ConvertOptions(
            check_utf8=False, column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True, null_values=[""]
        ),
    )
    if read.num_rows != len(block.lines):
        return None
    nothing = pa.nulls(read.num_rows, pa.string())
    return [*(column.combine_chunks() for column in read.columns), nothing, nothing, nothing]


def _as_records(block: Lines | list[Record], form: Format) -> list[Record]:
    if not isinstance(block, Lines):
        return block
    return [record._replace(number=record.number + block.number - 1) for record in records(iter(block.lines), form)]


def _of_records(block: Sequence[Record], width: int, file: Path) -> list[pa.Array]:
    rows = [_padded(record, width) for record in block]
    texts = [[row[place] or None for row in rows] for place in range(width)]
    beyond = [_beyond(record, width) for record in block]
    problems = [_sentence(record, file) for record in block]
    whole = [record.text if record.problem else None for record in block]
    return [pa.array(each, pa.string()) for each in (*texts, beyond, problems, whole)]


def _beyond(record: Record, width: int) -> str | None:
    if record.problem and not record.fields:
        return ""
    return (record.fields[width] or " ") if len(record.fields) > width else None


def _padded(record: Record, width: int) -> Sequence[str | None]:
    fields: list[str | None] = list(record.fields[:width])
    return cast("Sequence[str | None]", fields + [None] * (width - len(fields)))


def _sentence(record: Record, file: Path) -> str | None:
    return f"line {record.number} of {file.name}: {record.problem}" if record.problem else None
