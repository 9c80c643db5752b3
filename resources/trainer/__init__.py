"""The trainer port and its adapters."""
