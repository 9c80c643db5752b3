"""Experiments: assignment, exposure, effects that may be looked at every day, off-policy estimates, verdicts."""
