"""Audit of a written set of scores, read back row by row, before it may be published."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from models.errors import TesseraError
from models.publishing import SCORES_SCHEMA
from models.scoring.config import AuditConfig, ScoringConfig
from models.scoring.digest import RowsDigest
from models.scoring.psi import shift

# pyright: basic, reportAttributeAccessIssue=false
# pyarrow ships no types, and makes the functions of `pyarrow.compute` when it is imported.

#: Equal parts of [0, 1] in which scores are counted, and the groups of about equal size that PSI compares.
_FINE, _GROUPS = 1000, 10

#: The check that compares with earlier scores; a person may overrule it.
DISTRIBUTION = "score distribution"


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. `block`: the set must not be published unless it passed. `says`: what was found."""

    name: str
    passed: bool
    severity: Literal["block", "warn"]
    says: str


@dataclass(frozen=True)
class AuditReport:
    """`passed`: no blocking check failed. `digest` names the rows and their order (`models.scoring.digest`).

    `metrics`: numbers that plot: `mean_score`, `contact_share` (0 to 1) and, against an earlier set, `score_psi`.
    """

    passed: bool
    checks: tuple[Check, ...]
    rows: int
    contacts: int
    digest: str
    metrics: dict[str, float]


@dataclass(frozen=True)
class Expected:
    """Expected properties of the rows.

    Attributes:
        entities: arrays of the ids in scope, ascending; read once.
        model_package: sha256 of the package of the one model that made them.
        feature_version: the one version of the features they were made from.
    """

    entities: Iterable[pa.Array]
    model_package: str
    feature_version: str


@dataclass(frozen=True)
class EarlierScores:
    """The last published set. `rows`: batches with a column `score`; read once. `by`: its model, in words."""

    model_package: str
    rows: Iterable[pa.RecordBatch]
    by: str = "another model"


def audit(
    rows: Iterable[pa.RecordBatch],
    expected: Expected,
    *,
    scoring: ScoringConfig,
    limits: AuditConfig,
    earlier: EarlierScores | None,
) -> AuditReport:
    """Every check on `rows` (`SCORES_SCHEMA`, as read back from the sink), in one pass and memory of a few batches.

    Args:
        rows: the attempt's rows, in the order in which they were written.
        expected: entities in scope, versions.
        scoring: the decision rule that the rows must follow.
        limits: how far scores may shift.
        earlier: what is published of an earlier day; None: nothing is.

    Raises:
        TesseraError: the rows have other columns.
    """
    entities, scores = _Entities(expected.entities), _Scores(limits)
    decisions, reasons = _Decisions(scoring), _Reasons(scoring)
    versions = _Versions(expected)
    digest = RowsDigest()
    observers: list[_Observer] = [entities, scores, decisions, reasons, versions]
    for batch in rows:
        _refuse_other_columns(batch.schema)
        digest.add(batch)
        for observer in observers:
            observer.see(batch)
    checks = [check for observer in observers for check in observer.checks()]
    metrics = {"mean_score": scores.mean(), "contact_share": decisions.contacts / max(digest.rows, 1)}
    if earlier is not None:
        psi, check = _shifted(scores.histogram, earlier, expected.model_package, limits)
        checks.append(check)
        metrics["score_psi"] = psi
    passed = all(check.passed or check.severity == "warn" for check in checks)
    return AuditReport(passed, tuple(checks), digest.rows, decisions.contacts, digest.hexdigest(), metrics)


class _Observer(Protocol):
    """One concern of the audit: sees each batch, then gives its checks."""

    def see(self, batch: pa.RecordBatch) -> None: ...

    def checks(self) -> Iterator[Check]: ...


