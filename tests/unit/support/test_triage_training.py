"""Training of triage: a router where it pays and the better child where not, on unseen tickets; models as files."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.compose.gate import CompositionGateConfig
from models.errors import TesseraError
from models.gates.label_shares import label_shares, shares_as_before
from models.support.config import TriageConfig, TriageGateConfig
from models.support.intent_part import masked
from models.support.labelled import LabelledTickets, parts_of
from models.support.training import Champion, TrainedTriage, train_triage
from models.text.embedder import EmbedderIdentity, Embeddings
from models.text.hashed import HashedEmbedder
from models.text.intent_files import read_embedding, read_linear, write_embedding, write_linear
from models.text.intents import IntentModel, fit_embedding_intents, fit_linear_intents

TOPICS = ("refund", "delivery", "login")
CONFIG = TriageConfig(linear_ms=0.2, embedding_ms=10.0, max_cost_share=0.7)
GATE = TriageGateConfig(
    min_tickets=30, resamples=200, router=CompositionGateConfig(min_rows=30, resamples=200, max_cost_share=0.8)
)


class Meaning:
    """An embedder that knows the topic of every text, also where no spelling says it."""

    identity = EmbedderIdentity("meaning", "d1", 4)

    def __init__(self, topics: Mapping[str, int]) -> None:
        self._topics = topics

    def embed(self, texts: Sequence[str]) -> Embeddings:
        return np.eye(4, dtype=np.float32)[[self._topics.get(text, 3) for text in texts]]

    layers = embed


def tickets(n: int, *, hard: float, wrong: float = 0.0) -> tuple[LabelledTickets, Meaning]:
    """Tickets of three topics. The `hard` share of them are letters without a sense; `wrong` is that of the labels."""
    draw = random.Random(5)  # noqa: S311 - no secret
    texts, places = [], []
    for _ in range(n):
        place = draw.randrange(3)
        easy = f"{TOPICS[place]} {draw.choice('abcdef')} please"
        texts.append("".join(draw.choice("bcdfghjkmnp") for _ in range(12)) if draw.random() < hard else easy)
        places.append(place)
    intents = [TOPICS[(place + (draw.random() < wrong)) % 3] for place in places]
    ids = [f"t{number:04d}" for number in range(n)]
    return LabelledTickets(ids, texts, intents, [None] * n, [None] * n), Meaning(dict(zip(texts, places, strict=True)))


def trained(hard: float) -> TrainedTriage:
    rows, embedder = tickets(400, hard=hard)
    return train_triage(rows, embedder, CONFIG, GATE)


def test_the_newest_tickets_are_the_hold_out_and_nothing_has_seen_them() -> None:
    rows, _ = tickets(100, hard=0)
    fit, chosen, holdout = parts_of(rows)
    assert (fit.ids[-1], chosen.ids[0], holdout.ids[0], holdout.ids[-1]) == ("t0069", "t0070", "t0080", "t0099")


@pytest.mark.slow
def test_a_router_serves_where_it_is_as_good_as_the_dear_model_and_cheaper() -> None:
    found = trained(hard=0.3)
    assert found.report.passed
    assert (found.serves, found.intent["kind"]) == ("router", "router")
    shown = found.report.metrics
    assert shown["linear"]["accuracy"] < 0.9 < shown["fused"]["accuracy"]
    assert shown["router"]["accuracy"] >= shown["fused"]["accuracy"] - 0.005
    assert 0.1 < found.metrics["escalated_share"] < 0.7
    assert {check.name for check in found.router_report.checks} >= {"unseen_records", "cheaper_than_best_child"}
    assert not found.seen & set(parts_of(tickets(400, hard=0.3)[0])[2].ids)


@pytest.mark.slow
def test_the_cheap_model_serves_alone_where_the_dear_one_adds_nothing() -> None:
    found = trained(hard=0.0)
    assert not found.router_report.passed
    assert (found.serves, found.intent["steps"]) == ("linear", ["linear", "fused"]), "the other one is for failures"
    assert found.report.passed


@pytest.mark.slow
def test_a_candidate_that_is_worse_than_the_champion_is_stopped_unless_the_champion_has_seen_the_hold_out() -> None:
    rows, embedder = tickets(400, hard=0.0, wrong=0.2)
    holdout = parts_of(rows)[2]
    better = Champion("3", holdout.intents, frozenset())
    stopped = train_triage(rows, embedder, CONFIG, GATE, better).report
    assert stopped.stopped_by == ("champion",)
    assert "gain over version 3: -0." in stopped.checks[-1].says
    seen = replace(better, seen=frozenset(holdout.ids))
    says = train_triage(rows, embedder, CONFIG, GATE, seen).report.checks[-1]
    assert says.passed
    assert "has seen most of the hold-out" in says.says


def test_labels_of_another_list_are_stopped_although_the_candidate_is_right_by_them() -> None:
    before = label_shares(["refund"] * 60 + ["delivery"] * 30 + ["cancel"] * 10)
    limits: dict[str, float] = {"max_factor": GATE.max_label_factor, "max_new": GATE.max_new_labels}
    same = label_shares(["refund"] * 500 + ["delivery"] * 380 + ["cancel"] * 110 + ["login"] * 10)
    assert shares_as_before("3", before, same, **limits).passed
    renamed = label_shares(["v2/refund"] * 600 + ["delivery"] * 300 + ["cancel"] * 100)
    found = shares_as_before("3", before, renamed, **limits)
    assert not found.passed
    assert "60% of the labels are new to it (v2/refund)" in found.says
    merged = shares_as_before("3", before, label_shares(["refund"] * 20 + ["cancel"] * 180), **limits)
    assert not merged.passed
    assert "90% of the labels are 'cancel', 10% then" in merged.says
    assert shares_as_before("3", None, same, **limits).passed


def test_too_few_tickets_are_refused_with_the_number_that_is_needed() -> None:
    rows, embedder = tickets(100, hard=0)
    with pytest.raises(TesseraError, match=r"100 tickets have a label .* 20, are too few .* about 150 labelled"):
        train_triage(rows, embedder, CONFIG, GATE)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[IntentModel], list[IntentModel]]:
    """A TF-IDF model and a head, as they were trained and as they are read again."""
    folder, embedder, labels = tmp_path_factory.mktemp("model"), HashedEmbedder(32), ["a", "b", "c"] * 2
    seen = ["red money", "late parcel", "lost password", "money back", "parcel gone", "password?"]
    linear, head = fit_linear_intents(seen, labels), fit_embedding_intents(embedder, seen, labels)
    for name in ("linear", "head"):
        (folder / name).mkdir()
    write_linear(linear, folder / "linear")
    identity = write_embedding(head, folder / "head")
    return [linear, head], [read_linear(folder / "linear"), read_embedding(folder / "head", identity, embedder)]


@settings(max_examples=15)
@given(texts=st.lists(st.text(max_size=30), min_size=1, max_size=5))
def test_models_give_the_same_scores_when_read_again(
    kept: tuple[list[IntentModel], list[IntentModel]], texts: list[str]
) -> None:
    for trained_model, again in zip(*kept, strict=True):
        assert np.array_equal(again.scores(texts), trained_model.scores(texts))
        assert again.labels.tolist() == trained_model.labels.tolist()


def test_a_head_of_another_embedder_is_refused_naming_both(tmp_path: Path) -> None:
    head = fit_embedding_intents(HashedEmbedder(32), ["a", "b"], ["x", "y"])
    identity = write_embedding(head, tmp_path)
    with pytest.raises(TesseraError, match=r"hashed-ngrams.*32 numbers.*'hashed-ngrams.*64 numbers"):
        read_embedding(tmp_path, identity, HashedEmbedder(64))


def test_equal_models_are_equal_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_linear(fit_linear_intents(["a b", "c d", "a c"], ["x", "y", "x"]), tmp_path / name)
    written = [{file.name: file.read_bytes() for file in (tmp_path / name).iterdir()} for name in ("one", "two")]
    assert written[0] == written[1]


def test_addresses_and_long_numbers_are_no_terms_of_a_model() -> None:
    text = "Mail ann.b+c@example.co.uk, call 0301234567, order 12 of 2025"
    assert masked(text) == "Mail name@example.org, call 0000, order 12 of 0000"
    terms = fit_linear_intents([masked(text), "other"], ["x", "y"]).features.transformer_list[0][1].vocabulary_
    assert not {term for term in terms if "ann" in term or "0301" in term}
