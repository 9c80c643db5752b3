"""The alert store port; its adapters are those of the stream store."""
