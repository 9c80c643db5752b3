"""Training of triage from labelled tickets: the labels that were known by the day, the newest of each ticket."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from assets.stages import metadata_keys as keys
from assets.stages.composition_training import ComposedCandidate
from assets.stages.cutoff_training import stored
from assets.stages.promotion import composed_champions
from assets.support.app import SUPPORT
from assets.support.shares import MEASURED_TICKETS
from models.errors import TesseraError
from models.settings import SupportSettings
from models.text.ticket_labels import NEWEST, labels_at
from resources.embedder.port import GuardedEmbedder
from resources.lake.port import Lake
from resources.registry.port import Registry

if TYPE_CHECKING:
    from models.compose.package import Composition
    from models.compose.share_drift import Share
    from models.support.hand_off import CitedPrecision
    from models.support.labelled import LabelledTickets
    from models.support.training import Champion, TrainedTriage

# pyright: basic, reportAttributeAccessIssue=false
# pyarrow makes the functions of `pyarrow.compute` when it is imported.

#: File of the package with the ids of the tickets that it was trained or chosen on.
SEEN = "seen.json"
#: File of the package with the shares of the intents among all labels of the training.
LABELS = "labels.json"
_SCHEMA = pa.schema(
    [
        ("ticket_id", pa.string()),
        ("customer_id", pa.string()),
        ("opened_at", pa.timestamp("us", tz="UTC")),
        ("text", pa.string()),
        ("intent", pa.string()),
        ("urgent", pa.bool_()),
        ("article_id", pa.string()),
        ("labelled_at", pa.timestamp("us", tz="UTC")),
    ]
)


@dataclass(frozen=True)
class LabelledRows:
    """Labelled tickets, oldest first."""

    rows: pa.Table

    def metadata(self) -> dict[str, Any]:
        """Numbers for Dagster, and a table of the intents."""
        counted = self.rows["intent"].value_counts().to_pylist()
        listed = sorted(counted, key=lambda one: (-one["counts"], one["values"]))
        records = [dg.TableRecord({"intent": one["values"], "tickets": one["counts"]}) for one in listed]
        schema = dg.TableSchema([dg.TableColumn("intent", "string"), dg.TableColumn("tickets", "int")])
        return {
            keys.ROW_COUNT: self.rows.num_rows,
            keys.INTENTS: dg.MetadataValue.table(records, schema=schema),
            keys.LABELLED: self.rows.num_rows - self.rows["urgent"].null_count,
        }

    def tickets(self) -> LabelledTickets:
        """Return them as training takes them."""
        from models.support.labelled import LabelledTickets

        columns = (self.rows[name].to_pylist() for name in ("ticket_id", "text", "intent", "urgent", "article_id"))
        return LabelledTickets(*columns)


def labelled_rows(lake: Lake, settings: SupportSettings, as_of: date) -> LabelledRows:
    """Make the training set as of the end of `as_of` and store it in the lake; later labels change nothing of it.

    Raises:
        TesseraError: no ticket has a label yet.
    """
    first = as_of - timedelta(days=settings.training_days - 1)
    tickets = known_tickets(lake, first, as_of)
    labels = newest_labels(lake, as_of)
    rows = [{**ticket, **labels[ticket["ticket_id"]]} for ticket in tickets if ticket["ticket_id"] in labels]
    if not rows:
        raise TesseraError(
            f"No ticket that was opened from {first} to {as_of} has a label: there is nothing to train on.",
            expected="tickets, and agents' labels of them (the table ticket_labels)",
            todo="Deliver labels, or choose a later day; `tessera quarantine ticket_labels` shows rows left out.",
        )
    rows.sort(key=lambda row: (row["opened_at"], row["ticket_id"]))
    table = pa.Table.from_pylist([{name: row.get(name) for name in _SCHEMA.names} for row in rows], _SCHEMA)
    return LabelledRows(stored(lake, SUPPORT.training_set, table, as_of))


def known_tickets(lake: Lake, first: date, as_of: date) -> list[dict[str, Any]]:
    """Return the tickets that were opened from `first` to `as_of` and delivered by then."""
    if not lake.exists("tickets"):
        return []
    opened = pc.field("opened_at") >= pa.scalar(datetime.combine(first, time.min, UTC))
    columns = ["ticket_id", "customer_id", "opened_at", "text"]
    return lake.scan("tickets", last=as_of).to_table(columns=columns, filter=opened).to_pylist()


def newest_labels(lake: Lake, as_of: date) -> dict[str, dict[str, Any]]:
    """Return the newest label of each ticket that was given and delivered by the end of `as_of`.

    Where it says nothing of urgency or the article, what an earlier label says counts.
    """
    if not lake.exists("ticket_labels"):
        return {}
    delivered = lake.scan("ticket_labels", last=as_of).to_table(columns=NEWEST.names)
    rows = labels_at(delivered, datetime.combine(as_of + timedelta(days=1), time(), UTC)).to_pylist()
    return {
        row["ticket_id"]: {name: row[name] for name in ("intent", "urgent", "article_id", "labelled_at")}
        for row in rows
    }


def candidate(
    found: LabelledRows, registry: Registry, live: Mapping[str, Any], settings: SupportSettings
) -> ComposedCandidate:
    """Train a composition on these tickets, and evaluate it against its children and the champion.

    Args:
        found: labelled tickets.
        registry: has the champion.
        live: resources by the names under which parts need them; the search and the drafts are measured with them.
        settings: of the application.
    """
    from assets.support.search_check import measured
    from models.gates.label_shares import label_shares
    from models.support.composition import GOLDEN, rehearsed
    from models.support.labelled import parts_of
    from models.support.training import train_triage

    tickets, resources, embedder = found.tickets(), rehearsed(live), live["embedder"]
    holdout = parts_of(tickets)[2]
    champion = _champion(registry, resources, holdout)
    trained = train_triage(tickets, embedder, settings.steps, settings.gate, champion)
    trained, asks = _with_language_model(trained, parts_of(tickets)[1], live, settings)
    quality, handed_off = measured(composed(trained, live, settings, None), holdout, live, settings)
    report = replace(trained.report, notes=[*trained.report.notes, *asks, str(quality)])
    return ComposedCandidate(
        name=trained.serves,
        composition=composed(trained, resources, settings, quality.cited),
        golden=GOLDEN,
        rehearsal=resources,
        report=report,
        metrics={**trained.metrics, **quality.metrics(), **_hand_offs(handed_off, quality.cited, settings)},
        holdout=f"the newest {trained.holdout:,} labelled tickets",
        parameters={"intent": json.dumps(trained.intent, sort_keys=True), "embedder": embedder.identity.name},
        extras={
            SEEN: json.dumps(sorted(trained.seen)),
            LABELS: label_shares(tickets.intents).model_dump_json(),
            "router.md": trained.router_report.markdown(),
        },
        shown={
            keys.ROUTER: dg.MetadataValue.md(trained.router_report.markdown()),
            keys.SEARCH: str(quality),
            keys.DRAFTS: _drafts(quality.cited, settings),
        },
    )


def _with_language_model(
    trained: TrainedTriage, chosen_on: LabelledTickets, live: Mapping[str, Any], settings: SupportSettings
) -> tuple[TrainedTriage, list[str]]:
    """Return what was trained, with a language model as the last reader of an intent where that is wanted and pays."""
    from assets.support.triage import budget_of
    from models.compose.call import new_call
    from models.support.third_step import with_language_model

    limits = settings.steps.intent_model
    if not limits.enabled:
        return trained, []
    spending = new_call(budget_of(settings, limits.measured_tickets)).spending
    trained, sentence = with_language_model(trained, chosen_on, live["language_model"], limits, spending)
    return trained, [sentence]


def _hand_offs(by_other_rules: Share, cited: CitedPrecision, settings: SupportSettings) -> dict[str, float]:
    """Return the share of tickets that the version is going to hand to a person: all of them if it sends no draft."""
    limits = settings.steps.hand_off
    sends = limits.sends_drafts and not cited.refusal(cited.model, limits)
    if not by_other_rules.n:
        return {}
    return {"handed_off_share": by_other_rules.value if sends else 1.0, MEASURED_TICKETS: float(by_other_rules.n)}


def _drafts(measured: CitedPrecision, settings: SupportSettings) -> str:
    """Return the sentence that says whether the version sends drafts, and why not."""
    limits = settings.steps.hand_off
    if not limits.sends_drafts:
        return "a person sends them"
    refusal = measured.refusal(measured.model, limits)
    return f"sends_drafts is refused, a person sends them: {refusal}" if refusal else "sent where no rule forbids it"


def composed(
    trained: TrainedTriage,
    resources: Mapping[str, Any],
    settings: SupportSettings,
    measured: CitedPrecision | None,
) -> Composition:
    """Return the composition of trained parts, rules and prompts, over these resources.

    `measured` decides on sending drafts; None while they are measured: all that pass the other rules are sent then.
    """
    from models.compose.prompt import Prompt
    from models.support.answers import ANSWER_PROMPT, PROMPT
    from models.support.composition import triage
    from models.support.parts import AnswerPart, HandOffPart, LanguagePart, SearchPart, SentimentPart

    steps = settings.steps
    limits = steps.hand_off if measured is not None else steps.hand_off.model_copy(update={"sends_drafts": True})
    parts = {
        "language": LanguagePart(steps.languages, steps.default_language),
        "linear": trained.linear,
        "fused": trained.fused,
        "search": SearchPart(resources["knowledge_base"], steps.articles, trained.words, trained.prior),
        "sentiment": SentimentPart(),
        "urgency": trained.urgency,
        "answer": AnswerPart(
            resources["language_model"],
            Prompt(ANSWER_PROMPT, PROMPT),
            steps.max_answer_tokens,
            steps.min_answer_support,
        ),
        "hand_off": HandOffPart(limits, measured),
    }
    asked = trained.asked
    if asked is not None:
        parts["language_model"] = replace(asked, answerer=resources["language_model"])
    return triage(trained.intent, parts, trained.children, [asked.prompt] if asked is not None else [])


def embedder_changed(registry: Registry, version: str, embedder: GuardedEmbedder) -> str:
    """Return the reason why a champion cannot be used: it was trained on another embedder's vectors; "": it can be."""
    from models.text.embedder import EmbedderIdentity
    from models.training.manifest import MANIFEST

    manifest = json.loads((registry.fetch(SUPPORT.name, version) / MANIFEST).read_text())
    known = [part["saved"]["embedder"] for part in manifest["parts"].values() if "embedder" in part["saved"]]
    if all(EmbedderIdentity(**one).is_same(embedder.identity) for one in known):
        return ""
    return (
        f"version {version} was trained on vectors of {known[0]['name']}, and the embedder is {embedder.identity.name}"
    )


def _champion(registry: Registry, resources: Mapping[str, Any], holdout: LabelledTickets) -> Champion | None:
    """Return the champion's intents for the hold-out; None if there is none, or it cannot be used."""
    from models.compose.batch import from_records
    from models.compose.call import new_call
    from models.compose.package import LoadedComposition
    from models.gates.label_shares import LabelShares
    from models.support.composition import NoAnswers
    from models.support.training import Champion

    compared = {**resources, "language_model": NoAnswers()}
    for found in composed_champions(SUPPORT.name, registry, compared, resources):
        loaded = getattr(found, "composition", None)
        if not isinstance(loaded, LoadedComposition):
            return None
        records = [{"text": text, "history": {}} for text in holdout.texts]
        answered = loaded.step.run(from_records(records, loaded.step.takes), new_call())
        seen = frozenset(json.loads(loaded.extras.get(SEEN, "[]")))
        labels = loaded.extras.get(LABELS)
        recorded = LabelShares.model_validate_json(labels) if labels else None
        return Champion(found.version, answered.batch["intent"].tolist(), seen, recorded)
    return None
