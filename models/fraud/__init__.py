"""Fraud: event parsing, labels, alerts, threshold and performance, as pure functions."""
