"""Record of a published set of scores, and the name of an attempt."""

from collections.abc import Iterable
from datetime import date, datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from models.errors import TesseraError

#: Source of a day's scores, best first: the champion on today's features, the champion before on today's features, a
#: champion on older features, the last good scores.
Degradation = Literal["fresh", "champion_before", "stale_features", "last_good_scores"]
LADDER: tuple[Degradation, ...] = ("fresh", "champion_before", "stale_features", "last_good_scores")

#: Rule by which digests of rows are made (`models.scoring.digest`); another rule gives other digests of equal rows.
DIGEST_RULE = "rows-v2"


class ChallengerShare(BaseModel):
    """The second version of a replacement, which made some of the rows, or none in shadow.

    Attributes:
        version: in the registry.
        package: sha256 of its package.
        feature_version: of the features that it was trained on.
        share: of the entities that it was to score.
        rows: that it made.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    package: str
    feature_version: str
    share: float
    rows: int


class Publication(BaseModel):
    """The record beside a published set of scores: which rows, made by which run from which inputs.

    A record with `action` `forget` says that a set became another one: the attempt `was` lost the rows of somebody who
    was forgotten, and is called `attempt` since. `rows` and `digest` are those of what is left; `counts` and `metrics`
    stay what the run found.

    Attributes:
        model_package: sha256 of the model package that made the rows.
        digest_rule: the rule by which `digest` was made.
        steps: each better source of scores that failed that day, best first, with the reason in words.
        numbers: numbers of the rows and of the features that they were made from, for comparison with later nights.
        refused: checks of the audit that failed and that a person overruled (`who`, `why`); empty for all other sets.
        challenger: second version that made some of the rows; None: there is none.
        traceparent: of the span that made the rows, as W3C writes it; "" where nothing was traced.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    app: str
    day: date
    attempt: str
    action: Literal["publish", "unpublish", "forget"] = "publish"
    was: str = ""
    degradation: Degradation
    model_version: str
    model_package: str
    feature_version: str
    features_of: date
    rows: int
    digest: str
    digest_rule: Literal["rows-v2"] = DIGEST_RULE
    inputs: dict[str, int]
    counts: dict[str, int]
    metrics: dict[str, float]
    numbers: dict[str, float] = {}
    run_id: str
    published_at: datetime
    why: str = ""
    who: str = ""
    steps: tuple[str, ...] = ()
    refused: dict[str, str] = {}
    challenger: ChallengerShare | None = None
    traceparent: str = ""


class AuditVerdict(BaseModel):
    """Result of the audit of an attempt, and the publication that waits for it.

    Attributes:
        draft: the record to publish; its `rows` and `digest` are what the audit read back.
        passed: no blocking check failed.
        failed: the blocking checks that failed, by name, with what was found.
        overrulable: the failed checks compare with earlier scores and may be overruled by a person; the rows as such
            are sound.
        has_fallback: a job publishes older scores of the application, flagged, where a night could not.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    draft: Publication
    passed: bool
    failed: dict[str, str] = {}
    overrulable: bool = False
    has_fallback: bool = False

    @property
    def app(self) -> str:
        """The application that was scored."""
        return self.draft.app

    @property
    def day(self) -> date:
        """The day that was scored."""
        return self.draft.day

    def failures(self) -> str:
        """Return the failed checks in one line."""
        return "; ".join(f"{name}: {found}" for name, found in self.failed.items())


def require_passed(
    publication: Publication, verdict: AuditVerdict | None, *, rows: int, digest: str, overrule: bool
) -> Publication:
    """Return the record as it may be published.

    Args:
        publication: the record to publish.
        verdict: the newest verdict on its attempt; None: it was never audited.
        rows: number of rows of the attempt, counted in storage.
        digest: digest of these rows.
        overrule: publish a set that only a comparison with earlier scores stopped; `who` and `why` must be given.

    Raises:
        TesseraError: the attempt was not audited, did not pass, or is not what was audited.
    """
    app, day, attempt = publication.app, publication.day, publication.attempt
    night = f"Score the day: `tessera run {app}_nightly --date {day}`."
    if verdict is None:
        raise TesseraError(
            f"The scores {attempt!r} of {app} for {day} were never audited.", expected="a passed audit", todo=night
        )
    if (rows, digest) != (verdict.draft.rows, verdict.draft.digest) or (rows, digest) != (
        publication.rows,
        publication.digest,
    ):
        audited = f"{verdict.draft.rows} ({verdict.draft.digest[:12]})"
        raise TesseraError(
            f"Attempt {attempt!r} of {day} holds {rows} rows with digest {digest[:12]}, not "
            f"{publication.rows} ({publication.digest[:12]}); audited were {audited}.",
            expected="the rows that were audited, unchanged",
            todo=night,
        )
    if verdict.passed:
        return publication
    if not (overrule and verdict.overrulable and publication.why and publication.who):
        raise _refused(verdict)
    return publication.model_copy(update={"refused": dict(verdict.failed)})


def _refused(verdict: AuditVerdict) -> TesseraError:
    draft = verdict.draft
    way = f"Correct what failed and run `tessera run {draft.app}_nightly --date {draft.day}`"
    if verdict.has_fallback:
        way = f"Run `tessera run {draft.app}_fallback --date {draft.day}`"
    by_hand = f'if the shift is real, `tessera publish {draft.app} --date {draft.day} --even-if-refused --why "..."`'
    return TesseraError(
        f"The audit blocked the scores of {draft.app} for {draft.day}: {verdict.failures()}.",
        expected="scores that pass every blocking check",
        todo=f"{way}, or, {by_hand}." if verdict.overrulable else f"{way}.",
    )


def last_set(records: Iterable[Publication]) -> tuple[Publication | None, bool]:
    """Return the set that was published last for a day, by all its records, oldest first.

    And whether it is published.
    """
    last, stands = None, False
    for record in records:
        if record.action == "publish":
            last, stands = record, True
        elif record.action == "unpublish":
            stands = False
        elif last is not None and last.attempt == record.was:
            last = record
    return last, stands


def attempt_of(digest: str) -> str:
    """Return the name of the attempt that holds the rows with this digest (`models.scoring.digest`)."""
    return digest[:16]
