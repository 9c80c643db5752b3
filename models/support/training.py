"""Training of triage: children on the oldest labelled tickets, choices on newer ones, the gate on the newest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.compose.budget import Estimate
from models.compose.gate import Measured, composition_report
from models.compose.replay import Replay
from models.compose.threshold import Choice, best_within
from models.errors import TesseraError
from models.evaluation.bootstrap import Resampling, mean_interval
from models.gates.check import GateCheck
from models.gates.label_shares import LabelShares, label_shares, shares_as_before
from models.gates.report import GateReport
from models.support.article_prior import ArticlePrior, article_prior
from models.support.composition import alone, routed
from models.support.config import TriageConfig, TriageGateConfig
from models.support.intent_model import IntentModelPart
from models.support.intent_part import Calibration, IntentPart, UrgencyPart, best_sharpness, masked, scores_of
from models.support.labelled import CHOOSE, FIT, LabelledTickets, parts_of
from models.support.search_words import search_words
from models.text.embedder import Embedder, RememberingEmbedder
from models.text.intent_steps import margin
from models.text.intent_training import FUSED, LINEAR, TrainedIntents, train_intents
from models.text.intents import EmbeddingIntents, FusedIntents, LinearIntents, Scores, fit_linear_intents
from models.text.language import LanguageDetector
from models.text.out_of_scope import OUT_OF_SCOPE
from models.training.children import ChildFacts
from models.training.model import Vector

# scikit-learn has no static types.
# pyright: basic

#: Labels of each kind that a model of urgency needs.
_FEWEST_URGENT = 20


@dataclass(frozen=True)
class TrainedTriage:
    """Trained parts, the intent's declaration that the comparison chose, and the gate's report.

    Attributes:
        linear: TF-IDF.
        fused: TF-IDF and a head on the embedder.
        urgency: of a ticket.
        intent: declaration of the intent: the router, or the better child alone.
        serves: `router`, `linear` or `fused`.
        report: of the gate.
        router_report: of the router against its children.
        metrics: on the hold-out.
        holdout: number of its tickets.
        seen: ids of the tickets that something was trained or chosen on.
        words: of each intent, for the search.
        prior: articles that answered tickets of each intent and language, for the search.
        children: name -> training set and quality of each trained part alone.
        asked: a language model for tickets that the others are unsure of; None: there is none.
    """

    linear: IntentPart
    fused: IntentPart
    urgency: UrgencyPart
    intent: Mapping[str, Any]
    serves: str
    report: GateReport
    router_report: GateReport
    metrics: Mapping[str, float]
    holdout: int
    seen: frozenset[str]
    words: Mapping[str, str]
    prior: ArticlePrior
    children: Mapping[str, ChildFacts]
    asked: IntentModelPart | None = None


@dataclass(frozen=True)
class Champion:
    """Intents that the champion gives the hold-out, and the tickets that it was trained or chosen on.

    `labels`: how frequent each intent was among its labels; None: it kept no record.
    """

    version: str
    intents: Sequence[str]
    seen: frozenset[str]
    labels: LabelShares | None = None


def train_triage(
    tickets: LabelledTickets,
    embedder: Embedder,
    config: TriageConfig,
    gate: TriageGateConfig,
    champion: Champion | None = None,
) -> TrainedTriage:
    """Train the children, choose between them and their router, and evaluate what is chosen.

    Args:
        tickets: with their labels, oldest first.
        embedder: its weights stay as they are.
        config: of the steps.
        gate: limits.
        champion: its intents for the hold-out; None: there is none, or it cannot be used.

    Raises:
        TesseraError: there are too few labelled tickets.
    """
    fit, chosen_on, holdout = parts_of(tickets)
    _require(tickets, holdout, gate)
    remembered = RememberingEmbedder(embedder)
    texts = [masked(text) for text in fit.texts]
    trained = train_intents(texts, fit.intents, remembered, retention=config.retention)
    linear = _intent_part(trained, LINEAR, embedder, config, chosen_on)
    fused = _intent_part(trained, FUSED, embedder, config, chosen_on)
    urgency = _urgency(fit, chosen_on)
    seen = frozenset(fit.ids) | frozenset(chosen_on.ids)
    choice = _threshold(linear, fused, chosen_on, config)
    answers = {name: _answers(part, holdout) for name, part in ((LINEAR, linear), (FUSED, fused))}
    right = {name: _right(one["intent"], holdout) for name, one in answers.items()}
    escalated = answers[LINEAR]["margin"] < choice.threshold
    right["router"] = np.where(escalated, right[FUSED], right[LINEAR])
    costs = _costs(linear, fused, escalated)
    router = _router_report(right, costs, holdout, seen, gate)
    serves = "router" if router.passed else _better_child(linear, fused, chosen_on)
    intent = routed(choice.threshold, choice.share) if serves == "router" else alone(serves)
    metrics = _metrics(right[serves], holdout, urgency) | _shares(serves, answers, escalated)
    report = _report(serves, right, metrics, (fit, holdout), champion, gate, router)
    languages = _languages(texts, config)
    words = search_words(texts, fit.intents, languages)
    prior = article_prior(fit.intents, languages, fit.articles)
    children = _children(right, metrics, (fit, chosen_on))
    return TrainedTriage(
        linear, fused, urgency, intent, serves, report, router, metrics, len(holdout), seen, words, prior, children
    )


def _children(
    right: Mapping[str, Vector], metrics: Mapping[str, float], tickets: tuple[LabelledTickets, LabelledTickets]
) -> dict[str, ChildFacts]:
    """Return what the package says of each trained part: its tickets, and its quality alone on the hold-out."""
    fit, chosen_on = tickets
    rows: dict[str, str | int] = {
        "tickets": len(fit),
        "calibrated_on": len(chosen_on),
        "sha256": sha256("\n".join([*fit.ids, *chosen_on.ids]).encode()).hexdigest(),
    }
    known = {name: {"holdout_accuracy": float(right[name].mean())} for name in (LINEAR, FUSED)}
    known["urgency"] = {"holdout_auc": metrics["urgency_auc"]} if "urgency_auc" in metrics else {}
    return {part: ChildFacts(trained_on=rows, metrics=found) for part, found in known.items()}


def _shares(serves: str, answers: Mapping[str, Mapping[str, Any]], escalated: NDArray[np.bool_]) -> dict[str, float]:
    """Return the shares of the hold-out that what serves asks the dear model for, and finds out of scope."""
    asked = {"router": escalated, FUSED: np.ones_like(escalated), LINEAR: np.zeros_like(escalated)}[serves]
    outside = ~np.where(asked, answers[FUSED]["in_scope"], answers[LINEAR]["in_scope"])
    return {
        "escalated_share": float(asked.mean()),
        "out_of_scope_share": float(outside.mean()),
        "holdout_tickets": float(len(asked)),
    }


def _languages(texts: Sequence[str], config: TriageConfig) -> list[str]:
    detector = LanguageDetector(config.languages, config.default_language)
    return [detector.detect(text).language for text in texts]


def _require(tickets: LabelledTickets, holdout: LabelledTickets, gate: TriageGateConfig) -> None:
    if len(holdout) >= gate.min_tickets:
        return
    needed = round(gate.min_tickets / (1 - FIT - CHOOSE))
    raise TesseraError(
        f"{len(tickets):,} tickets have a label by now; the newest {1 - FIT - CHOOSE:.0%} of them, {len(holdout):,}, "
        "are too few to evaluate a model on.",
        expected=f"about {needed:,} labelled tickets, so that {gate.min_tickets:,} are left for the gate",
        todo="Wait for more labels, or lower settings.support.gate.min_tickets in stack.yaml.",
    )


def _intent_part(
    trained: TrainedIntents, name: str, embedder: Embedder, config: TriageConfig, held: LabelledTickets
) -> IntentPart:
    """Return a trained child as a part, its probabilities calibrated on tickets that it was not trained on."""
    whole = trained.models[FUSED]
    assert isinstance(whole, FusedIntents)  # noqa: S101 - for the type checker
    linear, head = whole.linear, whole.embedded
    assert isinstance(linear, LinearIntents) and isinstance(head, EmbeddingIntents)  # noqa: S101, PT018
    is_fused = name == FUSED
    ms = config.linear_ms + (config.embedding_ms if is_fused else 0.0)
    scores = scores_of(trained.models[name], list(held.texts))
    threshold = trained.choices[name].threshold
    labels = np.where(scores.max(axis=1) >= threshold, linear.labels[scores.argmax(axis=1)], OUT_OF_SCOPE)
    return IntentPart(
        "fused" if is_fused else "linear",
        linear,
        EmbeddingIntents(embedder, head.classifier) if is_fused else None,
        whole.weight if is_fused else 1.0,
        threshold,
        replace(_calibration(scores, _right(labels, held)), sharpness=_sharpness(scores, linear.labels, held)),
        Estimate(row_ms=ms),
    )


def _calibration(scores: Scores, right: Vector) -> Calibration:
    """Fit the probability of being right; where all are right, or all wrong, it is their share and one more of each."""
    if right.min() == right.max():
        share = (right.sum() + 1) / (right.size + 2)
        return Calibration(float(np.log(share / (1 - share))), 0.0, 0.0)
    from sklearn.linear_model import LogisticRegression

    found = LogisticRegression(C=1.0).fit(np.column_stack([scores.max(axis=1), margin(scores)]), right)
    return Calibration(float(found.intercept_[0]), *(float(one) for one in found.coef_[0]))


def _sharpness(scores: Scores, labels: Any, held: LabelledTickets) -> float:
    column = {label: at for at, label in enumerate(labels.tolist())}
    known = [row for row, intent in enumerate(held.intents) if intent in column]
    return best_sharpness(scores[known], np.array([column[held.intents[row]] for row in known], dtype=np.intp))


def _urgency(fit: LabelledTickets, held: LabelledTickets) -> UrgencyPart:
    known = [row for row, urgent in enumerate(fit.urgent) if urgent is not None]
    labels = [bool(fit.urgent[row]) for row in known]
    if min(labels.count(True), labels.count(False)) < _FEWEST_URGENT:
        return UrgencyPart(None, Calibration(0.0, 0.0, 0.0))
    model = fit_linear_intents(
        [masked(fit.texts[row]) for row in known], ["urgent" if one else "not" for one in labels]
    )
    rows = [row for row, urgent in enumerate(held.urgent) if urgent is not None]
    marks = np.array([bool(held.urgent[row]) for row in rows], dtype=np.float64)
    if not rows or marks.min() == marks.max():
        return UrgencyPart(model, Calibration(0.0, 4.0, 0.0))
    from sklearn.linear_model import LogisticRegression

    scores = scores_of(model, [held.texts[row] for row in rows])[:, 1:]
    found = LogisticRegression(C=1.0).fit(scores, marks)
    return UrgencyPart(model, Calibration(float(found.intercept_[0]), float(found.coef_[0][0]), 0.0))


def _threshold(linear: IntentPart, fused: IntentPart, held: LabelledTickets, config: TriageConfig) -> Choice:
    """Choose the margin below which the dear model is asked: the best quality at the share of cost that is allowed."""
    cheap, dear = _answers(linear, held), _answers(fused, held)
    n = len(held)
    prices = linear.cost.row_ms, fused.cost.row_ms
    replay = Replay(
        np.asarray(cheap["margin"], dtype=np.float64),
        _right(cheap["intent"], held),
        _right(dear["intent"], held),
        np.full(n, prices[0]),
        np.full(n, prices[1]),
    )
    return best_within(replay, cost=max(prices[0], config.max_cost_share * prices[1]))


def _answers(part: IntentPart, tickets: LabelledTickets) -> Mapping[str, Any]:
    return part.columns(part.scores(list(tickets.texts)))


def _right(intents: Any, tickets: LabelledTickets) -> Vector:
    return (np.asarray(intents, dtype=object) == np.array(tickets.intents, dtype=object)).astype(np.float64)


def _costs(linear: IntentPart, fused: IntentPart, escalated: NDArray[np.bool_]) -> dict[str, Vector]:
    cheap, dear = np.full(escalated.size, linear.cost.row_ms), np.full(escalated.size, fused.cost.row_ms)
    return {LINEAR: cheap, FUSED: dear, "router": cheap + escalated * dear}


def _better_child(linear: IntentPart, fused: IntentPart, held: LabelledTickets) -> str:
    """Return the child of the higher accuracy on the tickets that choices are made on; of equals the cheap one."""
    quality = {name: _right(_answers(part, held)["intent"], held).mean() for name, part in _named(linear, fused)}
    return FUSED if quality[FUSED] > quality[LINEAR] else LINEAR


def _named(linear: IntentPart, fused: IntentPart) -> Sequence[tuple[str, IntentPart]]:
    return ((LINEAR, linear), (FUSED, fused))


def _router_report(
    right: Mapping[str, Vector],
    costs: Mapping[str, Vector],
    holdout: LabelledTickets,
    seen: frozenset[str],
    gate: TriageGateConfig,
) -> GateReport:
    """Return the report of the claim that the router keeps: better than its best child, else as good and cheaper."""
    measured = {name: Measured(right[name], costs[name], seen) for name in right}
    children = {name: measured[name] for name in (LINEAR, FUSED)}
    reports = [
        composition_report(
            "router", measured["router"], children, holdout.ids, gate.router.model_copy(update={"claim": claim})
        )
        for claim in ("better", "cheaper")
    ]
    return next((one for one in reports if one.passed), reports[-1])


def _metrics(right: Vector, holdout: LabelledTickets, urgency: UrgencyPart) -> dict[str, float]:
    outside = np.array([intent == OUT_OF_SCOPE for intent in holdout.intents])
    found = {"accuracy": float(right.mean())}
    if outside.any():
        found["out_of_scope_recall"] = float(right[outside].mean())
    if not outside.all():
        found["in_scope_accuracy"] = float(right[~outside].mean())
    known = [row for row, urgent in enumerate(holdout.urgent) if urgent is not None]
    marks = np.array([bool(holdout.urgent[row]) for row in known], dtype=np.int8)
    if urgency.model is not None and marks.size and 0 < marks.sum() < marks.size:
        from models.evaluation.metrics import auc

        found["urgency_auc"] = auc(marks, urgency.probability([masked(holdout.texts[row]) for row in known]))
    return found


def _report(
    serves: str,
    right: Mapping[str, Vector],
    metrics: Mapping[str, float],
    tickets: tuple[LabelledTickets, LabelledTickets],
    champion: Champion | None,
    gate: TriageGateConfig,
    router: GateReport,
) -> GateReport:
    fit, holdout = tickets
    usual = max(sorted(set(fit.intents)), key=list(fit.intents).count)
    baseline = _right([usual] * len(holdout), holdout)
    checks = [
        _floor(right[serves], baseline, usual, gate),
        _labels_as_before([*fit.intents, *holdout.intents], champion, gate),
        _against_champion(right[serves], champion, holdout, gate),
    ]
    shown = {name: {"accuracy": float(values.mean())} for name, values in right.items()}
    notes = [f"the intent is given by {serves}: the router {'passed' if router.passed else 'did not pass'}"]
    notes += [f"router, {check.name}: {check.says}" for check in router.checks]
    return GateReport(
        candidate=serves,
        checks=checks,
        metrics={"candidate": dict(metrics), **shown, f"always {usual}": {"accuracy": float(baseline.mean())}},
        slices=(),
        picture=b"",
        notes=[*notes, *router.notes],
        columns=("accuracy", "in_scope_accuracy", "out_of_scope_recall", "urgency_auc"),
        slice_metric="accuracy",
    )


def _floor(right: Vector, baseline: Vector, usual: str, gate: TriageGateConfig) -> GateCheck:
    gain = mean_interval(right - baseline, Resampling(gate.resamples, 0, gate.confidence))
    says = f"accuracy {right.mean():.3f}; gain over always {usual!r}: {gain}; its lower end must be above 0"
    return GateCheck("baseline", gain.low > 0, gain.low, 0.0, says)


def _labels_as_before(intents: Sequence[str], champion: Champion | None, gate: TriageGateConfig) -> GateCheck:
    version, before = (champion.version, champion.labels) if champion else ("", None)
    limits = {"max_factor": gate.max_label_factor, "max_new": gate.max_new_labels}
    return shares_as_before(version, before, label_shares(intents), **limits)


def _against_champion(
    right: Vector, champion: Champion | None, holdout: LabelledTickets, gate: TriageGateConfig
) -> GateCheck:
    if champion is None:
        return GateCheck("champion", True, None, None, "no champion to compare with")
    fresh = np.array([id not in champion.seen for id in holdout.ids])
    if fresh.sum() < gate.min_tickets:
        return GateCheck("champion", True, None, None, f"version {champion.version} has seen most of the hold-out")
    theirs = _right(champion.intents, holdout)
    gain = mean_interval((right - theirs)[fresh], Resampling(gate.resamples, 0, gate.confidence))
    says = f"gain over version {champion.version}: {gain}; its lower end must be at least {-gate.max_loss:g}"
    return GateCheck("champion", gain.low >= -gate.max_loss, gain.low, -gate.max_loss, says)
