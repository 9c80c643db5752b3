"""The ledger: an append-only record of every change of champion, with time, actor and reason.

On disk it is one JSON object per line. Each line carries the sha256 of the line before it, so an edited, removed or
inserted line shows; the last line is covered by its own digest, kept elsewhere by the store of the ledger.
"""

import hashlib
from collections.abc import Container, Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from models.errors import TesseraError

Action = Literal["promote", "rollback", "retire"]

#: Verdicts of the gate, as a version's tag `gate` holds them: the second is followed by the names of the checks.
PASSED, STOPPED = "passed", "stopped by"

#: `previous` of the first entry.
NOTHING_BEFORE = ""


class LedgerEntry(BaseModel):
    """One change of the champion. `at` is UTC; `previous` is the sha256 of the entry before, so edits show.

    `package` is the sha256 that names all files of `to_version`, empty when there is no champion: scoring can check
    what it loads against the ledger alone. `gate` is the gate's verdict on `to_version` as the registry held it, empty
    if it was never evaluated. `refusal` is why it would have been refused, had a person not passed it with a reason
    (`why`); empty for everything else. `judged` is the version that the gate evaluated, if `to_version` is its refit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")

    app: str
    at: datetime
    action: Action
    from_version: str | None
    to_version: str | None
    why: str
    who: str
    run_id: str
    metrics: dict[str, float]
    package: str = ""
    gate: str = ""
    refusal: str = ""
    judged: str | None = None
    previous: str

    @model_validator(mode="after")
    def _names_a_version_unless_it_retires(self) -> Self:
        if (self.action == "retire") != (self.to_version is None):
            raise ValueError(f"{self.action!r} cannot make {self.to_version!r} champion")
        return self


def champion_at(ledger: Sequence[LedgerEntry], moment: datetime) -> str | None:
    """Return the version that was champion at `moment` (UTC), by the ledger; None before the first entry."""
    before = [entry for entry in ledger if entry.at <= moment]
    return before[-1].to_version if before else None


def refusal(ledger: Sequence[LedgerEntry], version: str, *, action: str, gate: str) -> str:
    """Return the reason why `version` may not be promoted unless a person insists; "" if there is none.

    Args:
        ledger: every change of the champion so far, oldest first.
        version: to be promoted.
        action: `promote` or `rollback`; only a former champion can be rolled back to.
        gate: the gate's verdict on it; "" if it was never evaluated.
    """
    if gate.startswith(STOPPED):
        return f"the gate stopped it ({gate.removeprefix(STOPPED).strip()})"
    if gate != PASSED:
        return "the gate never evaluated it"
    if action == "rollback" and all(version not in (entry.to_version, entry.judged) for entry in ledger):
        return "it never was champion"
    return ""


def champion_before(ledger: Sequence[LedgerEntry], allowed: Container[str]) -> str | None:
    """Return the version to roll back to: the last champion before the present one that is `allowed`; None if none is.

    Args:
        ledger: every change of the champion so far, oldest first.
        allowed: versions that exist and that the gate did not stop.
    """
    present = later = ledger[-1].to_version if ledger else None
    for entry in reversed(ledger):
        if entry.to_version == later and entry.from_version is not None:
            later = entry.from_version
            if later != present and later in allowed:
                return later
    return None


def passed_by_hand(ledger: Sequence[LedgerEntry]) -> str:
    """Return the sentence that goes with everything a refused champion makes; "" if the present one was not refused."""
    standing = ledger[-1] if ledger else None
    if standing is None or not standing.refusal:
        return ""
    return f"version {standing.to_version}, made champion by hand although {standing.refusal}: {standing.why}"


def champions_before(ledger: Sequence[LedgerEntry]) -> list[str]:
    """Return the champion, then its predecessors, newest first; empty if there is no champion.

    A rollback leaves out what it went back over, and retiring leaves out everything before.
    """
    chain: list[str] = []
    for entry in ledger:
        if entry.to_version is None:
            chain = []
        elif entry.action == "rollback":
            kept = chain[: chain.index(entry.to_version)] if entry.to_version in chain else chain[:-1]
            chain = [*kept, entry.to_version]
        else:
            chain = [*(version for version in chain if version != entry.to_version), entry.to_version]
    return chain[::-1]


def next_moment(ledger: Sequence[LedgerEntry], now: datetime) -> datetime:
    """`now` (UTC), or the first microsecond after the last entry when a clock ran backwards."""
    now = now.astimezone(UTC)
    return max(now, ledger[-1].at + timedelta(microseconds=1)) if ledger else now


def line_digest(line: str) -> str:
    """Return the sha256 of a line (without its line end), as 64 hex digits."""
    return hashlib.sha256(line.encode()).hexdigest()


def entry_line(entry: LedgerEntry) -> str:
    """Return entry as one line of JSON, without a line end. What is no number is written as a string, e.g. `"NaN"`."""
    return entry.model_dump_json()


def read_chain(lines: Sequence[str], where: str) -> list[LedgerEntry]:
    """Return the entries of `lines`, each one checked against the digest of the line before.

    Args:
        lines: the whole ledger, oldest line first.
        where: names the ledger in an error.

    Raises:
        TesseraError: a line is no entry, or does not follow from the line before; the line's number is named.
    """
    entries: list[LedgerEntry] = []
    previous = NOTHING_BEFORE
    for number, line in enumerate(lines, start=1):
        try:
            entry = LedgerEntry.model_validate_json(line)
        except ValidationError as error:
            raise _broken(where, number, "is no ledger entry") from error
        if entry.previous != previous:
            raise _broken(where, number, "does not follow from the line before it: one of the two was changed")
        entries.append(entry)
        previous = line_digest(line)
    return entries


def _broken(where: str, number: int, what: str) -> TesseraError:
    return TesseraError(
        f"Line {number} of the ledger {where} {what}.",
        expected="lines that were only ever appended",
        todo="Restore the file from a backup; until then no model is promoted.",
    )
