"""The triage composition: which step runs after which, what stands in where one fails, and its golden records."""

from collections.abc import Mapping, Sequence
from typing import Any

from models.compose.package import Composition, Part
from models.compose.prompt import Prompt
from models.errors import TesseraError
from models.support.answers import ANSWER_PROMPT, PROMPT
from models.support.parts import KnowledgeBase
from models.text.out_of_scope import OUT_OF_SCOPE
from models.training.children import ChildFacts

NAME = "triage"
#: Steps in their order, as inspections list them.
STEPS = ("language", "linear", "fused", "language_model", "search", "sentiment", "urgency", "answer", "hand_off")
#: Above every margin.
_ALWAYS = 1e9
_NO_INTENT = {"intent": OUT_OF_SCOPE, "in_scope": False, "confidence": 0.0, "margin": 0.0, "guesses": {}}
#: Values where a step failed: a person then answers, whatever the other steps say.
_FAILED = {
    "language": {"language": "", "language_confidence": 0.0},
    "search": {"article_ids": [], "articles": {}},
    "sentiment": {"sentiment": -1.0},
    "urgency": {"urgency": 1.0},
    "answer": {"draft": "", "cited": [], "draft_by": "", "draft_problem": "the language model failed"},
    "hand_off": {"handed_off": True, "reasons": ["the rule of the hand-off failed"]},
}


def routed(threshold: float, share: float) -> dict[str, Any]:
    """Return the declaration of the intent: the cheap model first, the dear one where its lead is too small."""
    return {
        "kind": "router",
        "name": "intent",
        "below": "margin",
        "thresholds": [threshold],
        "shares": [share],
        "steps": ["linear", "fused"],
    }


def alone(child: str) -> dict[str, Any]:
    """Return the declaration of the intent by one model; the other one answers where it fails."""
    return {"kind": "fallback", "name": "intent", "steps": [child, "linear" if child == "fused" else "fused"]}


def asked_last(intent: Mapping[str, Any], child: str, threshold: float, share: float) -> dict[str, Any]:
    """Return the declaration of the intent with a language model as its last step.

    Args:
        intent: declaration by `routed` or `alone`.
        child: the model of which the answers are escalated: `linear` or `fused`.
        threshold: of that model's margin.
        share: of tickets, expected to be escalated.
    """
    if intent["kind"] == "router":
        first, shares, steps = [*intent["thresholds"]], [*intent["shares"]], [*intent["steps"]]
    elif child == "fused":  # every answer of the linear model is escalated: it stands in where the other one fails
        first, shares, steps = [_ALWAYS], [1.0], ["linear", "fused"]
    else:
        first, shares, steps = [], [], ["linear"]
    return {
        "kind": "router",
        "name": "intent",
        "below": "margin",
        "thresholds": [*first, threshold],
        "shares": [*shares, share],
        "steps": [*steps, "language_model"],
    }


def triage(
    intent: Mapping[str, Any],
    parts: Mapping[str, Part],
    children: Mapping[str, ChildFacts] | None = None,
    further_prompts: Sequence[Prompt] = (),
) -> Composition:
    """Build the composition.

    Args:
        intent: declaration of the intent, by `routed`, `alone` or `asked_last`.
        parts: every step of `STEPS`; a language model only where the intent names it.
        children: what training knows of them.
        further_prompts: that its parts need, beside the answer's.
    """
    tone = {name: {"step": name, "defaults": _FAILED[name]} for name in ("sentiment", "urgency")}
    steps = [
        {"step": "language", "defaults": _FAILED["language"]},
        {**intent, "defaults": {**_NO_INTENT, "intent_by": ""}},
        {"step": "search", "defaults": _FAILED["search"]},
        {"kind": "fan_out", "name": "tone", "branches": tone},
        {"step": "answer", "defaults": _FAILED["answer"]},
        {"step": "hand_off", "defaults": _FAILED["hand_off"]},
    ]
    prompts = {ANSWER_PROMPT: Prompt(ANSWER_PROMPT, PROMPT), **{one.name: one for one in further_prompts}}
    declaration = {"kind": "sequence", "name": NAME, "steps": steps}
    return Composition(NAME, declaration, parts, prompts=prompts, children=children or {})


#: Records that a version must answer as when it was saved: of no one, so that no person is in a package.
GOLDEN: Sequence[Mapping[str, Any]] = (
    {"text": "Where is my parcel? It should have been here on Monday.", "history": {}},
    {"text": "Ich möchte mein Geld zurück, die Tasse ist kaputt angekommen!", "history": {"orders": 1}},
    {"text": "Comment changer mon mot de passe ?", "history": {"customer_score": 0.95, "customer_score_of": "churn"}},
)


class FixedArticles:
    """A knowledge base for golden records: articles come and go, and golden answers must stay."""

    version = "golden"
    _HITS = (
        {
            "id": "golden-1",
            "title": "Delivery and refunds",
            "body": "A parcel takes three days. Broken goods are refunded within a week. A password is reset by mail.",
            "language": "en",
            "score": 1.0,
        },
    )

    def search(
        self,
        texts: Sequence[str],
        languages: Sequence[str],  # noqa: ARG002 - every text finds the same
        *,
        k: int,
        known: object = None,  # noqa: ARG002
        spending: object = None,  # noqa: ARG002 - it costs nothing
    ) -> list[list[Mapping[str, Any]]]:
        """Return the same articles for each text."""
        return [list(self._HITS[:k]) for _ in texts]


class FixedAnswers:
    """A language model for golden records: quotes the first document."""

    name = "golden"

    def answer(
        self,
        prompt: str,  # noqa: ARG002 - every question has the same answer
        system: str,  # noqa: ARG002
        documents: Sequence[tuple[str, str]],
        *,
        max_tokens: int,  # noqa: ARG002
        spending: object,  # noqa: ARG002
    ) -> str:
        """Return the first document with its citation."""
        return f"{documents[0][1]} [{documents[0][0]}]"

    def choose(
        self,
        prompt: str,  # noqa: ARG002
        system: str,  # noqa: ARG002
        options: Sequence[str],
        max_tokens: int,  # noqa: ARG002
        spending: object,  # noqa: ARG002
    ) -> str:
        """Return the first option."""
        return options[0]


class NoAnswers(FixedAnswers):
    """A language model that reads no intent: candidates and champion are compared without one."""

    def choose(self, *_: object, **__: object) -> str:
        """Raise, so that the answer of the other models is kept."""
        raise TesseraError(
            "No language model is asked in a comparison.", expected="the other models' answer", todo="Nothing."
        )


def rehearsed(resources: Mapping[str, Any]) -> dict[str, Any]:
    """Return the resources with which golden records are answered: what changes outside is replaced."""
    base: KnowledgeBase = FixedArticles()
    return {**resources, "knowledge_base": base, "language_model": FixedAnswers()}
