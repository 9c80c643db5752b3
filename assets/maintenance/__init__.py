"""Upkeep of a home: storage, retention, erasure."""
