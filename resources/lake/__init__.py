"""The lake port and its adapter: versioned tables."""
