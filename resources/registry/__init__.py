"""The registry port and its adapters: model versions and champions."""
