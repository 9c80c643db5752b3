"""Trace spans: kept in the home, and sent to a collector."""
