"""Experiments of the applications, and the impressions that they and later models learn from."""
