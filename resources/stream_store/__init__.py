"""The stream store port and its adapter."""
