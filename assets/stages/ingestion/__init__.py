"""Ingestion of contracted tables into the lake."""
