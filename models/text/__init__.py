"""Texts: embedders, intents, out-of-scope detection, language, sentiment, retrieval and personal data in texts."""