class _Entities:
    """Exactly the entities in scope, each once, in ascending order."""

    def __init__(self, expected: Iterable[pa.Array]) -> None:
        self._expected = _Arrays(expected)
        self._last: str | None = None
        self._rows = 0
        self._difference = ""
        self._doubled = 0
        self._disorder = 0

    def see(self, batch: pa.RecordBatch) -> None:
        ids = batch.column("entity_id")
        if not len(ids):
            return
        wanted = self._expected.take(len(ids))
        if not self._difference and not wanted.equals(ids):
            self._difference = _first_difference(self._rows, wanted, ids)
        before = pa.concat_arrays([pa.array([self._last], pa.string()), ids[:-1]])
        self._doubled += _count(pc.equal(before, ids))
        self._disorder += _count(pc.greater(before, ids))
        self._last = ids[-1].as_py()
        self._rows += len(ids)

    def checks(self) -> Iterator[Check]:
        self._expected.exhaust()
        scope = self._expected.given
        yield _blocking("row count", self._rows == scope, f"{self._rows:,} rows for {scope:,} entities in scope")
        yield _blocking("no entity twice", not self._doubled, f"{self._doubled:,} rows repeat the entity before")
        yield _blocking("order", not self._disorder, f"{self._disorder:,} rows come before a smaller entity id")
        same = not self._difference and self._rows == scope
        yield _blocking("entities in scope", same, self._difference or "the entities that were to be scored")


class _Scores:
    """Each score is a probability, and not all are the same."""

    def __init__(self, limits: AuditConfig) -> None:
        self.histogram: NDArray[np.float64] = np.zeros(_FINE)
        self._limits = limits
        self._rows = 0
        self._invalid = 0
        self._sum = 0.0
        self._lowest, self._highest = np.inf, -np.inf

    def see(self, batch: pa.RecordBatch) -> None:
        scores = batch.column("score").to_numpy(zero_copy_only=False)
        valid = scores[(scores >= 0) & (scores <= 1)]
        self._rows += len(scores)
        self._invalid += len(scores) - len(valid)
        if len(valid):
            self._sum += float(valid.sum(dtype=np.float64))
            self._lowest, self._highest = min(self._lowest, valid.min()), max(self._highest, valid.max())
            self.histogram += _histogram(valid)

    def checks(self) -> Iterator[Check]:
        yield _blocking(
            "scores are probabilities", not self._invalid, f"{self._invalid:,} scores are NaN or not in [0, 1]"
        )
        varies = self._rows < self._limits.min_rows_to_vary or bool(self._lowest < self._highest)
        yield _blocking("scores vary", varies, f"scores from {self._lowest:.4f} to {self._highest:.4f}")

    def mean(self) -> float:
        return self._sum / max(self._rows - self._invalid, 1)


class _Decisions:
    """`contact` are the highest scores: as many as the budget allows, none below the least score."""

    def __init__(self, scoring: ScoringConfig) -> None:
        self.contacts = 0
        self._scoring = scoring
        self._eligible = 0
        self._unknown = 0
        self._least_contact, self._most_left = np.inf, -np.inf

    def see(self, batch: pa.RecordBatch) -> None:
        scores = batch.column("score").to_numpy(zero_copy_only=False)
        contact = pc.equal(batch.column("decision"), "contact").to_numpy(zero_copy_only=False)
        left = pc.equal(batch.column("decision"), "leave").to_numpy(zero_copy_only=False)
        self.contacts += int(contact.sum())
        self._unknown += int((~contact & ~left).sum())
        self._eligible += int((scores >= np.float32(self._scoring.min_contact_score)).sum())
        self._least_contact = min(self._least_contact, scores[contact].min(initial=np.inf))
        self._most_left = max(self._most_left, scores[left].max(initial=-np.inf))

    def checks(self) -> Iterator[Check]:
        due = min(self._scoring.contact_budget, self._eligible)
        right = self.contacts == due and not self._unknown
        yield _blocking("contact budget", right, f"{self.contacts:,} contacts, {due:,} due by budget and least score")
        least = np.float32(self._scoring.min_contact_score)
        ranked = self._least_contact >= least and (self._most_left < least or self._most_left <= self._least_contact)
        yield _blocking("contacts score highest", bool(ranked), f"least contact {self._least_contact:.4f}")


