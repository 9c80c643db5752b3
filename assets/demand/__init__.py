"""Demand: units of each product in the next days. The example of `docs/new-application.md`."""
