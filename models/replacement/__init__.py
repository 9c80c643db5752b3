"""Gradual replacement of one model version by another: shares, splits, comparison."""
