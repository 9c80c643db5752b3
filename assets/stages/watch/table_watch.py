"""The watch over a contracted table: a day against the table's own history, and its freshness."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

from assets.stages.ingestion.completeness_log import complete_days
from assets.stages.watch.decisions import (
    Acceptance,
    Assessed,
    acceptances,
    assessed_days,
    store_assessed,
)
from assets.stages.watch.profile_store import StoredProfile, profile_of
from models.contracts import Contract
from models.tracing import traced
from models.watch.config import WatchConfig
from models.watch.findings import Assessment, Finding, worst_first
from models.watch.freshness import Freshness, freshness
from models.watch.profile import DayProfile
from resources.lake.port import Lake

#: After the day, in the sentence of a finding of an earlier day that holds up this one.
HELD = " is blocked and no one accepted it"


@dataclass(frozen=True)
class Watched:
    """Result of watching one day of a table.

    Attributes:
        table: its name.
        assessment: of the day; findings of earlier blocked days that hold it up included.
        accepted: decisions that let findings of these days through.
        is_provided: False if neither source nor lake has the table.
    """

    table: str
    assessment: Assessment
    accepted: Sequence[Acceptance] = ()
    is_provided: bool = True


@traced("watch the table")
def watch(lake: Lake, contract: Contract, day: date, config: WatchConfig) -> Watched:
    """Assess a day of a table, and those before it that changed; what was found is kept in the lake.

    The result depends only on the rows of the lake, the settings, and the decisions of people: run again, the same.
    """
    from assets.stages.watch.day_profiles import current_profiles

    table, complete = contract.table, complete_days(lake, contract.table)
    if day not in complete:
        return Watched(table, Assessment(day), is_provided=False)
    with lake.lock(profile_of(table)):
        stored = current_profiles(lake, contract, day, config, complete)
        first = min(stored)
        before = assessed_days(lake, table, first, day)
        accepted = acceptances(lake, table, first, day)
        work = _Assessing(table, config, stored, before, accepted)
        for each in work.due(day):
            work.assess(each)
        store_assessed(lake, table, work.changed(before))
    return work.result(day)


def watch_freshness(lake: Lake, contract: Contract, day: date, config: WatchConfig) -> Freshness:
    """Return the freshness of a table at the end of a day, by what the lake holds."""
    rows, complete = dict(lake.rows_by_day(contract.table)), complete_days(lake, contract.table)
    hours, history = contract.freshness_hours, config.history_days
    return freshness(rows, complete, day, freshness_hours=hours, history_days=history)


class _Assessing:
    """Assessments of one run, oldest day first: a day that is found faulty teaches the later ones nothing."""

    def __init__(
        self,
        table: str,
        config: WatchConfig,
        stored: Mapping[date, StoredProfile],
        before: Mapping[date, Assessed],
        accepted: Mapping[date, Mapping[str, Acceptance]],
    ) -> None:
        self._table, self._config, self._stored, self._accepted = table, config, stored, accepted
        # Findings about rows that are there no more (a table was ingested anew) hold nothing up.
        self._found = {day: one for day, one in before.items() if day in stored and one.content == self._content(day)}
        self._begun, self._assessments = min(before, default=None), dict[date, Assessment]()

    def due(self, day: date) -> list[date]:
        """Return the days to assess: this one, the newest ones if their rows changed, and blocked ones that hold it."""
        begun = self._begun or day
        newest = [day - timedelta(days=back) for back in range(1, self._config.assessed_days)]
        changed = [each for each in newest if each >= begun and each in self._stored and not self._is_known(each)]
        return sorted({day, *changed, *self._holding(day)})

    def assess(self, day: date) -> None:
        """Assess a day against those before it."""
        from models.watch.assessment import assess

        today = self._stored[day].profile
        found = assess(self._table, today, self._history(day), self._config)
        decisions = self._accepted.get(day, {})
        findings = worst_first(_decided(finding, decisions.get(finding.measure)) for finding in found.findings)
        self._assessments[day] = replace(
            found, findings=tuple(findings), accepted=tuple(one.sentence() for one in decisions.values())
        )
        self._found[day] = Assessed(tuple(findings), self._content(day))

    def changed(self, before: Mapping[date, Assessed]) -> dict[date, Assessed]:
        """Return what has to be stored."""
        return {day: self._found[day] for day in self._assessments if before.get(day) != self._found[day]}

    def result(self, day: date) -> Watched:
        """Return the assessment of a day, with what earlier days hold it up."""
        own = self._assessments[day]
        held = [_carried(each, finding) for each in self._holding(day) for finding in self._blocks(each)]
        findings = worst_first([*own.findings, *held])
        days = [each for each in self._accepted if day - timedelta(days=self._config.holds_days) <= each <= day]
        accepted = [one for each in sorted(days) for one in self._accepted[each].values()]
        return Watched(self._table, replace(own, findings=tuple(findings)), accepted)

    def _holding(self, day: date) -> list[date]:
        days = [day - timedelta(days=back) for back in range(self._config.holds_days, 0, -1)]
        return [each for each in days if each in self._stored and each in self._found and self._found[each].blocks]

    def _blocks(self, day: date) -> list[Finding]:
        return [finding for finding in self._found[day].findings if finding.severity == "block"]

    def _history(self, day: date) -> list[DayProfile]:
        return [
            replace(self._stored[each].profile, faulty=each in self._found and self._found[each].blocks)
            for each in self._stored
            if each < day
        ]

    def _is_known(self, day: date) -> bool:
        return day in self._found

    def _content(self, day: date) -> str:
        return f"{self._stored[day].content} {self._stored[day].known}"


def _decided(finding: Finding, decision: Acceptance | None) -> Finding:
    """Return a finding as a note if a person let it through."""
    if decision is None or finding.severity != "block":
        return finding
    return replace(finding, severity="note", sentence=f"{finding.sentence} ({decision.sentence()})")


def _carried(day: date, finding: Finding) -> Finding:
    return replace(finding, sentence=f"{day}{HELD}: {finding.sentence}")
