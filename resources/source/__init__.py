"""The source port and its adapters: the simulated shop, and files (Parquet, CSV; folders or URLs)."""
