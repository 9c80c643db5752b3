"""Skeletons of new applications: `tessera new`."""
