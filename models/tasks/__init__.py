"""Kinds of prediction: labels, metrics, baselines, gate checks and pictures of each."""
