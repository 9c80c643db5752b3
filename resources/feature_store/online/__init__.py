"""Online stores with bulk, monotonic writes: SQLite, Redis, PostgreSQL."""
