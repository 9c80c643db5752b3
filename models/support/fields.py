"""Contracts of the steps of triage."""

from models.compose.fields import fields

TEXT = fields("Text", {"text": "text"})
LANGUAGE = fields("Language", {"language": "text", "language_confidence": "number"})
#: `confidence`: probability that the intent is right, 0 to 1. `margin`: lead of the best label over the second one.
#: `guesses`: the likeliest intents with their shares, whatever the scope.
INTENT = fields(
    "Intent",
    {"intent": "text", "in_scope": "flag", "confidence": "number", "margin": "number", "guesses": "record"},
)
#: Probability that the ticket is urgent, 0 to 1; missing where no label says what is.
URGENCY = fields("Urgency", {"urgency": "number?"})
#: -1 (unhappy) to 1 (happy).
SENTIMENT = fields("Sentiment", {"sentiment": "number"})
#: `articles` holds them under `hits`, best first, and the index version that they come from.
ARTICLES = fields("Articles", {"article_ids": "texts", "articles": "record"})
#: `draft`: text that passed every check, else empty, with the reason as `draft_problem`. `cited`: articles it names.
ANSWER = fields("Answer", {"draft": "text", "cited": "texts", "draft_by": "text", "draft_problem": "text"})
DECISION = fields("Decision", {"handed_off": "flag", "reasons": "texts"})

#: What a ticket gives, beside its id: `history` is what was known of the customer when the ticket was opened.
TICKET = fields("Ticket", {"text": "text", "history": "record"})
SEARCHED = fields("Search", {"text": "text", "language": "text", "intent": "text", "guesses": "record"})
ANSWERED = fields(
    "Question",
    {
        "text": "text",
        "language": "text",
        "language_confidence": "number",
        "in_scope": "flag",
        "articles": "record",
        "history": "record",
    },
)
DECIDED = INTENT.plus(
    fields(
        "Decided",
        {
            "sentiment": "number",
            "urgency": "number?",
            "draft": "text",
            "draft_by": "text",
            "draft_problem": "text",
            "history": "record",
        },
    ),
    "Findings",
)
