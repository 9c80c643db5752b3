"""Metrics of a model's quality and their uncertainty."""
