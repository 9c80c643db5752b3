"""The offline store: point-in-time joins on DuckDB."""
