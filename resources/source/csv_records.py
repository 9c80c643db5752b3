"""Lines of a CSV file as records: a broken quote costs its own line, never a line after it."""

import csv
import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from resources.source.formats import Format

#: From so many columns on, lines that each have every column are records, also between quotes.
_COLUMNS_OF_A_RECORD = 4


class Record(NamedTuple):
    """One record as it is in the file.

    Attributes:
        number: of its first line, from 1.
        fields: its fields; none where the line cannot be taken apart.
        problem: why it cannot be read, else an empty text.
        text: its line(s) without the last line's end.
    """

    number: int
    fields: Sequence[str]
    problem: str
    text: str


class Lines(NamedTuple):
    """Lines that each are one whole record, the first of them `number`."""

    number: int
    lines: Sequence[str]


def records(lines: Iterator[str], form: Format) -> Iterator[Record]:
    """Every record of a CSV file, its header first; blank lines are none.

    Well-formed records (RFC 4180) are what Python's `csv` makes of them. Where quotes are broken, or a quote swallows
    lines that are records themselves, the line with the quote is a record with a problem and reading goes on behind it.
    """
    return RecordReader(lines, form).records()


class RecordReader:
    """Records of a CSV file one by one or, where they are simple, a thousand lines at once."""

    def __init__(self, lines: Iterator[str], form: Format) -> None:
        self._feed, self._form = _Feed(lines), form
        self._reader = csv.reader(self._feed, strict=True, **_dialect(form))  # type: ignore[arg-type]
        self._number, self._width = 1, 0

    def records(self) -> Iterator[Record]:
        """Yield the records from here on, see `records`."""
        while (record := self._next()) is not None:
            yield record

    def blocks(self, lines: int) -> Iterator[Lines | list[Record]]:
        """Yield the records from here on, in blocks of about so many lines. The header has been read before."""
        while block := self._feed.ahead(lines):
            if self._is_simple(block):
                yield Lines(self._number, block)
                self._number += len(block)
            else:
                yield self._records_of(block)

    def _records_of(self, block: list[str]) -> list[Record]:
        self._feed.push_back(block)
        found: list[Record] = []
        while self._feed.has_back and (record := self._next()) is not None:
            found.append(record)
        return found

    def _is_simple(self, block: Sequence[str]) -> bool:
        """Return True if every line is one whole record with every column."""
        form, text = self._form, "".join(block)
        if self._width < 2 or form.escape or "\0" in text or not form.delimiter.isascii():
            return False
        if not form.quote or form.quote not in text:
            counts = [line.count(form.delimiter) for line in block]
            return min(counts) == max(counts) == self._width - 1
        try:
            fields = list(map(len, csv.reader(block, strict=True, **_dialect(form))))  # type: ignore[arg-type]
        except csv.Error:
            return False
        return len(fields) == len(block) and min(fields) == max(fields) == self._width

    def _next(self) -> Record | None:
        """Return the next record; None at the end."""
        while True:
            self._feed.taken.clear()
            fields, problem = list[str](), ""
            try:
                fields = next(self._reader)
            except StopIteration:
                return None
            except csv.Error as error:
                problem = _in_words(error)
            if problem or self._swallows():
                return self._line_alone(problem or "a quote is not closed in its line, and swallows further records")
            number, taken = self._number, self._feed.taken
            self._number += len(taken)
            if fields:
                self._width = self._width or len(fields)
                problem = _misshapen(fields, self._width, taken)
                return Record(number, fields, problem, "".join(taken).rstrip("\r\n") if problem else "")

    def _swallows(self) -> bool:
        return len(self._feed.taken) > 1 and _are_records(self._feed.taken, self._width, self._form)

    def _line_alone(self, problem: str) -> Record:
        first, *others = self._feed.taken
        self._feed.push_back(others)
        self._number += 1
        return Record(self._number - 1, (), problem, first.rstrip("\r\n"))


class _Feed:
    """Lines for a reader that remembers those it took, and takes some of them back."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines, self._back = lines, deque[str]()
        self.taken: list[str] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._back.popleft() if self._back else next(self._lines)
        self.taken.append(line)
        return line

    def ahead(self, count: int) -> list[str]:
        """Return the next lines, without noting them."""
        back = [self._back.popleft() for _ in range(min(count, len(self._back)))]
        return back + list(itertools.islice(self._lines, count - len(back)))

    @property
    def has_back(self) -> bool:
        """True if lines that were taken back are waiting."""
        return bool(self._back)

    def push_back(self, lines: Sequence[str]) -> None:
        self._back.extendleft(reversed(lines))


def _dialect(form: Format) -> dict[str, object]:
    if not form.quote:
        return {"delimiter": form.delimiter, "quoting": csv.QUOTE_NONE, "quotechar": None}
    return {
        "delimiter": form.delimiter,
        "quotechar": form.quote,
        "doublequote": not form.escape,
        "escapechar": form.escape or None,
    }


def _are_records(lines: Iterable[str], width: int, form: Format) -> bool:
    """Return True if each line alone has every column, most of them filled: quoted text hardly ever looks like that."""
    if width < _COLUMNS_OF_A_RECORD:
        return False
    for line in lines:
        fields = line.rstrip("\r\n").split(form.delimiter)
        if len(fields) != width or 2 * sum(map(bool, fields)) <= width:
            return False
    return True


def _misshapen(fields: Sequence[str], width: int, lines: Sequence[str]) -> str:
    if len(fields) != width:
        return f"{len(fields)} fields where the header names {width} columns"
    return "it holds zero bytes" if any("\0" in line for line in lines) else ""


def _in_words(error: csv.Error) -> str:
    says = str(error)
    if "expected after" in says:
        return "a quote inside a quoted field is not doubled, or a quote is not closed"
    if "unexpected end" in says:
        return "a quote is not closed"
    return says
