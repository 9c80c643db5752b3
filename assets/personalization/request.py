"""One list, made now: by `tessera recommend`, or by a service in process; the same composition as at night."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from assets.personalization.app import PERSONALIZATION
from assets.personalization.lists import budget_of, live_resources, row_of
from assets.personalization.variants import Trial, trial_of
from assets.stages.degraded_requests import notes_of, notify_degraded
from assets.stages.experiments.decisions import TABLE as DECISIONS
from assets.stages.promotion import composed_champions, newest_usable
from models.errors import TesseraError, choose_from
from models.settings import Settings

if TYPE_CHECKING:
    from models.compose.call import Call
    from models.compose.package import LoadedComposition
    from models.events import Event
    from models.personalization.known import Days
    from resources.lake.port import Lake
    from resources.stack.ports import Ports

_KINDS = ("view", "cart")


@dataclass(frozen=True)
class Recommended:
    """One list.

    Attributes:
        row: as the night would publish it.
        as_of: day at whose end the shop was known.
        counts: candidates that each rule removed, places that were filled, events of unknown products.
        notes: sentences: who is not known, which step failed or was late, and that the popular list stands in.
        steps: name and wall time (ms) of each step that ran.
        version: of the composition.
    """

    row: Mapping[str, Any]
    as_of: date
    counts: Mapping[str, int]
    notes: Sequence[str]
    steps: Sequence[tuple[str, float]]
    version: str

    @property
    def is_fallback(self) -> bool:
        """True if the popular list stands in for the personal one."""
        return self.row["list_by"] != "personal"

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        steps = [{"step": name, "ms": round(ms, 3)} for name, ms in self.steps]
        told = {"is_fallback": self.is_fallback, "notes": list(self.notes), "counts": dict(self.counts)}
        return {**self.row, **told, "as_of": self.as_of.isoformat(), "steps": steps, "version": self.version}

    def exposure(self, list_id: str, at: datetime, *, source: str, session_id: str | None = None) -> Event:
        """Return the event that logs the list; publish it before the list is answered.

        Args:
            list_id: names the list; another one for each request.
            at: time of the request, UTC.
            source: the service, e.g. `/recommendations`.
            session_id: of the visit.
        """
        from models.experiments.exposure_events import exposure_event
        from models.experiments.slots import ShownList

        return exposure_event(
            ShownList(tuple(self.row["product_ids"]), tuple(self.row["propensities"])),
            list_id=list_id,
            experiment=self.row["experiment"],
            variant=self.row["variant"],
            customer_id=self.row["customer_id"] or None,
            session_id=session_id,
            at=at,
            source=source,
        )


@dataclass(frozen=True, eq=False)
class OpenLists:
    """The champion over the profile's ports, open for any number of requests.

    Attributes:
        loaded: the composition.
        version: of it.
        lake: knows who is erased, and which variants are stopped.
        days: what is known of a day.
        settings: of the profile.
        as_of: day at whose end the shop is known.
        notes: why the champion does not make the lists; empty if it does.
    """

    loaded: LoadedComposition
    version: str
    lake: Lake
    days: Days
    settings: Settings
    as_of: date
    notes: Sequence[str] = ()

    def warmed(self) -> Self:
        """Answer a guest without a deadline: what the first request would read is in memory then. Never fails."""
        from models.compose.batch import from_records
        from models.compose.call import new_call

        record = {"customer_id": "", "as_of": self.as_of.isoformat(), "session": {}}
        self.loaded.step.run(from_records([record], self.loaded.step.takes), new_call())
        return self

    @cached_property
    def _trials(self) -> dict[int, Trial]:
        return {}

    def _trial(self) -> Trial:
        """Return the experiments as they are now: a variant that was stopped since the last request is not shown."""
        version = self.lake.version(DECISIONS) if self.settings.experiments.trials else -1
        if version not in self._trials:
            found = trial_of(self.loaded, self.lake, self.settings, self.as_of, is_night=False)
            self._trials.clear()
            self._trials[version] = found
        return self._trials[version]

    def of(self, customer: str, events: Sequence[Mapping[str, Any]] = ()) -> Recommended:
        """Return the list of a customer ("" for one who is not logged in) after these events of the visit.

        Raises:
            TesseraError: an event is none.
        """
        from models.compose.batch import from_records
        from models.compose.call import new_call

        visit = {"events": [checked_event(event, place) for place, event in enumerate(events, 1)]}
        asked, notes = self._known(customer)
        trial = self._trial()
        notes += self.notes
        notes += [trial.note] if trial.note else []
        dealt = trial.dealt(asked)
        record = {"customer_id": asked, "as_of": self.as_of.isoformat(), "session": visit}
        step = trial.composition(dealt).step
        call = new_call(budget_of(self.settings.personalization, 1))
        outcome = step.run(from_records([record], step.takes), call)
        notes += [str(note) for note in outcome.notes.get(0, ())]
        if outcome.failures:  # the deadline has passed: nothing of the budget is left for the list that stands in
            notes.append(str(outcome.failures[0]))
            found = self._popular(record)
        else:
            (found,) = outcome.batch.records()
        if found["counts"]["unknown_in_visit"]:
            notes.append(f"{found['counts']['unknown_in_visit']} events of the visit name no product that is known")
        row = trial.shown({"customer_id": asked, **row_of(found)}, asked, dealt)
        return self._recommended(row, found, notes, call)

    def _known(self, customer: str) -> tuple[str, list[str]]:
        """Return who is asked for, and a sentence where nothing may or can be known of them."""
        if customer and customer in self.lake.forgotten("customer"):
            return "", ["the customer was erased: the list is that of a stranger"]
        if customer and self.days.at(self.as_of.isoformat()).customer(customer) < 0:
            return customer, [f"nothing is known of customer {customer!r}: the list is that of a stranger"]
        return customer, []

    def _popular(self, record: Mapping[str, Any]) -> dict[str, Any]:
        from models.compose.batch import from_records
        from models.compose.call import new_call
        from models.personalization.composition import POPULAR

        step = self.loaded.composition.parts[POPULAR].step(POPULAR)
        outcome = step.run(from_records([record], step.takes), new_call())
        if outcome.failures:
            raise TesseraError(
                f"No list can be made, not even the popular one: {outcome.failures[0]}.",
                expected="tables of the lake that can be read",
                todo="Run `tessera check`, then `tessera run personalization_nightly`.",
            )
        return {**outcome.batch.records()[0], "list_by": POPULAR}

    def _recommended(
        self, row: Mapping[str, Any], found: Mapping[str, Any], notes: list[str], call: Call
    ) -> Recommended:
        steps = [(run.step, run.ms) for run in sorted(call.log, key=lambda run: run.start_ms)]
        return Recommended(row, self.as_of, found["counts"], notes, steps, self.version)


def open_lists(ports: Ports, settings: Settings) -> OpenLists:
    """Return the champion over the profile's ports, as of the day that was published last.

    Where this release cannot use the champion, the newest one before it that it can use makes the lists, as at night;
    each list says so, and people are notified.

    Raises:
        TesseraError: there is no champion, none of them can be used, or nothing was published yet.
    """
    from models.personalization.composition import rehearsed
    from models.personalization.parts import KNOWN

    registry, own, app = ports.registry, settings.personalization, PERSONALIZATION.name
    days = ports.sink.published_days(app)
    if registry.champion(app) is None:
        raise TesseraError(
            f"There is no champion of {app}.",
            expected="a version that passed the gate",
            todo=f"Run `tessera run {app}_nightly`, which trains one.",
        )
    if not days:
        raise TesseraError(
            f"No list of {app} is published.",
            expected="one published night",
            todo=f"Run `tessera run {app}_nightly`, or bring a withdrawn day back: `tessera publish {app} --date DAY`.",
        )
    before, live = rehearsed({}), live_resources(own, ports.lake, ports.vectors, is_night=False)
    found, problems = newest_usable(app, composed_champions(app, registry, live, before))
    if problems:
        notify_degraded(ports.notifier, app, found.version, problems)
    notes = notes_of(found.version, problems)
    return OpenLists(found.composition, found.version, ports.lake, live[KNOWN], settings, days[-1], notes).warmed()


def checked_event(event: Any, place: int) -> dict[str, Any]:
    """Return an event of a visit: `product_id` and `kind`.

    Args:
        event: the event.
        place: of the event in the visit, from 1, for the error.

    Raises:
        TesseraError: it is none.
    """
    if not isinstance(event, Mapping) or not str(event.get("product_id") or "").strip():
        raise TesseraError(
            f"Event {place} of the session is {event!r}.",
            expected='an object like {"product_id": "p00012", "kind": "view"}',
            todo="Give it a product_id; without a kind it is a view.",
        )
    kind = str(event.get("kind", "view"))
    if kind not in _KINDS:
        raise TesseraError(
            f"Event {place} of the session has the kind {kind!r}.",
            expected=choose_from(kind, _KINDS),
            todo="Correct the kind, or leave the event out.",
        )
    return {"product_id": str(event["product_id"]).strip(), "kind": kind}


def session_events(file: Path) -> list[dict[str, Any]]:
    """Return the events of a file: a JSON list, or one JSON object per line, the oldest first.

    Raises:
        TesseraError: it cannot be read, or one of them is no event.
    """
    try:
        text = file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise _unreadable(file, str(error.strerror)) from error
    except UnicodeDecodeError as error:
        raise _unreadable(file, str(error)) from error
    if text.startswith("["):
        found = _parsed(text, file, "")
    else:
        found = [_parsed(one, file, f"line {n}: ") for n, one in enumerate(text.splitlines(), 1) if one.strip()]
    return [checked_event(event, place) for place, event in enumerate(found, 1)]


def _parsed(text: str, file: Path, where: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise _unreadable(file, f"{where}{error}") from error


def _unreadable(file: Path, reason: str) -> TesseraError:
    return TesseraError(
        f"{file} cannot be read: {reason}.",
        expected='a JSON list of events, or one per line: {"product_id": "p00012", "kind": "cart"}',
        todo="Correct the file or its name.",
    )