class _Reasons:
    """Reasons stand at contacts only, within their budget."""

    def __init__(self, scoring: ScoringConfig) -> None:
        self._scoring = scoring
        self._explained = 0
        self._elsewhere = 0

    def see(self, batch: pa.RecordBatch) -> None:
        explained = batch.column("reasons").is_valid()
        self._explained += _count(explained)
        self._elsewhere += _count(pc.and_(explained, pc.not_equal(batch.column("decision"), "contact")))

    def checks(self) -> Iterator[Check]:
        right = self._explained <= self._scoring.max_reasons_rows and not self._elsewhere
        says = f"{self._explained:,} rows with reasons, {self._elsewhere:,} of them not contacts"
        yield _blocking("reasons", right, says)


class _Versions:
    """One model and one version of the features made every row."""

    def __init__(self, expected: Expected) -> None:
        self._versions = {"model_package": expected.model_package, "feature_version": expected.feature_version}
        self._others = dict.fromkeys(self._versions, 0)

    def see(self, batch: pa.RecordBatch) -> None:
        for column, version in self._versions.items():
            self._others[column] += _count(pc.not_equal(batch.column(column), version))

    def checks(self) -> Iterator[Check]:
        for column, version in self._versions.items():
            others = self._others[column]
            says = f"{others:,} rows are not of {version[:16]}"
            yield _blocking(column.replace("_", " "), not others, says)


class _Arrays:
    """A stream of arrays, taken in pieces of any length."""

    def __init__(self, arrays: Iterable[pa.Array]) -> None:
        self.given = 0
        self._arrays = iter(arrays)
        self._rest = pa.array([], pa.string())

    def take(self, count: int) -> pa.Array:
        """Return the next `count` values, fewer at the end."""
        pieces = [self._rest]
        while sum(len(piece) for piece in pieces) < count and (piece := next(self._arrays, None)) is not None:
            pieces.append(piece.cast(pa.string()))
        joined = pa.concat_arrays(pieces)
        self._rest = joined[count:]
        taken = joined[:count]
        self.given += len(taken)
        return taken

    def exhaust(self) -> None:
        """Count what was not taken."""
        self.given += len(self._rest) + sum(len(array) for array in self._arrays)


def _shifted(
    now: NDArray[np.float64], earlier: EarlierScores, model_package: str, limits: AuditConfig
) -> tuple[float, Check]:
    """PSI of the scores against the earlier set, in groups that hold about a tenth of the earlier set each."""
    before = np.zeros(_FINE)
    for batch in earlier.rows:
        before += _histogram(batch.column("score").to_numpy(zero_copy_only=False))
    middle = (np.cumsum(before) - before / 2) / max(before.sum(), 1)
    _, group = np.unique(np.floor(_GROUPS * middle).clip(0, _GROUPS - 1), return_inverse=True)
    moved = shift(_grouped(group, before), _grouped(group, now))
    same_model = earlier.model_package == model_package
    limit = limits.psi_block if same_model else limits.psi_block_new_model
    by = "the same model" if same_model else earlier.by
    says = f"PSI {moved.psi:.3f} against the last published scores by {by}; blocked above {limit:g}"
    blocked, warned = moved.above(limit), moved.above(limits.psi_warn)
    return moved.psi, Check(DISTRIBUTION, not warned, "block" if blocked or not warned else "warn", says)


def _histogram(scores: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.histogram(scores, bins=_FINE, range=(0, 1))[0].astype(np.float64)


def _grouped(group: NDArray[np.intp], counts: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.bincount(group, counts).astype(np.float64)


def _first_difference(row: int, wanted: pa.Array, found: pa.Array) -> str:
    for offset, (one, other) in enumerate(zip(wanted.to_pylist(), found.to_pylist(), strict=False)):
        if one != other:
            return f"row {row + offset:,} is {other!r} where {one!r} was expected"
    return f"row {row + len(wanted):,} is {found[len(wanted)].as_py()!r} where no entity was expected"


def _blocking(name: str, passed: bool, says: str) -> Check:
    return Check(name, passed, "block", says)


def _count(flags: pa.Array) -> int:
    return int(pc.sum(flags).as_py() or 0)


def _refuse_other_columns(schema: pa.Schema) -> None:
    if not schema.equals(SCORES_SCHEMA):
        raise TesseraError(
            f"Score rows have the columns {schema.names}.",
            expected=f"exactly {SCORES_SCHEMA.names}, with their types",
            todo="Score the day again.",
        )
