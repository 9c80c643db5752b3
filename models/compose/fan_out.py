"""Steps side by side on the same record, and one answer of theirs."""

from collections.abc import Callable, Mapping

import numpy as np

from models.compose.background import Background
from models.compose.batch import Batch, Rows
from models.compose.budget import Estimate
from models.compose.call import Call
from models.compose.checking import check_names, union_of_inputs
from models.compose.merges import Gather, Merge
from models.compose.outcome import Failure, Outcome, failed, joined, put_together
from models.compose.sequence import Soft, softened
from models.compose.step import Step, kept
from models.errors import TesseraError
from models.gates.closing import failure_of, reason_of

#: A branch is worth a thread of its own from so many ms of expected time on; a thread costs about 0.06 ms.
_WORTH_MS = 1.0


class FanOut(Step):
    """Branches that take the same record, side by side, and a merge of what they give.

    Branches that wait for others, or that take a millisecond or more, have a thread each where there are two of them.
    """

    def __init__(
        self,
        name: str,
        branches: Mapping[str, Step | Soft],
        merge: Merge | None = None,
        *,
        at_least: int | None = None,
    ) -> None:
        """Put branches together.

        Args:
            name: of the fan-out.
            branches: name -> step; a soft one has defaults where it fails.
            merge: makes one answer; by default all fields of all branches are gathered.
            at_least: number of branches that must succeed for a record; all by default.

        Raises:
            TesseraError: contracts disagree, or the merge cannot do without a branch.
        """
        self.name = name
        self._branches = {branch: one.step if isinstance(one, Soft) else one for branch, one in branches.items()}
        self._defaults = {branch: one.defaults for branch, one in branches.items() if isinstance(one, Soft)}
        self._merge: Merge = merge or Gather()
        self._at_least = len(branches) if at_least is None else at_least
        if len(branches) < 2 or not 1 <= self._at_least <= len(branches):
            raise TesseraError(
                f"{name} has {len(branches)} branches, of which {self._at_least} must succeed.",
                expected="two or more branches, and from 1 to all of them",
                todo="Correct it.",
            )
        if self._at_least < len(branches) and not self._merge.partial:
            raise TesseraError(
                f"{name} makes do with {self._at_least} of {len(branches)} branches, and its merge needs all.",
                expected="a merge such as vote or mean, or soft branches with defaults",
                todo="Name another merge, or leave `at_least` out.",
            )
        check_names(self)
        self.takes = union_of_inputs(name, list(self._branches.values()))
        self.gives = self._merge.gives({branch: step.gives for branch, step in self._branches.items()})

    @property
    def steps(self) -> tuple[Step, ...]:
        """Its branches."""
        return tuple(self._branches.values())

    @property
    def branches(self) -> Mapping[str, Step]:
        """Name -> branch."""
        return self._branches

    @property
    def merge(self) -> Merge:
        """The merge."""
        return self._merge

    @property
    def soft(self) -> frozenset[str]:
        """Names of the steps whose failure stops nothing."""
        return frozenset(self._branches[branch].name for branch in self._defaults)

    @property
    def estimate(self) -> Estimate:
        """Branches in threads take the time of the longest one; money and calls add up."""
        beside, after = Estimate(), Estimate()
        for step in self.steps:
            if _is_long(step, 1):
                beside = beside.beside(step.estimate)
            else:
                after = after.plus(step.estimate)
        return after.plus(beside)

    def run(self, batch: Batch, call: Call) -> Outcome:
        """Return the outcome of each record."""
        found = self._side_by_side(batch, call)
        for branch, defaults in self._defaults.items():
            if found[branch].failures:
                found[branch] = softened(found[branch], self._branches[branch].gives, defaults)
        notes = joined(*(one.notes for one in found.values()))
        if all(one.rows is None for one in found.values()):
            return self._merged({branch: one.batch for branch, one in found.items()}, batch.n, notes)
        return self._of_some(found, batch.n, notes)

    def _side_by_side(self, batch: Batch, call: Call) -> dict[str, Outcome]:
        long = [branch for branch, step in self._branches.items() if _is_long(step, batch.n)]
        threads = {branch: Background(self._work(branch, batch, call)) for branch in long} if len(long) > 1 else {}
        found = {branch: step.run(batch, call) for branch, step in self._branches.items() if branch not in threads}
        for branch, thread in threads.items():
            found[branch] = _awaited(thread, self._branches[branch].name, batch.n, call)
        return {branch: found[branch] for branch in self._branches}

    def _work(self, branch: str, batch: Batch, call: Call) -> Callable[[], Outcome]:
        return lambda: self._branches[branch].run(batch, call)

    def _merged(self, parts: Mapping[str, Batch], n: int, notes: Mapping[int, tuple[Failure, ...]]) -> Outcome:
        found: list[Outcome] = []
        error = failure_of(lambda: found.append(kept(self.name, self.gives, self._merge.merged(parts), n)))
        if error is not None:
            return failed(n, Failure(self.name, "raised", reason_of(error)))
        one = found[0]
        return Outcome(one.batch, n, one.rows, one.failures, notes)

    def _of_some(self, found: Mapping[str, Outcome], n: int, notes: Mapping[int, tuple[Failure, ...]]) -> Outcome:
        """Merge records by the branches that succeeded for them."""
        succeeded = np.zeros((n, len(found)), dtype=np.bool_)
        for place, one in enumerate(found.values()):
            succeeded[one.places(), place] = True
        failures: dict[int, Failure] = {}
        made: list[tuple[Rows, Outcome]] = []
        extra: dict[int, tuple[Failure, ...]] = {}
        for pattern in np.unique(succeeded, axis=0):
            rows = np.flatnonzero((succeeded == pattern).all(axis=1))
            lost = [one for one, ok in zip(found.values(), pattern, strict=True) if not ok]
            if pattern.sum() < self._at_least:
                failures.update({int(row): lost[0].failures[int(row)] for row in rows})
                continue
            extra.update({int(row): tuple(one.failures[int(row)] for one in lost) for row in rows if lost})
            parts = {
                branch: one.batch.take(np.searchsorted(one.places(), rows))
                for (branch, one), ok in zip(found.items(), pattern, strict=True)
                if ok
            }
            made.append((rows, self._merged(parts, rows.size, {})))
        return put_together(made, failures, joined(notes, extra))


def _is_long(step: Step, n: int) -> bool:
    return step.blocking or step.estimate.latency_ms(n) >= _WORTH_MS


def _awaited(branch: Background[Outcome], step: str, n: int, call: Call) -> Outcome:
    """Return the outcome of a branch, given up at the deadline of the call."""
    left = call.spending.remaining_ms()
    found: list[Outcome] = []
    error = failure_of(lambda: found.append(branch.result(None if left is None else left / 1000)))
    if left is not None and isinstance(error, TimeoutError):
        limit = call.spending.budget.latency_ms
        return failed(n, Failure(step, "late", f"it was not ready at the deadline of {limit:g} ms"))
    return found[0] if error is None else failed(n, Failure(step, "raised", reason_of(error)))
