"""The page docs/support.md shows the composition as it is built."""

from pathlib import Path
from typing import Any

from models.compose.budget import Estimate
from models.compose.drawing import mermaid
from models.compose.prompt import Prompt
from models.settings import SupportSettings
from models.support.answers import ANSWER_PROMPT, PROMPT
from models.support.composition import FixedAnswers, FixedArticles, routed, triage
from models.support.intent_part import Calibration, IntentPart, UrgencyPart
from models.support.parts import AnswerPart, HandOffPart, LanguagePart, SearchPart, SentimentPart

PAGE = Path(__file__).parents[3] / "docs" / "support.md"


def test_the_page_shows_the_composition_as_it_is_built() -> None:
    steps, never, sure = SupportSettings().steps, Any, Calibration(0, 1, 1)
    cheap, dear = Estimate(row_ms=steps.linear_ms), Estimate(row_ms=steps.linear_ms + steps.embedding_ms)
    parts = {
        "language": LanguagePart(steps.languages, steps.default_language),
        "linear": IntentPart("linear", never, None, 1, 0, sure, cheap),  # type: ignore[arg-type]
        "fused": IntentPart("fused", never, never, 1, 0, sure, dear),  # type: ignore[arg-type]
        "search": SearchPart(FixedArticles(), steps.articles, {}, {}),
        "sentiment": SentimentPart(),
        "urgency": UrgencyPart(None, sure),
        "answer": AnswerPart(
            FixedAnswers(), Prompt(ANSWER_PROMPT, PROMPT), steps.max_answer_tokens, steps.min_answer_support
        ),
        "hand_off": HandOffPart(steps.hand_off),
    }
    drawn = mermaid(triage(routed(0.35, 0.2), parts).step())
    shown = f"<!-- drawing:begin -->\n```mermaid\n{drawn}```\n<!-- drawing:end -->"
    assert shown in PAGE.read_text(), f"docs/support.md should hold:\n{shown}"
