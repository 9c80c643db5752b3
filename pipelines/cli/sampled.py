"""A sample of a source's rows, checked by the contract: share and example of each reason, and a way out."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from models.contracts import CONTRACTS, Contract
from resources.source.port import Source

SAMPLED_ROWS = 20_000
_UNREADABLE = re.compile(r"^(\w+) cannot be read as (\w+)$")


@dataclass(frozen=True)
class Reason:
    """One reason for quarantine: its share of the sampled rows (0 to 1), one row's words, and a way out if known."""

    reason: str
    share: float
    example: str
    suggestion: str | None


@dataclass(frozen=True)
class Sampled:
    """The outcome for a sample of one table.

    Attributes:
        table: its name.
        rows: sampled rows.
        share: of them that would go to quarantine, 0 to 1.
        reasons: for that.
        oddities: of the rows that would be kept, a sentence each.
    """

    table: str
    rows: int
    share: float
    reasons: Sequence[Reason]
    oddities: Sequence[str] = ()

    def lines(self) -> list[str]:
        """One line for the whole, one for each reason, the most frequent first."""
        if not self.rows:
            return [f"{self.table}: no rows"]
        lines = [f"{self.table}: {self.rows:,} rows sampled, {self.share:.1%} would go to quarantine"]
        for found in self.reasons:
            lines.append(f"  {found.share:7.2%}  {found.reason}, for example: {found.example}")
            if found.suggestion:
                lines.append(f"           would be read by: {found.suggestion}")
        return [*lines, *(f"  odd: {sentence}" for sentence in self.oddities)]


def sampled(table: str, source: Source, rows: int = SAMPLED_ROWS) -> Sampled:
    """Return the first `rows` rows of a table as the contract checks them.

    Duplicates are found within the sample only, and prices are not compared with a catalogue.

    Raises:
        TesseraError: the source cannot be read.
    """
    from models.contracts.checking import check_rows
    from models.contracts.oddities import oddities

    contract, raw, names = CONTRACTS[table], source.sample(table, rows), source.original_names(table)
    checked = check_rows(contract, raw, original_names=names)
    reasons = [
        _reason(contract, label, count / raw.num_rows, checked.quarantined, names)
        for label, count in sorted(checked.reasons.items(), key=lambda item: -item[1])
    ]
    share = checked.quarantined.num_rows / max(raw.num_rows, 1)
    return Sampled(table, raw.num_rows, share, reasons, oddities(contract, checked.kept))


def _reason(contract: Contract, label: str, share: float, refused: pa.Table, names: Mapping[str, str]) -> Reason:
    told = [
        (words, json.loads(row["original"]))
        for row in refused.select(["reasons", "original"]).to_pylist()
        for words in row["reasons"]
        if _same(words, label)
    ]
    example = told[0][0] if told else label
    unreadable = _UNREADABLE.match(label)
    if unreadable is None or unreadable[1] not in names:
        return Reason(label, share, example, None)
    column = contract.column(unreadable[1])
    file_column = names[column.name]
    values = [str(original[file_column]) for _, original in told if original.get(file_column) is not None]
    from resources.source.suggestions import suggested

    return Reason(label, share, example, suggested(column.type, file_column, values))


def _same(words: str, label: str) -> bool:
    """Return True if a row's words are those of a reason: the value in them apart."""
    return words == label or re.fullmatch(_pattern(label), words) is not None


def _pattern(label: str) -> str:
    name, _, rest = label.partition(" ")
    return rf"{re.escape(name)} .*?{re.escape(rest)}.*"
