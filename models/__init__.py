"""HOW it is computed: pure functions and classes, testable with a literal in and a literal out.

No Dagster, no vendor client, no network. Imports nothing of the other rooms.
"""
