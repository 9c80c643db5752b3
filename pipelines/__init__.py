"""WHEN it runs: the one entry point of Dagster, jobs, schedules, sensors and the command line."""
