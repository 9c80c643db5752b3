"""Recommendations: candidates from several named generators, merged, and ordered by a ranker."""
