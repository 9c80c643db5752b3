"""Composition of small models by typed steps: sequence, router, fan-out, fallback. No orchestrator, no vendor."""
