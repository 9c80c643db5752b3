"""Record of the calls to paid models: one SQLite file in the home, a row for each try.

A call is recorded with the most that it can cost before it is made, and with what it cost afterwards. So calls of
several processes keep one limit, and what a process that died had begun to spend counts as spent.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Literal

from resources.account import Account
from resources.calls.failure import CallRefused
from resources.sqlite.file import SqliteFile

#: In the folder of a home.
FILE = "costs.db"
_TABLE = """
CREATE TABLE IF NOT EXISTS call (
    number INTEGER PRIMARY KEY,
    at TEXT NOT NULL,
    day TEXT NOT NULL,
    app TEXT NOT NULL,
    run_id TEXT NOT NULL,
    model TEXT NOT NULL,
    operation TEXT NOT NULL,
    input_tokens INTEGER NOT NULL DEFAULT 0,
    output_tokens INTEGER NOT NULL DEFAULT 0,
    money_eur REAL,
    failed INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS call_of_day ON call (day, model);
CREATE INDEX IF NOT EXISTS call_of_run ON call (run_id);
"""
_SPENT = "SELECT coalesce(sum(money_eur), 0) FROM call WHERE day = ? AND model = ?"
_BEGIN = "INSERT INTO call (at, day, app, run_id, model, operation, money_eur) VALUES (?, ?, ?, ?, ?, ?, ?)"
_END = "UPDATE call SET input_tokens = ?, output_tokens = ?, money_eur = ?, failed = ? WHERE number = ?"
By = Literal["day", "app", "run", "model"]
_COLUMNS: dict[By, str] = {"day": "day", "app": "app", "run": "run_id", "model": "model"}


@dataclass(frozen=True)
class CostTotal:
    """Calls of one day, application, run or model.

    Attributes:
        name: of it; empty for calls of no application or run.
        calls: tries.
        failed: of them, without an answer.
        input_tokens: that were sent.
        output_tokens: that were answered.
        money_eur: of the calls with a known price.
        unpriced_calls: calls whose price is unknown; their cost is not in `money_eur`.
    """

    name: str
    calls: int
    failed: int
    input_tokens: int
    output_tokens: int
    money_eur: float
    unpriced_calls: int


class CostLedger:
    """Calls to paid models and their cost; safe to use from several threads and processes.

    Args:
        file: SQLite database, made by the first call.
        clock: now, in UTC.
    """

    def __init__(self, file: Path, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        todo = "Repair the folder; a damaged file may be removed, and what calls cost before is lost then."
        self._file, self._clock = SqliteFile(file, _TABLE, "The costs", todo), clock

    def begin(
        self, account: Account, model: str, operation: str, most_eur: float | None, max_eur_per_day: float | None
    ) -> int:
        """Record a call that is about to be made, and return its number.

        Args:
            account: who calls.
            model: its name.
            operation: `embeddings` or `chat`.
            most_eur: the most that it can cost; None: its price is unknown.
            max_eur_per_day: what all calls of the model may cost on one UTC day; None: any amount.

        Raises:
            CallRefused: the day's limit does not allow the call.
        """
        at = self._clock().astimezone(UTC)
        day = at.date().isoformat()
        with self._file.open() as database:
            database.execute("BEGIN IMMEDIATE")
            if max_eur_per_day is not None:
                spent = float(database.execute(_SPENT, (day, model)).fetchone()[0])
                _refuse_beyond(model, most_eur, spent, max_eur_per_day)
            row = (at.isoformat(), day, account.app, account.run_id, model, operation, most_eur)
            return int(database.execute(_BEGIN, row).lastrowid or 0)

    def end(
        self, number: int, *, input_tokens: int, output_tokens: int, money_eur: float | None, failed: bool = False
    ) -> None:
        """Record how a call ended; `money_eur` is None where its price is unknown."""
        with self._file.open() as database:
            database.execute(_END, (input_tokens, output_tokens, money_eur, failed, number))

    def totals(self, first: date, last: date, by: By) -> Sequence[CostTotal]:
        """Return the calls of the days from `first` to `last` in sum, by one column."""
        return self._summed(_COLUMNS[by], "day BETWEEN ? AND ?", first.isoformat(), last.isoformat())

    def of_run(self, run_id: str) -> CostTotal | None:
        """Return the calls of a Dagster run in sum; None if it made none."""
        return next(iter(self._summed("run_id", "run_id = ?", run_id)), None)

    def _summed(self, column: str, where: str, *values: str) -> Sequence[CostTotal]:
        if not self._file.exists():
            return []
        query = (
            f"SELECT {column}, count(*), sum(failed), sum(input_tokens), sum(output_tokens), "  # noqa: S608 - ours
            f"coalesce(sum(money_eur), 0), sum(money_eur IS NULL) FROM call WHERE {where} "
            f"GROUP BY {column} ORDER BY min(number)"
        )
        with self._file.open() as database:
            return [CostTotal(*row) for row in database.execute(query, values)]


def _refuse_beyond(model: str, most_eur: float | None, spent: float, max_eur_per_day: float) -> None:
    if most_eur is None:
        raise CallRefused(
            f"The price of {model} is unknown, and its calls of a day may cost {max_eur_per_day:g} EUR.",
            expected="prices in the settings of the model",
            todo="Set `calls: {input_eur_per_million_tokens, output_eur_per_million_tokens}`.",
        )
    if spent + most_eur > max_eur_per_day:
        raise CallRefused(
            f"{model} was not called: its calls of today cost {spent:.4f} EUR, this one up to {most_eur:.4f} EUR more.",
            expected=f"at most {max_eur_per_day:g} EUR a day (`calls.max_eur_per_day`)",
            todo="Look at them with `tessera costs --by app`; wait for the next UTC day, or raise the limit.",
        )
