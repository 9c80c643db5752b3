"""Gradual replacement of the champion of any application by another version."""
