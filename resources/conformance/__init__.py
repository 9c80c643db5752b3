"""Behaviour that every adapter of a port must show."""
