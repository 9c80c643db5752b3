"""The pipeline room, WHEN it runs: Dagster's entry point, jobs, schedules, sensors and the command line."""
