"""Sessions on PostgreSQL that several adapters share."""
