"""Experiments and impressions of any application: what was shown, what came of it, what follows."""
