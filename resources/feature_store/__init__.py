"""The feature store port and its adapters."""
