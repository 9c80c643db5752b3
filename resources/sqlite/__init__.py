"""SQLite files that several adapters share."""
