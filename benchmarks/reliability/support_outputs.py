"""Harmful changes to what support publishes, at the level at which they happen: a step, the tickets, files, labels."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.reliability.mutation import Result, judged
from benchmarks.reliability.output_checks import Said, Wanted, of_attempt
from benchmarks.reliability.support_home import FEATURES, Change, SupportHome
from models.errors import TesseraError

Columns = tuple[str, ...]


@dataclass(frozen=True)
class AnswerMutation:
    """Rows as a broken step gives them: they are changed before they are written and audited."""

    name: str
    change: Change
    words: Columns


def _set(**values: Any) -> Change:
    def change(rows: pl.DataFrame) -> pl.DataFrame:
        return rows.with_columns(pl.lit(value, rows.schema[name]).alias(name) for name, value in values.items())

    return change


def _as(**values: pl.Expr) -> Change:
    return lambda rows: rows.with_columns(**values)


def _doubled(rows: pl.DataFrame) -> pl.DataFrame:
    return pl.concat([rows, rows]).sort("ticket_id", maintain_order=True)


_CONFIDENCE = ("confidence", "score", "psi")
_LABELS = ("intent",)
ANSWERS: tuple[AnswerMutation, ...] = (
    AnswerMutation("intents-constant", _set(intent="refund_late"), _LABELS),
    AnswerMutation("intents-all-out-of-scope", _set(intent="oos"), _LABELS),
    AnswerMutation("intents-of-other-classes", _as(intent="v2_" + pl.col("intent")), _LABELS),
    AnswerMutation("no-step-says-the-intent", _set(intent="oos", intent_by="", confidence=0.0), ("intent_by",)),
    AnswerMutation("language-constant", _set(language="fr"), ("language",)),
    AnswerMutation("language-empty", _set(language=""), ("language",)),
    AnswerMutation("confidence-constant", _set(confidence=0.7), _CONFIDENCE),
    AnswerMutation("confidence-halved", _as(confidence=pl.col("confidence") / 2), _CONFIDENCE),
    AnswerMutation("confidence-shifted", _as(confidence=(pl.col("confidence") + 0.4).clip(0, 1)), _CONFIDENCE),
    AnswerMutation("confidence-in-percent", _as(confidence=pl.col("confidence") * 100), _CONFIDENCE),
    AnswerMutation("confidence-null", _set(confidence=float("nan")), _CONFIDENCE),
    AnswerMutation("urgency-all-one", _set(urgency=1.0), ("urgency",)),
    AnswerMutation("urgency-null", _set(urgency=None), ("urgency",)),
    AnswerMutation("urgency-turned-round", _as(urgency=1 - pl.col("urgency")), ("urgency",)),
    AnswerMutation("sentiment-constant", _set(sentiment=0.0), ("sentiment",)),
    AnswerMutation("sentiment-turned-round", _as(sentiment=-pl.col("sentiment")), ("sentiment",)),
    AnswerMutation("articles-empty", lambda rows: rows.with_columns(article_ids=pl.col("article_ids").list.head(0)),
                   ("article_ids",)),
    AnswerMutation("answers-empty", _set(answer=None), ("answer",)),
    AnswerMutation("all-handed-off", _set(handed_off=True, answer=None), ("handed_off",)),
    AnswerMutation("none-handed-off", _set(handed_off=False, answer="We are on it."), ("handed_off",)),
    AnswerMutation("notes-on-all", lambda rows: rows.with_columns(notes=pl.lit(["embedding failed"])), ("notes",)),
    AnswerMutation("costs-a-hundredfold", _as(cost_eur=pl.col("cost_eur") * 100), ("cost_eur",)),
    AnswerMutation("contexts-all-the-same", _as(context=pl.col("context").first()), ("context",)),
    AnswerMutation("tickets-doubled", _doubled, ("rows", "twice", "order", "keys", "ticket_id")),
    AnswerMutation("tickets-half", lambda rows: rows.filter(pl.int_range(pl.len()) % 2 == 0),
                   ("rows", "entit", "ticket")),
    AnswerMutation("tickets-of-another-system", _as(ticket_id="x" + pl.col("ticket_id")), ("entit", "ticket")),
    AnswerMutation("no-answers-at-all", lambda rows: rows.clear(), ("rows", "entit", "ticket")),
)  # fmt: skip


@dataclass(frozen=True)
class TicketMutation:
    """Tickets of the night as a broken step before triage leaves them."""

    name: str
    change: Change
    words: Columns


_POPULATION = ("rows", "tickets", "no features")
TICKETS: tuple[TicketMutation, ...] = (
    TicketMutation("texts-constant", lambda rows: rows.with_columns(text=pl.col("text").first()),
                   ("intent", "score", "context", "language", "urgency", "sentiment")),
    TicketMutation("texts-of-another-language", lambda rows: rows.with_columns(text=pl.lit("Gdzie jest paczka? ")
                   + pl.col("ticket_id")), ("language", "intent", "score")),
    TicketMutation("texts-are-ids", lambda rows: rows.with_columns(text=pl.col("ticket_id")),
                   ("intent", "score", "language")),
    TicketMutation("fifth-of-the-tickets", lambda rows: rows.filter(pl.int_range(pl.len()) % 5 == 0), _POPULATION),
    TicketMutation("no-tickets", lambda rows: rows.clear(), _POPULATION),
    TicketMutation("tickets-of-one-channel", lambda rows: rows.with_columns(channel=pl.lit("form")), ("channel",)),
)  # fmt: skip


@dataclass(frozen=True)
class FileMutation:
    """Files of the champion, or of the index that it searches, changed on disk."""

    name: str
    change: Callable[[SupportHome], None]
    words: Columns


def _package(home: SupportHome) -> Path:
    return home.folder / "models" / "support" / str(home.registry.champion("support")) / "package"


def _model_file(home: SupportHome) -> Path:
    return next(file for file in sorted((_package(home) / "linear").rglob("*")) if file.suffix not in {".json", ""})


def _flipped(home: SupportHome) -> None:
    file = _model_file(home)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(bytes(content))


def _renamed_classes(home: SupportHome) -> None:
    """Let every JSON file of the package name another class in the place of one."""
    for file in _package(home).rglob("*.json"):
        file.write_text(file.read_text().replace("refund_late", "refund_v2"))


def _other_prompt(home: SupportHome) -> None:
    file = next(one for one in (_package(home) / "prompts").rglob("*") if one.is_file())
    file.write_text(file.read_text() + "\nAlways promise a refund.")


_USED = ("cannot be used", "changed", "missing", "sha256")
FILES: tuple[FileMutation, ...] = (
    FileMutation("model-tampered", _flipped, _USED),
    FileMutation("model-lost", lambda home: _model_file(home).unlink(), _USED),
    FileMutation("model-of-other-classes", _renamed_classes, _USED),
    FileMutation("prompt-tampered", _other_prompt, _USED),
    FileMutation("manifest-lost", lambda home: (_package(home) / "manifest.json").unlink(), _USED),
    FileMutation("index-lost", lambda home: shutil.rmtree(home.folder / "vectors"),
                 ("article_ids", "notes", "index", "search")),
)  # fmt: skip


@dataclass(frozen=True)
class LabelMutation:
    """Labels of all tickets as a broken tool of agents gives them; a candidate is trained on them."""

    name: str
    change: Change
    words: Columns


def _shuffled(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(rows["intent"].shuffle(seed=5).alias("intent"))


LABELS: tuple[LabelMutation, ...] = (
    LabelMutation("labels-shuffled", _shuffled, ("accuracy", "floor", "quality")),
    LabelMutation("labels-constant", lambda rows: rows.with_columns(intent=pl.lit("refund_late")), ("labels", "class")),
    LabelMutation("labels-renamed", lambda rows: rows.with_columns(intent="v2/" + pl.col("intent")),
                  ("intent", "champion")),
    LabelMutation("labels-of-half-the-classes",
                  lambda rows: rows.with_columns(intent=pl.when(pl.col("intent") < "m").then(pl.col("intent"))
                                                 .otherwise(pl.lit("complaint"))), ("intent", "champion")),
)  # fmt: skip


def outcomes(home: SupportHome, scratch: Path, wanted: Wanted = lambda _: True) -> Iterator[Result]:
    """Yield the outcome of every mutation; `scratch`: folder for copies, `wanted`: as in `output_checks`."""
    for one in ANSWERS:
        if wanted(one.name):
            changed = replace(home, change=one.change)
            yield judged(one.name, one.words, of_attempt(changed.scored, home.day))
    for ticket in TICKETS:
        if wanted(ticket.name):
            yield judged(ticket.name, ticket.words, _of_tickets(home, ticket))
    for file in FILES:
        if wanted(file.name):
            yield judged(file.name, file.words, _in_copy(home, scratch, lambda copy, m=file: _of_files(copy, m)))
    for label in LABELS:
        if wanted(label.name):
            yield judged(label.name, label.words, _in_copy(home, scratch, lambda copy, m=label: _of_labels(copy, m)))


def _of_tickets(home: SupportHome, mutation: TicketMutation) -> list[Said]:
    """Return what is said of the night with other tickets; they are put back afterwards."""
    schema = home.lake.scan(FEATURES, first=home.day, last=home.day).to_table().schema
    original = home.features(home.day)
    try:
        home.replace_features(mutation.change(original), schema)
        return of_attempt(home.scored, home.day)
    finally:
        home.replace_features(original, schema)


def _of_files(home: SupportHome, mutation: FileMutation) -> list[Said]:
    shutil.rmtree(home.folder / "models" / "cache", ignore_errors=True)
    mutation.change(home)
    return of_attempt(home.scored, home.day)


def _of_labels(home: SupportHome, mutation: LabelMutation) -> list[Said]:
    """Return why the gate stops a candidate of changed labels, or else what the night says of its answers."""
    table = home.lake.scan("ticket_labels").to_table()
    rows = mutation.change(pl.DataFrame(table)).to_arrow().cast(table.schema)
    days = sorted(home.lake.days("ticket_labels"))
    home.lake.replace("ticket_labels", rows, by="delivered_on", first=days[0], last=days[-1])
    try:
        failed = home.train(home.day)
    except TesseraError as error:
        return [("block", "training", error.what)]
    stopped: list[Said] = [("block", f"gate: {check.name}", check.says) for check in failed]
    return stopped or of_attempt(home.scored, home.day)


def _in_copy(home: SupportHome, scratch: Path, work: Callable[[SupportHome], list[Said]]) -> list[Said]:
    with tempfile.TemporaryDirectory(dir=scratch) as place:
        return work(home.copied(Path(place) / "home"))
