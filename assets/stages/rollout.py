"""A version beside the champion in service: its answers are compared, and served to a share of the entities.

Where nights replace the champion by another version (`tessera replace`), requests follow: an entity is scored by the
same version by night and on request.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pyarrow as pa

from assets.stages.followed import Followed
from models.errors import TesseraError
from models.replacement.events import ReplacementEvent
from models.replacement.split import SplitRule
from models.rollouts import Agreement, CanaryLimits, ComparedScore, RolloutChange, agreement, beyond
from models.training.model import Vector
from resources.feature_store.port import ServedRows
from resources.rollout_log import RolloutLog

if TYPE_CHECKING:
    from assets.stages.promotion import Loadable, Verified
    from models.training.model_package import LoadedModel

_log = logging.getLogger("tessera.service")
#: Who ends a rollout where no person does.
SERVICE = "service"
#: Requests that wait to be scored by a shadow; those beyond are not compared.
_WAITING = 100
#: So long after the end of a rollout, a server that starts sees to it that there was a notice.
_TOLD_AGAIN = timedelta(days=7)


@dataclass(frozen=True)
class Served:
    """Scores that are answers, and the version that made each."""

    scores: Vector
    versions: Sequence[str]


@dataclass(frozen=True)
class _Wanted:
    """A version that answers beside the champion. `started`: its number in the log and its start; None: by night."""

    version: str
    rule: SplitRule
    started: tuple[int, RolloutChange] | None = None


@dataclass(frozen=True)
class _Beside:
    wanted: _Wanted
    model: Verified


class Rollout:
    """The rollout of an application as its requests see it; asked by one thread.

    Args:
        app: its name.
        log: with the changes, and where scores go.
        opened: opens a version, after its digest and golden rows were checked.
        limits: beyond which it ends.
        notify: given a subject, what happened, and an occasion that gives one notice, tells people.
        entity: column of the entities.
        replacement: the replacement of the champion that nights are in; None: they are in none.
        look_seconds: after so long, a change is seen, and, in another thread, the limits are compared.
    """

    def __init__(
        self,
        app: str,
        log: RolloutLog,
        opened: Callable[[str], Verified],
        limits: CanaryLimits,
        notify: Callable[[str, str, str], None],
        *,
        entity: str,
        replacement: Callable[[], ReplacementEvent | None],
        look_seconds: float,
    ) -> None:
        self._app, self._rollouts, self._opened = app, log, opened
        self._entity, self._replacement = entity, replacement
        self._limits, self._notify = limits, notify
        self._look_seconds, self._compared_at = look_seconds, float("-inf")
        self._ended: int | None = None
        self._beside = Followed(self._wanted, self._open, look_seconds=look_seconds)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"tessera-shadow-{app}")
        self._waiting: list[Future[None]] = []

    def answers_alone(self) -> bool:
        """Return True if the champion alone answers, which need not be looked up again now."""
        return self._beside.is_fresh() and self._beside.current() is None

    def scored(self, champion: Loadable | Verified, rows: pa.Table | ServedRows) -> Served:
        """Return the champion's score of each row, and the version's where it is served to the row's entity.

        A version that fails in a request is not served in it. A shadow scores in another thread: no request waits.
        """
        began = time.perf_counter()
        scores = score_of(champion.model, rows)
        champion_ms = (time.perf_counter() - began) * 1000
        versions = [champion.version] * len(scores)
        beside = self._open_now()
        if beside is None or beside.model.version == champion.version or not len(scores):
            return Served(scores, versions)
        table = rows.table() if isinstance(rows, ServedRows) else rows
        served = beside.wanted.rule.assigned(table).tolist()
        if beside.wanted.started is None and not any(served):
            return Served(scores, versions)

        def compared() -> Vector | None:
            began = time.perf_counter()
            found = _answer(beside, rows)
            ms = (time.perf_counter() - began) * 1000
            others = [None] * len(scores) if found is None else found.tolist()
            is_served = [found is not None and one for one in served]
            pairs = zip(scores.tolist(), others, is_served, strict=True)
            added = [ComparedScore(champion.version, old, new, champion_ms, ms, one) for old, new, one in pairs]
            if beside.wanted.started is not None:
                self._thread.submit(self._add, beside.wanted.started, added)
            return found

        if not any(served):
            self._later(compared)
            return Served(scores, versions)
        if (found := compared()) is not None:
            scores = scores.copy()
            for place, one in enumerate(served):
                if one:
                    scores[place], versions[place] = found[place], beside.model.version
        return Served(scores, versions)

    def look(self) -> None:
        """Open the version that answers beside the champion, if any; else the first request waits for it."""
        self._open_now()
        self._thread.submit(self._logged, self._tell_again)

    def follow(self) -> None:
        """Look up what answers beside the champion, and open it, between requests."""
        self._logged(self._beside.look)

    def _open_now(self) -> _Beside | None:
        try:
            found = self._beside.current()
        except TesseraError as error:
            _log.warning("the rollout of %s is not known: %s", self._app, error)
            return None
        has_ended = found is not None and found.wanted.started is not None and found.wanted.started[0] == self._ended
        return None if has_ended else found

    def finish(self) -> None:
        """Wait until what was answered is compared and recorded."""
        for one in self._waiting:
            one.result()
        self._thread.submit(lambda: None).result()

    def _later(self, work: Callable[[], object]) -> None:
        self._waiting = [one for one in self._waiting if not one.done()]
        if len(self._waiting) < _WAITING:
            self._waiting.append(self._thread.submit(lambda: (work(), None)[1]))

    def _add(self, started: tuple[int, RolloutChange], scores: Sequence[ComparedScore]) -> None:
        """Record scores, and compare the limits from time to time: in the own thread."""
        self._logged(lambda: self._rollouts.add(started[0], scores))
        if time.monotonic() - self._compared_at >= self._look_seconds:
            self._compared_at = time.monotonic()
            self._logged(lambda: self._is_ended(started))

    def _logged(self, work: Callable[[], object]) -> None:
        try:
            work()
        except TesseraError as error:
            _log.warning("the rollout of %s is not recorded or compared: %s", self._app, error)

    def _wanted(self) -> _Wanted | None:
        """Return the rollout that goes on, else the version that nights phase in."""
        if (started := self._rollouts.standing(self._app)) is not None:
            change = started[1]
            rule = SplitRule(f"{self._app} {change.version}", change.share, self._entity)
            return _Wanted(change.version, rule, started)
        other = self._replacement()
        if other is None or not other.share:
            return None
        return _Wanted(other.challenger, SplitRule(other.salt, other.share, self._entity, other.segment))

    def _open(self) -> _Beside | None:
        wanted = self._wanted()
        if wanted is None or (wanted.started is not None and self._is_ended(wanted.started)):
            return None
        try:
            return _Beside(wanted, self._opened(wanted.version))
        except TesseraError as error:
            if wanted.started is None:
                raise
            self._end(wanted.started, f"it cannot be opened: {error.what}")
            return None

    def _is_ended(self, started: tuple[int, RolloutChange]) -> bool:
        """Return True if the scores that are kept are beyond a limit, after the rollout was ended."""
        number = started[0]
        if number != self._ended and (said := beyond(agreement(self._rollouts.scores(number)), self._limits)):
            self._end(started, "; ".join(said))
        return number == self._ended

    def _end(self, started: tuple[int, RolloutChange], why: str) -> None:
        """End a rollout once, and tell people, unless a person or another server ended it before."""
        number = started[0]
        ended = self._rollouts.end(number, who=SERVICE, why=why)
        self._ended = number
        if ended is not None:
            self._tell(ended)

    def _tell(self, ended: RolloutChange) -> None:
        subject = f"{self._app}: the rollout of version {ended.version} is ended"
        self._notify(subject, ended.why, f"rollout ended at {ended.at.isoformat()}")

    def _tell_again(self) -> None:
        """Tell people what a server ended that was killed before it told them: an occasion gives one notice."""
        last = self._rollouts.changes(self._app)[-1:]
        if last and last[0].who == SERVICE and datetime.now(UTC) - last[0].at < _TOLD_AGAIN:
            self._tell(last[0])


def start_rollout(log: RolloutLog, app: str, version: str, share: float, *, who: str, why: str) -> RolloutChange:
    """Record that a version answers beside the champion of an application, and return it."""
    change = RolloutChange(app, version, "start", share, datetime.now(UTC), who, why)
    log.change(change)
    return change


def standing_agreement(log: RolloutLog, app: str) -> tuple[RolloutChange, Agreement] | None:
    """Return the rollout that goes on and how its answers agree; None if there is none."""
    found = log.standing(app)
    return None if found is None else (found[1], agreement(log.scores(found[0])))


def score_of(model: LoadedModel, rows: pa.Table | ServedRows) -> Vector:
    """Return a model's score of each row."""
    return model.score_few(rows.rows) if isinstance(rows, ServedRows) else model.score(rows)


def _answer(beside: _Beside, rows: pa.Table | ServedRows) -> Vector | None:
    """Return the version's scores; None if it fails, whatever a third party's model raises."""
    try:
        found = score_of(beside.model.model, rows)
    except Exception:  # noqa: BLE001 - the champion's answer stands, and the failure is counted
        _log.exception("version %s, beside the champion, failed", beside.model.version)
        return None
    return found
