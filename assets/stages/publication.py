"""Publish the audited scores of a day: one pointer moves, and people are notified of each step down the ladder.

A published day keeps its rows: worse scores never take their place, and those of another model only after
a person publishes them (`tessera publish`). Rows of the same model, made anew from corrected features, do.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import date
from typing import Any

import dagster as dg

from assets.stages import metadata_keys as keys
from models.errors import TesseraError
from models.publishing import LADDER, Publication, last_set
from models.tracing import traced
from resources.notifier.grouping import FAULT, fault_of_night
from resources.notifier.message import message
from resources.notifier.port import Level, Notifier
from resources.sink.port import AnotherStands, DamagedScores, Sink

_LOGGER = logging.getLogger(__name__)
#: Each lost try means that another run published meanwhile; more of them than this are a fault of the sink.
_MAX_TRIES = 10


@dataclass(frozen=True)
class Published:
    """The published set, and whether this run put it there, in words."""

    publication: Publication
    verdict: str

    def metadata(self) -> dict[str, Any]:
        """The publication record, for Dagster."""
        standing = self.publication
        return {
            keys.ROW_COUNT: standing.rows,
            keys.VERDICT: self.verdict,
            keys.DEGRADATION: standing.degradation,
            keys.MODEL_VERSION: standing.model_version,
            keys.DIGEST: standing.digest,
            keys.PUBLISHED_BY_RUN: standing.run_id,
            keys.REASON: standing.why,
            keys.PUBLICATION: dg.MetadataValue.json(standing.model_dump(mode="json")),
        }


@traced("publish")
def publish(sink: Sink, notifier: Notifier, app: str, day: date) -> Published:
    """Publish the audited draft of the day, unless the published set has to stay.

    Steps down are notified before the set is published: if the process dies between the two, the next run notifies them
    again, and no notice is lost. If another run publishes between the decision and the pointer move, it is decided
    again: of two runs with different champions, the first one's scores stay.

    Raises:
        TesseraError: nothing was audited for the day, or the audit blocked it.
    """
    verdict = sink.draft(app, day)
    if verdict is None:
        raise TesseraError(
            f"No scores of {app} wait to be published for {day}.",
            expected="scores that passed the audit",
            todo=f"Run `tessera run {app}_nightly --date {day}`.",
        )
    draft, told, tries = verdict.draft, False, 0
    while True:
        standing = _standing(sink, app, day)
        if verdict.passed and standing and (why := _reason_to_keep(standing, draft)) and _is_readable(sink, standing):
            return Published(standing, why)
        if draft.steps and not told and (standing is None or standing.attempt != draft.attempt):
            _tell_steps(notifier, draft)
            told = True
        try:
            return _described(sink.publish(draft, replaces=standing.attempt if standing else None), draft)
        except AnotherStands:
            tries += 1
            if tries == _MAX_TRIES:
                raise


def last_or_waiting(sink: Sink, app: str, day: date) -> tuple[Publication | None, bool]:
    """The set that was published last for a day, else the newest audited draft; and whether it is published."""
    last, stands = last_set(sink.history(app, day))
    if last is None and (verdict := sink.draft(app, day)) is not None:
        return verdict.draft, False
    return last, stands


def _reason_to_keep(standing: Publication, draft: Publication) -> str:
    """The reason why the standing set stays published until a person says otherwise; empty if it gives way."""
    if standing.attempt == draft.attempt:
        return ""
    if LADDER.index(standing.degradation) < LADDER.index(draft.degradation):
        return f"{standing.degradation} scores stay published; {draft.degradation} ones are not needed"
    if standing.model_package == draft.model_package or standing.degradation != draft.degradation:
        return ""
    return (
        f"the scores of version {standing.model_version} stay published; those of version {draft.model_version} wait: "
        f"`tessera publish {draft.app} --date {draft.day}`"
    )


def _described(standing: Publication, draft: Publication) -> Published:
    if standing.run_id != draft.run_id:
        return Published(standing, f"identical to what run {standing.run_id[:8]} published: nothing changed")
    if standing.degradation == "fresh":
        return Published(standing, f"published, {standing.rows:,} rows")
    words = f"published, degraded: {standing.degradation} of {standing.features_of}"
    return Published(standing, f"{words} ({'; '.join(standing.steps)})" if standing.steps else words)


def _standing(sink: Sink, app: str, day: date) -> Publication | None:
    """The record of the published set; None if there is none, or if its record is damaged."""
    try:
        return sink.published(app, day)
    except DamagedScores:
        return None


def _is_readable(sink: Sink, standing: Publication) -> bool:
    """True if every row of the set can be read."""
    try:
        for _ in sink.published_rows(standing):
            pass
    except DamagedScores:
        return False
    return True


def _tell_steps(notifier: Notifier, draft: Publication) -> None:
    """One notice for each step down."""
    sources = [step.partition(":")[0] for step in draft.steps]
    for step, following in zip(draft.steps, [*sources[1:], draft.degradation], strict=True):
        of = f" of {draft.features_of}" if following == draft.degradation else ""
        notify(
            notifier,
            "warning",
            f"{draft.app} {draft.day}: {following}",
            message(
                f"Step down from {step}. Next: {following}{of}.",
                published=f"Publishing: {draft.degradation}, version {draft.model_version}.",
                command=f"tessera run {draft.app}_nightly --date {draft.day}   (once that is corrected)",
                section="A run failed",
            ),
            draft.app,
            draft.day,
            draft.run_id,
        )


def notify(
    notifier: Notifier, level: Level, subject: str, body: str, app: str, day: date, run_id: str, fault: str = ""
) -> None:
    """Send a notice, of the day's night or of another fault; losing one must not stop scores, the log then holds it."""
    about = fault or fault_of_night(app, day.isoformat())
    try:
        notifier.notify(level, subject, body, {"app": app, "day": day.isoformat(), "run_id": run_id, FAULT: about})
    except TesseraError as error:
        _LOGGER.error("%s %s (%s)", subject, body, error)
