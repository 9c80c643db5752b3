"""The sink port and its adapter: published scores."""
