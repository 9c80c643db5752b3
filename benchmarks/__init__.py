"""Measurements against stated budgets; each writes its section of docs/benchmarks.md."""
