"""The pure room, HOW it is computed: functions and classes that are testable with a literal in and a literal out.

No Dagster, no vendor client, no network. Imports nothing of the other rooms.
"""
