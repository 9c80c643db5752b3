"""Where raw rows come from: the port, the simulated shop, and files (Parquet, CSV; folders or URLs)."""
