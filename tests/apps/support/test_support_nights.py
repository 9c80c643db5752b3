"""Nights of support: tickets are triaged, published, answered again as they were, and corrected by later labels."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest

from assets.support.answering import answer, answered, is_known, served
from assets.support.learning import labelled_rows
from assets.support.performance import TABLE, measure, quality
from assets.support.shares import checked, drifts
from models.contracts import TICKET_LABELS, TICKETS
from models.support.composition import alone
from models.support.hand_off import HandOffConfig
from resources.registry.fake import FolderRegistry
from resources.registry.port import VersionInfo
from tests.apps.support.support_world import (
    DAY,
    SETTINGS,
    TODAY,
    SupportHome,
    at,
    history,
    home_after_a_night,
    label,
)

#: One worker makes the home once.
pytestmark = pytest.mark.xdist_group("support home")
VERSIONS = {"model_version", "model_package", "feature_version"}


@pytest.fixture
def home(tmp_path: Path) -> SupportHome:
    return home_after_a_night(tmp_path)


def failure(run: dg.ExecuteInProcessResult) -> str:
    (failed,) = [event for event in run.all_events if event.is_step_failure]
    error = failed.step_failure_data.error
    assert error is not None
    return str((error.cause or error).message)


def verdict(run: dg.ExecuteInProcessResult) -> str:
    found = [
        one
        for one in run.get_asset_materialization_events()
        if one.asset_key == dg.AssetKey(["support", "publication"])
    ]
    return str(found[0].materialization.metadata["verdict"].value)


def test_a_night_publishes_every_ticket_with_an_answer_or_the_reasons_for_a_person(home: SupportHome) -> None:
    rows = home.published()
    assert {id: row["intent"] for id, row in rows.items()} == {
        "z1": "delivery",
        "z2": "refund",
        "z3": "oos",
        "z4": "login",
    }
    assert {id for id, row in rows.items() if row["handed_off"]} == {"z3", "z4"}
    assert rows["z3"]["reasons"][0] == "it belongs to no known intent"
    assert rows["z4"]["reasons"][0].startswith("it is urgent with")
    for row in rows.values():
        assert (row["answer"] is None) == row["handed_off"] == bool(row["reasons"])
        assert set(row["cited"]) <= set(row["article_ids"])
        assert row["cost_eur"] > 0
    assert rows["z1"]["answer"] == "The tracking code shows where the courier has the package."
    assert "kb-delivery" in rows["z1"]["cited"]
    person = json.loads(rows["z4"]["context"])
    assert person["history"]["last_orders"] == [
        {"is_return": False, "lines": 1, "order_id": "o-1", "ordered_on": "2025-06-25"}
    ]
    assert "reset code" in person["draft"], "a person sees what was not sent"


def test_what_each_step_gave_is_in_the_lake(home: SupportHome) -> None:
    rows = home.lake.scan("support_steps").to_table().to_pylist()
    listed = [(row["ticket_id"], row["step"]) for row in rows]
    steps = ["language", "linear", "search", "sentiment", "urgency", "answer", "hand_off"]
    assert listed == [(ticket["ticket_id"], step) for ticket in TODAY for step in steps]
    assert {row["state"] for row in rows} == {"ok"}
    assert {row["customer_id"] for row in rows if row["ticket_id"] == "z1"} == {"c1"}, "an erasure finds them"
    assert json.loads(rows[1]["output"])["intent"] == "delivery"


def test_the_same_night_again_changes_nothing(home: SupportHome) -> None:
    again = home.night()
    assert again.success
    assert verdict(again).startswith("identical to what run")
    assert home.registry.champion("support") == "1", "no training is due"


def test_a_ticket_that_is_asked_again_is_answered_as_at_night(home: SupportHome) -> None:
    ports, published = home.ports(), home.published()
    loaded, version = served(ports)
    for ticket in TODAY:
        row = published[ticket["ticket_id"]]
        found = answered(loaded, version, ports, SETTINGS, {**ticket, "ticket_id": "asked"})
        same = {name: value for name, value in row.items() if name not in {"ticket_id", *VERSIONS}}
        assert {name: found.row[name] for name in same} == same
        assert found.version == row["model_version"]
        assert [name for name, _, _ in found.steps][:3] == ["language", "linear", "search"]
        assert json.dumps(found.as_json())
    typed = answer(ports, SETTINGS, TODAY[0]["text"], "c1", None, TODAY[0]["opened_at"])
    assert typed.row["answer"] == published["z1"]["answer"]


def test_a_customer_that_no_table_names_is_unknown(home: SupportHome) -> None:
    assert [is_known(home.lake, id) for id in ("c1", "c2", "C1", "nobody")] == [True, True, False, False]


def test_models_are_read_once_for_golden_records_and_for_work(home: SupportHome) -> None:
    from assets.support.resources import triage_resources
    from models.compose.package import load_composition, over_resources
    from models.support.composition import FixedArticles, rehearsed

    ports = home.ports()
    live = triage_resources(ports.vectors, ports.embedder, ports.language_model)
    folder, before = home.registry.fetch("support", "1"), rehearsed(live)
    first = load_composition(folder, resources=before)
    again = over_resources(first, folder, before, live)
    same = {name for name, part in again.composition.parts.items() if part is first.composition.parts[name]}
    assert same == {"language", "linear", "fused", "sentiment", "urgency", "hand_off"}
    whole = load_composition(folder, resources=live)
    assert again.step.takes == whole.step.takes
    bases = [vars(one.composition.parts["search"])["knowledge_base"] for one in (first, again, whole)]
    assert isinstance(bases[0], FixedArticles)
    assert bases[1].version == bases[2].version == "1"


def test_the_embedding_step_is_not_asked_twice_for_a_text_where_a_file_keeps_its_answers(
    home: SupportHome, tmp_path: Path
) -> None:
    from assets.support.history import with_history
    from assets.support.triage import triaged

    loaded, _ = served(home.ports())
    parts, declared = loaded.composition.parts, {**loaded.composition.declaration}
    declared["steps"] = [
        {**step, **alone("fused")} if step.get("name") == "intent" else step for step in declared["steps"]
    ]
    composition = replace(loaded.composition, declaration=declared, parts=parts)
    asked = replace(loaded, composition=composition, step=composition.step())
    own = SETTINGS.support.model_copy(update={"step_cache": str(tmp_path / "cache" / "steps.db")})
    rows = with_history(home.lake, home.sink, TODAY, DAY, None)
    plain, first, again = (triaged(asked, rows, each) for each in (SETTINGS.support, own, own))
    assert [[run.cached for run in one.call.log if run.step == "fused"] for one in (plain, first, again)] == [
        [0],
        [0],
        [4],
    ]
    assert plain.rows == first.rows == again.rows, "what is kept is what would be computed"
    assert plain.steps(DAY) == again.steps(DAY)


def test_a_home_without_labels_publishes_nothing_and_says_why(tmp_path: Path) -> None:
    home = SupportHome(tmp_path)
    home.write(TICKETS, TODAY)
    run = home.night()
    assert not run.success
    assert "No ticket that was opened from 2024-07-01 to 2025-06-30 has a label" in failure(run)
    assert home.sink.published("support", DAY) is None
    asked, known = history()
    home.write(TICKETS, [*asked[:60], *TODAY])
    home.write(TICKET_LABELS, known[:60])
    assert "60 tickets have a label by now; the newest 20% of them, 12, are too few" in failure(home.night())
    assert home.registry.champion("support") is None


def test_a_day_without_tickets_is_published_empty(home: SupportHome) -> None:
    night = home.night(day=DAY + timedelta(days=1))
    assert night.success, failure(night)
    assert home.published(DAY + timedelta(days=1)) == {}


def test_a_correction_counts_from_the_next_training_on(home: SupportHome) -> None:
    _, known = history()
    own, before = SETTINGS.support, labelled_rows(home.lake, SETTINGS.support, DAY)
    first = known[0]["ticket_id"]
    home.write(TICKET_LABELS, [*known, label(first, "cancel", at(DAY + timedelta(days=1)))])

    def intent(rows: pa.Table) -> str:
        return {row["ticket_id"]: row["intent"] for row in rows.to_pylist()}[first]

    assert intent(labelled_rows(home.lake, own, DAY).rows) == intent(before.rows) == known[0]["intent"] != "cancel"
    assert intent(labelled_rows(home.lake, own, DAY + timedelta(days=1)).rows) == "cancel"


def test_a_day_is_measured_when_its_labels_have_arrived_and_corrections_count(home: SupportHome) -> None:
    _, known = history()
    later = at(DAY + timedelta(days=3))
    said = [label("z1", "delivery", later), label("z2", "cancel", later), label("z3", "oos", later)]
    home.write(TICKET_LABELS, [*known, *said])
    own, week = SETTINGS.support, DAY + timedelta(days=7)
    assert (measure(home.lake, home.sink, own, week).accuracy, measure(home.lake, home.sink, own, week).labelled) == (
        2 / 3,
        3,
    )
    home.write(TICKET_LABELS, [*known, *said, label("z2", "refund", later + timedelta(days=1))])
    found = measure(home.lake, home.sink, own, week)
    assert (found.accuracy, found.out_of_scope_recall, found.answered, found.answered_accuracy) == (1, 1, 2, 1)
    (row,) = home.lake.scan(TABLE).to_table().to_pylist()
    assert (row["opened_on"], row["tickets"], row["accuracy"]) == (DAY, 4, 1.0)
    assert measure(home.lake, home.sink, own, DAY + timedelta(days=30)).metadata()["note"].startswith("nothing of")


def test_articles_that_agents_named_say_how_good_search_and_drafts_of_a_day_were(home: SupportHome) -> None:
    _, known = history()
    later, rows = at(DAY + timedelta(days=3)), home.published()
    z1, z2 = rows["z1"]["article_ids"][0], rows["z2"]["article_ids"][-1]
    said = [label("z1", "delivery", later, article=z1), label("z2", "refund", later, article=z2)]
    said += [label("z3", "oos", later), label("z4", "login", later, article="kb-gone")]
    home.write(TICKET_LABELS, [*known, *said])
    found = measure(home.lake, home.sink, SETTINGS.support, DAY + timedelta(days=7))
    assert (found.labelled, found.article_labelled) == (4, 3)
    assert (found.article_first, found.article_found) == (1 / 3 if z2 != rows["z2"]["article_ids"][0] else 2 / 3, 2 / 3)
    cited = [rows[id]["cited"] for id in ("z1", "z2", "z4")]
    right = sum(each == [article] for each, article in zip(cited, (z1, z2, "kb-gone"), strict=True))
    assert found.cited_precision == right / sum(map(bool, cited))
    (row,) = home.lake.scan(TABLE).to_table().to_pylist()
    assert (row["article_labelled"], row["article_found"]) == (3, 2 / 3)


def test_a_candidate_tells_how_often_agents_articles_are_found_and_cited(home: SupportHome) -> None:
    from assets.support.learning import candidate
    from assets.support.resources import triage_resources

    (serving,) = home.registry.versions("support")
    assert serving.metrics["article_first"] > 0.8, "every intent has one article, which the labels of others name"
    assert serving.metrics["article_found"] >= serving.metrics["article_first"]
    assert serving.metrics["handed_off_share"] < 1, "this version sends drafts"
    own, ports = SETTINGS.support, home.ports()
    live = triage_resources(ports.vectors, ports.embedder, ports.language_model)
    steps = own.steps.model_copy(update={"hand_off": HandOffConfig(sends_drafts=True)})
    strict = own.model_copy(update={"steps": steps})
    refused = candidate(labelled_rows(home.lake, own, DAY), home.registry, live, strict)
    assert refused.report.passed, "the version is as good as before; its drafts go to a person"
    assert str(refused.shown["search"]) in refused.report.notes
    said = refused.composition.parts["hand_off"].save(home.folder)["cited_precision"]
    assert said["drafts"] > 10
    assert refused.metrics["handed_off_share"] == 1
    assert refused.shown["drafts"].startswith("sends_drafts is refused, a person sends them: ")
    assert refused.shown["drafts"].endswith("; the lower end must be 0.9")


def test_a_search_that_cannot_be_measured_is_no_search_that_finds_nothing(home: SupportHome, tmp_path: Path) -> None:
    from assets.support.resources import triage_resources
    from assets.support.search_check import measured
    from resources.vectors.qdrant_edge import QdrantEdgeConfig

    ports, empty = home.ports(), QdrantEdgeConfig(path=str(tmp_path / "none")).open()
    live = triage_resources(empty, ports.embedder, ports.language_model)
    loaded, _ = served(home.ports())
    holdout = labelled_rows(home.lake, SETTINGS.support, DAY).tickets()
    quality, handed_off = measured(loaded.composition, holdout, live, SETTINGS.support)
    assert (quality.metrics(), handed_off.n) == ({}, 0)
    assert str(quality).startswith("search: not measured: ")
    assert quality.cited.refusal("any", SETTINGS.support.steps.hand_off) == quality.problem != ""


class Promising(FolderRegistry):
    """A registry whose versions promised that no ticket would be handed to a person."""

    def versions(self, app: str) -> list[VersionInfo]:
        promised = {"handed_off_share": 0.0, "measured_tickets": 10_000.0}
        return [replace(info, metrics={**info.metrics, **promised}) for info in super().versions(app)]


def test_shares_of_a_night_are_compared_with_those_that_its_version_promised(home: SupportHome) -> None:
    own = SETTINGS.support.model_copy(update={"max_share_drift": 0.0})
    found = drifts(home.sink, home.registry, own, DAY)
    assert {one.name: one.realised.count for one in found} == {
        "escalated to the embedding model": 0,
        "out of scope": 1,
        "handed to a person": 2,
    }
    assert {one.realised.n for one in found} == {4}
    assert all(one.promised.n >= 30 for one in found)
    assert checked(found).passed
    late = checked(drifts(home.sink, Promising(home.folder / "models"), own, DAY))
    assert not late.passed
    assert late.severity == dg.AssetCheckSeverity.WARN
    assert str(late.description).startswith("handed to a person: 50.0% of 4, 0.0% of 10,000 were promised")
    nothing = checked(drifts(home.sink, home.registry, own, DAY + timedelta(days=1)))
    assert (nothing.passed, nothing.description) == (True, "the version that triaged promises no share")


def test_no_share_is_invented_where_no_label_is() -> None:
    found = quality([{"ticket_id": "a", "intent": "x", "handed_off": True}], {}, DAY, "1")
    assert (found.accuracy, found.out_of_scope_recall, found.answered_accuracy, found.labelled) == (None, None, None, 0)


def test_another_embedder_is_a_reason_to_train(home: SupportHome) -> None:
    from assets.support.learning import embedder_changed
    from resources.embedder.hashed import HashedEmbedderConfig

    assert embedder_changed(home.registry, "1", HashedEmbedderConfig(dimension=128).open()) == ""
    says = embedder_changed(home.registry, "1", HashedEmbedderConfig(dimension=64).open())
    assert says.startswith("version 1 was trained on vectors of hashed-ngrams")


def test_the_command_shows_the_answer_or_the_reasons_and_the_draft(home: SupportHome) -> None:
    from pipelines.cli.ask import lines_of

    ports = home.ports()
    loaded, version = served(ports)
    answers = {one["ticket_id"]: answered(loaded, version, ports, SETTINGS, one) for one in (TODAY[0], TODAY[3])}
    sent, kept = (dict(lines_of(answers[id])) for id in ("z1", "z4"))
    assert sent["answer"] == "The tracking code shows where the courier has the package."
    assert sent["intent"] == "delivery (95%, by linear)"
    assert "hand-off" not in sent
    assert str(kept["hand-off"]).startswith("it is urgent with")
    assert "reset code" in kept["draft for the person"]
    assert "answer" not in kept
