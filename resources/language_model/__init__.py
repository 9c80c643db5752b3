"""The language model port: answers in text, or as JSON by a schema."""
