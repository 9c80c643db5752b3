"""Findings: what is odd about a day, by how much, since when, and what to do."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

from models.watch.config import CheckName, Mode, Severity

#: From the least to the worst.
SEVERITIES: Sequence[Severity] = ("note", "warn", "block")


@dataclass(frozen=True)
class Finding:
    """Something odd about a day.

    Attributes:
        check: that found it; can be switched off or accepted on its own.
        measure: names of the number, e.g. `null customer_id`.
        severity: `block`, `warn` or `note`.
        sentence: the cause in words, with the found and the expected numbers; without a full stop.
        found: the number; None where there is none.
        low: lowest usual value.
        high: highest usual value.
        since: first day of an unbroken row of days with it.
        todo: what to do, a sentence; empty for the usual.
        weight: change as a multiple of the least one that matters; infinite where there is no such number.
    """

    check: CheckName
    measure: str
    severity: Severity
    sentence: str
    since: date
    found: float | None = None
    low: float | None = None
    high: float | None = None
    todo: str = ""
    weight: float = math.inf


@dataclass(frozen=True)
class Assessment:
    """All findings of one day, the worst first.

    Attributes:
        day: that was assessed.
        findings: of the day, those that were accepted included as notes.
        measured: measures that were compared.
        history: days that the limits were estimated from.
        accepted: reasons of people who let findings through.
    """

    day: date
    findings: Sequence[Finding] = ()
    measured: int = 0
    history: int = 0
    accepted: Sequence[str] = field(default_factory=tuple)

    @property
    def severity(self) -> Severity | None:
        """The worst severity; None without a finding."""
        return self.findings[0].severity if self.findings else None

    def of(self, *severities: Severity) -> list[Finding]:
        """Return the findings of these severities."""
        return [finding for finding in self.findings if finding.severity in severities]


def at_most(finding: Finding, mode: Mode) -> Finding | None:
    """Return the finding with a severity that its check may have; None if the check is off."""
    if mode == "off":
        return None
    lower = min(SEVERITIES.index(finding.severity), SEVERITIES.index(mode))
    return replace(finding, severity=SEVERITIES[lower])


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """Return findings by severity, those of one severity by weight, else in their order."""
    return sorted(findings, key=lambda finding: (-SEVERITIES.index(finding.severity), -finding.weight))


def number(value: float, kind: str) -> str:
    """Return a number as people read it: `1,204`, `97 %`, `12.5`."""
    if kind in ("share", "distance"):
        percent = 100 * value
        return f"{percent:.0f} %" if percent >= 10 or percent == round(percent) else f"{percent:.2g} %"
    if kind == "count":
        return f"{round(value):,}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def counted(words: Mapping[str, str] | Sequence[str], most: int = 3) -> str:
    """Return the first words, and how many more there are."""
    listed = list(words)
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more
