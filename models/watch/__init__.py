"""Watching of tables: profiles of days, limits estimated from history, findings in words; no database, no Dagster."""
