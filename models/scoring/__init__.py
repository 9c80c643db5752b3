"""Scoring of a day: predictions, reasons, audit and drift."""
