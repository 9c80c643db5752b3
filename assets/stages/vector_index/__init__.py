"""Vector indexes as assets: built, compared with exact search, then served."""
